"""What all tests share."""

import contextlib
import os
import random

import pytest

from runners.measure import cuda

with contextlib.suppress(ImportError):  # `make gpu-check` does without its packages
    import hypothesis

    # Tests bound no times; a failure says with which seed it is seen again.
    hypothesis.settings.register_profile("portbench", deadline=None, print_blob=True, derandomize=False)
    hypothesis.settings.load_profile("portbench")


SEED = int(os.environ.get("PORTBENCH_SEED") or random.randrange(2**32))  # noqa: S311 - nothing is kept secret with it


def pytest_report_header() -> str:
    """What seed the mutated artifacts come from."""
    return f"seed: PORTBENCH_SEED={SEED}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked `gpu` or `docker` is skipped without one, or fails where an engine is required, as in CI."""
    if item.get_closest_marker("gpu") is not None and not cuda.devices():
        pytest.skip(f"no GPU: {cuda.remedy('cuda:0')}")
    if item.get_closest_marker("docker") is not None:
        _require_engine()


def _require_engine() -> None:
    import orchestrator.launch.docker as launcher  # `make gpu-check` does without its packages

    if (problem := launcher.problem()) is None:
        return
    if os.environ.get("PORTBENCH_REQUIRE_DOCKER"):
        pytest.fail(f"PORTBENCH_REQUIRE_DOCKER is set and no engine can be used: {problem}")
    pytest.skip(f"no Docker engine can be used: {problem}")
