"""What a check found. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """A problem stands in the way of `make bench`, a warning does not; some checks mean nothing on some machines."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_HERE = "not here"


@dataclass(frozen=True)
class Finding:
    """`found` is what was seen; `remedy` is a command or a sentence, empty where there is nothing to do."""

    status: Status
    found: str
    remedy: str = ""


class LackingError(Exception):
    """Something else, which has a check of its own, is not there to look at; the message says what."""


def ok(found: str) -> Finding:
    """As it should be."""
    return Finding(Status.OK, found)


def warning(found: str, remedy: str) -> Finding:
    """Campaigns are possible, but slower, less isolated or noisier."""
    return Finding(Status.WARNING, found, remedy)


def problem(found: str, remedy: str) -> Finding:
    """It stands in the way of a campaign."""
    return Finding(Status.PROBLEM, found, remedy)


def not_here(found: str) -> Finding:
    """The check means nothing on this machine."""
    return Finding(Status.NOT_HERE, found)
