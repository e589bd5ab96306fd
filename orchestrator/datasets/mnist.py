"""70,000 handwritten digits. Source: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/"""

from orchestrator.datasets import DataSet, Inputs, idx
from orchestrator.datasets.files import Files

_URL = "https://storage.googleapis.com/cvdf-datasets/mnist"
_SHA256S = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:
    """As `idx.load`."""
    return idx.load(_SHA256S, _URL, source_framework, inputs, files)
