"""LeNet-5 as the study built it in Keras."""

import keras
from keras import layers


def build() -> keras.Model:
    """Takes (N, 28, 28, 1) float32, gives (N, 10) probabilities."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="input"),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(120, 5, activation="relu"),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(84, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="lenet5",
    )
