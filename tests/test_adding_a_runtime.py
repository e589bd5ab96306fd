"""Adding a runtime is its own files and a row: measured by LiteRT, of which the format was new too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = re.compile(r"litert|tflite", re.IGNORECASE)
OWN = {
    "docker/requirements/litert.in",
    "orchestrator/conversion/tflite.py",
    "orchestrator/inspection/tflite.py",
    "runners/adapters/_tflite.py",
    "runners/adapters/litert.py",
    "tests/conversion/test_tflite.py",
    "tests/runners/formats/tflite.py",
}
MEASURED_BY = {"orchestrator/suites/extended.yaml"}
ROWS = {"orchestrator/conversion/__init__.py", "orchestrator/runtimes.py"}
WRITTEN_BY_MAKE = {
    "docker/compose.tls.yaml",
    "docker/compose.yaml",
    "docker/kubernetes/base/runners.yaml",
    "docker/requirements/litert.txt",
    "requirements.txt",
}


def naming() -> dict[str, int]:
    """All that is no text for people -> how many of its lines name LiteRT or its format."""
    folders = (".ci", "benchmarks", "docker", "orchestrator", "proto", "runners", "tests")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    paths += [ROOT / name for name in ("Makefile", "pyproject.toml", "requirements.txt")]
    texts = {path: path.read_text(errors="replace") for path in paths if path.is_file() and path != Path(__file__)}
    lines = {path: sum(map(bool, map(NAMES.search, text.splitlines()))) for path, text in texts.items()}
    return {path.relative_to(ROOT).as_posix(): count for path, count in lines.items() if count}


def test_litert_is_its_own_files_and_a_line_in_each_of_the_two_tables() -> None:
    found = naming()
    assert set(found) == OWN | ROWS | WRITTEN_BY_MAKE | MEASURED_BY
    assert {name: found[name] for name in ROWS} == dict.fromkeys(ROWS, 1)


@pytest.mark.parametrize("runtime", ["litert", "openvino"])
def test_an_adapter_takes_at_most_100_lines(runtime: str) -> None:
    assert len((ROOT / "runners" / "adapters" / f"{runtime}.py").read_text().splitlines()) <= 100
