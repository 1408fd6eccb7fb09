"""No command opens a connection: the kernel ends the process that asks for a socket."""

import ctypes
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.stops import ROOT

pytestmark = pytest.mark.faults
SOCKET = {"x86_64": 41, "aarch64": 198}  # the number of the system call
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER_AT, FAMILY_AT = 0, 16  # where a filter finds the call's number and its first argument
COMMANDS = """
import json, sys
from kdexport.cli import cli
for arguments in json.loads(sys.argv[1]):
    assert not cli.main(arguments, standalone_mode=False), arguments
"""


class Instruction(ctypes.Structure):
    """One of a packet filter: what to do, how far to jump if it holds or not, a constant."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("constant", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """A filter, as the kernel takes it."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction)))


def forbid_sockets() -> None:
    """Let the kernel kill this process, and those it starts, for an IPv4 or IPv6 socket.

    Unlike a patch of Python's own socket it sees native code too.
    """
    lines = [
        (LOAD, 0, 0, NUMBER_AT),
        (IF_EQUAL, 0, 3, SOCKET[platform.machine()]),
        (LOAD, 0, 0, FAMILY_AT),
        (IF_EQUAL, 2, 0, socket.AF_INET),
        (IF_EQUAL, 1, 0, socket.AF_INET6),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, KILL),
    ]
    program = Program(len(lines), (Instruction * len(lines))(*(Instruction(*x) for x in lines)))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or library.prctl(
        SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


def run_alone(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a process that may open no socket."""
    if platform.machine() not in SOCKET:
        pytest.skip(f"the number of a system call of {platform.machine()} is not known here")
    try:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=forbid_sockets,
        )
    except subprocess.SubprocessError as error:
        pytest.skip(f"this kernel takes no filter: {error}")


@pytest.mark.parametrize("asked", ["socket(AF_INET)", "socket(AF_INET6)", "getaddrinfo('a.b', 1)"])
def test_sockets_are_forbidden(asked: str) -> None:
    """Whoever asks for a connection is ended, so that the test below can fail."""
    assert run_alone("import socket").returncode == 0
    done = run_alone(f"from socket import *; {asked}")
    assert done.returncode == -signal.SIGSYS


def test_no_command_opens_a_connection(
    csv_path: Path, quick_flags: list[str], tmp_path: Path
) -> None:
    """From a table to a checked, timed and packed bundle, nobody asks for a socket."""
    bundle, work = str(tmp_path / "x"), str(tmp_path / "work")
    table, student = str(csv_path), f"{bundle}/student.onnx"
    commands = [
        ["schema", table, "--target", "y"],
        ["run", table, "--target", "y", "-o", bundle, *quick_flags],
        ["train", table, "--target", "y", "-o", work, *quick_flags],
        ["distill", work],
        ["export", work, "-o", f"{bundle}2"],
        ["info", student],
        ["predict", student, table, "-o", str(tmp_path / "answers.csv")],
        ["bench", bundle, "--batch", "1", "--seconds", "0.2"],
        ["report", bundle],
        ["pack", bundle, "--python", str(tmp_path / "pack"), "--force"],
        ["check", bundle],
    ]
    done = run_alone(COMMANDS, json.dumps(commands))
    assert done.returncode == 0, done.stderr
