"""Runners that are up at an address before a campaign, and may be replaced during it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from orchestrator.endpoint import Endpoint
from orchestrator.inventory import Inventory
from orchestrator.launch.readiness import wait_until_serving

ROOT = Path(__file__).parents[2]


class Standing:
    """One of ONNX Runtime at a Unix socket in `folder`; use as a context, in which it may end and start anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.inventory = Inventory.model_validate(
            {"hosts": [{"name": "standing", "address": f"unix:{folder}/s", "runners": ["onnxruntime-cpu"]}]}
        )

    def __enter__(self) -> "Standing":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, version: str = "") -> None:
        """It is up when this returns."""
        files = [str(self._folder / name) for name in ("log", "s", "store")]
        command = [sys.executable, "-m", "tests.faults.recorded", *files, *([version] if version else [])]
        process = self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
        wait_until_serving(Endpoint(f"unix:{files[1]}"), 60, lambda: None if process.poll() is None else "it ended")

    def kill(self) -> None:
        """With SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            (self._folder / "s").unlink(missing_ok=True)

    def asked(self) -> Counter[str]:
        """How often it was asked for what."""
        log = self._folder / "log"
        return Counter(log.read_text().splitlines() if log.exists() else ())
