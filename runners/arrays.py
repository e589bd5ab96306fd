"""Everything that the harness does with arrays: inputs read and held against what a model takes, outputs checked."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from runner_api.v1 import archives, dtypes
from runners.adapters import Array, Arrays, Model, TensorSpec
from runners.failure import Failure, words
from runners.tensors import Tensor

_WHOLE = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def versions() -> dict[str, str]:
    """NumPy's, and that of the linear algebra inside it."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, blas["name"]: blas["version"]}


def read_batch(archive: Path, batch_size: int) -> dict[str, Array]:
    """The first `batch_size` samples of every array, from the start again when there are fewer.

    Only these are read: a whole test set that came and went would change how the allocator serves the measured phases.

    Raises:
        Failure: load, refused: not an .npz archive of plain arrays.
    """
    try:
        with archives.opened(archive) as members:
            return {name.removesuffix(".npy"): _read_member(members, name, batch_size) for name in members.namelist()}
    except Exception as error:  # of a torn header NumPy raises whatever comes
        raise Failure(
            "load", "refused", f"the inputs {archive.name} are no .npz archive of plain arrays: {words(error)}"
        ) from error


def read_batches(archive: Path, batch_size: int, samples: int | None) -> Iterator[dict[str, Array]]:
    """The first `samples` samples of every array, all when None, in batches of which the last may be smaller.

    Raises:
        Failure: as `read_batch`; load, refused: the arrays are not of one length, or there are fewer samples.
    """
    try:
        archives.check(archive)
        with np.load(archive, allow_pickle=False) as members:
            given = {name: members[name][:samples] for name in members.files}
        (count,) = {len(array) for array in given.values()}
    except Exception as error:  # as above
        raise Failure(
            "load", "refused", f"the inputs {archive.name} are no .npz archive of arrays of one length: {words(error)}"
        ) from error
    if count < (samples or 0):
        raise Failure("load", "refused", f"the inputs {archive.name} have {count} samples; asked for {samples}")
    for start in range(0, count, batch_size):
        yield {name: array[start : start + batch_size] for name, array in given.items()}


def feed(model: Model, arrays: Arrays) -> dict[str, Array]:
    """`arrays` as `model.bind` wants them; a single array feeds a single input whatever their names.

    Raises:
        Failure: infer, refused: the model takes something else.
    """
    specs = model.inputs
    if not specs:
        return dict(arrays)
    if len(specs) == len(arrays) == 1:
        arrays = {specs[0].name: next(iter(arrays.values()))}
    wanted = sorted(spec.name for spec in specs)
    if wanted != sorted(arrays):
        raise _refused(f"the model takes the inputs {wanted}, given are {sorted(arrays)}")
    return {spec.name: _fitting(spec, arrays[spec.name]) for spec in specs}


def check(outputs: Arrays) -> None:
    """A model that answers no numbers is not worth a time.

    Raises:
        Failure: infer, wrong-output.
    """
    for name, array in outputs.items():
        if dtypes.kind_of(array) == dtypes.TEXT:
            continue
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            message = f"{wrong} of {array.size} values of the output {name!r} are NaN or infinite"
            raise Failure("infer", "wrong-output", message)


def from_tensors(batch: list[Tensor]) -> dict[str, Array]:
    """Arrays that own their memory and can be written, as frameworks want them."""
    return {
        item.name: np.frombuffer(item.data, dtypes.dtype_of(item.dtype)).reshape(item.shape).copy() for item in batch
    }


def to_tensors(outputs: Arrays) -> list[Tensor]:
    """Outputs ready to travel."""
    return [Tensor(name, array.dtype.name, array.shape, array.tobytes()) for name, array in outputs.items()]


def _read_member(members: zipfile.ZipFile, name: str, batch_size: int) -> Array:
    with members.open(name) as stream:
        shape, fortran_order, dtype = _read_header(stream)
        if dtype.hasobject or fortran_order or not shape or shape[0] == 0:
            raise ValueError(
                f"{name} has dtype {dtype} and shape {shape}; wanted are numbers or texts, C order, samples first"
            )
        count = min(batch_size, shape[0])
        data = stream.read(count * math.prod(shape[1:]) * dtype.itemsize)
    samples: Array = np.frombuffer(data, dtype).reshape(count, *shape[1:])
    return samples.take(np.arange(batch_size) % count, axis=0)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype; see numpy.lib.format."""
    version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = readers[version](stream)  # type: ignore[no-untyped-call]
    return header


def _fitting(spec: TensorSpec, array: Array) -> Array:
    fits = len(spec.shape) == array.ndim and all(
        wanted in (None, given) for wanted, given in zip(spec.shape, array.shape, strict=True)
    )
    if spec.dtype != dtypes.kind_of(array) and _holds(spec.dtype, array):
        array = array.astype(spec.dtype)
    if not fits or dtypes.kind_of(array) != spec.dtype:
        shape = str(spec.shape).replace("None", "any")
        raise _refused(
            f"the model takes {spec.name!r} as {spec.dtype} {shape}, given is {dtypes.kind_of(array)} {array.shape}"
        )
    return np.ascontiguousarray(array)


def _holds(dtype: str, array: Array) -> bool:
    """Whole numbers that are whole numbers of another width just as well: Core ML has one width of them."""
    if dtype not in _WHOLE or array.dtype.name not in _WHOLE:
        return False
    bounds = np.iinfo(dtype)
    return bool(array.size == 0 or (array.min() >= bounds.min and array.max() <= bounds.max))


def _refused(message: str) -> Failure:
    return Failure("infer", "refused", f"{message}; choose a batch size and data that fit the artifact")
