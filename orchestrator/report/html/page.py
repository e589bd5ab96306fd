"""The page: summaries, curves and environment in one self-contained HTML file.

Templates escape by themselves, and JSON is embedded so that no text in it can end its element: names and messages of
somebody else's results are text, never markup. The policy in the page's head lets only the scripts run that are here.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from orchestrator.report import claims, environment, robustness, units
from orchestrator.report.answer import answers, conversion_of, network_of, overall
from orchestrator.report.html.charts import attacks_drawn, cases_drawn
from orchestrator.report.html.columns import COLUMNS
from orchestrator.report.html.curves import Curves
from orchestrator.report.table import problems
from orchestrator.results.claims import Judged
from orchestrator.results.environment import facts
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary

_JSON: dict[str, Any] = {"separators": (",", ":"), "allow_nan": False}
_SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "report.js")


@dataclass(frozen=True)
class _Problem:
    """A remark on the case with that number."""

    number: int
    who: str
    mark: str
    words: str


def page(campaign: Campaign, cases: Sequence[CaseSummary], curves: Curves, judged: Sequence[Judged]) -> str:
    """The whole page; `curves` has watched the rows of the cases, `judged` are the study's claims."""
    found = list(_problems(cases))
    return _template().render(
        campaign=campaign,
        overall=overall(cases),
        answers=answers(cases),
        claims={"introduction": claims.INTRODUCTION, "headings": claims.HEADINGS, "told": claims.told(judged)},
        columns=COLUMNS,
        rows=[[column.shown(case) for column in COLUMNS] for case in cases],
        names=[f"{network_of(case)}, {_case(case)}" for case in cases],
        choices={key: _choices(cases, key) for key in ("network", "conversion", "device", "status")},
        beside=_side_by_side(cases),
        failures=_failures(cases),
        failed=[problem for problem in found if problem.mark in ("FAILED", "WRONG")],
        unstable=[problem for problem in found if problem.mark not in ("FAILED", "WRONG")],
        environment=[(fact, value, ", ".join(places)) for fact, value, places in environment.agreed(facts(campaign))],
        hosts=environment.hosts(campaign),
        data={
            "cases": htmlsafe_json_dumps(cases_drawn(cases), **_JSON),
            "attacks": htmlsafe_json_dumps(attacks_drawn(cases), **_JSON),
            "trials": htmlsafe_json_dumps(curves.of(cases), **_JSON),
        },
        css=Markup(_file("report.css")),  # noqa: S704 - ours
        scripts=[Markup(_file(name)) for name in _SCRIPTS],  # noqa: S704 - ours
        hashes=[_hash(_file(name)) for name in _SCRIPTS],
    )


def _case(case: CaseSummary) -> str:
    place = f"{case.host}, {case.device}" if case.runtime else "not executed"
    batch = f", batch {case.batch_size}" if case.batch_size is not None else ""
    threads = f", {case.threads} threads" if (case.threads or 1) > 1 else ""
    return units.literal(f"{conversion_of(case)} on {place}{batch}{threads}")


def _problems(cases: Sequence[CaseSummary]) -> Iterator[_Problem]:
    attacked = {id(case) for case in robustness.places(cases)}
    for number, case in enumerate(cases):
        told = [*problems(case), *(_failed_attacks(case) if id(case) in attacked else ())]
        yield from (
            _Problem(number, f"{network_of(case)}, {_case(case)}", mark, units.literal(it)) for mark, it in told
        )


def _failed_attacks(case: CaseSummary) -> Iterator[tuple[str, str]]:
    for attack in case.attacks:
        if attack.status != "ok":
            yield attack.status.upper(), f"{attack.attack}: {attack.stage} {attack.symptom}: {attack.message}"


def _choices(cases: Sequence[CaseSummary], key: str) -> list[str]:
    column = next(column for column in COLUMNS if column.key == key)
    return sorted({column.shown(case) for case in cases})


def _side_by_side(cases: Sequence[CaseSummary]) -> dict[str, Any] | None:
    """Medians of what was timed, one column per host and device; None where there is but one."""
    timed = [case for case in cases if case.median_ns is not None]
    places = list(dict.fromkeys(units.literal(f"{case.host}, {case.device}") for case in timed))
    if len(places) < 2:
        return None
    median = next(column for column in COLUMNS if column.key == "median")
    lines: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for case in timed:
        place = units.literal(f"{case.host}, {case.device}")
        line = (network_of(case), conversion_of(case), str(case.batch_size))
        threads = f" ({case.threads} threads)" if (case.threads or 1) > 1 else ""
        lines.setdefault(line, {}).setdefault(place, []).append(median.shown(case) + threads)
    shown = [
        (line, ["; ".join(cells.get(place, [units.UNKNOWN])) for place in places]) for line, cells in lines.items()
    ]
    return {"places": places, "lines": shown}


def _failures(cases: Sequence[CaseSummary]) -> dict[str, Any]:
    """How many cases and attacks failed or are wrong, by stage and symptom."""
    causes = [(case.stage, case.symptom) for case in cases]
    causes += [(attack.stage, attack.symptom) for case in robustness.places(cases) for attack in case.attacks]
    counted = Counter((str(stage), str(symptom)) for stage, symptom in causes if stage and symptom)
    symptoms = sorted({symptom for _, symptom in counted})
    stages = list(dict.fromkeys(stage for stage, _ in counted))
    return {
        "symptoms": symptoms,
        "lines": [(stage, [counted[stage, symptom] for symptom in symptoms]) for stage in stages],
    }


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return resources.files("orchestrator.report.html").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    loader = PackageLoader("orchestrator.report.html", "templates")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html")
