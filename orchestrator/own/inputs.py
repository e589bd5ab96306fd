"""What an own model is fed with: the user's arrays, those that its function gave, or arrays made from its signature."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.artifacts import JSON, Cache, key_of
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.own import Own, Tensor

LABELS = "labels"
"""Name, in an archive of inputs, of an array of the right classes."""

SYNTHETIC = "synthetic inputs"
"""Name of the data that stands for none."""

FREE_SIZE = 16
"""Of an axis that the model leaves open, other than that of the samples."""

_CLASSES = 2
"""Made-up whole numbers are below this: they may be indices into a table of unknown length."""

_BYTES_PER_CHARACTER = 4


@dataclass(frozen=True)
class Given:
    """An .npz archive of inputs, named as the model's, samples first; `name` says where they are from."""

    name: str
    path: Path
    sha256: str
    labels: NDArray[Any] | None
    details: dict[str, JSON]


def prepare(
    cache: Cache, own: Own, given: Path | None, samples: int, seed: int, axes: Mapping[str, int] = MappingProxyType({})
) -> Given:
    """The arrays of the archive `given`, else those that the model came with, else `samples` made-up ones.

    `axes` are sizes of axes that the model leaves open, see `synthetic`.

    Raises:
        CaseFailure: (train, refused) `given` is no .npz archive of arrays, or they do not fit the model; the model has
            no such axis.
    """
    source = given or own.made_inputs
    arrays, labels = _read(source) if source else (synthetic(own.inputs, samples, seed, axes), None)
    fitting, labels = _whole_batches(own, fit(own.inputs, arrays, labels), labels)
    name = given.name if given else "its function's inputs" if source else SYNTHETIC

    def make(target: Path) -> dict[str, JSON]:
        with target.open("wb") as file:
            np.savez(file, allow_pickle=False, **fitting)
        return {"shapes": {name: list(array.shape) for name, array in fitting.items()}}

    made = cache.once(key_of("own inputs", _digest(fitting)), "npz", "float32", make)
    return Given(name, made.path, made.sha256, labels, made.details)


def _whole_batches(
    own: Own, arrays: dict[str, NDArray[Any]], labels: NDArray[Any] | None
) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """Without the samples that do not fill a batch of a model that takes one size only."""
    batch = own.fixed_batch or 1
    count = len(next(iter(arrays.values()))) // batch * batch
    if not count:
        raise _refused(f"the model takes {batch} samples at once, given are fewer")
    return {name: array[:count] for name, array in arrays.items()}, None if labels is None else labels[:count]


def synthetic(tensors: tuple[Tensor, ...], samples: int, seed: int, axes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Arrays that fit: normal numbers, zeros and ones, or words; equal for an equal seed.

    A fixed first axis keeps its length. `axes` has the sizes of others that are open, by the name that the model gives
    them or as "input.1"; without one it is FREE_SIZE.

    Raises:
        CaseFailure: (train, refused) no open axis is called so.
    """
    open_axes = [name for tensor in tensors for place in range(1, len(tensor.shape)) for name in _names(tensor, place)]
    for name in axes:
        if name not in open_axes:
            raise _refused(
                f"no axis of open size is called {name!r}; there are {', '.join(dict.fromkeys(open_axes)) or 'none'}"
            )
    generator = np.random.default_rng(seed)
    return {each.name: _synthetic(each, samples, generator, axes) for each in tensors}


def _names(tensor: Tensor, place: int) -> list[str]:
    """What an axis may be called, none if its size is fixed."""
    if tensor.shape[place] is not None:
        return []
    return [name for name in (tensor.sizes[place], f"{tensor.name}.{place}") if name]


def _synthetic(tensor: Tensor, samples: int, generator: np.random.Generator, axes: Mapping[str, int]) -> NDArray[Any]:
    def size(place: int) -> int:
        asked = (axes[name] for name in _names(tensor, place) if name in axes)
        return tensor.shape[place] or next(asked, FREE_SIZE)

    first = (tensor.shape or (None,))[0]
    shape = (first or samples, *map(size, range(1, len(tensor.shape))))
    kind = np.dtype(tensor.dtype).kind
    if kind == "f":
        return generator.standard_normal(shape).astype(tensor.dtype)
    if kind in "iu":
        return generator.integers(0, _CLASSES, shape).astype(tensor.dtype)
    if kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    words = np.array(["a", "longer", "text"])
    return words[generator.integers(0, len(words), shape)]


def fit(
    tensors: tuple[Tensor, ...], arrays: dict[str, NDArray[Any]], labels: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    """The arrays in the order of the model's inputs; one array fits one input whatever their names.

    Raises:
        CaseFailure: (train, refused) a name, dtype, shape or length is another one.
    """
    names = [each.name for each in tensors]
    if len(names) == len(arrays) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    if sorted(arrays) != sorted(names):
        raise _refused(f"the model takes the inputs {', '.join(names)}, given are {', '.join(arrays) or 'none'}")
    for tensor in tensors:
        _require(tensor, arrays[tensor.name])
    lengths = {len(array) for array in (*arrays.values(), *(() if labels is None else (labels,)))}
    if len(lengths) != 1:
        raise _refused(f"the arrays have {' and '.join(map(str, sorted(lengths)))} samples; give each as many")
    return {name: arrays[name] for name in names}


def _require(tensor: Tensor, array: NDArray[Any]) -> None:
    wanted, found = np.dtype(tensor.dtype), array.dtype
    same = found.kind == "U" if wanted.kind == "U" else found == wanted
    fits = len(tensor.shape) == array.ndim and all(
        size in (None, given) for size, given in zip(tensor.shape[1:], array.shape[1:], strict=True)
    )
    if not (same and fits and array.size):
        shape = str(tensor.shape).replace("None", "any")
        raise _refused(f"the model takes '{tensor.name}' as {tensor.dtype} {shape}, given is {found} {array.shape}")


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _read(archive: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    try:
        with np.load(archive, allow_pickle=False) as members:
            arrays = {name: np.ascontiguousarray(members[name]) for name in members.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        found = " ".join(str(error).split()).partition(". ")[0][:300]
        message = f"{archive}: no .npz archive of plain arrays ({found}); write one with numpy.savez"
        raise CaseFailure(Stage.TRAIN, Symptom.REFUSED, message) from None
    labels = arrays.pop(LABELS, None)
    return arrays, labels


def _refused(found: str) -> CaseFailure:
    return CaseFailure(Stage.TRAIN, Symptom.REFUSED, f"{found}; give inputs that fit")
