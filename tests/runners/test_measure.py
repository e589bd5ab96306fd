"""Measuring itself: stop rule, interference, memory, control groups."""

from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from runners.jobs import StopRule
from runners.measure import cgroup, environment, threads, timing
from runners.measure.memory import MemoryRecorder
from runners.measure.scheduling import WorkingThreads

MIB = 1 << 20


@pytest.mark.parametrize(("sample_ns", "samples"), [(0, 262_144), (39_000, 4), (30_000, 8), (300_000, 1), (10**9, 1)])
def test_blocks_take_about_a_third_of_a_millisecond(sample_ns: int, samples: int) -> None:
    assert timing.block_size(sample_ns) == samples


@pytest.mark.parametrize(("host_best_ns", "expected"), [(0, [0, 8, 16, 0, 8, 8, 8]), (200, [0, 8, 16, 24, 32, 40, 48])])
def test_blocks_are_judged_by_the_host_s_best_reference_or_again_by_each_better_one(
    host_best_ns: float, expected: list[int]
) -> None:
    blocks, threads = timing.Blocks(host_best_ns), WorkingThreads(lambda: None)
    undisturbed = []
    for reference_ns in (200, 205, 207, 100, 104, 160, 105):
        if blocks.references_ns:
            blocks.add_block(lambda: None, 8, threads)
        blocks.add_reference(reference_ns)
        undisturbed.append(blocks.undisturbed_samples)
    assert undisturbed == expected


def test_a_trial_without_a_quiet_moment_says_so() -> None:
    rule = StopRule(min_samples=1, min_time_ns=0, min_undisturbed_samples=1, max_time_ns=5_000_000, max_warmup_ns=0)
    warmup = timing.Warmup(duration_ns=0, samples=1, fastest_ns=300_000, settled=True)
    measured = timing.measure(lambda: None, rule, warmup, reference_best_ns=1.0)
    assert (measured["stopped_by"], measured["unmet"]) == ("max_time", ["min_undisturbed_samples"])


def test_the_warm_up_ends_when_it_settles_and_never_later_than_its_cap() -> None:
    settled = timing.warm_up(repeat(0).__next__, 10**12)
    cut_off = timing.warm_up(repeat(0).__next__, 0)
    assert settled.samples >= 10
    assert (settled.settled, cut_off.settled, cut_off.samples) == (True, False, 1)


@pytest.mark.parametrize("size_bytes", [32 * MIB, 256 * MIB])
def test_a_short_lived_allocation_is_in_the_peak_of_its_phase_only(size_bytes: int) -> None:
    recorder = MemoryRecorder()
    with recorder.phase("allocating"):
        np.ones(size_bytes, np.uint8)
    with recorder.phase("after"):
        pass
    start, allocating, after = recorder.result()["memory"]["phases"]
    assert allocating["peak_bytes"] - start["rss_bytes"] == pytest.approx(size_bytes, rel=0.01)
    assert after["peak_bytes"] < allocating["peak_bytes"] - size_bytes // 2


CONTAINER_V2 = {
    "proc/self/cgroup": "0::/app/runner",  # in the container's own namespace
    "proc/self/mountinfo": "29 22 0:26 / {root}/cgroup rw shared:4 - cgroup2 cgroup2 rw",
    "cgroup/app/cpu.max": "150000 100000",
    "cgroup/app/runner/cpu.max": "max 100000",
    "cgroup/memory.peak": "123456",
    "cgroup/app/runner/memory.peak": "654",
    "cgroup/app/runner/memory.max": "max",
    "cgroup/app/runner/memory.events": "low 0\noom 3\noom_kill 2",
}
CONTAINER_V1 = {
    "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/",
    "proc/self/mountinfo": (
        "31 22 0:28 /docker/abc {root}/memory ro - cgroup cgroup rw,memory\n"
        "32 22 0:29 /docker/abc {root}/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
        "33 22 0:30 / {root}/unified rw - cgroup2 cgroup2 rw"
    ),
    "cpu/cpu.cfs_quota_us": "150000",
    "cpu/cpu.cfs_period_us": "100000",
    "memory/memory.max_usage_in_bytes": "123456",
    "memory/memory.limit_in_bytes": "9223372036854771712",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
}


SESSION_V2 = {
    "proc/self/cgroup": "0::/user.slice/session-1.scope",
    "proc/self/mountinfo": "29 22 0:26 / {root}/cgroup rw shared:4 - cgroup2 cgroup2 rw",
    "cgroup/user.slice/session-1.scope/memory.peak": "123456",
}
SESSION_V1 = {
    "proc/self/cgroup": "4:memory:/user.slice\n0::/",
    "proc/self/mountinfo": "31 22 0:28 / {root}/memory rw - cgroup cgroup rw,memory",
    "memory/release_agent": "",
    "memory/memory.max_usage_in_bytes": "987654",
    "memory/user.slice/memory.max_usage_in_bytes": "123456",
}


@pytest.fixture
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts these files where the kernel's are read."""
    for name, content in request.param.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace("{root}", str(tmp_path)))
    monkeypatch.setattr(cgroup, "PROC_SELF", tmp_path / "proc/self")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("files", [CONTAINER_V2, CONTAINER_V1], ids=["version 2", "version 1"], indirect=True)
def test_reads_control_groups_of_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "affinity", lambda: 8)
    assert cgroup.cpu_quota() == 1.5
    assert threads.available_cpus() == 1
    assert cgroup.memory_peak_bytes() == 123456
    assert cgroup.memory_limit_bytes() is None
    assert cgroup.out_of_memory_kills() == 2


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("files", [SESSION_V2, SESSION_V1, {}], ids=["version 2", "version 1", "none"], indirect=True)
def test_a_user_s_session_is_not_a_container() -> None:
    assert cgroup.memory_peak_bytes() == 0


def test_the_environment_says_only_what_it_could_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq/scaling_max_freq").write_text("3600000\n")
    monkeypatch.setattr(environment, "_CPU0", tmp_path)
    facts = environment.environment()
    assert facts["frequency_max_khz"] == 3_600_000
    assert not facts.keys() & {"frequency_min_khz", "governor"}
