"""Every command in README.md and docs/ is one that there is; those that need nothing else are executed as they are."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from tests.own.command import ROOT, portbench

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent

ELSEWHERE = {
    "kubectl": "needs a cluster",
    "docker push": "needs a registry; a push to one is a test of tests/remote",
    "python -m runners": "serves until it is ended",
    "dask": "serves until it is ended",
    "make runner-coreml": "needs a Mac",
}
"""What is in a block of commands that is not executed here -> why."""
MEANT_TO_TELL = {"portbench compare": 3, "portbench explain": 1}
"""Commands whose exit code, beside 0, says what they found."""

# What the pages take for granted: a function, a model in a file, data, a suite, an inventory.
MODELS = """
import torch

class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

    def forward(self, words):
        return self.layers(words).softmax(-1)

def tagger():
    torch.manual_seed(0)
    return Tagger(), torch.randn(32, 12)
"""


def blocks(page: Path) -> list[str]:
    """Of commands."""
    return [
        token.content for token in MarkdownIt().parse(page.read_text()) if token.type == "fence" and token.info == "sh"
    ]


def mentioned(page: Path) -> Iterator[str]:
    """What stands in the text in the type of commands."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text()):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader is, with what the pages name."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "models.py").write_text(MODELS)
    np.savez(folder / "data.npz", words=np.random.default_rng(0).standard_normal((32, 12), np.float32))
    converted = execute(folder, "portbench convert models:tagger --to onnx --out .")
    assert converted.returncode == 0, converted.stderr
    measured = "portbench bench tagger.onnx --runtime onnxruntime --batch 1 --launcher process --out results/first"
    ended = execute(folder, measured)
    assert ended.returncode == 0, ended.stderr
    for name in {
        name for page in PAGES for block in blocks(page) for name in re.findall(r"(?<!out )results/[\w-]+", block)
    }:
        shutil.copytree(folder / "results/first", folder / name, dirs_exist_ok=True)
    return folder


def execute(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """As a reader types it, with `.venv/bin` on the path and nothing written to the home folder."""
    own = {"PORTBENCH_CACHE": str(folder / "cache"), "PORTBENCH_AUTHORITY": str(folder / "certs"), "COLUMNS": "100"}
    return subprocess.run(
        ["/bin/bash", "-c", command],
        env=os.environ | own | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def lines(block: str) -> list[str]:
    """The commands of a block, of a loop as one."""
    return [block] if re.search(r"(?m)^for ", block) else block.splitlines()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
@pytest.mark.docker
def test_commands_do_what_the_page_says(page: Path, folder: Path) -> None:
    for line in (line for block in blocks(page) for line in lines(block)):
        if any(words in line for words in ELSEWHERE):
            continue
        if line.startswith("make "):
            ended = execute(ROOT, f"make --dry-run {line.removeprefix('make ')}")
            assert ended.returncode == 0, f"{line}\n{ended.stderr}"
            continue
        result = execute(folder, line)
        allowed = {0} | {code for words, code in MEANT_TO_TELL.items() if line.startswith(words)}
        assert result.returncode in allowed, f"{line}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_in_the_text_are_there(page: Path, tmp_path: Path) -> None:
    for command in mentioned(page):
        words = command.split()
        if words[0] != "portbench" or len(words) == 1 or words[1].startswith("-"):
            continue
        subcommand = words[1:3] if words[1] == "certs" and len(words) > 2 else words[1:2]
        helped = portbench(tmp_path, *subcommand, "--help")
        assert helped.returncode == 0, command
        for option in re.findall(r"--[a-z][\w-]+", command):
            assert option in helped.stdout, f"{command}: no {option}"


def test_links_lead_to_files_and_headings() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            name, _, heading = target.partition("#")
            found = (page.parent / name).resolve() if name else page
            assert found.exists(), f"{page.name}: {target}"
            if heading:
                slugs = [re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in headings(found)]
                assert heading in slugs, f"{page.name}: {target}"


def headings(page: Path) -> list[str]:
    """Their texts."""
    return re.findall(r"(?m)^#+ (.+)$", page.read_text())
