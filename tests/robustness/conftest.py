"""The two LeNets, as attacks take them."""

from collections.abc import Callable
from functools import cache as once

import pytest

from orchestrator.artifacts import Cache
from orchestrator.robustness.crafted import Source
from tests.sources import shared_cache, trained

SourceOf = Callable[[str], Source]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return shared_cache(tmp_path_factory)


@pytest.fixture(scope="session")
def source_of(cache: Cache) -> SourceOf:
    """The LeNet of a source framework."""

    def found(framework: str) -> Source:
        made = trained(cache, framework)
        return Source(cache, made.origin, made.artifact, made.inputs, made.answers)

    return once(found)


@pytest.fixture(scope="session", params=["keras", "pytorch"])
def source(source_of: SourceOf, request: pytest.FixtureRequest) -> Source:
    return source_of(request.param)
