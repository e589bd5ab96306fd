"""The summaries as runs of MLflow, through its own package, which is an optional extra."""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.report import units
from orchestrator.report.answer import conversion_of, network_of
from orchestrator.results.attacks import AttackSummary
from orchestrator.results.pairs import CASE
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXTRA = "mlflow-skinny"
_SETTINGS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # a folder needs no database
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a mistyped address is told in seconds
}
_CASE_TAG = "portbench.case"
_PAGE = 1_000
_IN_METRICS = ("wrong_share", "source_wrong_share", "difference", "label_agreement", "distance", "scored")
"""What is logged of an attack."""


@dataclass(frozen=True)
class _Case:
    """What is logged of a case: its name as parameters, numbers as metrics, the rest as tags."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def log(campaign: Campaign, cases: Sequence[CaseSummary], tracking_uri: str) -> int:
    """Logs one run per case to the experiment that is named after the campaign, and tells how many.

    Metrics have the names of the columns of `summary.csv`. Cases that were logged before get their figures anew, in the
    run that they have.

    Raises:
        UsageError: MLflow's package is missing, or what keeps its runs refuses or cannot be reached.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise UsageError(
            f"--format mlflow needs MLflow's package; install it: {sys.executable} -m pip install {EXTRA}"
        ) from None
    try:
        _log(MlflowClient(tracking_uri), campaign, cases)
    except (MlflowException, OSError) as error:
        raise UsageError(f"MLflow at {tracking_uri}: {units.literal(str(error))}") from None
    return len(cases)


def _log(client: "MlflowClient", campaign: Campaign, cases: Sequence[CaseSummary]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    name = units.literal(campaign.name)
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    runs = dict(_runs(client, experiment))
    now_ms = time.time_ns() // 1_000_000
    for case in cases:
        told = _told(campaign, case)
        run = runs.get(told.tags[_CASE_TAG])
        if run is None:
            created = client.create_run(experiment, run_name=f"{network_of(case)}, {conversion_of(case)}")
            run = created.info.run_id
        client.log_batch(
            run,
            metrics=[Metric(key, value, now_ms, 0) for key, value in told.metrics.items()],
            params=[Param(key, value) for key, value in told.params.items()],
            tags=[RunTag(key, value) for key, value in told.tags.items()],
        )
        client.set_terminated(run, "FAILED" if case.status == "failed" else "FINISHED")


def _runs(client: "MlflowClient", experiment: str) -> Iterator[tuple[str, str]]:
    """By the case's tag, those that an earlier export made."""
    token: str | None = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        yield from ((run.data.tags.get(_CASE_TAG, ""), run.info.run_id) for run in page)
        token = page.token
        if not token:
            return


def _told(campaign: Campaign, case: CaseSummary) -> _Case:
    values = {field.name: getattr(case, field.name) for field in fields(case) if field.name != "attacks"}
    known = {name: value for name, value in values.items() if value is not None}
    params = {name: units.literal(str(known[name])) for name in CASE if name in known}
    figures = {name: value for name, value in known.items() if name not in CASE}
    metrics = {name: float(value) for name, value in figures.items() if _is_number(value)}
    for attack in case.attacks:
        metrics |= _of_attack(attack)
    tags = {f"portbench.{name}": units.literal(str(value)) for name, value in figures.items() if not _is_number(value)}
    tags["portbench.campaign"] = units.literal(campaign.name)
    tags["portbench.created_at"] = units.literal(campaign.created_at)
    tags[_CASE_TAG] = "/".join((tags["portbench.created_at"], *(params.get(name, "") for name in CASE)))
    return _Case(params, metrics, tags)


def _of_attack(attack: AttackSummary) -> dict[str, float]:
    """MLflow allows few characters in the names of metrics."""
    name = re.sub(r"[^\w.-]", "_", attack.attack)
    values = {figure: getattr(attack, figure) for figure in _IN_METRICS}
    return {f"attack.{name}.{figure}": float(value) for figure, value in values.items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
