"""LeNet-5 as the study built it in PyTorch; another network than the one in Keras."""

from torch import nn


def build() -> nn.Module:
    """Takes (N, 1, 28, 28) float32, gives (N, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
