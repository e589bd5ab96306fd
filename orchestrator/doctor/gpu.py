"""NVIDIA's GPUs: the driver, and whether the engine gives them to containers."""

from orchestrator.doctor.finding import Finding, not_here, ok, warning
from orchestrator.doctor.machine import Machine

LEAST_DRIVER = 580
"""For CUDA 13, of which the runners' images are. Source: CUDA 13 release notes, table of minimum driver versions."""


def driver(machine: Machine) -> Finding:
    """The GPUs that nvidia-smi sees."""
    gpus = machine.facts.get("gpus")
    if not gpus:
        return not_here("nvidia-smi shows no GPU; suites on CPUs need none")
    names = [facts.split(", ")[0] for facts in gpus.values()]
    version = next(iter(gpus.values())).split(", ")[1]
    found = f"{', '.join(names)}; driver {version}"
    if int(version.partition(".")[0]) < LEAST_DRIVER:
        return warning(found, f"CUDA 13, which the runners for GPUs have, needs driver {LEAST_DRIVER} or newer")
    return ok(found)


def toolkit(machine: Machine) -> Finding:
    """NVIDIA's runtime in the engine."""
    if not machine.facts.get("gpus"):
        return not_here("no GPU")
    told = machine.engine
    if "nvidia" in told.get("Runtimes", {}) or any(
        "nvidia" in str(device) for device in told.get("DiscoveredDevices") or ()
    ):
        return ok("the engine gives GPUs to containers")
    remedy = (
        "install the NVIDIA container toolkit, then: sudo nvidia-ctk runtime configure && sudo systemctl restart docker"
    )
    return warning("the engine has no runtime of NVIDIA's", remedy)
