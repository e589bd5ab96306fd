"""Training, exporting and asking PyTorch models; runs in a process of its own (orchestrator.isolated)."""

import copy
import importlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from orchestrator.artifacts import JSON
from orchestrator.errors import Stage
from orchestrator.isolated import failing_at
from orchestrator.zoo import Recipe

_ANSWER_BATCH = 256


def train(
    *, module: str, data: str, target: str, recipe: dict[str, Any], time_budget_s: float | None, seed: int
) -> dict[str, JSON]:
    """Trains the network that `module` builds on the archive `data`, writes it to `target` as .pt2 with an open batch.

    Returns:
        How long it was trained, and the accuracy on samples that it never saw.
    """
    hyper = Recipe(**recipe)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    samples = {name: torch.from_numpy(array) for name, array in np.load(data).items()}
    model = importlib.import_module(module).build()
    begin_s = time.perf_counter()
    epochs, loss = _fit(model, samples, hyper, time_budget_s)
    trained_s = time.perf_counter() - begin_s
    model.eval()
    accuracy = {part: _accuracy(model, samples, part) for part in ("validation", "test")}
    with failing_at(Stage.EXPORT):
        _export(model, samples["test_inputs"], Path(target))
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained_s": trained_s,
        "epochs": epochs,
        "train_loss": loss,
        "validation_accuracy": accuracy["validation"],
        "test_accuracy": accuracy["test"],
    }


def answer(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes the answers of the .pt2 file `source` to every sample of `inputs` to the archive `target`."""
    model = load(source).module()
    np.savez(target, output_0=_answers(model, torch.from_numpy(np.load(inputs)["input"])).numpy())
    return {}


def load(path: str) -> torch.export.ExportedProgram:
    """The program of a .pt2 file of any name."""
    with Path(path).open("rb") as file:
        return torch.export.load(file)


def _fit(
    model: nn.Module, samples: dict[str, torch.Tensor], hyper: Recipe, time_budget_s: float | None
) -> tuple[int, float]:
    """Ends with the best epoch's weights, the last of equals; gives the number of epochs and the last one's loss."""
    optimizer = torch.optim.SGD(model.parameters(), hyper.learning_rate, hyper.momentum)
    decay = torch.optim.lr_scheduler.StepLR(optimizer, hyper.decay_epochs or hyper.epochs + 1)
    begin_s = time.perf_counter()
    best_accuracy, best_weights, epochs, loss = 0.0, model.state_dict(), 0, 0.0
    while epochs < hyper.epochs:
        epochs += 1
        loss = _epoch(model.train(), optimizer, samples["train_inputs"], samples["train_labels"], hyper)
        decay.step()
        accuracy = _accuracy(model.eval(), samples, "validation")
        if accuracy >= best_accuracy:
            best_accuracy, best_weights = accuracy, copy.deepcopy(model.state_dict())
        if time_budget_s is not None and time.perf_counter() - begin_s > time_budget_s:
            break
    model.load_state_dict(best_weights)
    return epochs, loss


def _epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor, labels: torch.Tensor, hyper: Recipe
) -> float:
    order = torch.randperm(len(labels)) if hyper.shuffle else torch.arange(len(labels))
    total = 0.0
    for chosen in order.split(hyper.batch_size):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(labels)


def _accuracy(model: nn.Module, samples: dict[str, torch.Tensor], part: str) -> float:
    answers = _answers(model, samples[f"{part}_inputs"])
    return float((answers.argmax(1) == samples[f"{part}_labels"]).double().mean())


def _answers(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([model(batch) for batch in inputs.split(_ANSWER_BATCH)])


def _export(model: nn.Module, inputs: torch.Tensor, target: Path) -> None:
    """Without stack traces, which tell where portbench is installed, and under one name, which the archive holds."""
    model.requires_grad_(False)
    example = torch.zeros_like(inputs[:2])  # goes into the archive; must not share the storage of all samples
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        saved = Path(folder) / "model.pt2"
        torch.export.save(program, saved)
        saved.replace(target)
