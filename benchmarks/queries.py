"""The decision-based attack's questions over gRPC beside the same attack in this process, at batches of 64."""

import os
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.clock import timed
from orchestrator.artifacts import Cache, sha256_of
from orchestrator.client import RunnerClient
from orchestrator.launch.process import ProcessLauncher
from orchestrator.robustness import decision
from orchestrator.robustness.lockstep import Array, Counted
from orchestrator.runtimes import RUNNERS
from orchestrator.selftest.place import Subject
from orchestrator.selftest.subjects import quick_model
from runner_api.v1 import runner_pb2 as api

IMAGES = int(os.environ.get("BENCHMARK_ATTACKED_IMAGES", "40"))
REPEATS = 5
LOWEST_RATIO = 0.7
_ITERATIONS = 10
_TIMEOUT_S = 600


def run() -> dict[str, Any]:
    """In turn here and there, one thread each; the ratio is the median of the pairs'."""
    subject = quick_model(Cache())
    with np.load(subject.inputs) as archive:
        images = archive["input"][:IMAGES]
    here, there, session = [], [], _here(subject)
    with (
        ProcessLauncher().start(RUNNERS["onnxruntime-cpu"]) as launched,
        RunnerClient("onnxruntime-cpu", launched.endpoint) as client,
        client.dialogue(_session(client, subject), _TIMEOUT_S) as model,
    ):
        model.ask({"input": images[:1]})  # a runner loads its model with the first question
        for _ in range(REPEATS):
            here.append(_rate(lambda batch: session.run(None, {"input": batch})[0], images))
            there.append(_rate(lambda batch: model.ask({"input": batch}), images))
    ratio = float(np.median(np.divide(there, here)))
    return {
        "images": len(images),
        "queries_per_s_over_grpc": float(np.median(there)),
        "queries_per_s_in_process": float(np.median(here)),
        "ratio": ratio,
        "ratio_bound": LOWEST_RATIO,
        "ok": ratio >= LOWEST_RATIO,
    }


def _session(client: RunnerClient, subject: Subject) -> api.Session:
    sha256 = sha256_of(subject.model)
    client.put_artifact(subject.model, sha256)
    return api.Session(artifact_sha256=sha256, format=subject.format, device="cpu", threads=1)


def _here(subject: Subject) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(subject.model, options)


def _rate(answers: Any, images: Array) -> float:
    model = Counted(answers, decision.QUERY_BATCH_SIZE)
    _, attack_s = timed(lambda: decision.hopskipjump(model, images, images, "l2", _ITERATIONS, 0))
    return model.queries / attack_s
