"""What portbench is made of: pinned, hashed where a release has one set of files, under licences for anyone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = sorted((ROOT / "docker" / "requirements").glob("*.txt"))
# Of these each index has files of its own.
UNHASHED = {"coreml-reference.txt", "onnxruntime-tensorrt.txt", "pytorch.txt", "pytorch-cuda.txt"}
OPEN = re.compile(r"Apache|BSD|ISC|MIT|MPL|Mozilla Public|PSF|Python Software Foundation|Public Domain", re.IGNORECASE)
# They say it in a file of theirs only.
TOLD_ELSEWHERE = {"axe-playwright-python": "MIT", "namex": "Apache-2.0"}


@pytest.mark.parametrize("pins", [ROOT / "requirements.txt", *PINS], ids=lambda path: path.name)
def test_every_package_is_pinned_and_hashed_where_it_can_be(pins: Path) -> None:
    packages = re.split(r"(?m)^(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", pins.read_text()))[1:]
    assert packages
    for package in packages:
        assert re.match(r"[\w.-]+={2,3}[\w.]+", package), package
    if pins.parent != ROOT and pins.name not in UNHASHED:
        assert all("--hash=sha256:" in package for package in packages)


def test_every_licence_lets_anyone_use_it() -> None:
    command = [str(Path(sys.executable).with_name("pip-licenses")), "--from=mixed", "--format=json"]
    packages = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = {package["Name"]: TOLD_ELSEWHERE.get(package["Name"], package["License"]) for package in packages}
    assert len(found) > 100
    assert {name: licence for name, licence in found.items() if not OPEN.search(licence)} == {}
