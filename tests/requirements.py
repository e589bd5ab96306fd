"""What the runners' images are made to hold, as docker/requirements/ says it."""

import re
from importlib.metadata import packages_distributions
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docker" / "requirements"


def distributions(image: str) -> list[str]:
    """What the image has for its runtime alone, beyond what every runner has, in the order of its requirements file."""
    found: list[str] = []
    for line in (FOLDER / f"{image}.in").read_text().splitlines():
        if included := re.match(r"-r (\S+)\.in", line):
            found += distributions(included[1]) if included[1] != "null" else []
        elif named := re.match(r"[\w.-]+", line):
            found.append(named[0])
    return [] if image == "null" else found


def packages(image: str) -> set[str]:
    """The import names of these; of a build that is not installed here, such as one for GPUs, what its name says."""
    names: dict[str, set[str]] = {}
    for package, holders in packages_distributions().items():
        for holder in holders:
            names.setdefault(re.sub(r"[-_.]+", "-", holder).lower(), set()).add(package)
    return set().union(*(names.get(name, {re.sub(r"-(cpu|gpu)$", "", name)}) for name in distributions(image)))
