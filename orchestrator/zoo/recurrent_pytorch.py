"""What the study's LSTM and GRU networks in PyTorch have in common: two layers over learnt embeddings."""

import torch
from torch import nn


class Recurrent(nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """Takes (N, length) int32 tokens below `vocabulary`, gives (N, 1) probabilities of the class 1.

    The study hands zeros in as the initial state, which is what the layers begin with by themselves. The last step of
    the upper one answers.
    """

    def __init__(self, layers: type[nn.RNNBase], vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.recurrent = layers(64, 256, 2, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(256, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        steps, _ = self.recurrent(self.embedding(tokens))
        return torch.sigmoid(self.head(self.dropout(steps[:, -1])))
