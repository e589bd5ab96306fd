"""`portbench` as a user types it, in the folder of the project, with a cache of the tests."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = "tests.own.factories"


def portbench(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("portbench")), *arguments],
        env=os.environ | {"PORTBENCH_CACHE": str(cache), "COLUMNS": "100"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
