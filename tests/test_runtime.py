"""Opening files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from kdexport import open_session
from kdexport.errors import DataError
from kdexport.evidence.file_checks import check_file
from tests.export.builders import NEAR, as_inputs, make_file, make_rows


def test_weights_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H2: a file whose weights lie beside it answers from any folder; what we write needs none."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = onnx.load_from_string(make_file())
    onnx.save(
        model,
        folder / "m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    monkeypatch.chdir(tmp_path)
    rows = as_inputs(make_rows(NEAR, 20))
    wanted = open_session(make_file()).answer(rows)
    for path in (folder / "m.onnx", Path("model/m.onnx"), Path(os.path.relpath(folder)) / "m.onnx"):
        found = open_session(path).answer(rows)
        np.testing.assert_array_equal(found.probabilities, wanted.probabilities)
    results = check_file("m.onnx", (folder / "m.onnx").read_bytes())
    assert [r.message for r in results if r.name == "m.onnx/self_contained" and not r.passed]


@pytest.mark.parametrize("name", ["absent.onnx", "."])
def test_no_file(name: str, tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(DataError, match="can be read"):
        open_session(tmp_path / name)


def test_batch_that_does_not_fit(tmp_path: Path) -> None:
    """Inputs of another width are an error of the data, with the shape that was passed."""
    with pytest.raises(DataError, match=r"numeric \(2, 3\)"):
        open_session(make_file()).run({"numeric": np.zeros((2, 3), np.float32)})


N_STOPS = 20
ANSWER_TEXTS = f"""
import signal

import numpy as np
from kdexport.evidence.timed import build_floor
from kdexport.runtime import open_session

texts = {{"city": np.array(["Oslo"] * 200_000, object)}}
session = open_session(build_floor(texts))
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
for _ in range({N_STOPS}):
    try:
        print("answers", flush=True)
        while True:
            session.run(texts)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_stop_while_texts_are_read() -> None:
    """An interrupt while onnxruntime reads texts is an interrupt: by itself it would crash."""
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", ANSWER_TEXTS], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.strip())
            if said[-1] == "answers":
                time.sleep(0.001 * len(said))
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    assert said == ["answers", "stopped"] * N_STOPS
