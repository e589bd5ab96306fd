"""This process's control groups, of either version: the container's peak of memory, its quota, its kills.

Sources: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2. What does not exist reads as absent.
"""

import re
from collections.abc import Iterator
from pathlib import Path

PROC_SELF = Path("/proc/self")

_NO_LIMIT = 1 << 60  # version 1 says about 2**63, rounded to a page


def memory_peak_bytes() -> int:
    """The highest memory of the container since it began, page cache included; 0 without a container.

    The container is the outermost group mounted here. Outside one that is the machine's root, which keeps no peak; the
    groups inside it are users' sessions and services.
    """
    groups = list(_folders("memory"))
    if not groups:
        return 0
    return _number(groups[-1], "memory.peak") or _number(groups[-1], "memory.max_usage_in_bytes") or 0


def memory_limit_bytes() -> int | None:
    """The container's limit, if it has one."""
    limit = _first_number("memory", "memory.max") or _first_number("memory", "memory.limit_in_bytes") or _NO_LIMIT
    return limit if limit < _NO_LIMIT else None


def out_of_memory_kills() -> int:
    """Processes of the container that the kernel killed for want of memory."""
    for file in ("memory.events", "memory.oom_control"):
        for folder in _folders("memory"):
            if match := re.search(r"^oom_kill (\d+)$", _read(folder / file), re.MULTILINE):
                return int(match[1])
    return 0


def cpu_quota() -> float | None:
    """Processors' worth of time that the tightest group above this process grants; None without a quota."""
    quotas = [quota for folder in _folders("cpu") for quota in (_quota_v2(folder), _quota_v1(folder)) if quota]
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _first_number(controller: str, file: str) -> int | None:
    """The file of the innermost group."""
    return next((_number(folder, file) for folder in _folders(controller)), None)


def _number(folder: Path, file: str) -> int | None:
    """The group's file; None at the root (in version 1 it has a release_agent), which is the machine."""
    text = _read(folder / file)
    return int(text) if text.isdigit() and not (folder / "release_agent").exists() else None


def _folders(controller: str) -> Iterator[Path]:
    """Folders of the process's group and of those above it, innermost first, as far as they are mounted here."""
    group = _group(controller)
    for root, mount in _mounts(controller):
        inside = Path(mount, *Path(group).relative_to(root).parts) if Path(group).is_relative_to(root) else Path(mount)
        while inside.is_relative_to(mount):
            yield inside
            inside = inside.parent


def _group(controller: str) -> str:
    """/proc/self/cgroup has lines `id:controllers:path`; no controllers means version 2."""
    unified = "/"
    for line in _read(PROC_SELF / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
        unified = path if not controllers else unified
    return unified


def _mounts(controller: str) -> list[tuple[str, str]]:
    """(root, mount point) of the controller's version 1 hierarchy, or else of version 2."""
    found: dict[str, list[tuple[str, str]]] = {"cgroup": [], "cgroup2": []}
    for line in _read(PROC_SELF / "mountinfo").splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.partition(" ")
        if kind == "cgroup2" or (kind == "cgroup" and controller in options.rpartition(" ")[2].split(",")):
            root, mount = fields.split()[3:5]
            found[kind].append((root, mount))
    return found["cgroup"] or found["cgroup2"]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
