import json
import multiprocessing
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.results.schema import Campaign
from orchestrator.results.store import Store, holds_campaign
from tests.results import rows

CAMPAIGN = Campaign(name="c", created_at="now", suite={"name": "quick"}, inventory={}, versions={"portbench": "0.1.0"})
FAILED = rows.row("timing", rows.FAILURE, trial=7)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "new" / "campaign", CAMPAIGN)


def test_what_was_written_is_read_again(store: Store) -> None:
    written = [rows.artifact(), rows.check(), rows.timing([1, 2, 3]), rows.memory(5, 6), FAILED]
    for row in written:
        store.append(row)
    again = Store.open(store.folder)
    assert list(again.rows()) == written
    assert again.campaign == CAMPAIGN
    assert again.keys() == {row.key for row in written}


def test_description_can_be_replaced_while_the_rows_stay(store: Store) -> None:
    store.append(FAILED)
    store.describe(CAMPAIGN.model_copy(update={"runners": {"local/null": {"devices": ["cpu"]}}}))
    again = Store.open(store.folder)
    assert again.campaign.runners == {"local/null": {"devices": ["cpu"]}}
    assert list(again.rows()) == [FAILED]
    assert {path.name for path in store.folder.iterdir()} == {"campaign.json", "trials.jsonl"}


def test_row_torn_at_any_byte_is_dropped_and_the_next_one_is_whole(store: Store) -> None:
    store.append(rows.artifact())
    file = store.folder / "trials.jsonl"
    kept = file.stat().st_size
    store.append(FAILED)
    whole = file.read_bytes()
    for length in range(kept, len(whole)):
        file.write_bytes(whole[:length])
        assert store.keys() == {rows.artifact().key}
        store.append(FAILED)
        assert file.read_bytes() == whole


def test_torn_row_longer_than_any_buffer_is_dropped(store: Store) -> None:
    store.append(FAILED)
    with (store.folder / "trials.jsonl").open("ab") as file:
        file.write(b"x" * 1_000_000)
    store.append(rows.artifact())
    assert list(store.rows()) == [FAILED, rows.artifact()]


def _append_some(folder: Path, first_trial: int) -> None:
    store = Store.open(folder)
    for trial in range(first_trial, first_trial + 5):
        store.append(rows.timing(range(1, 20_001), trial=trial))


def test_hosts_append_long_rows_side_by_side(store: Store) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(target=_append_some, args=(store.folder, first))
        for first in (100, 200)
    ]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda first: _append_some(store.folder, first), (300, 400)))
    for process in processes:
        process.join()
    trials = sorted(row.trial for row in store.rows())
    assert trials == [hundred + trial for hundred in (100, 200, 300, 400) for trial in range(5)]


def test_newer_row_is_refused_in_one_line_that_says_where(store: Store) -> None:
    store.append(FAILED)
    newer = json.loads(FAILED.model_dump_json()) | {"schema_version": 2, "new": 1}
    with (store.folder / "trials.jsonl").open("a") as file:
        file.write(json.dumps(newer) + "\n")
    with pytest.raises(UsageError, match=r"trials\.jsonl:2: .*newer.*update portbench") as caught:
        store.keys()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"[1]", b'{"a": 1}', b"\xff\xfe", b"null", b'{"schema_version": "x"}'])
def test_foreign_row_is_refused_in_one_line_that_says_where(store: Store, line: bytes) -> None:
    (store.folder / "trials.jsonl").write_bytes(line + b"\n")
    store.append(FAILED)
    with pytest.raises(UsageError, match=r"trials\.jsonl:1: .*restore or remove") as caught:
        store.keys()
    assert "\n" not in str(caught.value)


def test_folder_without_a_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no campaign here.*portbench run"):
        Store.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"schema_version": 9}'])
def test_foreign_campaign_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "campaign.json").write_text(content)
    with pytest.raises(UsageError, match=r"campaign\.json"):
        Store.open(tmp_path)


def test_second_campaign_in_a_folder_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="a campaign already"):
        Store.create(store.folder, CAMPAIGN)


def test_file_in_the_way_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be written.*choose a folder"):
        Store.create(tmp_path / "file" / "campaign", CAMPAIGN)


def test_folder_with_too_long_a_name_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too long; choose another folder$") as caught:
        holds_campaign(tmp_path / ("x" * 300))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_folder_that_one_may_not_enter_is_a_users_mistake(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    with pytest.raises(UsageError, match=r"Permission denied; choose another folder$"):
        holds_campaign(closed / "campaign")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_can_be_read_but_not_written(store: Store) -> None:
    store.append(FAILED)
    (store.folder / "trials.jsonl").chmod(0o444)
    assert store.keys() == {FAILED.key}
    with pytest.raises(UsageError, match="cannot be written"):
        store.append(FAILED)


def test_row_for_which_there_is_no_room_leaves_the_others_whole(store: Store) -> None:
    store.append(FAILED)
    file = store.folder / "trials.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 100, hard))
    try:
        with pytest.raises(UsageError, match=r"cannot be written.*choose a folder with room"):
            store.append(rows.artifact())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.rows()) == [FAILED]
    assert file.read_bytes().endswith(b"\n")
