"""Archives of Keras."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators, precision_of, refused, tensor
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


def signature(artifact: Path) -> dict[str, JSON]:
    """Of the loaded model.

    Raises:
        CaseFailure: (load, refused) it has layers that safe loading does not know.
    """
    with archives.opened(artifact) as archive:
        unknown = _foreign(json.loads(archive.read("config.json")))
    if unknown:
        found = (
            f"it has {', '.join(sorted(unknown))}, which safe loading does not know; build it from Keras's own layers"
        )
        raise refused(artifact, found)
    from orchestrator.zoo import keras_source

    model = keras_source.load(str(artifact))
    return {
        "precision": precision_of(str(weight.dtype) for weight in model.weights),
        "inputs": [tensor(given.name, str(given.dtype), given.shape) for given in model.inputs],
    }


def _foreign(config: Any) -> set[str]:
    """Classes in a configuration that are not Keras's, with the modules that they are of."""
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    found: set[str] = set().union(*map(_foreign, parts))
    if isinstance(config, dict) and isinstance(config.get("class_name"), str):
        module = str(config.get("module") or "keras")
        if module.partition(".")[0] not in ("keras", "builtins"):
            found.add(f"{config['class_name']} of {module}")
    return found
