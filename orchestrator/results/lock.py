"""One campaign at a time in a folder."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import UsageError

LOCK_FILE = "campaign.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps every other campaign out of `folder`, which is made if need be, until this process ends, however it does.

    Raises:
        UsageError: another process has it, which is named; or the folder cannot be written.
    """
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path)
    except BlockingIOError:
        raise UsageError(
            f"{folder}: {_owner(path)} is at work on this campaign; wait for its end, or give --out another folder"
        ) from None
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}; choose another folder") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still held: see _take
        os.close(descriptor)


def _take(path: Path) -> int:
    """A descriptor that holds the lock of the file that has this name: the one that had it may just have removed it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_named(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text().strip() or "another process"
    except OSError:
        return "another process"
