"""Reads a model that somebody brings: which format it is, and what it takes; runs in a process of its own."""

import shutil
from pathlib import Path

from orchestrator import inspection
from orchestrator.artifacts import JSON, pack_directory


def take(*, path: str, target: str) -> dict[str, JSON]:
    """Writes the model at `path` to `target` as an artifact: a file as it is, a folder packed; see `signature`.

    Raises:
        CaseFailure: (load, refused) it is no model of a known format, or is damaged.
    """
    model = Path(path)
    found = inspection.signature(model)
    pack_directory(model, Path(target)) if model.is_dir() else shutil.copyfile(model, target)
    return found
