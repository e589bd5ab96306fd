"""How arrays call what they hold, on both sides of the contract: NumPy's names, and `str` with bits for texts."""

import re

import numpy as np
from numpy.typing import NDArray

TEXT = "str"
"""What a model takes that takes texts, however long they are."""

_NUMBERS = frozenset(np.dtype(code).name for code in "?bBhHiIlLqQefdFD")
_TEXTS = re.compile(r"str([1-9]\d{0,7})")
_BITS_PER_CHARACTER = 32


def dtype_of(name: str) -> np.dtype[np.generic]:
    """What `numpy.dtype.name` is called so, little-endian.

    Raises:
        ValueError: nothing that arrays of numbers or texts hold is called so.
    """
    texts = _TEXTS.fullmatch(name)
    if texts and int(texts[1]) % _BITS_PER_CHARACTER == 0:
        return np.dtype(f"<U{int(texts[1]) // _BITS_PER_CHARACTER}")
    if name not in _NUMBERS:
        raise ValueError(f"the unknown dtype {name[:80]!r}")
    return np.dtype(name).newbyteorder("<")


def kind_of(array: NDArray[np.generic]) -> str:
    """The dtype's name, of texts without their length."""
    return TEXT if array.dtype.kind == "U" else array.dtype.name
