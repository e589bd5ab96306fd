"""A packed .mlpackage -> its files and its specification."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coremltools.proto import Model_pb2
from google.protobuf.message import DecodeError

from runner_api.v1 import archives
from runners.failure import Failure, words


def refusal(message: str) -> Failure:
    """The failure of an artifact that is not what it should be."""
    return Failure("load", "refused", f"{message}: convert the model again")


@dataclass(frozen=True)
class Package:
    """An unpacked package: its folder, its specification, the folder of its weights."""

    folder: Path
    specification: Model_pb2.Model
    weights: Path


@contextmanager
def opened(archive: Path) -> Iterator[Package]:
    """Unpacks a package into a temporary folder that is removed at the end, and reads its specification.

    Raises:
        Failure: (load, refused) not a zip archive, one that would leave its folder, or not a Core ML package.
    """
    with tempfile.TemporaryDirectory(prefix="portbench-coreml-") as name:
        folder = Path(name).resolve() / "package"
        folder.mkdir()
        try:
            archives.unpack(archive, folder)
        except archives.ArchiveError as error:
            raise refusal(f"the artifact is not a packed Core ML package: {error}") from error
        yield read(folder)


def read(folder: Path) -> Package:
    """Reads the package that lies in the folder, or in the only folder in it.

    Raises:
        Failure: (load, refused) there is none, its model is missing or damaged, or is no ML Program.
    """
    root = next(
        (path.parent for path in (folder / "Manifest.json", *folder.glob("*/Manifest.json")) if path.is_file()), None
    )
    if root is None:
        raise refusal("the archive holds no Core ML package: there is no Manifest.json in it")
    specification = Model_pb2.Model()
    try:
        manifest = json.loads((root / "Manifest.json").read_bytes())
        place = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        model = (root / "Data" / place).resolve()
        if not model.is_relative_to(folder):
            raise refusal(f"the Core ML package's Manifest.json names a model outside of the package, {place!r}")
        specification.ParseFromString(model.read_bytes())
    except (KeyError, TypeError, ValueError) as error:
        raise refusal(f"the Core ML package's Manifest.json is damaged ({words(error)})") from error
    except (OSError, DecodeError) as error:
        raise refusal(f"the Core ML package's model cannot be read ({words(error)})") from error
    if "main" not in specification.mlProgram.functions:
        found = specification.WhichOneof("Type")
        raise Failure(
            "load", "refused", f"the package holds a {found} without a function main: convert to an ML Program"
        )
    return Package(root, specification, model.parent / "weights")
