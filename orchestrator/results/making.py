"""How an artifact came to be, from the details of its row. Pure."""

from collections.abc import Mapping
from typing import Any

from scipy.stats import binomtest

from orchestrator.results.schema import Row


def of_source(row: Row) -> dict[str, Any]:
    """What holds for a network and all that was converted from it: fields of a CaseSummary; null where not known.

    A network counts as trained when the share of right labels is above the share of the most frequent class by more
    than chance explains (one side of Wilson's 95 % interval).
    """
    details = _details(row)
    recipe = details.get("recipe")
    return {
        "trained": _is_trained(details),
        "trained_s": details.get("trained_s"),
        "epochs": details.get("epochs"),
        "planned_epochs": recipe.get("epochs") if isinstance(recipe, dict) else None,
        "bytes_with_optimizer": details.get("bytes_with_optimizer"),
    }


def of_conversion(row: Row) -> dict[str, Any]:
    """What the conversion itself took: fields of a CaseSummary; empty for what was not converted."""
    details = _details(row)
    if "conversion_ns" not in details:
        return {}
    return {"conversion_ns": details["conversion_ns"], "conversion_peak_bytes": details.get("peak_bytes")}


def _is_trained(details: Mapping[str, Any]) -> bool | None:
    if "test_accuracy" not in details:
        return None
    samples = details["test_samples"]
    right = round(details["test_accuracy"] * samples)
    lowest = binomtest(right, samples).proportion_ci(0.95, "wilson").low
    return bool(lowest > details["majority_share"])


def _details(row: Row) -> Mapping[str, Any]:
    return row.artifact.details if row.artifact else {}
