"""The suite `extended`; `make extended` runs it, with packages that the tests do without."""

from importlib import import_module
from pathlib import Path

from orchestrator import own
from orchestrator.artifacts import Cache
from orchestrator.suite import OwnEntry, load_suite


def test_it_names_more_than_thirty_architectures_that_there_are() -> None:
    entries = [entry for entry in load_suite("extended").models if isinstance(entry, OwnEntry)]
    assert len({entry.name for entry in entries}) > 30
    for entry in entries:
        module, _, name = (entry.factory or "").partition(":")
        assert callable(getattr(import_module(module), name))


def test_an_application_of_keras_is_built_and_stored(tmp_path: Path) -> None:
    built = own.bring(Cache(tmp_path), own.parse("orchestrator.architectures.keras_applications:mobilenetv3small"))
    assert (built.source_framework, built.inputs[0].shape) == ("keras", (None, 96, 96, 3))
