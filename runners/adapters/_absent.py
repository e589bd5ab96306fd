"""Frameworks that import more than they are asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Within it these modules cannot be imported, unless they are already."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]  # None is Python's way to say so
    yield
    for name in missing:
        del sys.modules[name]
