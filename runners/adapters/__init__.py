"""What a runtime's adapter offers: the protocols `Adapter` and `Model`.

An adapter is found by its module's name, there is no table of them: the runtime `coreml-reference` is the module
`coreml_reference`. A module imports its framework at the top, and no other adapter; importing it is a phase of every
trial. What two engines of one framework share stands in a module with an underscore, which is no adapter. NumPy's
arrays come in and go out, so nothing above an adapter knows a framework.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

if TYPE_CHECKING:  # NumPy is imported with a framework, as part of what that costs
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
Arrays: TypeAlias = Mapping[str, "NDArray[Any]"]


class TensorSpec(NamedTuple):
    """An input of an artifact: its name, NumPy's name of its dtype, and its shape with None where any size fits."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Placement(NamedTuple):
    """Where a graph runs: the number of "nodes", "tensors" or "operations" by what holds them.

    That is a device, in the words of a case, or an execution provider; `runners.trial` knows which belong together.
    """

    counts: dict[str, int]
    unit: str


class Model(Protocol):
    """A loaded artifact."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What the artifact takes, in its order; empty when it takes anything."""

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """A call without arguments that infers once and returns when the result is ready.

        It is timed, so it is as thin as the runtime allows.

        Args:
            inputs: as `inputs` wants them: the names, the dtypes, shapes that fit, C order.
            compute_only: leave copies between the host and the device out of the call.
        """

    def fetch(self, result: object) -> dict[str, Array]:
        """What a bound call returned, by the artifact's names of its outputs, or "output_0", ... where it has none."""

    def placement(self) -> Placement:
        """Read back from the runtime, not repeated from what was asked."""

    def device_peak_bytes(self) -> int:
        """The most of the device's memory that the runtime's allocator had given out at once since the process began.

        0 on a CPU, and where the runtime does not tell.
        """

    def threads_in_force(self) -> dict[str, int]:
        """Threads by pool ("intra_op", "inter_op"), asked back from the runtime."""

    def close(self) -> None:
        """Frees what the model holds."""


@runtime_checkable
class CompiledModel(Protocol):
    """A model whose runtime keeps what it compiled, so that there is a second time of loading."""

    def load_again(self) -> None:
        """Loads what was compiled, beside what is loaded already, and lets it go."""


class Adapter(Protocol):
    """A module of this package."""

    @property
    def FORMATS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the module
        """Formats that `load` reads; empty when it takes any."""

    @property
    def MEASURES(self) -> bool:  # noqa: N802
        """Whether its time and memory mean anything; if not, it is for answers only."""

    def versions(self) -> dict[str, str]:
        """Distribution name -> version of the runtime and of the libraries it computes with."""

    def devices(self) -> list[str]:
        """Devices that can execute here, in the words of a case: "cpu", "cuda:0", ..."""

    def check(self, path: Path) -> None:
        """Asks an artifact, before `load` and outside of what is timed, whether anything in it leads out of it.

        Raises:
            Failure: load, refused.
        """

    def load(self, path: Path, device: str, threads: int) -> Model:
        """The artifact in the file `path` (its name has no suffix), ready for `device`, one of `devices()`.

        Raises:
            Failure: stage load, when the runtime refuses the artifact, lacks an operator or would run elsewhere.
        """


def runtimes() -> list[str]:
    """Names of the runtimes that have an adapter, whether their framework is installed or not."""
    import pkgutil  # here, because only a server asks

    return sorted(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def import_adapter(runtime: str) -> Adapter:
    """Imports the adapter and with it the framework.

    Raises:
        ImportError: the framework is not installed.
    """
    return cast("Adapter", importlib.import_module(f"{__name__}.{runtime.replace('-', '_')}"))
