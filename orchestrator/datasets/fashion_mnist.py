"""70,000 pictures of clothes. Source: Xiao, Rasul and Vollgraf, https://github.com/zalandoresearch/fashion-mnist"""

from pathlib import Path

from orchestrator.datasets import DataSet, Inputs, idx
from orchestrator.datasets.files import Files

_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Of the package dataset-fashion-mnist."""

_SHA256S = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:
    """As `idx.load`."""
    return idx.load(_SHA256S, _URL, source_framework, inputs, files, _DEBIAN)
