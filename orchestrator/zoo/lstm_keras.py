"""The study's LSTM network in Keras."""

import keras
from keras import layers

from orchestrator.zoo import recurrent_keras


def build(vocabulary: int, length: int) -> keras.Model:
    """See `recurrent_keras.build`."""
    return recurrent_keras.build("lstm", layers.LSTM, vocabulary, length)
