"""A packed .mlpackage -> its files and its specification."""

import json
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coremltools.proto import Model_pb2
from google.protobuf.message import DecodeError

from runners.failure import Failure, words

MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 16 * 2**30
# What a damaged or hostile archive raises: bad data, encryption or unknown compression, one path twice or below a file.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


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
        unpack(archive, folder)
        yield read(folder)


def unpack(archive: Path, folder: Path) -> None:
    """Writes the archive's files under an empty folder.

    Raises:
        Failure: (load, refused) not a zip archive, damaged, too large, or with links or paths that leave the folder.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise refusal(
                    f"the Core ML package unpacks to more than {MAX_MEMBERS} files or {MAX_UNPACKED_BYTES} bytes"
                )
            for member in members:
                unpack_member(packed, member, folder)
    except UNREADABLE as error:
        raise refusal(f"the artifact is not a packed Core ML package ({error})") from error


def unpack_member(packed: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Writes one file of the archive."""
    if member.is_dir():
        return
    path = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or kind not in (0, stat.S_IFREG):
        raise refusal(f"the packed Core ML package holds {member.filename!r}, a link or a path that leaves its folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with packed.open(member) as source, target.open("xb") as written:
        shutil.copyfileobj(source, written, 2**20)


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
