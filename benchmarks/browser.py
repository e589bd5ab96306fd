"""Chromium, as Debian has it or as PORTBENCH_CHROMIUM names it."""

import os
import shutil

from playwright.sync_api import Browser, Playwright


def chromium() -> str | None:
    """The path of its command; None where there is none."""
    return os.environ.get("PORTBENCH_CHROMIUM") or shutil.which("chromium")


def launch(playwright: Playwright) -> Browser:
    """Without a window.

    Raises:
        RuntimeError: there is none.
    """
    path = chromium()
    if path is None:
        raise RuntimeError("no Chromium here: install the package chromium or name one in PORTBENCH_CHROMIUM")
    # Chromium's sandbox does not start as root.
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
