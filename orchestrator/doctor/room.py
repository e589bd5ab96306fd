"""Memory and disks: is there room for what the suites write?"""

import os
import shutil
import tempfile
from pathlib import Path

from orchestrator.doctor.finding import Finding, not_here, ok, problem, warning
from orchestrator.doctor.machine import Machine

GIB = 1 << 30
LEAST_BYTES = GIB
"""Without it the quick suite does not end: a trained model, its conversions and a runner's copies."""
WANTED_BYTES = 4 * GIB
"""A cache with the study's networks in all formats was seen to take 3.3 GiB."""
IMAGES_BYTES = 6 * GIB
"""The images of the runners for CPUs are 5.7 GB together; those for GPUs are about 6 GB each."""
LEAST_MEMORY_BYTES = 4 * GIB


def memory(_machine: Machine) -> Finding:
    """What is free now."""
    import psutil

    told, swap = psutil.virtual_memory(), psutil.swap_memory()
    found = f"{told.available / GIB:.1f} of {told.total / GIB:.1f} GiB available, {swap.used / GIB:.1f} GiB swapped out"
    if told.available < LEAST_MEMORY_BYTES:
        return warning(found, "close other programs: converting the larger networks takes some GiB")
    if swap.used > told.available:
        return warning(found, "close other programs, then swapoff -a and swapon -a: reading swap shows as time")
    return ok(found)


def cache(_machine: Machine) -> Finding:
    """Of artifacts: can it be written, and has it room?"""
    from orchestrator.artifacts import Cache

    return room("PORTBENCH_CACHE", Cache().root)


def results(_machine: Machine) -> Finding:
    """Of campaigns, below the current folder where nothing else is asked for."""
    folder = Path("results") if Path("results").is_dir() else Path()
    if not os.access(folder, os.W_OK):
        return problem(f"{folder.resolve()} cannot be written", "cd to a folder of yours, or give --out")
    return room("--out", folder.resolve())


def temporary(_machine: Machine) -> Finding:
    """Where temporary files are."""
    return room("TMPDIR", Path(tempfile.gettempdir()))


def engine(machine: Machine) -> Finding:
    """The engine's images."""
    root = Path(machine.engine["DockerRootDir"])
    if not root.exists():
        return not_here(f"the engine's folder {root} is not of this machine")
    free = shutil.disk_usage(root).free
    found = f"{free / GIB:.1f} GiB free in {root}"
    if free < IMAGES_BYTES:
        return warning(found, "docker image prune, docker builder prune: the runners' images take 6 GiB")
    return ok(found)


def room(setting: str, folder: Path) -> Finding:
    """Enough for the suites? `setting` names another folder."""
    free = shutil.disk_usage(folder).free
    found, remedy = f"{free / GIB:.1f} GiB free in {folder}", f"make room, or name another folder in {setting}"
    if free < LEAST_BYTES:
        return problem(found, remedy)
    return warning(found, f"{remedy}: the study takes some GiB") if free < WANTED_BYTES else ok(found)
