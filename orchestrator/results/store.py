"""The folder of a campaign: `campaign.json` beside an append-only `trials.jsonl`."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from orchestrator.errors import UsageError
from orchestrator.results.schema import SCHEMA_VERSION, Campaign, Record, Row

CAMPAIGN_FILE = "campaign.json"
ROWS_FILE = "trials.jsonl"
_TAIL_BYTES = 65536

RecordT = TypeVar("RecordT", bound=Record)


class Store:
    """A campaign on disk. Every row that `append` returned from survives a crash; a row cut off by one is dropped."""

    def __init__(self, folder: Path, campaign: Campaign) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.campaign = campaign

    @classmethod
    def create(cls, folder: Path, campaign: Campaign) -> "Store":
        """Begins a campaign in `folder`, which is made if need be.

        Raises:
            UsageError: the folder cannot be looked into or written, or has a campaign already.
        """
        if holds_campaign(folder):
            raise UsageError(f"{folder}: there is a campaign already; continue it or choose another folder")
        store = cls(folder, campaign)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ROWS_FILE).touch()
        except OSError as error:
            raise _unwritable(folder, error) from None
        store.describe(campaign)
        return store

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """The campaign in `folder`; nothing is written, so a read-only folder will do.

        Raises:
            UsageError: there is none, or it was written by a newer portbench.
        """
        path = folder / CAMPAIGN_FILE
        try:
            text = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{folder}: no campaign here ({CAMPAIGN_FILE}: {error.strerror}); "
                "give the folder that 'portbench run' wrote"
            ) from None
        return cls(folder, _parse(text, Campaign, str(path)))

    def describe(self, campaign: Campaign) -> None:
        """Replaces `campaign.json` in one step: a reader sees the old one or the new one.

        Raises:
            UsageError: the folder cannot be written.
        """
        try:
            _write_atomically(self.folder / CAMPAIGN_FILE, campaign.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        self.campaign = campaign

    def append(self, row: Row) -> None:
        """Adds one row and returns when the disk has it. Threads and processes may append at the same time.

        Raises:
            UsageError: the file cannot be written; what it held before is unharmed.
        """
        line = row.model_dump_json().encode() + b"\n"
        try:
            descriptor = os.open(self.folder / ROWS_FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _append_line(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def rows(self) -> Iterator[Row]:
        """The finished rows in the order of their ending, read one by one; a torn last line is skipped.

        Raises:
            UsageError: a line is not a row of this schema version.
        """
        path = self.folder / ROWS_FILE
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.endswith(b"\n"):
                        yield _parse(line, Row, f"{path}:{number}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None

    def keys(self) -> frozenset[str]:
        """Keys of the finished rows, failed ones included: what a resumed campaign need not do again.

        Raises:
            UsageError: as `rows`.
        """
        return frozenset(row.key for row in self.rows())


def holds_campaign(folder: Path) -> bool:
    """Whether `folder` has a campaign that `Store.open` would look at.

    Raises:
        UsageError: that cannot be known: its name is too long, or one may not enter it.
    """
    try:
        (folder / CAMPAIGN_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UsageError(f"{folder}: cannot be looked into: {error.strerror}; choose another folder") from None
    return True


def campaigns_beside(folder: Path) -> list[Store]:
    """Those of the same parent folder that can be read, `folder` itself included."""
    parent = folder / ".." if folder.name in ("", "..") else folder.parent
    found = []
    with suppress(OSError):  # a folder may be given to somebody who must not list what lies beside it
        for beside in sorted(parent.iterdir()):
            with suppress(UsageError):
                found.append(Store.open(beside))
    return found


def _append_line(descriptor: int, line: bytes) -> None:
    """Drops what a crash left of a last line, writes `line` whole or not at all, and syncs."""
    end = _end_of_last_line(descriptor)
    os.ftruncate(descriptor, end)
    written = os.write(descriptor, line)
    if written < len(line):
        os.ftruncate(descriptor, end)
        raise OSError(0, f"only {written} of {len(line)} bytes could be written; is the disk full?")
    os.fsync(descriptor)


def _end_of_last_line(descriptor: int) -> int:
    """Offset behind the last line feed, 0 when there is none."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new names, of this file and of the rows' file, are on the disk too
    finally:
        os.close(folder)


def _parse(text: bytes, kind: type[RecordT], where: str) -> RecordT:
    """One record, or a UsageError that says where it stands and what to do."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        found = _schema_version(text)
        if found is not None and found > SCHEMA_VERSION:
            raise UsageError(
                f"{where}: written by a newer portbench (schema {found}, this one reads {SCHEMA_VERSION}); "
                "update portbench"
            ) from None
        mistake = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, mistake["loc"]))
        what = " ".join(f"{key}: {mistake['msg']}".removeprefix(": ").split())
        raise UsageError(
            f"{where}: not written by portbench, or changed since ({what}); restore or remove it"
        ) from None


def _schema_version(text: bytes) -> int | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = content.get("schema_version") if isinstance(content, dict) else None
    return version if isinstance(version, int) else None


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"{folder}: cannot be written: {error.strerror}; choose a folder with room that you may write to")
