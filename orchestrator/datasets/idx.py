"""MNIST and what is published like it: four files in the idx format."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.datasets import DataSet, Inputs, Samples
from orchestrator.datasets.files import Files, Published
from orchestrator.datasets.images import prepared

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
VALIDATION = 5000


def load(
    sha256s: tuple[str, str, str, str], url: str, source_framework: str, inputs: Inputs, files: Files, *more: Path
) -> DataSet:
    """Of the published training part 5,000 samples are for validation; the test part is the published one.

    Args:
        sha256s: of the content of the four files, in the order of `NAMES`.
        url: where they are published.
        source_framework: whose layout is wanted.
        inputs: what the network takes.
        files: where they may be.
        more: as of `Files.read`.
    """
    published = (Published(name, sha256, f"{url}/{name}.gz") for name, sha256 in zip(NAMES, sha256s, strict=True))
    images, labels, test_images, test_labels = (parse(files.read(file, *more)) for file in published)
    train = Samples(images[..., np.newaxis], labels.astype(np.int64))
    test = Samples(test_images[..., np.newaxis], test_labels.astype(np.int64))
    return prepared(train, test, VALIDATION, source_framework, inputs)


def parse(content: bytes) -> NDArray[np.uint8]:
    """Big-endian: two zeros, the type (8: unsigned bytes), the number of axes, their sizes, then the elements.

    Source: http://yann.lecun.com/exdb/mnist/

    Raises:
        ValueError: the content is something else, or torn.
    """
    if content[:3] != b"\0\0\x08" or len(content) < 4:
        raise ValueError("not a file of unsigned bytes in the idx format")
    axes = content[3]
    sizes = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(tuple(sizes))
