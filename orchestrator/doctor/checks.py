"""The list of checks, and making them: each survives whatever the machine answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from orchestrator.doctor.finding import Finding, LackingError, not_here, ok, problem, warning
from orchestrator.doctor.machine import Machine
from orchestrator.errors import CaseFailure, UsageError

if TYPE_CHECKING:
    from orchestrator.inventory import Inventory


@dataclass(frozen=True)
class Check:
    """`function`, of the form module:name below orchestrator.doctor, is imported when its turn comes.

    What it imports may be what is wrong with the machine.
    """

    name: str
    function: str


CHECKS = (
    Check("python", "packages:python"),
    Check("packages", "packages:required"),
    Check("conflicts", "packages:conflicts"),
    Check("stubs", "packages:stubs"),
    Check("engine", "engine:reachable"),
    Check("builder", "engine:builder"),
    Check("limits", "engine:limits"),
    Check("engine disk", "room:engine"),
    Check("images", "engine:images"),
    Check("memory", "room:memory"),
    Check("cache", "room:cache"),
    Check("results", "room:results"),
    Check("temporary files", "room:temporary"),
    Check("certificates", "certificates:validity"),
    Check("keys", "certificates:keys"),
    Check("time of day", "processor:synchronised"),
    Check("processors", "processor:cores"),
    Check("governor", "processor:governor"),
    Check("turbo", "processor:turbo"),
    Check("virtual machine", "processor:hypervisor"),
    Check("clock", "processor:clock"),
    Check("gpu", "gpu:driver"),
    Check("gpu in containers", "gpu:toolkit"),
    Check("noise", "noise:noise"),
)
"""In the order in which they are made and shown."""


def examine(inventory: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Name and finding of each check, as they come; with an inventory, of each of its runners, too.

    Raises:
        UsageError: the inventory is wrong.
    """
    if inventory is not None:
        from orchestrator.inventory import load_inventory
        from orchestrator.runtimes import RUNTIMES

        hosts = load_inventory(inventory, RUNTIMES)
    with Machine() as machine:
        for check in CHECKS:
            yield check.name, make(check, machine)
    if inventory is not None:
        yield from _runners(hosts)


def _runners(inventory: "Inventory") -> Iterator[tuple[str, Finding]]:
    from orchestrator.fleet import spread
    from orchestrator.launch import choose_launcher
    from orchestrator.survey import survey

    launcher, _ = choose_launcher("auto")
    for offer in survey(spread(inventory), launcher):
        name = f"{offer.host}/{offer.runner}"
        if offer.problem:
            yield name, problem(offer.problem, "correct the inventory or the host; 'portbench runners' tries it again")
        else:
            yield name, ok(f"answers, with {', '.join(offer.devices)}")


def make(check: Check, machine: Machine) -> Finding:
    """One check; what it raises is a finding."""
    try:
        function: Callable[[Machine], Finding] = resolve_name(f"orchestrator.doctor.{check.function}")
        return function(machine)
    except LackingError as error:
        return not_here(str(error))
    except (UsageError, CaseFailure) as error:
        return problem(str(error), "do what the message says")
    except ImportError as error:
        return problem(f"a package is missing or broken: {error}", "make setup")
    except Exception as error:
        told = " ".join(str(error).split()) or type(error).__name__
        return warning(f"could not be looked at: {told}", "nothing is known of it; report it with --json")
