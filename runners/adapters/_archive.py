"""What is asked of an archive before its framework sees it."""

from pathlib import Path

from runner_api.v1 import archives
from runners.failure import Failure


def check(path: Path) -> tuple[str, ...]:
    """The names in an archive that is within bounds, see runner_api.v1.archives.

    Raises:
        Failure: load, refused.
    """
    try:
        return archives.check(path)
    except archives.ArchiveError as error:
        raise Failure("load", "refused", f"the archive: {error}; convert the model again") from error
