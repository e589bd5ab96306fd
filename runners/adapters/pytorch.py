"""PyTorch, eagerly: `.pt2` archives of torch.export."""

from runners.adapters._torch import check, devices, load, versions

__all__ = ["FORMATS", "MEASURES", "check", "devices", "load", "versions"]

FORMATS = ("pt2",)
MEASURES = True
