"""1,797 real handwritten digits that scikit-learn installs, brought to 28 x 28.

Source: UCI Optical Recognition of Handwritten Digits, its test part.
"""

import numpy as np
from sklearn.datasets import load_digits

from orchestrator.datasets import DataSet, Samples
from orchestrator.datasets.images import split, to_layout

_VALIDATION, _TEST = 80, 360


def load(source_framework: str) -> DataSet:
    """(N, 28, 28, 1) for Keras, (N, 1, 28, 28) for PyTorch, values in [0, 1].

    The 8 x 8 images are enlarged three times by repeating pixels, which is exact on every machine, and framed by two
    zeros on each side.
    """
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    enlarged = images.repeat(3, axis=1).repeat(3, axis=2)
    framed = np.pad(enlarged, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]
    samples = Samples(to_layout(framed, source_framework), bunch.target.astype(np.int64))
    return split(samples, _VALIDATION, _TEST)
