"""Facts about the machine and the process that a reader of the results needs; what cannot be read is absent."""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from runners import sandbox
from runners.measure import cgroup, sysctl, threads

Fact: TypeAlias = str | float | bool | list[float] | dict[str, str] | dict[str, float]

_CPU0 = Path("/sys/devices/system/cpu/cpu0")
_MODEL_FIELDS = ("model name", "Model", "cpu model", "Hardware")


def fingerprint() -> str:
    """Identifies the kind of machine: equal in and outside a container and after a restart, not with another kernel."""
    facts = (cpu_model(), str(os.cpu_count()), str(memory_bytes()), platform.machine(), platform.release())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def boot_id() -> str:
    """Identifies this very machine until it restarts, in and outside a container."""
    return _read("/proc/sys/kernel/random/boot_id") or sysctl.text("kern.bootsessionuuid") or fingerprint()


def environment() -> dict[str, Fact]:
    """All facts by name; units are in the names."""
    facts: dict[str, Fact | None] = {
        "cpu_model": cpu_model(),
        "cpus": os.cpu_count(),
        "affinity_cpus": threads.affinity(),
        "cpu_quota": cgroup.cpu_quota(),
        "thread_siblings": _read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"),
        "core_siblings": _read("/sys/devices/system/cpu/cpu0/topology/core_siblings_list"),
        "smt_active": _flag("/sys/devices/system/cpu/smt/active"),
        "governor": _read(_CPU0 / "cpufreq/scaling_governor"),
        "frequency_min_khz": _number(_CPU0 / "cpufreq/scaling_min_freq"),
        "frequency_max_khz": _number(_CPU0 / "cpufreq/scaling_max_freq"),
        "turbo": _turbo(),
        "aslr": _number("/proc/sys/kernel/randomize_va_space"),
        "load_average": list(os.getloadavg()),
        "temperatures_celsius": _temperatures(),
        "memory_bytes": memory_bytes(),
        "memory_limit_bytes": cgroup.memory_limit_bytes(),
        "transparent_huge_pages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "clock_source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "hypervisor": "hypervisor" in _cpuinfo().get("flags", "").split() or sysctl.number("kern.hv_vmm_present") == 1,
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "macos": platform.mac_ver()[0] or None,
        "mac_model": sysctl.text("hw.model"),
        "performance_cores": sysctl.number("hw.perflevel0.physicalcpu"),
        "efficiency_cores": sysctl.number("hw.perflevel1.physicalcpu"),
        "rosetta": sysctl.number("sysctl.proc_translated"),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "python": platform.python_version(),
        "in_container": _in_container(),
        "landlock_abi": sandbox.landlock_abi(),
        "gpus": _gpus(),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def cpu_model() -> str:
    """As the processor calls itself."""
    fields = _cpuinfo()
    named = next((fields[name] for name in _MODEL_FIELDS if name in fields), None)
    return named or sysctl.text("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The machine's, not the container's."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cpuinfo() -> Mapping[str, str]:
    """Fields of the first processor."""
    first = (_read("/proc/cpuinfo") or "").partition("\n\n")[0]
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def _turbo() -> bool | None:
    no_turbo = _flag("/sys/devices/system/cpu/intel_pstate/no_turbo")
    return not no_turbo if no_turbo is not None else _flag("/sys/devices/system/cpu/cpufreq/boost")


def _temperatures() -> dict[str, float] | None:
    zones = sorted(Path("/sys/class/thermal").glob("thermal_zone*"))
    readings = {_read(zone / "type") or zone.name: _number(zone / "temp") for zone in zones}
    return {name: milli / 1000 for name, milli in readings.items() if milli is not None} or None


def _gpus() -> dict[str, str] | None:
    """NVIDIA's, with driver and clocks, by index."""
    query = ["nvidia-smi", "--query-gpu=index,name,driver_version,clocks.max.sm,clocks.sm", "--format=csv,noheader"]
    lines = (_output(query) or "").splitlines()
    return {index: facts.strip() for index, _, facts in (line.partition(",") for line in lines)} or None


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "container" in os.environ


def _chosen(file: str) -> str | None:
    match = re.search(r"\[(\w+)\]", _read(file) or "")
    return match[1] if match else None


def _flag(file: str) -> bool | None:
    number = _number(file)
    return bool(number) if number is not None else None


def _number(file: str | Path) -> int | None:
    text = _read(file)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _read(file: str | Path) -> str | None:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return None


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
