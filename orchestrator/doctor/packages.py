"""Python and its packages: are they there, as they are pinned, and do they go together?"""

import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
_PYTHON = (3, 11)
_SETUP = "make setup"
_MOST_NAMED = 4

CONFLICTS = (
    ("coremltools<=9.0", "numpy>=2.4", "coremltools fails on NumPy's new scalars; pip install 'numpy<2.3'"),
    ("onnxruntime", "onnxruntime-gpu", "both are the module onnxruntime; pip uninstall one, then install the other"),
    ("tensorflow", "tensorflow-cpu", "both are the module tensorflow; pip uninstall one, then install the other"),
)
"""Two requirements that must not both be met, and why."""


def python(_machine: Machine) -> Finding:
    """The interpreter."""
    found = f"Python {platform.python_version()}"
    if sys.version_info[:2] == _PYTHON:
        return ok(found)
    return problem(found, "make setup PYTHON=/path/to/python3.11")


def required(_machine: Machine) -> Finding:
    """What portbench asks for, and the versions with which it was tested."""
    missing = list(_unmet(requires("portbench") or []))
    if missing:
        return problem(_listed(missing), _SETUP)
    pins = ROOT / "requirements.txt"
    if not pins.is_file():
        return ok("all that portbench requires")
    other = [text for text in _unmet(_pins(pins)) if "is missing" not in text]
    if other:
        return warning(f"other than requirements.txt: {_listed(other)}", _SETUP)
    return ok("all that portbench requires, at the versions of requirements.txt")


def conflicts(_machine: Machine) -> Finding:
    """Versions that are known not to go together."""
    found = [(f"{first} with {second}", why) for first, second, why in CONFLICTS if _is_met(first) and _is_met(second)]
    if found:
        return problem("; ".join(both for both, _ in found), "; ".join(why for _, why in found))
    return ok("no versions that are known not to go together")


def stubs(_machine: Machine) -> Finding:
    """The generated stubs of the contract: there, for this protobuf, and of this contract."""
    try:
        from runner_api.v1 import runner_pb2
    except ImportError as error:
        return problem(f"the stubs of the contract cannot be imported ({error})", "make proto")
    except Exception as error:  # protobuf's VersionError has no public name of its own
        return problem(f"the stubs are of a protobuf that is newer than the one here ({error})", _SETUP)
    generated = Path(str(runner_pb2.__file__))
    if (anew := _generated_anew(generated.with_name("runner.proto"))) is None:
        return ok("the stubs of the contract can be imported")
    if anew != generated.read_text():
        return problem(
            "the stubs are of another contract than runner.proto",
            f"touch {ROOT}/proto/runner_api/v1/runner.proto && make proto",
        )
    return ok("the stubs are those of runner.proto")


def _generated_anew(contract: Path) -> str | None:
    """What `make proto` would write to runner_pb2.py; None where the generator or the contract is not installed."""
    root = contract.parents[2]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={root}", f"--python_out={folder}"]
        ended = subprocess.run([*command, str(contract)], capture_output=True, check=False)
        made = Path(folder) / contract.relative_to(root).with_name("runner_pb2.py")
        return made.read_text() if ended.returncode == 0 else None


def _pins(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if re.match(r"\w", line)]


def _unmet(requirements: list[str]) -> Iterator[str]:
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        have = _version(requirement.name)
        if have is None:
            yield f"{requirement.name} is missing"
        elif not requirement.specifier.contains(have, prereleases=True):
            yield f"{requirement.name} {have} instead of {requirement.specifier}"


def _is_met(text: str) -> bool:
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    have = _version(requirement.name)
    return have is not None and requirement.specifier.contains(have, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _listed(texts: list[str]) -> str:
    more = len(texts) - _MOST_NAMED
    return ", ".join(texts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
