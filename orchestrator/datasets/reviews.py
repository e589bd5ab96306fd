"""10,605 snippets of film reviews, each rated from -4 to 4 by twenty people.

Source: Hutto and Gilbert, VADER, ICWSM 2014; inside the source distribution of the Python package vaderSentiment.
The class is 1 where the mean rating is above 0. No word is dropped: among the usual stop words is "not".
"""

import io
import re
import tarfile
from collections import Counter

import numpy as np

from orchestrator.datasets import DataSet, Inputs
from orchestrator.datasets.files import Files, Published
from orchestrator.datasets.tokens import drawn, framed

LENGTHS = {"keras": 32, "pytorch": 32}
"""Nine of ten snippets are no longer."""

_DISTRIBUTION = Published(
    "vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "pypi:vaderSentiment==3.3.2",
)
_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_RATINGS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_VALIDATION, _TEST = 1000, 2000


def load(source_framework: str, inputs: Inputs, files: Files) -> DataSet:  # noqa: ARG001 - there are tokens only
    """As `tokens.framed`, the same samples in each part for both frameworks."""
    lines = _member(_member(files.read(_DISTRIBUTION), _ARCHIVE), _RATINGS).decode().splitlines()
    rated = [line.split("\t") for line in lines]
    labels = np.array([float(rating) > 0 for _, rating, _ in rated], np.int64)
    spoken = [_WORD.findall(text.lower()) for _, _, text in rated]
    rest, test = drawn(labels, np.arange(len(labels)), _TEST)
    train, validation = drawn(labels, rest, _VALIDATION)
    counts = Counter(word for index in train for word in spoken[index])
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    ranks = {word: rank for rank, word in enumerate(ordered, start=1)}
    ranked = [[ranks[word] for word in words if word in ranks] for words in spoken]
    return framed(ranked, labels, (train, validation, test), source_framework, LENGTHS)


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        member = opened.extractfile(name)
        if member is None:
            raise ValueError(f"{name} is missing")
        return member.read()
