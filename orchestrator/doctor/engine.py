"""The Docker engine: does it answer, can it build, does it keep runners within their limits, has it their images?"""

import os
import shutil
import subprocess

from orchestrator.doctor.finding import Finding, LackingError, not_here, ok, problem, warning
from orchestrator.doctor.machine import Machine
from orchestrator.errors import CaseFailure

_PROCESSES = "runners are plain processes until then"


def reachable(machine: Machine) -> Finding:
    """The engine that would run the runners here."""
    try:
        told = machine.engine
    except LackingError as error:
        required = os.environ.get("PORTBENCH_REQUIRE_DOCKER")
        return (problem if required else warning)(str(error), _way_in(str(error)))
    if shutil.which("docker") is None:
        return problem("an engine answers, the command 'docker', which builds the images, is missing", "install it")
    versions = f"Docker {told['ServerVersion']}, API {told['ApiVersion']}, storage driver {told['Driver']}"
    return ok(f"{versions}, cgroup version {told.get('CgroupVersion', '1')}")


def _way_in(error: str) -> str:
    if "Permission denied" in error:
        return f"sudo usermod -aG docker $USER, then log in again; {_PROCESSES}"
    if "DOCKER_HOST" in error:
        return f"unset DOCKER_HOST, or name the engine in an inventory; {_PROCESSES}"
    if "maps user ids" in error:
        return f"use an engine without userns-remap that is not rootless; {_PROCESSES}"
    return f"start it (sudo systemctl start docker), or correct DOCKER_HOST; {_PROCESSES}"


def builder(machine: Machine) -> Finding:
    """What builds the images."""
    _ = machine.engine
    ended = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, check=False)  # noqa: S607
    if ended.returncode == 0:
        return ok(f"BuildKit ({' '.join(ended.stdout.split()[:2])})")
    return ok("the classic builder; BuildKit (docker-buildx) is not installed and not needed")


def limits(machine: Machine) -> Finding:
    """Whether the engine can bound what a runner uses: it warns of what its kernel does not have."""
    told = machine.engine
    names = {"MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "processes", "CpuCfsQuota": "processor time"}
    lacking = [name for key, name in names.items() if told.get(key) is False]
    if lacking:
        remedy = "boot with cgroup_enable=memory swapaccount=1, or give the engine's cgroup these controllers"
        return warning(f"the engine cannot limit {', '.join(lacking)}", remedy)
    return ok("the engine limits memory, swap, processes and processor time")


def images(machine: Machine) -> Finding:
    """Which images of runners for CPUs are those of this source."""
    _ = machine.engine
    from orchestrator.launch import images as recipes

    try:
        states = {image: recipes.state(image) for image in recipes.common()}
    except CaseFailure as failure:  # a base image that is not there yet can most often be fetched
        return warning(f"which images are of this source cannot be told ({failure.message})", "make images")
    told = [
        f"{state}: {', '.join(image for image, of_image in states.items() if of_image == state)}"
        for state in ("built", "stale", "missing")
        if state in states.values()
    ]
    if not states:
        return not_here("images are built from a checkout")
    if set(states.values()) == {"built"}:
        return ok("; ".join(told))
    return warning("; ".join(told), "make images, which 'make bench' does by itself")
