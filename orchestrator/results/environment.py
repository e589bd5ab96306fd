"""What a campaign ran on and with, and in what two campaigns differ. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from orchestrator.results.schema import Campaign

BUILD_HOST = "build host"

Facts: TypeAlias = dict[str, dict[str, JsonValue]]
"""Place -> name of a fact, its parts joined by dots -> value."""


@dataclass(frozen=True)
class Difference:
    """A fact that is another one at `places`; None where a campaign does not know it."""

    fact: str
    first: JsonValue
    second: JsonValue
    places: tuple[str, ...]


def facts(campaign: Campaign) -> Facts:
    """Of the build host and of each runner, which is named without its host where there is only one host."""
    hosts = {name.partition("/")[0] for name in campaign.runners}
    known: Facts = {BUILD_HOST: {f"versions.{name}": version for name, version in campaign.versions.items()}}
    for name, told in campaign.runners.items():
        known[name.partition("/")[2] if len(hosts) == 1 else name] = dict(_flat(told))
    return known


def differences(first: Campaign, second: Campaign) -> list[Difference]:
    """In the facts' order; places that differ alike stand together. A runner that one campaign lacks is one fact."""
    ours, theirs = facts(first), facts(second)
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    values: dict[tuple[str, str], tuple[JsonValue, JsonValue]] = {}
    for place in dict.fromkeys((*ours, *theirs)):
        for fact, pair in _differing(ours.get(place), theirs.get(place)):
            key = (fact, repr(pair))
            found[key].append(place)
            values[key] = pair
    return [Difference(fact, *values[fact, pair], tuple(places)) for (fact, pair), places in found.items()]


def _differing(
    first: dict[str, JsonValue] | None, second: dict[str, JsonValue] | None
) -> Iterator[tuple[str, tuple[JsonValue, JsonValue]]]:
    if first is None or second is None:
        yield "took part", (first is not None, second is not None)
        return
    for fact in dict.fromkeys((*first, *second)):
        if first.get(fact) != second.get(fact):
            yield fact, (first.get(fact), second.get(fact))


def _flat(value: dict[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner
