"""The study's LSTM network in Keras: two bidirectional layers over learnt embeddings."""

import keras
from keras import layers


def build(vocabulary: int, length: int) -> keras.Model:
    """Takes (N, `length`) int32 tokens below `vocabulary`, gives (N, 1) probabilities of the class 1."""
    return keras.Sequential(
        [
            keras.Input((length,), dtype="int32", name="input"),
            layers.Embedding(vocabulary, 128),
            layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(64)),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="lstm",
    )
