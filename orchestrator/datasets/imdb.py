"""50,000 film reviews, as the words' ranks. Source: Maas et al., ACL 2011, in the form that Keras publishes."""

import io

import numpy as np

from orchestrator.datasets import DataSet, Inputs
from orchestrator.datasets.files import Files, Published
from orchestrator.datasets.tokens import drawn, framed

LENGTHS = {"keras": 131, "pytorch": 500}
"""The study's."""

_ARCHIVE = Published(
    "imdb.npz",
    "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz",
)
_VALIDATION = 5000


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:  # noqa: ARG001 - there are tokens only
    """Of the published training part 5,000 samples are for validation; the test part is the published one."""
    # Lists of different lengths are pickled, which may execute code: the archive's hash was checked.
    with np.load(io.BytesIO(files.read(_ARCHIVE)), allow_pickle=True) as archive:
        ranked = [*archive["x_train"], *archive["x_test"]]
        labels = np.concatenate([archive["y_train"], archive["y_test"]]).astype(np.int64)
        published = len(archive["x_train"])
    train, validation = drawn(labels, np.arange(published), _VALIDATION)
    return framed(ranked, labels, (train, validation, np.arange(published, len(labels))), source_framework, LENGTHS)
