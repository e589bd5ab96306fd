"""What all tests share."""

import os

import pytest

import orchestrator.launch.docker as launcher


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without an engine, what is marked `docker` is skipped, or fails where an engine is required, as in CI."""
    if item.get_closest_marker("docker") is None or (problem := launcher.problem()) is None:
        return
    if os.environ.get("PORTBENCH_REQUIRE_DOCKER"):
        pytest.fail(f"PORTBENCH_REQUIRE_DOCKER is set and no engine can be used: {problem}")
    pytest.skip(f"no Docker engine can be used: {problem}")
