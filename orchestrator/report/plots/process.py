"""The process that draws the plots: matplotlib is imported, and computes, beside the report's other work."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import UsageError
from orchestrator.report.plots.content import NAMES, Plot


class Drawing:
    """One process for one set of plots, ready before they are; use as a context."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "orchestrator.report.plots.drawing"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self._folder = Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, plots: Sequence[Plot], folder: Path) -> list[Path]:
        """Has them drawn into `folder`, which is made if need be and then holds no others of an earlier report.

        Returns:
            Paths of what will be there after `finish`.
        """
        for name in NAMES:
            (folder / f"{name}.png").unlink(missing_ok=True)
        if not plots:
            return []
        folder.mkdir(exist_ok=True)
        self._folder = folder
        with suppress(BrokenPipeError):  # it has ended, and `finish` tells why
            if self._process.stdin is not None:
                pickle.dump((plots, folder), self._process.stdin)
                self._process.stdin.flush()
        return [folder / f"{plot.name}.png" for plot in plots]

    def finish(self) -> None:
        """Waits until they are drawn.

        Raises:
            UsageError: they cannot be written.
        """
        _, said = self._process.communicate()
        if self._process.returncode:
            lines = said.decode(errors="replace").splitlines() or [f"it ended with {self._process.returncode}"]
            raise UsageError(f"{self._folder}: no plots can be written here: {lines[-1]}; name another --out")
