"""Attacks from archive to archive; in a process of its own (orchestrator.isolated)."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.artifacts import JSON
from orchestrator.cases import Attack
from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.robustness import ATTACKS, decision
from orchestrator.robustness.chunks import Arrays, in_chunks
from runner_api.v1 import runner_pb2 as api


def on_source(
    *,
    source_framework: str,
    source: str,
    training: str,
    inputs: str,
    labels: list[int],
    attack: dict[str, Any],
    seed: int,
    chunks: str,
    target: str,
) -> dict[str, JSON]:
    """Writes what an attack on a source model makes of the archive `inputs` to the archive `target`, as array `input`.

    Args:
        source_framework: of the model.
        source: path of the model in its source framework's format.
        training: path of the data set's archive, for attacks that learn from it.
        inputs: path; images in [0, 1] or tokens, samples first.
        labels: the right classes, which the model answers.
        attack: the fields of an `Attack`.
        seed: of the draws.
        chunks: folder for what is finished, see `in_chunks`.
        target: path.

    Returns:
        `crafting_ns`, and `queries` to the model, None unless the attack counts them.
    """
    wanted, given = Attack(**attack), _read(inputs)
    module = importlib.import_module(ATTACKS[wanted.name].module)
    work = module.attacking(wanted, source_framework, source, training, given, np.array(labels), seed)
    return _write(wanted, len(given), work, chunks, target)


def on_runner(
    *,
    runner: str,
    endpoint: dict[str, str | None],
    session: dict[str, Any],
    answers_timeout_s: float,
    inputs: str,
    attack: dict[str, Any],
    seed: int,
    chunks: str,
    target: str,
) -> dict[str, JSON]:
    """As `on_source`, on a model where it lives: the attack's questions go to the runner.

    Args:
        runner: its name.
        endpoint: the texts of its Endpoint; it has the artifact already.
        session: the fields of the contract's Session.
        answers_timeout_s: for all answers together.
        inputs: as for `on_source`, and so are all below.
        attack: one that needs classes only.
        seed: of the draws.
        chunks: folder.
        target: path.

    Raises:
        CaseFailure: as `RunnerClient.predict`; finished chunks are kept.
    """
    wanted, given = Attack(**attack), _read(inputs)
    with (
        RunnerClient(runner, Endpoint.from_texts(endpoint)) as client,
        client.dialogue(api.Session(**session), answers_timeout_s) as model,
    ):
        work = decision.attacking(wanted, lambda batch: model.ask({"input": batch}), given, seed)
        return _write(wanted, len(given), work, chunks, target)


def _read(inputs: str) -> NDArray[Any]:
    with np.load(inputs) as archive:
        given: NDArray[Any] = archive["input"]
    return given


def _write(wanted: Attack, count: int, work: Callable[[slice], Arrays], chunks: str, target: str) -> dict[str, JSON]:
    made, crafting_ns = in_chunks(Path(chunks), count, ATTACKS[wanted.name].chunk, work)
    with Path(target).open("wb") as file:
        np.savez(file, input=made["input"])
    return {"crafting_ns": crafting_ns, "queries": int(made["queries"].sum()) if "queries" in made else None}
