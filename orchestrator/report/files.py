"""The files of a report: made of the results at any time, never read again."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.report import exports
from orchestrator.report.markdown import markdown
from orchestrator.results.schema import Campaign
from orchestrator.results.summary import CaseSummary


def write(campaign: Campaign, cases: Sequence[CaseSummary], folder: Path) -> list[Path]:
    """Writes them into `folder`, which is made if need be, over those of an earlier report; their paths.

    Raises:
        UsageError: the folder cannot be written.
    """
    page, table, columns = (folder / name for name in ("report.md", "summary.csv", "summary.parquet"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(markdown(campaign.name, cases), encoding="utf-8")
        exports.write_csv(cases, table)
        exports.write_parquet(cases, columns)
    except OSError as error:
        raise UsageError(f"{folder}: no report can be written here: {error.strerror}; name another --out") from None
    return [page, table, columns]
