"""One runner per runtime for the whole session."""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.runners.runner import Runner, running


@pytest.fixture(scope="session")
def runner_of() -> Iterator[Callable[[str], Runner]]:
    """The session's runner of a runtime, started when first asked for."""
    with contextlib.ExitStack() as stack:
        yield cache(lambda runtime: stack.enter_context(running(runtime)))
