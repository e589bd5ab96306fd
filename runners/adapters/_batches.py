"""A batch cut into pieces, for artifacts that take only certain sizes."""

from collections.abc import Sequence

import numpy as np

from runners.adapters import Array, Arrays, TensorSpec
from runners.failure import Failure


def parts(count: int, sizes: Sequence[int], takes: str) -> list[slice]:
    """Where to cut `count` samples.

    Args:
        count: samples of the batch.
        sizes: those that the artifact takes, the largest first.
        takes: what it takes, in words, for the failure.

    Raises:
        Failure: (infer, refused) they cannot be cut so.
    """
    found: list[slice] = []
    start = 0
    while not found or start < count:
        size = next((size for size in sizes if size <= count - start), None)
        if size is None:
            raise Failure("infer", "refused", f"{takes}: {count} samples cannot be cut into such")
        found.append(slice(start, start + size))
        start += size
    return found


def with_any_batch(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """What `cut` takes where an artifact takes `specs`: any number of samples instead of one that all inputs fix."""
    if _fixed(specs) is None:
        return list(specs)
    return [spec._replace(shape=(None, *spec.shape[1:])) for spec in specs]


def cut(specs: Sequence[TensorSpec], inputs: Arrays) -> list[dict[str, Array]]:
    """The inputs in pieces of as many samples as all of `specs` fix; in one piece where they fix none, or not alike.

    Raises:
        Failure: (infer, refused) they cannot be cut so.
    """
    size = _fixed(specs)
    if size is None:
        return [dict(inputs)]
    name, _, shape = specs[0]
    slices = parts(len(inputs[name]), [size], f"input {name!r} takes the shape {shape}")
    return [{name: array[part] for name, array in inputs.items()} for part in slices]


def _fixed(specs: Sequence[TensorSpec]) -> int | None:
    sizes = {spec.shape[0] if spec.shape else None for spec in specs}
    return sizes.pop() if len(sizes) == 1 else None


def joined(answers: Sequence[Arrays]) -> dict[str, Array]:
    """The outputs of all pieces, joined along the first axis.

    Raises:
        Failure: (infer, refused) several answers of one number each, which belong to no sample.
    """
    if len(answers) == 1:
        return dict(answers[0])
    for name, array in answers[0].items():
        if array.ndim == 0:
            message = f"output {name!r} is one number a batch: ask for the artifact's own batch size"
            raise Failure("infer", "refused", message)
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
