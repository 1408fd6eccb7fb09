"""Reading from disk within limits: what is no file, or larger than it should be, is not read.

Imports the standard library only.
"""

import errno
import os
import stat
from pathlib import Path

MAX_TEXT_BYTES = 2**26  # of a file of JSON or TOML
MAX_MODEL_BYTES = 2**31  # of an ONNX file: protobuf's own limit


def name_of(path: Path) -> str:
    """Return a file's name as UTF-8 text, which libraries in other languages ask for.

    Where the environment says that it is ASCII, Python's own text of such a name is none.

    Raises:
        UnicodeDecodeError: The name's bytes are no UTF-8.
    """
    return os.fsencode(path).decode()


def describe_refusal(error: OSError) -> str:
    """Return the name of the file that the system refused, and why."""
    return f"{Path(os.fsdecode(error.filename or '')).name}: {error.strerror}"


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a file that is one, and no larger than what it should hold can be.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if found.st_size > max_bytes:
        said = f"{found.st_size:,} bytes, more than the {max_bytes:,} that such a file may have"
        raise OSError(errno.EFBIG, said, str(path))
    return path.read_bytes()
