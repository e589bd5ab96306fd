"""coremltools where it can execute: on a Mac, and without the frameworks that it converts from."""

import platform

from runners.adapters._absent import absent
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


require_macos()
with absent("sklearn", "tensorflow", "torch", "xgboost"):  # it imports every framework that it finds
    import coremltools

__all__ = ["coremltools"]
