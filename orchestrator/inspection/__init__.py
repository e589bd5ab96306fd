"""What is in an artifact: operators, inputs and outputs, versions, as far as its format tells without executing it.

A format's module here has its name, and is found by it: `recognises(artifact)` says whether a file is in that format,
`read(artifact)` gives its facts. Runs in a process of its own (orchestrator.isolated): each format is read by the
library that it belongs to, which its module imports only then.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, cast

from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom
from runner_api.v1 import archives


class Reader(Protocol):
    """A module of this package."""

    def recognises(self, artifact: Path) -> bool:
        """By what is inside, because an artifact in the cache has no suffix; `artifact` is there."""

    def read(self, artifact: Path) -> dict[str, JSON]:
        """The facts; raises what it likes on a torn file."""

    def signature(self, artifact: Path) -> dict[str, JSON]:
        """The `precision` of its weights, and its `inputs` as `tensor` makes them, in their order; raises likewise.

        Unlike `read` it may load the model, in the safe mode of its library.
        """


def inspect(*, path: str) -> dict[str, JSON]:
    """The facts of the artifact in the file `path`, or in the folder, for a Core ML package that is not packed.

    Raises:
        CaseFailure: (load, refused) it is no artifact of a known format, or is torn.
    """
    artifact = Path(path)
    format_ = format_of(artifact)
    return {"format": format_, **_asked(format_, artifact, lambda reader: reader.read(artifact))}


def signature(artifact: Path) -> dict[str, JSON]:
    """The `format` of an artifact, the `precision` of its weights, and what it takes as `inputs`, see `Reader`.

    Raises:
        CaseFailure: (load, refused) as `inspect`.
    """
    format_ = format_of(artifact)
    return {"format": format_, **_asked(format_, artifact, lambda reader: reader.signature(artifact))}


def format_of(artifact: Path) -> str:
    """Whose reader recognises it.

    Raises:
        CaseFailure: (load, refused) no one's, or there is no such file.
    """
    if not artifact.exists():
        raise refused(artifact, "there is no such file")
    formats = [module.name for module in pkgutil.iter_modules(__path__)]
    format_ = next((name for name in formats if _reader(name).recognises(artifact)), None)
    if format_ is None:
        raise refused(artifact, f"torn, or in no known format: neither of {', '.join(formats)}")
    return format_


def _reader(format_: str) -> Reader:
    return cast("Reader", importlib.import_module(f"{__name__}.{format_}"))


def _asked(format_: str, artifact: Path, question: Callable[[Reader], dict[str, JSON]]) -> dict[str, JSON]:
    try:
        return question(_reader(format_))
    except CaseFailure:
        raise
    except Exception as error:  # each library raises what it likes on a torn file
        raise refused(artifact, f"not {format_} after all: {error}") from error


def members(artifact: Path) -> tuple[str, ...]:
    """Names in the archive that `artifact` is; none where it is no archive.

    Raises:
        CaseFailure: (load, refused) the archive is out of bounds, see runner_api.v1.archives.
    """
    if not archives.is_archive(artifact):
        return ()
    try:
        return archives.check(artifact)
    except archives.ArchiveError as error:
        raise refused(artifact, f"the archive: {error}") from error


def operators(counts: Counter[str]) -> dict[str, JSON]:
    """The two facts that every format has: how many operators in all, and of which kind how many."""
    return {"operator_count": counts.total(), "operators": dict(sorted(counts.items()))}


def tensor(name: str, dtype: str, shape: Iterable[int | str | None]) -> dict[str, JSON]:
    """An input: NumPy's name of its dtype; its `shape`, null where any size fits; `sizes`, the names of such sizes."""
    sizes = list(shape)
    return {
        "name": name,
        "dtype": dtype,
        "shape": [size if isinstance(size, int) else None for size in sizes],
        "sizes": [size if isinstance(size, str) else None for size in sizes],
    }


def precision_of(dtypes: Iterable[str]) -> str:
    """Of weights of these types: the smallest that holds any; whole numbers of 8 bits stand for quantised ones."""
    found = set(dtypes)
    return "int8" if found & {"int8", "uint8"} else "float16" if "float16" in found else "float32"


def refused(artifact: Path, found: str) -> CaseFailure:
    """What is said of a file that is no artifact."""
    message = f"{artifact}: {' '.join(found.split())[:400]}; give a whole file that a framework or converter wrote"
    return CaseFailure(Stage.LOAD, Symptom.REFUSED, message)
