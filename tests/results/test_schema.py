import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from orchestrator.results import description
from orchestrator.results.schema import Row
from tests.results import rows

RESULTS = Path(__file__).parents[2] / "results"
MAKE_AGAIN = "make it again: python -m orchestrator.results.description results"


def test_what_is_made_of_the_schema_says_what_it_says() -> None:
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == description.markdown(), MAKE_AGAIN
    assert (RESULTS / "trials.schema.json").read_text(encoding="utf-8") == description.json_schema(), MAKE_AGAIN


@pytest.mark.parametrize(
    "row",
    [
        rows.artifact(),
        rows.check(),
        rows.row("check", rows.wrong()),
        rows.timing([1] * 9),
        rows.row("timing", rows.FAILURE),
        rows.memory(1, 2),
        rows.attack([True, False], [True, True]),
    ],
    ids=lambda row: f"{row.kind} {row.status}",
)
def test_rows_are_as_the_json_schema_says(row: Row) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(description.json_schema()))
    written = json.loads(row.model_dump_json())
    validator.validate(written)
    assert not validator.is_valid(written | {"model": 7})
    assert not validator.is_valid(written | {"unheard_of": 7})


def test_every_field_is_described_with_its_unit() -> None:
    page = description.markdown()
    written = json.loads(rows.timing([1] * 9).model_dump_json())
    for name in (*written, *written["timing"]):
        assert f"| `{name}` |" in page
    lines = [line for line in page.splitlines() if "_ns` |" in line or "_bytes` |" in line]
    assert lines
    assert all(line.split(" | ")[2] in ("ns", "bytes") for line in lines)


def test_not_a_number_survives_the_file() -> None:
    written = rows.row("check", rows.wrong())
    read = Row.model_validate_json(written.model_dump_json())
    assert read.check is not None
    assert math.isnan(read.check.max_abs_error)
    assert read.check.mean_abs_error == math.inf


@pytest.mark.parametrize(
    "field",
    [
        *("kind", "model", "format", "runner", "batch_size", "threads", "trial"),
        *("artifact_sha256", "image_digest", "host_fingerprint", "isolation"),
    ],
)
def test_key_tells_what_differs(field: str) -> None:
    other: Any = {"kind": "memory", "batch_size": 2, "threads": 2, "trial": 1}.get(field, "other")
    row = rows.memory(1) if field == "kind" else rows.timing([1] * 9, **{field: other})
    assert row.key != rows.timing([1] * 9).key


def test_key_ignores_the_outcome() -> None:
    assert rows.timing([1] * 9).key == rows.row("timing", rows.FAILURE).key


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "ok"},
        {"status": "failed"},
        {"status": "ok", "memory": rows.memory(1).memory},
    ],
)
def test_half_a_row_is_refused(outcome: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rows.row("timing", outcome)


def test_blocks_must_sum_to_the_samples() -> None:
    section = rows.timing([1] * 9).timing
    assert section is not None
    with pytest.raises(ValidationError, match="do not sum"):
        type(section)(**section.model_dump() | {"samples_ns": (1, 2)})


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    written = json.loads(rows.check().model_dump_json())
    written["check"]["label_agreement"] = share
    with pytest.raises(ValidationError, match="between 0 and 1"):
        Row.model_validate_json(json.dumps(written))


def test_no_more_is_counted_than_was_attacked() -> None:
    written = json.loads(rows.attack([True], [True]).model_dump_json())
    written["robustness"]["only_source_wrong"] = 2
    with pytest.raises(ValidationError, match="more inputs are counted"):
        Row.model_validate_json(json.dumps(written))
