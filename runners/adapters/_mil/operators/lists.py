"""Lists of tensors, which loops fill. A list is Python's, never changed: writing gives another one."""

import torch

from runners.adapters._mil.tensors import Operator, Value, integer, integers


def make_list(
    elem_shape: Value = None, init_length: Value = 1, dynamic_length: Value = True, dtype: str = "fp32"
) -> Value:
    """A list of that length whose elements are nothing as long as nothing is written."""
    del elem_shape, dynamic_length, dtype  # what is written has them
    return [None] * integer(init_length)


def list_length(ls: Value) -> Value:
    """Number of elements."""
    return torch.tensor(len(ls), dtype=torch.int32)


def list_write(ls: Value, index: Value, value: Value) -> Value:
    """The list with another element; it grows where the index is behind its end."""
    place = integer(index)
    longer = [*ls, *[None] * (place + 1 - len(ls))]
    longer[place] = value
    return longer


def list_read(ls: Value, index: Value) -> Value:
    """One element.

    Raises:
        ValueError: nothing was written there.
    """
    element = ls[integer(index)]
    if element is None:
        raise ValueError(f"element {integer(index)} of the list was never written")
    return element


def list_gather(ls: Value, indices: Value) -> Value:
    """Elements along a new first axis.

    Raises:
        ValueError: as `list_read`.
    """
    return torch.stack([list_read(ls, index) for index in indices])


def list_scatter(ls: Value, indices: Value, value: Value) -> Value:
    """The list with what stands along the first axis of `value` at the indices; it grows as needed."""
    places = integers(indices)
    longer = [*ls, *[None] * (max(places, default=-1) + 1 - len(ls))]
    for place, element in zip(places, value, strict=True):
        longer[place] = element
    return longer


OPERATORS: dict[str, Operator] = {
    "list_gather": list_gather,
    "list_length": list_length,
    "list_read": list_read,
    "list_scatter": list_scatter,
    "list_write": list_write,
    "make_list": make_list,
}
