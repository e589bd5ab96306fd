"""ResNet-18 as published (He et al., CVPR 2016), for images of any size, with a head of ten classes."""

import torch
from torch import nn


def build() -> nn.Module:
    """Takes (N, 3, 32, 32) float32, gives (N, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *(_Block(64, 64, 1), _Block(64, 64, 1)),
        *(_Block(64, 128, 2), _Block(128, 128, 1)),
        *(_Block(128, 256, 2), _Block(256, 256, 1)),
        *(_Block(256, 512, 2), _Block(512, 512, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 10),
    ).apply(_initialise)


class _Block(nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """Two convolutions beside a shortcut, which is projected where the size changes."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.branch(features) + self.shortcut(features))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
