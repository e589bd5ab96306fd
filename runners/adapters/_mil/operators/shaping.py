"""Operators that move elements without computing with them."""

import torch
from torch.nn import functional

from runners.adapters._mil.tensors import Operator, Value, flags, integer, integers, several


def from_start(index: int, size: int) -> int:
    """An index that may count from the end, as one that counts from the start."""
    return index + size if index < 0 else index


def rows_from_start(indices: Value, size: int) -> Value:
    """Indices of any shape, which may count from the end, as a list that counts from the start."""
    wanted = indices.reshape(-1).long()
    return torch.where(wanted < 0, wanted + size, wanted)


def reshape(x: Value, shape: Value) -> Value:
    """The same elements in another shape; -1 is what remains, 0 keeps the size of that axis."""
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(integers(shape))])


def transpose(x: Value, perm: Value) -> Value:
    """Reorders the axes."""
    return x.permute(integers(perm))


def expand_dims(x: Value, axes: Value) -> Value:
    """Inserts axes of size 1 at the places that they have in the result."""
    rank = x.dim() + axes.numel()
    for axis in sorted(axis % rank for axis in integers(axes)):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Value, axes: Value | None = None) -> Value:
    """Removes axes of size 1: those named, or all.

    Raises:
        ValueError: a named axis is longer.
    """
    if axes is None:
        return x.squeeze()
    if any(x.shape[axis] != 1 for axis in integers(axes)):
        raise ValueError(f"cannot squeeze the axes {integers(axes)} of the shape {tuple(x.shape)}")
    return x.squeeze(integers(axes))


def concat(values: Value, axis: Value, interleave: Value = False) -> Value:
    """Joins tensors along an axis, one after another or element by element in turn; numbers count as one long."""
    parts = [torch.atleast_1d(each) for each in several(values)]
    if not bool(interleave):
        return torch.cat(parts, integer(axis))
    place = integer(axis) % parts[0].dim()
    return torch.stack(parts, place + 1).flatten(place, place + 1)


def split(
    x: Value, axis: Value, num_splits: Value | None = None, split_sizes: Value | None = None
) -> tuple[Value, ...]:
    """Cuts along an axis into parts of the sizes given, or into equal ones."""
    place = integer(axis)
    if split_sizes is not None:
        return tuple(torch.split(x, integers(split_sizes), place))
    if num_splits is None:
        raise ValueError("split names neither num_splits nor split_sizes")
    return tuple(torch.split(x, x.shape[place] // integer(num_splits), place))


def stack(values: Value, axis: Value) -> Value:
    """Joins tensors along a new axis."""
    return torch.stack(list(several(values)), integer(axis))


def gather(x: Value, indices: Value, axis: Value = 0, batch_dims: Value = 0, validate_indices: Value = False) -> Value:
    """Takes the slices of x along an axis that the indices name; negative ones count from the end.

    An index outside x is an error whatever `validate_indices` says: what Core ML gives then is not defined.

    Raises:
        ValueError: for batch dimensions, which no model here uses.
    """
    del validate_indices
    if integer(batch_dims) != 0:
        raise ValueError("gather with batch_dims is not implemented")
    place = integer(axis) % x.dim()
    taken = torch.index_select(x, place, rows_from_start(indices, x.shape[place]))
    return taken.reshape(x.shape[:place] + indices.shape + x.shape[place + 1 :])


def scatter(
    data: Value, indices: Value, updates: Value, axis: Value = 0, mode: str = "add", validate_indices: Value = False
) -> Value:
    """A copy of data whose slices along an axis that the indices name are replaced by, or increased by, the updates.

    Raises:
        ValueError: for MIL's other modes, which no model here uses.
    """
    del validate_indices  # as in `gather`
    place = integer(axis) % data.dim()
    rows = rows_from_start(indices, data.shape[place])
    slices = updates.reshape(data.shape[:place] + rows.shape + data.shape[place + 1 :])
    match mode:
        case "update":
            return torch.index_copy(data, place, rows, slices)
        case "add":
            return torch.index_add(data, place, rows, slices)
    raise ValueError(f"scatter with mode {mode!r} is not implemented")


def slice_by_index(
    x: Value,
    begin: Value,
    end: Value,
    stride: Value | None = None,
    begin_mask: Value | None = None,
    end_mask: Value | None = None,
    squeeze_mask: Value | None = None,
) -> Value:
    """NumPy's x[begin:end:stride] on every axis; a masked bound is open, a squeezed axis indexed at its beginning."""
    rank = x.dim()
    bounds = zip(
        integers(begin),
        integers(end),
        [1] * rank if stride is None else integers(stride),
        flags(begin_mask, rank),
        flags(end_mask, rank),
        flags(squeeze_mask, rank),
        strict=True,
    )
    squeezed = []
    for axis, (first, last, step, open_begin, open_end, is_squeezed) in enumerate(bounds):
        if is_squeezed:
            x = x.narrow(axis, 0 if open_begin else from_start(first, x.shape[axis]), 1)
            squeezed.append(axis)
        else:
            places = range(x.shape[axis])[None if open_begin else first : None if open_end else last : step]
            x = torch.index_select(x, axis, torch.tensor(places, dtype=torch.int64))
    return x.squeeze(squeezed) if squeezed else x


def slice_by_size(x: Value, begin: Value, size: Value) -> Value:
    """The box that begins at `begin` and is `size` large; -1 means up to the end."""
    for axis, (first, length) in enumerate(zip(integers(begin), integers(size), strict=True)):
        start = from_start(first, x.shape[axis])
        x = x.narrow(axis, start, x.shape[axis] - start if length == -1 else length)
    return x


def pad(x: Value, pad: Value, mode: str = "constant", constant_val: Value = 0.0) -> Value:
    """Adds (before, after) elements to the last axes: a constant, or what lies inside mirrored or repeated."""
    pairs = pad.reshape(-1, 2).flip(0).reshape(-1).tolist()  # torch wants the last axis first
    if mode == "constant":
        return functional.pad(x, pairs, value=float(constant_val))
    while len(pairs) > 2 and not any(
        pairs[-2:]
    ):  # torch refuses to mirror the axes of samples and channels, even by nothing
        del pairs[-2:]
    return functional.pad(x, pairs, mode=mode)


def reverse(x: Value, axes: Value | None = None) -> Value:
    """The elements in the opposite order along the axes, or along all."""
    return x.flip(list(range(x.dim())) if axes is None else integers(axes))


def shape(x: Value) -> Value:
    """The sizes of the axes."""
    return torch.tensor(x.shape, dtype=torch.int32)


def fill(shape: Value, value: Value) -> Value:
    """A tensor of one value."""
    return value.expand(integers(shape)).clone()


def tile(x: Value, reps: Value) -> Value:
    """Repeats along every axis."""
    return x.repeat(integers(reps))


def select(cond: Value, a: Value, b: Value) -> Value:
    """Elements of a where the condition holds, of b where not."""
    return torch.where(cond, a, b)


OPERATORS: dict[str, Operator] = {
    "concat": concat,
    "expand_dims": expand_dims,
    "fill": fill,
    "gather": gather,
    "pad": pad,
    "reshape": reshape,
    "reverse": reverse,
    "scatter": scatter,
    "select": select,
    "shape": shape,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
