"""What macOS tells and takes, with its libraries doubled: memory, heat, facts, agents."""

import ctypes
import os
import platform
import plistlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners import launchd
from runners.measure import environment, footprint, sysctl, thermal

MIB = 1 << 20


def test_the_footprint_is_read_where_the_kernel_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resets = []

    class Library:
        def proc_reset_footprint_interval(self, process: int) -> int:
            resets.append(process)
            return 0

        def proc_pid_rusage(self, process: int, flavour: int, usage: Any) -> int:
            assert (process, flavour) == (os.getpid(), 4)
            figures = [0] * 35  # of struct rusage_info_v4 after its UUID, in the order of <sys/resource.h>
            figures[6], figures[7], figures[33] = 30 * MIB, 20 * MIB, 40 * MIB
            ctypes.memmove(usage, bytes(16) + b"".join(figure.to_bytes(8, "little") for figure in figures), 296)
            return 0

    assert ctypes.sizeof(footprint._RusageInfoV4) == 296
    monkeypatch.setattr(footprint, "_libproc", Library)
    assert footprint.Interval().read() == footprint.Figures(peak_bytes=40 * MIB, rss_bytes=30 * MIB)
    assert resets == [os.getpid()]


@pytest.mark.parametrize(("level", "low_power", "expected"), [(0, False, "nominal"), (3, True, "critical")])
def test_heat_is_asked_of_the_system_in_its_own_types(
    level: int, low_power: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        ("NSProcessInfo", "processInfo"): ("the one", ctypes.c_void_p),
        ("the one", "thermalState"): (level, ctypes.c_long),
        ("the one", "isLowPowerModeEnabled"): (low_power, ctypes.c_bool),
    }

    def send(receiver: str, message: str) -> Any:
        answer, kind = answers[receiver, message]
        assert send.restype is kind  # type: ignore[attr-defined]  # as ctypes has it
        return answer

    library: dict[str, Callable[..., Any]] = {
        "objc_getClass": lambda name: name.decode(),
        "sel_registerName": lambda name: name.decode(),
        "objc_msgSend": send,
    }
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert thermal.state() == {"thermal_state": expected, "low_power_mode": low_power}


def test_the_environment_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        b"machdep.cpu.brand_string": b"Apple M2 Pro\0",
        b"hw.model": b"Mac14,9\0",
        b"hw.perflevel0.physicalcpu": (6).to_bytes(4, "little"),
        b"hw.perflevel1.physicalcpu": (4).to_bytes(4, "little"),
        b"sysctl.proc_translated": bytes(4),
    }

    class Library:
        def sysctlbyname(self, name: bytes, value: Any, size: Any, *_: Any) -> int:
            if name not in told:
                return -1
            size._obj.value = len(told[name])
            if value is not None:
                ctypes.memmove(value, told[name], len(told[name]))
            return 0

    monkeypatch.setattr(sysctl, "_library", Library)
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(environment, "_read", lambda _: None)  # no /proc, no /sys
    facts = environment.environment()
    assert facts["cpu_model"] == "Apple M2 Pro"
    assert (facts["macos"], facts["mac_model"], facts["rosetta"]) == ("15.1", "Mac14,9", 0)
    assert (facts["performance_cores"], facts["efficiency_cores"]) == (6, 4)
    assert facts["hypervisor"] is False
    assert not facts.keys() & {"governor", "thread_siblings", "transparent_huge_pages"}


@pytest.mark.skipif(platform.system() != "Darwin", reason="asks the system itself")
def test_a_mac_answers_all_of_it() -> None:
    assert thermal.state()["thermal_state"] in thermal.STATES
    figures = footprint.Interval().read()
    assert min(figures.peak_bytes, figures.rss_bytes) > MIB
    assert {"cpu_model", "macos", "mac_model", "memory_bytes"} <= environment.environment().keys()


class Launchctl:
    """Takes the command's place; `code` and `said` are its answer."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.code, self.said = 0, ""

    def __call__(self, command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.code, "", self.said)


@pytest.fixture
def launchctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launchctl:
    """macOS's, for a user whose home is empty."""
    double = Launchctl()
    monkeypatch.setattr(subprocess, "run", double)
    monkeypatch.setenv("HOME", str(tmp_path))
    return double


def test_an_agent_keeps_the_runner_up_without_being_throttled(launchctl: Launchctl, tmp_path: Path) -> None:
    arguments = ["--listen", "0.0.0.0:50051", "--store", "store", "--certs", "certs"]
    log = launchd.install("coreml", arguments)
    agent = tmp_path / "Library/LaunchAgents/portbench.runner.coreml.plist"
    written = plistlib.loads(agent.read_bytes())
    assert written["ProgramArguments"] == [sys.executable, "-P", "-m", "runners", "coreml", *arguments]
    assert (written["Label"], written["WorkingDirectory"]) == ("portbench.runner.coreml", str(Path.cwd()))
    assert written["RunAtLoad"] is written["KeepAlive"] is True
    assert written["ProcessType"] == "Interactive"
    assert written["StandardOutPath"] == written["StandardErrorPath"] == str(log)
    with pytest.raises(launchd.AgentError, match=r"is there already; remove it first: .* remove coreml"):
        launchd.install("coreml", arguments)
    launchd.remove("coreml")
    assert not agent.exists()
    domain = f"gui/{os.getuid()}"
    assert launchctl.commands == [
        ["launchctl", "bootstrap", domain, str(agent)],
        ["launchctl", "bootout", f"{domain}/portbench.runner.coreml"],
    ]


def test_an_agent_that_launchd_does_not_take_leaves_nothing_behind(launchctl: Launchctl, tmp_path: Path) -> None:
    launchctl.code, launchctl.said = 5, "Bootstrap failed: 5: Input/output error\n"
    with pytest.raises(launchd.AgentError, match=r"^launchctl bootstrap: Bootstrap failed: 5: .* logged in") as caught:
        launchd.install("coreml", [])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.plist"))


def test_an_agent_that_was_stopped_by_hand_is_removed(launchctl: Launchctl, tmp_path: Path) -> None:
    launchd.install("coreml", [])
    launchctl.code = 3  # no such process
    launchd.remove("coreml")
    with pytest.raises(launchd.AgentError, match="nothing to remove"):
        launchd.remove("coreml")


@pytest.mark.skipif(platform.system() == "Darwin", reason="here it would install one")
def test_elsewhere_there_are_no_agents() -> None:
    command = [sys.executable, "-m", "runners.launchd", "remove", "coreml"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (2, "python -m runners.launchd: launchd is on macOS only\n")
