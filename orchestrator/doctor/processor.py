"""The processor and its clocks: what makes the same code run at different speeds."""

import shutil
import subprocess
import time

from orchestrator.doctor.finding import Finding, not_here, ok, warning
from orchestrator.doctor.machine import Machine

COARSEST_CLOCK_S = 1e-6
_STEADY_SOURCES = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
"""Read without a call into the kernel."""
MOST_STOLEN = 0.01
_NO_TURBO = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
_NO_BOOST = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"


def cores(machine: Machine) -> Finding:
    """Whether the harness has a core beside the one that it times."""
    facts = machine.facts
    usable = int(min(facts["affinity_cpus"], facts.get("cpu_quota", facts["affinity_cpus"])))
    found = f"{facts['cpu_model']}, {usable} of {facts['cpus']:.0f} processors usable"
    siblings = f", two to a core ({facts['thread_siblings']})" if facts.get("smt_active") else ""
    if usable < 2:
        return warning(found, "give it a second one: the harness and the timed process share the only one")
    return ok(found + siblings)


def governor(machine: Machine) -> Finding:
    """Frequency scaling, as the kernel governs it."""
    chosen = machine.facts.get("governor")
    if chosen is None:
        return not_here("the kernel shows no frequency scaling (usual in virtual machines)")
    if chosen == "performance":
        return ok("governor performance")
    return warning(f"governor {chosen}: clocks change with load", "sudo cpupower frequency-set -g performance")


def turbo(machine: Machine) -> Finding:
    """Clocks above the nominal one, which depend on heat and neighbours."""
    is_on = machine.facts.get("turbo")
    if is_on is None:
        return not_here("the kernel shows no turbo")
    if not is_on:
        return ok("turbo is off")
    remedy = f"for the steadiest figures: {_NO_TURBO} (on AMD: {_NO_BOOST})"
    return warning("turbo is on: the first seconds are faster than the rest", remedy)


def hypervisor(machine: Machine) -> Finding:
    """Whether others take processor time from this machine."""
    if not machine.facts.get("hypervisor"):
        return ok("no virtual machine")
    import psutil

    times = psutil.cpu_times()
    stolen = getattr(times, "steal", 0.0) / max(sum(times), 1.0)
    found = f"a virtual machine; {stolen:.1%} of its time since the start was taken by others"
    if stolen > MOST_STOLEN:
        return warning(found, "take a dedicated host, or more trials")
    return ok(found)


def clock(machine: Machine) -> Finding:
    """What times the samples."""
    resolution_s = time.get_clock_info("perf_counter").resolution
    source = machine.facts.get("clock_source", "unknown")
    found = f"resolution {resolution_s * 1e9:.0f} ns, source {source}"
    if resolution_s > COARSEST_CLOCK_S:
        return warning(found, "samples shorter than some microseconds cannot be told apart here")
    if source not in (*_STEADY_SOURCES, "unknown"):
        return warning(found, "reading this source is slow; boot with clocksource=tsc where the processor's is steady")
    return ok(found)


def synchronised(_machine: Machine) -> Finding:
    """The time of day, by which certificates are valid and campaigns are ordered."""
    if shutil.which("timedatectl") is None:
        return not_here("without timedatectl nothing tells whether the time of day is synchronised")
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    if ended.returncode != 0:
        return not_here("timedatectl cannot tell whether the time of day is synchronised")
    if ended.stdout.strip() == "yes":
        return ok("the time of day is synchronised")
    return warning("the time of day is not synchronised", "sudo timedatectl set-ntp true; certificates depend on it")
