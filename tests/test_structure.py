"""The arrows of docs/design.md: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.launch import images
from orchestrator.runtimes import RUNNERS
from tests.requirements import packages

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = {kind.runtime: packages(kind.image) for kind in RUNNERS.values()}
"""Runtime -> the packages of its image, which its adapter may import."""
FRAMEWORKS = set().union(*map(packages, images.common()))
SOURCES = sorted(path for folder in ("orchestrator", "runners") for path in (ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _with_shared(adapter: Path) -> set[str]:
    """What an adapter imports, itself and by the modules that engines share."""
    found: set[str] = set()
    waiting = [adapter]
    while waiting:
        new = _imports(waiting.pop()) - found
        found |= new
        shared = [name for name in new if name.startswith("runners.adapters._")]
        modules = (*shared, *(name.rpartition(".")[0] for name in shared))  # of which a name may be a function
        files = (ROOT / f"{module.replace('.', '/')}.py" for module in modules)
        waiting += [file for file in files if file.is_file()]
    return found


def _top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _is_under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_two_sides_meet_in_the_contract_only(path: Path) -> None:
    other = "runners" if path.is_relative_to(ROOT / "orchestrator") else "orchestrator"
    assert other not in _top(_imports(path))


def test_an_adapter_imports_its_own_framework_and_no_other_adapter() -> None:
    paths = [path for path in (ROOT / "runners" / "adapters").glob("*.py") if path.stem != "__init__"]
    adapters = [f"runners.adapters.{path.stem}" for path in paths if not path.stem.startswith("_")]
    for path in paths:
        others = {name for name in _imports(path) if any(_is_under(name, adapter) for adapter in adapters)}
        assert not others, path
    for runtime, own in ADAPTERS.items():
        imported = _with_shared(ROOT / "runners" / "adapters" / f"{runtime.replace('-', '_')}.py")
        assert _top(imported) & FRAMEWORKS <= own, runtime


@pytest.mark.parametrize("modules", ["orchestrator.cli, orchestrator.campaign, orchestrator.survey", "runners.server"])
def test_neither_the_orchestrator_nor_a_server_loads_a_framework(modules: str) -> None:
    found = f"import sys, {modules}; print(*sorted({FRAMEWORKS!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_plan_is_pure() -> None:
    allowed = sys.stdlib_module_names | {"orchestrator"}
    imported = _imports(ROOT / "orchestrator" / "plan.py")
    assert _top(imported) <= allowed
    assert not _top(imported) & {"os", "pathlib", "subprocess", "socket", "time"}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("results", ("campaign", "cli", "client", "host", "launch", "report", "plan")),
        ("report", ("campaign", "cli", "client", "host", "launch")),
        ("doctor", ("campaign", "cli", "host", "report", "plan")),
        ("selftest", ("campaign", "cli", "host", "report", "plan")),
        ("launch", ("campaign", "cli", "host", "report", "results", "plan")),
        ("robustness", ("campaign", "cli", "host", "report", "plan")),
        ("conversion", ("campaign", "cli", "client", "host", "launch", "report", "results", "plan")),
        ("explanation", ("campaign", "cli", "host", "report", "plan")),
        ("own", ("campaign", "cli", "client", "host", "launch", "report", "results", "plan")),
        ("zoo", ("campaign", "cli", "client", "host", "launch", "report", "results", "plan")),
        ("datasets", ("campaign", "cli", "client", "host", "launch", "report", "results", "plan", "zoo")),
    ],
)
def test_arrows_run_one_way(package: str, forbidden: tuple[str, ...]) -> None:
    for path in (ROOT / "orchestrator" / package).rglob("*.py"):
        against = {name for name in _imports(path) if _is_under(name, *(f"orchestrator.{part}" for part in forbidden))}
        assert not against, path


def test_nothing_imports_the_command_line() -> None:
    assert not [path for path in SOURCES if any(_is_under(name, "orchestrator.cli") for name in _imports(path))]
