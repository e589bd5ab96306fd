"""ResNet-18 as the study built it in Keras: a stem for small images, L2 on the 3 x 3 kernels."""

import keras
from keras import layers, regularizers


def build() -> keras.Model:
    """Takes (N, 32, 32, 3) float32, gives (N, 10) probabilities."""
    inputs = keras.Input((32, 32, 3), name="input")
    features = layers.ReLU()(_convolved(inputs, 64, 3, 1))
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        features = _block(features, width, stride)
        features = _block(features, width, 1)
    pooled = layers.Flatten()(layers.AveragePooling2D(4)(features))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(pooled), name="resnet18")


def _block(inputs: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Two convolutions beside a shortcut, which is projected where the size changes."""
    branch = layers.ReLU()(_convolved(inputs, width, 3, stride))
    branch = _convolved(branch, width, 3, 1)
    shortcut = inputs if stride == 1 else _convolved(inputs, width, 1, stride)
    return layers.ReLU()(layers.Add()([shortcut, branch]))


def _convolved(inputs: keras.KerasTensor, width: int, size: int, stride: int) -> keras.KerasTensor:
    decay = regularizers.L2(1e-4) if size == 3 else None
    convolution = layers.Conv2D(width, size, stride, padding="same", use_bias=False, kernel_regularizer=decay)
    return layers.BatchNormalization()(convolution(inputs))
