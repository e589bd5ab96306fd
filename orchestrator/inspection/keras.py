"""Archives of Keras."""

import json
from collections import Counter
from pathlib import Path

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators
from runner_api.v1 import archives


def recognises(artifact: Path) -> bool:
    """By the member that holds the architecture."""
    return "config.json" in members(artifact)


def read(artifact: Path) -> dict[str, JSON]:
    """What the archive says of itself; nothing of it is made into a model."""
    with archives.opened(artifact) as archive:
        texts = [archive.read(name) for name in ("metadata.json", "config.json")]
    metadata, config = map(json.loads, texts)
    layers = Counter(layer["class_name"] for layer in config["config"]["layers"])
    return {"keras_version": metadata["keras_version"], **operators(layers)}
