"""The two ways in which something goes wrong: by the user's mistake, or as a row of the results."""

from enum import StrEnum


class Stage(StrEnum):
    """Where in the life of a case something failed."""

    TRAIN = "train"
    EXPORT = "export"
    CONVERT = "convert"
    SHIP = "ship"
    LOAD = "load"
    INFER = "infer"
    COMPARE = "compare"
    MEASURE = "measure"
    ATTACK = "attack"


class Symptom(StrEnum):
    """How it failed."""

    CRASH = "crash"
    UNSUPPORTED_OPERATOR = "unsupported-operator"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    WRONG_OUTPUT = "wrong-output"
    PLACEMENT = "placement"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class UsageError(Exception):
    """The user asked for something impossible; the message is one line: what is wrong, where, and what to do."""


class CaseFailure(Exception):
    """A case cannot go on; becomes a row.

    Args:
        stage: where it failed.
        symptom: how.
        message: one line that keeps the tool's own words and says what to do.
    """

    def __init__(self, stage: Stage, symptom: Symptom, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.symptom = symptom
        self.message = message


class RunnerLost(CaseFailure):
    """The connection to a runner broke before it answered: the case may go on once the runner is there again."""
