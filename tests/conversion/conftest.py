"""The two LeNets, trained once for all tests."""

import pytest

from orchestrator import preparation
from orchestrator.artifacts import Cache
from tests.conversion.sources import SEED, TRAINING, Source


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", params=["keras", "pytorch"])
def source(cache: Cache, request: pytest.FixtureRequest) -> Source:
    framework: str = request.param
    origin = preparation.Origin("lenet5", framework, "digits")
    inputs = preparation.prepare_inputs(cache, origin)
    artifact = preparation.prepare_source(cache, origin, TRAINING, SEED)
    answers = preparation.source_answers(cache, artifact, framework, inputs)
    return Source(framework, inputs, artifact, answers["output_0"])
