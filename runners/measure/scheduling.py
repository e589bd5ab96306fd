"""What the kernel's scheduler says of the threads that compute: where they ran, and how long they waited for a core."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_PROCESSOR = 36  # of the fields of `stat` behind the command's name


class WorkingThreads:
    """The threads of this process that `call` puts to work, the calling one included.

    Where the kernel does not tell (no Linux, or one without scheduler statistics) there are none.

    Args:
        call: called once.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        files = {task: file for task in _tasks() if (file := _open(_TASKS / task / "schedstat")) is not None}
        before = {task: _schedstat(file)[0] for task, file in files.items()}
        call()
        worked = {task for task, file in files.items() if _schedstat(file)[0] > before[task]}
        for task in files.keys() - worked:
            os.close(files[task])
        self._files = {task: files[task] for task in worked}

    def __bool__(self) -> bool:
        return bool(self._files)

    def waited_ns(self) -> list[int]:
        """Of each thread, since it began: ready to run, and something else had the core (`run_delay`)."""
        return [_schedstat(file)[1] for file in self._files.values()]

    def processors(self) -> list[int]:
        """Where each of them ran last, each processor once."""
        found = set()
        for task in self._files:
            with suppress(OSError):  # it has ended
                _, _, fields = (_TASKS / task / "stat").read_text().rpartition(")")
                found.add(int(fields.split()[_PROCESSOR]))
        return sorted(found)

    def close(self) -> None:
        """Gives its files back."""
        for file in self._files.values():
            os.close(file)
        self._files = {}


def _tasks() -> list[str]:
    return os.listdir(_TASKS) if sys.platform == "linux" else []  # noqa: PTH208 - names, not paths


def _open(path: Path) -> int | None:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    if len(os.pread(file, 64, 0).split()) == 3:
        return file
    os.close(file)
    return None


def _schedstat(file: int) -> tuple[int, int]:
    """Time on a core and time waiting for one, in nanoseconds."""
    try:
        on_core, waiting, _ = os.pread(file, 64, 0).split()
    except OSError:  # the thread has ended
        return 0, 0
    return int(on_core), int(waiting)
