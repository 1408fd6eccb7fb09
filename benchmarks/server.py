"""A process that has imported the slow packages, and forks a child per command line it is sent.

A trial of a fault starts at once in it, instead of after seconds of imports. Packages that start
threads (onnxruntime, polars, vl_convert) are left to the child: threads do not survive a fork.
Reads one JSON per line from standard input: {"arguments", "folder", "environment"}; answers with
the child's process id, and its exit status once it has ended. What a child says goes to files in
FOLDER.
"""

import faulthandler
import json
import os
import sys
from pathlib import Path

import altair
import jinja2
import onnxscript
import rich.console
import safetensors.numpy
import sklearn.ensemble
import spox
import torch.onnx._internal.exporter._core

import kdexport.cli

WARM = (altair, jinja2, onnxscript, rich.console, safetensors, sklearn, spox, torch)


def serve() -> list[str]:
    """Fork a child per line; returns in the child only, with its arguments."""
    _say({"ready": True})
    while line := sys.stdin.readline():
        asked = json.loads(line)
        child = os.fork()
        if not child:
            os.setsid()
            _settle(Path(asked["folder"]), asked["environment"])
            return [str(argument) for argument in asked["arguments"]]
        _say({"pid": child})
        _, status = os.waitpid(child, 0)
        _say({"status": os.waitstatus_to_exitcode(status)})
    os._exit(0)


def _settle(folder: Path, environment: dict[str, str]) -> None:
    """Give a child its folder, its environment, and files for what it says."""
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((0, "/dev/null"), (1, "stdout"), (2, "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(name, flags, 0o600), number)
    faulthandler.enable()  # a crash says where


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.argv = ["kdexport", *serve()]
    kdexport.cli.main()
