"""Reads a model that somebody brings: which format it is, and what it takes; runs in a process of its own."""

import shutil
from pathlib import Path

from orchestrator import inspection
from orchestrator.artifacts import JSON, pack_directory, pack_files
from orchestrator.inspection import onnx
from runner_api.v1 import archives


def take(*, path: str, target: str) -> dict[str, JSON]:
    """Writes the model at `path` to `target` as an artifact: a file as it is, a folder or several files packed.

    The facts are those of `inspection.signature`.

    Raises:
        CaseFailure: (load, refused) it is no model of a known format, or is damaged.
    """
    model, artifact = Path(path), Path(target)
    found = inspection.signature(model)
    beside = onnx.files_beside(model) if found["format"] == "onnx" else {}
    if model.is_dir():
        pack_directory(model, artifact)
    elif beside:
        pack_files({archives.ONNX_MODEL: model, **beside}, artifact)
    else:
        shutil.copyfile(model, artifact)
    return found
