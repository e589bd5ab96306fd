"""60,000 colour photographs in ten classes. Source: Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html"""

import io
import pickle
import tarfile

import numpy as np

from orchestrator.datasets import DataSet, Inputs, Samples
from orchestrator.datasets.files import Files, Published
from orchestrator.datasets.images import prepared

_ARCHIVE = Published(
    "cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_VALIDATION = 10_000


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:
    """Of the published training part 10,000 samples are for validation, as many as in the study."""
    with tarfile.open(fileobj=io.BytesIO(files.read(_ARCHIVE)), mode="r:gz") as archive:
        train, test = _read(archive, _TRAIN), _read(archive, ("test_batch",))
    return prepared(train, test, _VALIDATION, source_framework, inputs)


def _read(archive: tarfile.TarFile, names: tuple[str, ...]) -> Samples:
    """(N, 32, 32, 3) uint8. The batches are pickles, which may execute code: the archive's hash was checked."""
    images, labels = [], []
    for name in names:
        member = archive.extractfile(f"cifar-10-batches-py/{name}")
        if member is None:
            raise ValueError(f"{_ARCHIVE.name} has no {name}")
        batch = pickle.load(member, encoding="bytes")  # noqa: S301
        images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.array(batch[b"labels"], np.int64))
    return Samples(np.concatenate(images), np.concatenate(labels))
