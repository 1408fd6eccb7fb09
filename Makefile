VENV ?= .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-thorough test-torch-free check bench readme

demo: $(INSTALLED)  ## install, then the whole job on the built-in task
	$(BIN)/kdexport run -o runs/clicks --force

test: $(INSTALLED)  ## the tests
	$(BIN)/python -m pytest

test-thorough: $(INSTALLED)  ## made-up tables by the hundred, simulated test sets by the thousand
	KDEXPORT_EXAMPLES=200 KDEXPORT_RUNS=1000 $(BIN)/python -m pytest tests/test_property.py \
		tests/evidence/test_coverage.py

test-torch-free: $(INSTALLED)  ## the core alone, in a fresh environment
	$(BIN)/python benchmarks/torch_free.py

check: $(INSTALLED)  ## style, types and walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python benchmarks/document.py --check

bench: $(INSTALLED)  ## the measured claims, into benchmarks/results
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/mutants.py
	$(BIN)/python benchmarks/torch_free.py --save
	$(BIN)/python benchmarks/latency.py

readme: $(INSTALLED)  ## what is generated in README.md and docs/
	$(BIN)/python benchmarks/document.py

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
