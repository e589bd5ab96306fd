"""What the study's LSTM and GRU networks in Keras have in common: two bidirectional layers over learnt embeddings."""

import keras
from keras import layers


def build(
    name: str, layer: type[layers.RNN], vocabulary: int, length: int, hidden: tuple[keras.Layer, ...] = ()
) -> keras.Model:
    """Takes (N, `length`) int32 tokens below `vocabulary`, gives (N, 1) probabilities of the class 1."""
    return keras.Sequential(
        [
            keras.Input((length,), dtype="int32", name="input"),
            layers.Embedding(vocabulary, 128),
            layers.Bidirectional(layer(64, return_sequences=True)),
            layers.Bidirectional(layer(64)),
            *hidden,
            layers.Dense(1, activation="sigmoid"),
        ],
        name=name,
    )
