"""The two LeNets, trained once for all tests."""

from collections.abc import Callable
from functools import cache as once

import pytest

from orchestrator import preparation
from orchestrator.artifacts import Cache
from orchestrator.robustness.crafted import Source
from tests.conversion.sources import SEED, TRAINING

SourceOf = Callable[[str], Source]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def source_of(cache: Cache) -> SourceOf:
    """The session's LeNet of a source framework, trained when first asked for."""

    def trained(framework: str) -> Source:
        origin = preparation.Origin("lenet5", framework, "digits")
        inputs = preparation.prepare_inputs(cache, origin)
        artifact = preparation.prepare_source(cache, origin, TRAINING, SEED)
        answers = preparation.source_answers(cache, artifact, framework, inputs)
        return Source(cache, origin, artifact, inputs, answers["output_0"])

    return once(trained)


@pytest.fixture(scope="session", params=["keras", "pytorch"])
def source(source_of: SourceOf, request: pytest.FixtureRequest) -> Source:
    return source_of(request.param)
