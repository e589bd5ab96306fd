"""The study's GRU network in Keras, which has a hidden layer more than the LSTM."""

import keras
from keras import layers

from orchestrator.zoo import recurrent_keras


def build(vocabulary: int, length: int) -> keras.Model:
    """See `recurrent_keras.build`."""
    return recurrent_keras.build("gru", layers.GRU, vocabulary, length, (layers.Dense(24, activation="relu"),))
