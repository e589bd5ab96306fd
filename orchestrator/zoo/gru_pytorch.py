"""The study's GRU network in PyTorch."""

from torch import nn

from orchestrator.zoo.recurrent_pytorch import Recurrent


def build(vocabulary: int, length: int) -> nn.Module:  # noqa: ARG001 - any length will do
    """See `Recurrent`."""
    return Recurrent(nn.GRU, vocabulary)
