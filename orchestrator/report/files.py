"""The files of a report: made of the results at any time, never read again."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.report import exports
from orchestrator.report.html.curves import Curves
from orchestrator.report.html.page import page
from orchestrator.report.markdown import markdown
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary


def write(campaign: Campaign, cases: Sequence[CaseSummary], curves: Curves, folder: Path) -> list[Path]:
    """Writes them into `folder`, which is made if need be, over those of an earlier report.

    Returns:
        Their paths, the page first.

    Raises:
        UsageError: the folder cannot be written.
    """
    names = ("report.html", "report.md", "summary.csv", "summary.parquet")
    html, text, table, columns = paths = [folder / name for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        html.write_text(page(campaign, cases, curves), encoding="utf-8")
        text.write_text(markdown(campaign.name, cases), encoding="utf-8")
        exports.write_csv(cases, table)
        exports.write_parquet(cases, columns)
    except OSError as error:
        raise UsageError(f"{folder}: no report can be written here: {error.strerror}; name another --out") from None
    return paths
