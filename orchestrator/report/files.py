"""The files of a report: made of the results at any time, never read again."""

import json
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.report import claims as claims_report
from orchestrator.report import exports
from orchestrator.report.html.curves import Curves
from orchestrator.report.html.page import page
from orchestrator.report.markdown import markdown
from orchestrator.report.plots.content import plots
from orchestrator.report.plots.process import Drawing
from orchestrator.results import claims
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import Measured

PLOTS = "plots"


def write(
    campaign: Campaign, measured: Sequence[Measured], curves: Curves, folder: Path, drawing: Drawing | None = None
) -> list[Path]:
    """Writes them into `folder`, which is made if need be, over those of an earlier report.

    Args:
        campaign: as its folder describes it.
        measured: from `summary.measure`.
        curves: has watched the rows of the cases.
        folder: of the report.
        drawing: what draws the plots, started before; else one is started.

    Returns:
        Their paths, the page first and the plots last.

    Raises:
        UsageError: the folder cannot be written.
    """
    cases, judged = [case.summary for case in measured], claims.judge(measured)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with drawing or Drawing() as drawn:
            images = drawn.begin(plots(cases, curves), folder / PLOTS)
            shown = [image.relative_to(folder).as_posix() for image in images]
            written = [
                _write(folder / "report.html", page(campaign, cases, curves, judged)),
                _write(folder / "report.md", markdown(campaign.name, cases, judged, shown)),
                exports.write_csv(cases, folder / "summary.csv"),
                exports.write_parquet(cases, folder / "summary.parquet"),
                _write(folder / "claims.json", _as_json(claims_report.as_object(judged))),
            ]
            drawn.finish()
    except OSError as error:
        raise UsageError(f"{folder}: no report can be written here: {error.strerror}; name another --out") from None
    return written + images


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _as_json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
