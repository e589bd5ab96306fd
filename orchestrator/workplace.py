"""Where heavy work is done: training, conversion, a source's answers and attacks on it; here, or see `cluster`."""

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from orchestrator import isolated
from orchestrator.artifacts import JSON
from orchestrator.errors import Stage

_PACKAGES = (
    "portbench",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "torch",
    "onnx",
    "tf2onnx",
    "onnxscript",
    "coremltools",
    "adversarial-robustness-toolbox",
    "numpy",
)


def versions() -> dict[str, str]:
    """Of what makes the artifacts, as far as it is installed here."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class Files:
    """What a function reads and writes, by the arguments that take the paths.

    `inputs` are files that never change, `outputs` files that are written. `kept` are folders in which the function
    leaves what it has finished, each file complete under its name, and goes on from there when it is called again.
    """

    inputs: dict[str, Path]
    outputs: dict[str, Path]
    kept: dict[str, Path] = field(default_factory=dict)

    def arguments(self) -> dict[str, JSON]:
        """As the function takes them."""
        return {name: str(path) for name, path in (self.inputs | self.outputs | self.kept).items()}


class Workplace(Protocol):
    """Where functions are called, each in a process of its own, from any thread."""

    @property
    def room(self) -> int:
        """For how many calls at once."""

    def call(
        self,
        function: str,
        /,
        *,
        files: Files,
        timeout_s: float,
        stage: Stage,
        on_told: Callable[[str], None] = lambda _told: None,
        **kwargs: JSON,
    ) -> dict[str, JSON]:
        """As `isolated.call`, which does it, with `files` for the arguments that are paths."""

    def stop(self) -> None:
        """As `isolated.stop`."""

    def close(self) -> None:
        """Nothing is called any more."""


class BuildHost:
    """This machine: files are where they are."""

    @property
    def room(self) -> int:
        """A call computes on one processor."""
        return os.cpu_count() or 1

    def call(
        self,
        function: str,
        /,
        *,
        files: Files,
        timeout_s: float,
        stage: Stage,
        on_told: Callable[[str], None] = lambda _told: None,
        **kwargs: JSON,
    ) -> dict[str, JSON]:
        """See Workplace."""
        given: dict[str, Any] = {**files.arguments(), **kwargs}
        return isolated.call(function, timeout_s=timeout_s, stage=stage, on_told=on_told, **given)

    def stop(self) -> None:
        """See Workplace."""
        isolated.stop()

    def close(self) -> None:
        """See Workplace."""


BUILD_HOST = BuildHost()
