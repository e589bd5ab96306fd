"""Temporary folders that do not outlive their owners: what one leaves who was killed, the next one removes."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "pb-"  # short: the path of a Unix socket is limited to about 100 characters
_OWNED = ".owned"


@contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder in `parent`, or where temporary files are; removed in the end, whatever is in it."""
    place = Path(parent or tempfile.gettempdir())
    _sweep(place)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    owned = _hold(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(owned)


def _hold(path: Path) -> int:
    """A descriptor that tells, as long as this process lives, that the folder has an owner."""
    new = path / f"{_OWNED}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.rename(path / _OWNED)  # locked from the moment it has its name
    return descriptor


def _sweep(place: Path) -> None:
    """Removes what has lost its owner; other people's folders cannot be looked into and stay."""
    for owned in place.glob(f"{_PREFIX}*/{_OWNED}"):
        with suppress(OSError):  # it still has one, or somebody else removes it
            descriptor = os.open(owned, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(owned.parent, ignore_errors=True)
            finally:
                os.close(descriptor)
