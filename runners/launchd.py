"""`python -m runners.launchd install|remove RUNTIME ...`: a runner that macOS starts at login and keeps up.

Sources: launchd.plist(5), launchctl(1).
"""

import argparse
import errno
import os
import platform
import plistlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class AgentError(Exception):
    """The agent cannot be installed or removed; the message is one line."""


def label(runtime: str) -> str:
    """The agent's name to launchd."""
    return f"portbench.runner.{runtime}"


def description(runtime: str, arguments: Sequence[str], home: Path) -> dict[str, Any]:
    """The agent's property list.

    Args:
        runtime: name of an adapter.
        arguments: what `python -m runners RUNTIME` is given; paths may be relative to the current folder.
        home: of the user, whose logs are there.
    """
    log = str(home / "Library" / "Logs" / f"{label(runtime)}.log")
    return {
        "Label": label(runtime),
        "ProgramArguments": [sys.executable, "-P", "-m", "runners", runtime, *arguments],
        "WorkingDirectory": str(Path.cwd()),
        "EnvironmentVariables": {"PYTHONUNBUFFERED": "1"},
        "RunAtLoad": True,
        "KeepAlive": True,
        "ProcessType": "Interactive",  # no limits; an agent without it has its processor time and its I/O throttled
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }


def install(runtime: str, arguments: Sequence[str]) -> Path:
    """Writes the agent's property list and starts the agent; returns where it logs.

    Raises:
        AgentError: it is installed already, or launchd does not take it.
    """
    file = _file(runtime)
    if file.exists():
        raise AgentError(f"{file} is there already; remove it first: python -m runners.launchd remove {runtime}")
    wanted = description(runtime, arguments, Path.home())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(plistlib.dumps(wanted))
    try:
        _launchctl("bootstrap", _domain(), str(file))
    except AgentError:
        file.unlink()
        raise
    return Path(wanted["StandardOutPath"])


def remove(runtime: str) -> None:
    """Stops the agent and removes its property list.

    Raises:
        AgentError: it is not installed, or launchd does not let it go.
    """
    file = _file(runtime)
    if not file.exists():
        raise AgentError(f"there is no {file}: nothing to remove")
    _launchctl("bootout", f"{_domain()}/{label(runtime)}", fine=errno.ESRCH)  # it may have been stopped by hand
    file.unlink()


def _file(runtime: str) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{label(runtime)}.plist"


def _domain() -> str:
    """Of the user who is logged in at the screen: there the GPU may be used."""
    return f"gui/{os.getuid()}"


def _launchctl(*arguments: str, fine: int = 0) -> None:
    """`fine` is an exit code, an errno's number, that is as good as success."""
    run = subprocess.run(["launchctl", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - macOS's
    if run.returncode not in (0, fine):
        said = " ".join((run.stderr or run.stdout).split())
        raise AgentError(f"launchctl {arguments[0]}: {said}; is {Path.home().name} logged in at this Mac's screen?")


def main() -> None:
    """Parses, acts, says what was done; what went wrong is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m runners.launchd", description="A runner as an agent of macOS.")
    what = parser.add_subparsers(dest="what", required=True)
    installing = what.add_parser("install", help="start it now and at every login")
    installing.add_argument("runtime")
    installing.add_argument("arguments", nargs=argparse.REMAINDER, help="those of python -m runners RUNTIME")
    what.add_parser("remove", help="stop it for good").add_argument("runtime")
    asked = parser.parse_args()
    try:
        if platform.system() != "Darwin":
            raise AgentError("launchd is on macOS only")
        if asked.what == "install":
            log = install(asked.runtime, asked.arguments)
            print(f"{label(asked.runtime)} runs; its address and what goes wrong: {log}")
        else:
            remove(asked.runtime)
            print(f"{label(asked.runtime)} is removed")
    except (AgentError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
