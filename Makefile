VENV ?= .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
JOBS ?= 2
INSTALLED := $(VENV)/.installed
LIBRARIES := build/libraries/.installed

BROWSER := build/browser/.installed
NODE := build/node/.installed
DEPLOY := build/deploy
SERVERS := servers mlflow runtimes oldest

.PHONY: demo test test-thorough test-faults test-torch-free test-teachers test-browser test-node test-deploy screenshots check bench readme

demo: $(INSTALLED)  ## install, then the whole job on the built-in task
	$(BIN)/kdexport run -o runs/clicks --force

# In the order of their names: files of most tests first would leave the few slow ones for the end.
test: $(INSTALLED)  ## the tests, JOBS files at a time
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-thorough: $(INSTALLED)  ## made-up tables by the hundred, simulated test sets by the thousand
	KDEXPORT_EXAMPLES=200 KDEXPORT_RUNS=1000 $(BIN)/python -m pytest tests/test_property.py \
		tests/evidence/test_coverage.py

test-faults: $(INSTALLED)  ## stopped, out of disk, fed hostile files and odd tables: nothing lost
	$(BIN)/python -m pytest -m faults -rs --numprocesses $(JOBS) --dist loadfile tests/faults

test-torch-free: $(INSTALLED)  ## the core alone, in a fresh environment
	$(BIN)/python -m benchmarks.torch_free

test-teachers: $(LIBRARIES)  ## LightGBM, XGBoost and CatBoost as teachers
	$(BIN)/python -m pytest -m teachers tests/libraries

test-node: $(NODE)  ## docs/serving.md in Node; skipped, with a reason, where there is none
	$(BIN)/python -m pytest -rs tests/test_serving.py tests/test_pack_cells.py

test-browser: $(BROWSER) $(NODE)  ## the report in a real Chromium; skipped, with a reason, where there is none
	$(BIN)/python -m pytest -m browser -rs tests/browser

test-deploy: $(SERVERS:%=$(DEPLOY)/%.installed) $(DEPLOY)/signing.installed $(BROWSER) $(NODE)  ## packs in their servers and runtimes; what is absent fails
	$(BIN)/python -m pytest -m deploy tests/deploy

screenshots: $(BROWSER)  ## docs/images
	KDEXPORT_SCREENSHOTS=1 $(BIN)/python -m pytest -m browser tests/browser -k screenshots

check: $(INSTALLED)  ## style, types, walls, and what is known against dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m benchmarks.document --check
	$(BIN)/python -m benchmarks.audit

bench: $(INSTALLED)  ## the measured claims, into benchmarks/results
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.mutants
	$(BIN)/python -m benchmarks.torch_free --save
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.faults
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.runtimes

readme: $(INSTALLED)  ## what is generated in README.md and docs/
	$(BIN)/python -m benchmarks.document

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(LIBRARIES): $(INSTALLED)
	mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[libraries]'
	touch $@

# An environment for each server and runtime, whose packages do not go together.
$(DEPLOY)/%.installed: tests/deploy/environments/%.txt
	mkdir -p $(@D)
	test -x $(@D)/$*/bin/python || $(PYTHON) -m venv $(@D)/$* || python3 -m venv $(@D)/$*
	$(@D)/$*/bin/python -m pip install --quiet -r $<
	touch $@

$(DEPLOY)/signing.installed: $(INSTALLED)
	mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[sign]'
	touch $@

# An install that fails, fails. Where there is nothing to install with, it is said here and by the
# tests that need it, and nothing is noted as done.
NPM = npm install --silent --no-audit --no-fund --prefix $(@D)

$(BROWSER): $(INSTALLED) constraints.txt
	mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser]'
	if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	  elif command -v apt-get && test "$$(id -u)" = 0; \
	  then apt-get update && apt-get install --yes --no-install-recommends chromium; \
	  else echo 'no chromium, and no apt-get of root: its tests are skipped'; fi
	if ! command -v npm; then echo 'no npm: tests that need axe-core are skipped'; \
	  else $(NPM) axe-core@4.14.1 && touch $@; fi

$(NODE): $(INSTALLED)
	mkdir -p $(@D)
	if ! command -v npm; then echo 'no npm: tests that need Node are skipped'; \
	  else $(NPM) --ignore-scripts onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 && touch $@; fi
