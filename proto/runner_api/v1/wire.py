"""What both sides of the contract do alike and a .proto file cannot say: tensors in chunks, words of failures, keys."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner_api.v1 import dtypes
from runner_api.v1 import runner_pb2 as api

CONTRACT_VERSION = 2
CHUNK_BYTES = 768 << 10
"""Between processes of one machine artifacts travel twice as fast in these as in chunks of 1 MiB."""
MESSAGE_BYTES = 4 << 20
"""What no message may exceed."""
BATCH_BYTES = 1 << 30
"""What no batch of tensors may exceed: each side holds a whole one in memory."""
FAILURE_KEY = "portbench-failure-bin"
ARTIFACT_KEY = "portbench-artifact"
ARTIFACT_STORED = "stored"
ARTIFACT_WANTED = "wanted"
LOCAL_OWNER = "local"
"""Who puts artifacts without a certificate; a runner keeps each owner's in a folder of that name in its store."""

Tensors = dict[str, NDArray[Any]]


def split(batch: Tensors) -> Iterator[api.TensorChunk]:
    """One batch as chunks of at most CHUNK_BYTES."""
    for position, (name, tensor) in enumerate(batch.items()):
        little_endian = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
        data = little_endian.reshape(-1).view(np.uint8)
        is_last = position == len(batch) - 1
        for start in range(0, max(len(data), 1), CHUNK_BYTES):
            ends = start + CHUNK_BYTES >= len(data)
            chunk = api.TensorChunk(
                data=data[start : start + CHUNK_BYTES].tobytes(), ends_tensor=ends, ends_batch=ends and is_last
            )
            if start == 0:
                chunk.name, chunk.dtype = name, tensor.dtype.name
                chunk.shape.extend(tensor.shape)
            yield chunk


def join(chunks: Iterable[api.TensorChunk], most_bytes: int = BATCH_BYTES) -> Iterator[Tensors]:
    """The batches that were split; an end in mid-batch drops what is incomplete.

    Raises:
        ValueError: a chunk's bytes, dtype and shape do not fit together, or a batch has more than `most_bytes`.
    """
    batch: Tensors = {}
    batch_bytes = 0
    pieces: list[api.TensorChunk] = []
    for chunk in chunks:
        pieces.append(chunk)
        batch_bytes += chunk.ByteSize()
        if batch_bytes > most_bytes:
            raise ValueError(f"a batch has more than {most_bytes} bytes; ask in smaller batches")
        if chunk.ends_tensor:
            batch[pieces[0].name] = _tensor(pieces)
            pieces = []
        if chunk.ends_batch:
            yield batch
            batch, batch_bytes = {}, 0


def _tensor(pieces: list[api.TensorChunk]) -> NDArray[Any]:
    first = pieces[0]
    try:
        dtype = dtypes.dtype_of(first.dtype)
    except ValueError as error:
        raise ValueError(f"tensor {first.name[:80]!r} has {error}") from None
    if min(first.shape, default=0) < 0:
        raise ValueError(f"tensor {first.name[:80]!r} has an axis of negative size")
    return np.frombuffer(b"".join(piece.data for piece in pieces), dtype).reshape(tuple(first.shape))


def word(enum_name: str) -> str:
    """The word of rows and messages for an enumeration's name: SYMPTOM_OUT_OF_MEMORY -> out-of-memory."""
    return enum_name.partition("_")[2].lower().replace("_", "-")


def enum_name(prefix: str, word: str) -> str:
    """The inverse of `word`, prefix "STAGE" or "SYMPTOM"."""
    return f"{prefix}_{word.upper().replace('-', '_')}"
