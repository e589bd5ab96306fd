"""Real digits in three parts that share nothing."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.datasets import digits
from orchestrator.datasets.files import Files

NO_FILES = Files("digits", None, Path())


@pytest.mark.parametrize(("framework", "shape"), [("keras", (28, 28, 1)), ("pytorch", (1, 28, 28))])
def test_layout_and_range(framework: str, shape: tuple[int, ...]) -> None:
    data = digits.load(framework, "28x28x1", NO_FILES)
    for part in (data.train, data.validation, data.test):
        assert part.inputs.shape == (len(part.labels), *shape)
        assert part.inputs.dtype == np.float32
        assert part.inputs.flags.c_contiguous
        assert (part.inputs.min(), part.inputs.max()) == (0, 1)


def test_the_parts_share_no_image_and_hold_every_class_alike() -> None:
    data = digits.load("keras", "28x28x1", NO_FILES)
    parts = (data.train, data.validation, data.test)
    assert sum(len(part.labels) for part in parts) == 1797
    assert len(data.test.labels) >= 360
    images = [{image.tobytes() for image in part.inputs} for part in parts]
    assert len(set.union(*images)) == sum(map(len, images)) == 1797
    for part in parts:
        shares = np.bincount(part.labels) / len(part.labels)
        assert shares == pytest.approx(np.full(10, 0.1), abs=0.015)


def test_both_frameworks_see_the_same_images_in_the_same_order() -> None:
    keras, pytorch = digits.load("keras", "28x28x1", NO_FILES).test, digits.load("pytorch", "28x28x1", NO_FILES).test
    assert np.array_equal(keras.inputs[..., 0], pytorch.inputs[:, 0])
    assert np.array_equal(keras.labels, pytorch.labels)
