"""A tensor on its way between the server and its worker, for which neither needs NumPy."""

from typing import NamedTuple


class Tensor(NamedTuple):
    """`data` holds the elements little-endian and in C order; `dtype` is NumPy's name."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes
