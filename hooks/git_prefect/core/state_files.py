"""What we keep on disk: folders and files that only the user can read, each file replaced as a whole."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The fast path of a push has no time for its import.
    from typing import IO, Union

    Path = Union[str, "os.PathLike[str]"]


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone; `os.makedirs` does so for the last only."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass


def replace(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Replace a file: a reader sees the old one or the new one, and with `durable` a power failure leaves one of them.

    Raises:
        OSError: it could not be written; it names the file, which is as it was, and nothing is left beside it.
    """
    folder, name = os.path.split(path)
    make_folder(folder)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise named(error, path) from error


def append(path: Path, content: bytes) -> None:
    """Append to a file; a write that fails may leave a part.

    Raises:
        OSError: it could not be written; it names the file.
    """
    make_folder(os.path.dirname(path))
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise named(error, path) from error


def append_line(path: Path, line: str) -> None:
    """Append a line to a file. Half a line that was left by a full disk or a kill does not spoil the one after it.

    Raises:
        OSError: it could not be written; it names the file.
    """
    make_folder(os.path.dirname(path))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "rb+", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            torn = end and os.pread(descriptor, 1, end - 1) != b"\n"
            rest = f"{chr(10) if torn else ''}{line}\n".encode()
            while rest:
                rest = rest[file.write(rest) :]
    except OSError as error:
        raise named(error, path) from error


def open_lock(path: Path) -> IO[str]:
    """A file to hold a lock on; it is closed, and the lock given back, when the caller ends."""
    make_folder(os.path.dirname(path))
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")


def named(error: OSError, path: Path) -> OSError:
    """The same error with the file that it is about: a write that fails names none."""
    return OSError(error.errno, error.strerror, os.fspath(path))
