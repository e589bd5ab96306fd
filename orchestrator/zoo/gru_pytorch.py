"""The study's GRU network in PyTorch: two layers over learnt embeddings, of which the last step answers."""

import torch
from torch import nn


def build(vocabulary: int, length: int) -> nn.Module:  # noqa: ARG001 - any length will do
    """Takes (N, `length`) int32 tokens below `vocabulary`, gives (N, 1) probabilities of the class 1."""
    return _GRU(vocabulary)


class _GRU(nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """The study hands zeros in as the initial state, which is what the layer begins with by itself."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.recurrent = nn.GRU(64, 256, 2, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(256, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        steps, _ = self.recurrent(self.embedding(tokens))
        return torch.sigmoid(self.head(self.dropout(steps[:, -1])))
