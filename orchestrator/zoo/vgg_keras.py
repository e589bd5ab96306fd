"""The study's VGG in Keras: ten convolutions, VGG-16's without its fifth block, and batch normalisation."""

import keras
from keras import layers, regularizers

_DECAY = 5e-4


def build() -> keras.Model:
    """Takes (N, 32, 32, 3) float32, gives (N, 10) probabilities."""
    model = keras.Sequential([keras.Input((32, 32, 3), name="input")], name="vgg")
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3)):
        for _ in range(depth):
            model.add(layers.Conv2D(width, 3, padding="same", kernel_regularizer=regularizers.L2(_DECAY)))
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for _ in range(2):
        model.add(layers.Dense(512, kernel_regularizer=regularizers.L2(_DECAY)))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    return model
