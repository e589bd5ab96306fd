"""PyTorch, eagerly: `.pt2` archives of torch.export."""

from runners.adapters._torch import devices, load, versions

__all__ = ["FORMATS", "MEASURES", "devices", "load", "versions"]

FORMATS = ("pt2",)
MEASURES = True
