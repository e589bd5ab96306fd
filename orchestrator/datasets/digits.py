"""1,797 real handwritten digits that scikit-learn installs, brought to 24 x 24 within the frame that is wanted.

Source: UCI Optical Recognition of Handwritten Digits, its test part.
"""

import numpy as np
from sklearn.datasets import load_digits

from orchestrator.datasets import DataSet, Inputs, Samples
from orchestrator.datasets.files import Files
from orchestrator.datasets.images import split

_VALIDATION, _TEST = 80, 360


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:  # noqa: ARG001 - there are no files
    """The 8 x 8 images are enlarged three times by repeating pixels, which is exact on every machine."""
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    enlarged = images.repeat(3, axis=1).repeat(3, axis=2)[..., np.newaxis]
    return split(Samples(enlarged, bunch.target.astype(np.int64)), _VALIDATION, _TEST, source_framework, inputs)
