"""Writing to disk: whole or not at all, one writer at a time, nothing left behind.

Beside an output `NAME` stands, while it is being made, the hidden folder `.NAME.kdexport`: whoever
holds its lock may write the output. What is new is made in it, synced, and takes the output's
place in one rename. A process that was killed leaves the folder without an owner, and the next
writer of that output cleans it. Knows neither bundles nor tables; imports `errors` and `stops`.
"""

import atexit
import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kdexport.errors import OutputError
from kdexport.stops import unstoppable

AT_CWD, EXCHANGE = -100, 2  # Linux's names: AT_FDCWD, RENAME_EXCHANGE
NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)

_held: "set[Claim]" = set()
_written: list[Path] = []
_kept: list[Path] = []


class Claim:
    """The right to write one output, from `claim`.

    Attributes:
        output: What is written, symbolic links followed.
        folder: The hidden folder beside it, locked.
        is_kept: Whether what lies in the folder outlives this process, and is found by the next
            one that keeps it.
    """

    def __init__(
        self, output: Path, *, is_kept: bool, check: Callable[[], None] | None = None
    ) -> None:
        self._asked = output
        self._check = check
        self._lock: int | None = None
        self._made: list[Path] = []
        self.is_kept = is_kept
        try:
            self.output = Path(os.path.realpath(output))
            self.folder = self._find_folder()
        except (OSError, ValueError) as error:  # no working directory, or the root of all
            raise self._refusal(error) from error

    def _find_folder(self) -> Path:
        """Beside the output, but within one that is mounted: no rename leaves a file system."""
        if os.path.ismount(self.output):
            return self.output / ".kdexport"
        return self.output.with_name(f".{self.output.name}.kdexport")

    def write_folder(self, files: Mapping[str, bytes]) -> None:
        """Write files into a folder that takes the output's place.

        Raises:
            OutputError: The disk refused, or what came meanwhile may not be replaced; what was
                there before is still there.
        """
        with self.refusing():
            fresh = self._make_files("new", files)
            with unstoppable():
                if self._check is not None:
                    self._check()
                if self.output.exists():
                    _exchange(fresh, self.output, aside=self.folder / "old")
                else:
                    fresh.rename(self.output)
                self._settle(self.output.parent)

    def write_into(self, files: Mapping[str, bytes]) -> None:
        """Write files into the output, a folder that exists; each is the old or the new one.

        Raises:
            OutputError: There is no such folder, or the disk refused.
        """
        with self.refusing():
            fresh = self._make_files("new", files)
            with unstoppable():
                for name in files:
                    (fresh / name).replace(self.output / name)
                self._settle(self.output)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turn what the disk refuses into an OutputError that names the output."""
        try:
            yield
        except OSError as error:
            raise self._refusal(error) from error

    def put_file(self, staged: Path) -> None:
        """Let a file of the folder take the output's place."""
        with self.refusing():
            _sync(staged)
            with unstoppable():
                staged.replace(self.output)
                self._settle(self.output.parent)

    def _settle(self, folder: Path) -> None:
        """Note what is in its place, and have the disk hold the list of names that says so.

        Raises:
            OutputError: The disk may forget it where the power fails now.
        """
        _written.append(self._asked)
        try:
            _sync(folder)
        except OSError as error:
            raise OutputError(
                "what was written outlives a power failure",
                found=f"{str(self._asked)!r} is in its place, but syncing its folder failed: "
                f"{error.strerror}",
                cure="check the disk",
            ) from error

    def take(self, *, makes_parents: bool) -> None:
        """Lock the folder and clean what a killed process left in it.

        Raises:
            OutputError: Another process writes this output, or the disk refused.
        """
        _held.add(self)
        with self.refusing():
            if makes_parents:
                self._make_parents()
            while self._lock is None:
                self.folder.mkdir(exist_ok=True)
                self._lock = self._try_lock()
            old = self.folder / "old"
            if old.exists() and not self.output.exists():
                old.rename(self.output)
            self._clean()

    def release(self) -> None:
        """Remove the folder, unless it is kept, and what was made for it; unlock it."""
        if self._lock is not None:
            with suppress(OSError):  # whatever cannot be removed is left for the next one to clean
                self._clean()
                if self.is_kept and any(self.folder.iterdir()):
                    _kept.append(self._asked)
                self.folder.rmdir()  # not where something is kept in it
            os.close(self._lock)
            self._lock = None
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:  # the output is in it, or somebody else's files
                break
        _held.discard(self)

    def _clean(self) -> None:
        """Remove what is being made, or where nothing is kept, everything."""
        names = ["new", "old"] if self.is_kept else os.listdir(self.folder)
        for name in names:
            _remove(self.folder / name)

    def _make_parents(self) -> None:
        absent = [folder for folder in self.output.parents if not folder.exists()]
        for folder in reversed(absent):
            folder.mkdir(exist_ok=True)
            self._made.append(folder)

    def _try_lock(self) -> int | None:
        """Lock the folder; None where it was removed meanwhile."""
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.folder.exists() and os.path.samestat(os.fstat(lock), self.folder.stat()):
                return lock
        except BlockingIOError as error:
            os.close(lock)
            raise OutputError(
                "an output is written by one process at a time",
                found=f"another one is writing {str(self._asked)!r}",
                cure="wait for it to end, or pass another -o",
            ) from error
        os.close(lock)
        return None

    def _make_files(self, name: str, files: Mapping[str, bytes]) -> Path:
        """Write files into a folder of this one; all of it was synced when it returns."""
        fresh = self.folder / name
        _remove(fresh)
        fresh.mkdir(parents=True)  # also where somebody removed everything in the meantime
        for relative, content in files.items():
            path = fresh / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            _sync(path)
        return fresh

    def _refusal(self, error: OSError | ValueError) -> OutputError:
        return OutputError(
            "the output can be written",
            found=f"{str(self._asked)!r}: {getattr(error, 'strerror', None) or error}",
            cure="free space, or pass an -o in a folder of yours",
        )


@contextmanager
def claim(
    output: Path,
    *,
    is_kept: bool = False,
    makes_parents: bool = True,
    check: Callable[[], None] | None = None,
) -> Iterator[Claim]:
    """Hold an output until the block is left: nobody else writes it, nothing is left beside it.

    Args:
        output: What will be written.
        is_kept: Find what an earlier claim left in the folder, and leave it there: the caller
            says when it is of no more use.
        makes_parents: Make the folders that lead to it; those that stay empty are removed again.
        check: Refuses what must not be replaced by a folder: called before it is.

    Raises:
        OutputError: Another process writes it, or its folder cannot be written.
    """
    claimed = Claim(output, is_kept=is_kept, check=check)
    try:
        with unstoppable():
            claimed.take(makes_parents=makes_parents)
        yield claimed
    finally:
        with unstoppable():
            claimed.release()


@contextmanager
def write_file(path: Path) -> Iterator[Path]:
    """Give a path to write a file to; it becomes `path` where the block ends well.

    Raises:
        OutputError: The folder is absent, the disk refused, or another process writes the file.
    """
    with claim(path, makes_parents=False) as claimed:
        staged = claimed.folder / "new"
        with claimed.refusing():
            yield staged
        claimed.put_file(staged)


def kept_outputs() -> list[Path]:
    """Return the outputs that this process left something for, to go on from."""
    return list(_kept)


def written_outputs() -> list[Path]:
    """Return what this process has written whole, as it was asked for."""
    return list(_written)


@atexit.register
def _release_all() -> None:
    """A stop between two bytecodes may have missed a `finally`; it does not miss this."""
    for claimed in list(_held):
        claimed.release()


def _exchange(fresh: Path, output: Path, *, aside: Path) -> None:
    """Swap two folders in one step; where the file system cannot, in two, by way of `aside`."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        if rename(AT_CWD, os.fsencode(fresh), AT_CWD, os.fsencode(output), EXCHANGE) == 0:
            return
        if (number := ctypes.get_errno()) not in NO_EXCHANGE:
            raise OSError(number, os.strerror(number))
    output.rename(aside)
    try:
        fresh.rename(output)
    except BaseException:
        aside.rename(output)
        raise


def _sync(path: Path) -> None:
    """Have the disk hold a file, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
