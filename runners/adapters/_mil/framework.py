"""coremltools where it can execute: on a Mac, and without the frameworks that it converts from."""

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runners.failure import Failure

FIRST_VERSION = (14, 4)
"""Of macOS: the first that tells where Core ML computes."""


def require_macos() -> None:
    """Asked before coremltools is imported, which takes seconds and then does not miss a Mac.

    Raises:
        Failure: (load, unavailable) another system, or a version before `FIRST_VERSION`.
    """
    if platform.system() != "Darwin":
        raise Failure("load", "unavailable", "Core ML runs on macOS only")
    version = platform.mac_ver()[0]
    if tuple(map(int, version.split("."))) < FIRST_VERSION:
        wanted = ".".join(map(str, FIRST_VERSION))
        message = f"Core ML tells where it computes from macOS {wanted} on, this is {version}; update macOS"
        raise Failure("load", "unavailable", message)


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Within it these modules cannot be imported, unless they are already."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # None is Python's way to say so
    yield
    for name in missing:
        del sys.modules[name]


require_macos()
with absent("sklearn", "tensorflow", "torch", "xgboost"):  # it imports every framework that it finds
    import coremltools

__all__ = ["coremltools"]
