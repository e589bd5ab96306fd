"""Keras' own applications (keras.io/api/applications), each as the function of its name in lower case."""

from collections.abc import Callable
from functools import partial
from typing import Any

from orchestrator.architectures import CLASSES, SAMPLES, SEED

PIXELS = 96
"""Sides of the images: the least that all of them take is 75."""

NAMES = {
    name.lower(): name
    for name in (
        "ConvNeXtTiny",
        "DenseNet121",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "InceptionResNetV2",
        "InceptionV3",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Large",
        "MobileNetV3Small",
        "NASNetMobile",
        "ResNet50",
        "ResNet50V2",
        "ResNet101",
        "VGG16",
        "VGG19",
        "Xception",
    )
}


def __getattr__(name: str) -> Callable[[], Any]:
    if name not in NAMES:
        raise AttributeError(f"{__name__} has no {name}; it has {', '.join(NAMES)}")
    return partial(_build, NAMES[name])


def _build(application: str) -> Any:
    """The network, float32 images of shape (SAMPLES, PIXELS, PIXELS, 3) from 0 to 1."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(SEED)
    make = getattr(keras.applications, application)
    model = make(weights=None, input_shape=(PIXELS, PIXELS, 3), classes=CLASSES)
    images = np.random.default_rng(SEED).random((SAMPLES, PIXELS, PIXELS, 3), dtype=np.float32)
    return model, images
