"""The decision-based attack on a model where it lives: its questions go to the runner. In a process of its own."""

from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.artifacts import JSON
from orchestrator.cases import Attack
from orchestrator.client import RunnerClient
from orchestrator.robustness import ATTACKS, decision
from orchestrator.robustness.chunks import in_chunks
from runner_api.v1 import runner_pb2 as api


def craft(
    *,
    runner: str,
    address: str,
    session: dict[str, Any],
    inputs: str,
    attack: dict[str, Any],
    seed: int,
    answers_timeout_s: float,
    chunks: str,
    target: str,
) -> dict[str, JSON]:
    """Writes what the attack makes of the images of the archive `inputs` to the archive `target`, as array `input`.

    Args:
        runner: its name.
        address: its gRPC target; it has the artifact already.
        session: the fields of the contract's Session.
        inputs: path; images in [0, 1], shape (N, ...).
        attack: the fields of an `Attack`.
        seed: of the draws.
        answers_timeout_s: for all answers together.
        chunks: folder for what is finished, see `in_chunks`.
        target: path.

    Returns:
        `crafting_ns` and `queries`.

    Raises:
        CaseFailure: as `RunnerClient.predict`; finished chunks are kept.
    """
    wanted = Attack(**attack)
    with np.load(inputs) as archive:
        images = archive["input"]
    with RunnerClient(runner, address) as client, client.dialogue(api.Session(**session), answers_timeout_s) as model:
        made, crafting_ns = in_chunks(
            Path(chunks),
            len(images),
            ATTACKS[wanted.name].chunk,
            lambda part: decision.attacked(lambda batch: model.ask({"input": batch}), images, part, wanted, seed),
        )
    with Path(target).open("wb") as file:
        np.savez(file, input=made["input"])
    return {"crafting_ns": crafting_ns, "queries": int(made["queries"].sum())}
