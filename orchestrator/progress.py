"""What a campaign tells while it runs. Drawn between timed blocks only: nothing is refreshed in the background."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Narrator:
    """A progress bar on a terminal, a line per step elsewhere; safe to call from the threads of several hosts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def expect(self, steps: int) -> None:
        """That many more steps will come."""
        with self._lock:
            self._progress.update(self._task, total=(self._progress.tasks[0].total or 0) + steps, refresh=True)

    def begin(self, what: str) -> None:
        """Names what is under way."""
        with self._lock:
            self._progress.update(self._task, description=what, refresh=True)

    def remark(self, what: str) -> None:
        """Something that people should know of afterwards, too."""
        with self._lock:
            self._console.print(what, markup=False, highlight=False)

    def end(self, what: str) -> None:
        """One step is done."""
        with self._lock:
            self._progress.update(self._task, advance=1, refresh=True)
            if not self._console.is_terminal:
                done, total = self._progress.tasks[0].completed, self._progress.tasks[0].total
                self._console.print(f"[{done:.0f}/{total or 0:.0f}] {what}", markup=False, highlight=False)
