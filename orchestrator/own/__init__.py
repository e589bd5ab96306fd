"""Models that people bring: a file or a folder in a known format, or a function that builds one.

`bring` makes an artifact of what was named; what it takes stands in its `Signature`. Nothing of a model is executed in
this process.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import isolated
from orchestrator.artifacts import Artifact, Cache, key_of, sha256_of
from orchestrator.errors import CaseFailure, Stage, UsageError
from orchestrator.runtimes import source_framework
from orchestrator.suite import NOT_IN_A_NAME

READING_TIMEOUT_S = 900.0
BUILDING_TIMEOUT_S = 3600.0

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Tensor:
    """An input or an output: NumPy's name of its dtype, its shape with None where any size fits.

    Inputs have their samples along the first axis; `sizes` names free sizes that must be equal, as ONNX does.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    sizes: tuple[str | None, ...]


@dataclass(frozen=True)
class Own:
    """A model of the user's as an artifact: `made_inputs` is an .npz archive of what its function gave with it."""

    name: str
    source_framework: str
    artifact: Artifact
    inputs: tuple[Tensor, ...]
    made_inputs: Path | None

    @property
    def fixed_batch(self) -> int | None:
        """The only number of samples that it takes at once, if it takes one only."""
        fixed = {each.shape[0] for each in self.inputs if each.shape} - {None}
        return fixed.pop() if len(fixed) == 1 else None


@dataclass(frozen=True)
class Reference:
    """What the user wrote, `text`: a `path`, or a `function` "package.module:function"."""

    text: str
    path: Path | None
    function: str | None

    @property
    def name(self) -> str:
        """A short name for it: of the file without its ending, or of the function."""
        text = self.path.resolve().stem if self.path else (self.function or "").rpartition(":")[2]
        return NOT_IN_A_NAME.sub("-", text.lower()).strip("-._") or "model"


def parse(text: str, folder: Path = Path()) -> Reference:
    """A path, relative to `folder`, or a function.

    Raises:
        UsageError: there is no such file, and it does not look like a function.
    """
    path = folder / text
    if path.exists():
        return Reference(text, path, None)
    if _FUNCTION.fullmatch(text):
        return Reference(text, None, text)
    raise UsageError(
        f"{text}: there is no such file; give an .onnx, .keras or .pt2 file, an .mlpackage or SavedModel folder, or "
        "package.module:function"
    )


def bring(cache: Cache, reference: Reference, folder: Path = Path()) -> Own:
    """The model as an artifact in the cache; a function is called anew each time, with `folder` on its module path.

    Raises:
        CaseFailure: (load) it is no model, or is damaged; (train) the function cannot be imported, raises, or gives
            something else than a model with its inputs; (export) what it gave cannot be stored.
    """
    with tempfile.TemporaryDirectory(dir=cache.root) as scratch:
        target, inputs = Path(scratch) / "artifact", Path(scratch) / "inputs.npz"
        try:
            found = _read(reference.path, target) if reference.path else _built(reference, folder, target, inputs)
        except CaseFailure as failure:
            places = (str(target), *([str(reference.path.resolve())] if reference.path else []))
            raise _named(failure, reference.text, places) from None
        return _stored(cache, reference, target, inputs, found)


def _read(path: Path, target: Path) -> dict[str, Any]:
    return isolated.call(
        "orchestrator.own.reading:take",
        timeout_s=READING_TIMEOUT_S,
        stage=Stage.LOAD,
        path=str(path.resolve()),
        target=str(target),
    )


def _built(reference: Reference, folder: Path, target: Path, inputs: Path) -> dict[str, Any]:
    return isolated.call(
        "orchestrator.own.building:build",
        timeout_s=BUILDING_TIMEOUT_S,
        stage=Stage.TRAIN,
        function=reference.function,
        folder=str(folder.resolve()),
        target=str(target),
        inputs=str(inputs),
    )


def _named(failure: CaseFailure, text: str, places: tuple[str, ...]) -> CaseFailure:
    """The failure in the user's words, in the place of where the model lay meanwhile."""
    message = failure.message
    for place in places:
        message = message.replace(place, text)
    return CaseFailure(failure.stage, failure.symptom, message if message.startswith(text) else f"{text}: {message}")


def _stored(cache: Cache, reference: Reference, target: Path, inputs: Path, found: dict[str, Any]) -> Own:
    format_, precision, tensors = found.pop("format"), found.pop("precision"), found.pop("inputs")
    details = {"named": reference.text, **found}
    key = key_of("own", sha256_of(target), details)
    artifact = cache.store(key, target, format=format_, precision=precision, details=details)
    made = None
    if inputs.exists():
        made = cache.store(key_of("inputs", sha256_of(inputs)), inputs, format="npz", precision="float32", details={})
    given = tuple(Tensor(each["name"], each["dtype"], tuple(each["shape"]), tuple(each["sizes"])) for each in tensors)
    return Own(reference.name, source_framework(format_), artifact, given, made.path if made else None)
