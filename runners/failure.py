"""The one exception that goes from the worker to the service and, as a gRPC status, to the orchestrator."""

from collections.abc import Iterator
from typing import Literal

Stage = Literal["ship", "load", "infer", "measure"]
Symptom = Literal[
    "crash",
    "unsupported-operator",
    "timeout",
    "out-of-memory",
    "wrong-output",
    "placement",
    "refused",
    "unavailable",
]

STAGE_OF_PHASE: dict[str, Stage] = {
    "import": "load",
    "load": "load",
    "first": "infer",
    "warmup": "infer",
    "steady": "infer",
}
"""The phases of a trial in their order, and the stage at which something that goes wrong in one failed."""

_LONGEST_MESSAGE = 600
_WORDS_OF_EXHAUSTION = ("bad_alloc", "bad allocation", "out of memory", "allocate memory", "failed to allocate")
_WORDS_OF_PLACEMENT = ("Cannot assign a device for operation", "Could not satisfy device specification")  # TensorFlow


class Failure(Exception):
    """Something that becomes a row of the results.

    Args:
        stage: where it failed.
        symptom: how.
        message: what was asked, what was found, what to do; the tool's own words are kept. Made one line.
    """

    def __init__(self, stage: Stage, symptom: Symptom, message: str) -> None:
        self.stage = stage
        self.symptom = symptom
        self.message = one_line(message)
        super().__init__(self.message)


def one_line(text: str) -> str:
    """`text` with its white space collapsed, cut where a terminal's reader would have stopped."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 3] + "..."


def words(error: BaseException) -> str:
    """The error's type and its own words."""
    return f"{type(error).__name__}: {error}"


def unexpected(stage: Stage, error: BaseException) -> Failure:
    """The failure that an error of a framework stands for: of memory or placement when it says so, else a crash.

    Where memory ran out, torch.compile stumbles over that and raises something else: then the first error counts.
    """
    for earlier in _in_the_wake_of(error):
        if isinstance(earlier, MemoryError) or tells_of_exhaustion(str(earlier)):
            return Failure(stage, "out-of-memory", words(earlier))
    is_of_placement = any(part in str(error) for part in _WORDS_OF_PLACEMENT)
    return Failure(stage, "placement" if is_of_placement else "crash", words(error))


def _in_the_wake_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error itself, then those that were on their way when it was raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def tells_of_exhaustion(text: str) -> bool:
    """Whether a tool's own words say that memory ran out."""
    return any(part in text.lower() for part in _WORDS_OF_EXHAUSTION)
