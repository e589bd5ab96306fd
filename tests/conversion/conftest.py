"""The two LeNets."""

import pytest

from orchestrator.artifacts import Cache
from tests.sources import Source, shared_cache, trained


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return shared_cache(tmp_path_factory)


@pytest.fixture(scope="session", params=["keras", "pytorch"])
def source(cache: Cache, request: pytest.FixtureRequest) -> Source:
    return trained(cache, request.param)
