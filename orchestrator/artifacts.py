"""Artifacts: immutable files named by their SHA-256, and the cache that remembers what each was made from."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from orchestrator import scratch
from orchestrator.errors import UsageError

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

_COPIED_BYTES = 1 << 20
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip archive can hold."""


@dataclass(frozen=True)
class Artifact:
    """One file in one format; `details` are facts about its making that go into its row."""

    sha256: str
    size_bytes: int
    format: str
    precision: str
    path: Path
    details: dict[str, JSON]


def key_of(*parts: JSON) -> str:
    """A name for what goes into the making of an artifact: equal parts, equal key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """`artifacts/<sha256>` holds the files, `index/<key>.json` what they were made from; processes may share it.

    Raises:
        UsageError: the folder cannot be written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("PORTBENCH_CACHE") or Path.home() / ".cache" / "portbench")
        try:
            for folder in ("artifacts", "index"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            remedy = "set PORTBENCH_CACHE to a folder that can be written"
            raise UsageError(f"the cache {self.root} cannot be written: {error.strerror}; {remedy}") from None

    def find(self, key: str) -> Artifact | None:
        """What was stored under `key`; None where that is nothing, or is damaged, which is then removed."""
        try:
            entry = json.loads(self._index(key).read_bytes())
            artifact = Artifact(path=self.path(entry["sha256"]), **entry)
            intact = sha256_of(artifact.path) == artifact.sha256
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            self._index(key).unlink(missing_ok=True)
            return None
        if not intact:
            artifact.path.unlink(missing_ok=True)
            return None
        return artifact

    def once(
        self,
        key: str,
        format: str,  # noqa: A002 - the design's word
        precision: str,
        make: Callable[[Path], dict[str, JSON]],
    ) -> Artifact:
        """The artifact of `key`; if there is none, `make` writes it to a path of its own and gives its details."""
        found = self.find(key)
        if found:
            return found
        with scratch.folder(self.root) as folder:
            target = folder / "artifact"
            details = make(target)
            return self.store(key, target, format=format, precision=precision, details=details)

    def store(
        self,
        key: str,
        file: Path,
        *,
        format: str,  # noqa: A002 - the design's word
        precision: str,
        details: dict[str, JSON],
    ) -> Artifact:
        """Copies `file` in and remembers it under `key`."""
        sha256 = sha256_of(file)
        path = self.path(sha256)
        with scratch.folder(self.root) as folder:
            copy = folder / "artifact"
            shutil.copyfile(file, copy)
            copy.replace(path)
            entry: dict[str, JSON] = {
                "sha256": sha256,
                "size_bytes": path.stat().st_size,
                "format": format,
                "precision": precision,
                "details": details,
            }
            index = folder / "index"
            index.write_text(json.dumps(entry, indent=1))
            index.replace(self._index(key))
        return Artifact(sha256, path.stat().st_size, format, precision, path, details)

    def _index(self, key: str) -> Path:
        return self.root / "index" / f"{key}.json"

    def path(self, sha256: str) -> Path:
        """Where the artifact is, if it is there."""
        return self.root / "artifacts" / sha256


def sha256_of(path: Path) -> str:
    """Lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_directory(folder: Path, archive: Path) -> None:
    """Writes the files of `folder` as a zip archive, stored, sorted and undated: equal folders give equal bytes."""
    pack_files({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}, archive)


def pack_files(files: dict[str, Path], archive: Path) -> None:
    """As `pack_directory`, of files wherever they are, by their names in the archive; none is in memory as a whole."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, path in sorted(files.items()):
            entry = _entry(name)
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, target.open(entry, "w") as written:
                shutil.copyfileobj(source, written, _COPIED_BYTES)


def write_archive(archive: Path, files: dict[str, bytes]) -> None:
    """A zip archive of `files` by name, without anything in it that depends on when, where or in which order."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, content in sorted(files.items()):
            target.writestr(_entry(name), content)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    return entry
