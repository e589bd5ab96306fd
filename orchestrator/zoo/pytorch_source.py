"""Training, exporting and asking PyTorch models; runs in a process of its own (orchestrator.isolated)."""

import copy
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from orchestrator.artifacts import JSON
from orchestrator.errors import Stage
from orchestrator.isolated import failing_at, tell
from orchestrator.zoo import Recipe
from orchestrator.zoo.training import Budget, Samples, accuracy, build

_ANSWER_BATCH = 256
_SHIFT = 4


def train(
    *,
    module: str,
    arguments: dict[str, JSON],
    data: str,
    target: str,
    recipe: dict[str, Any],
    time_budget_s: float | None,
    seed: int,
) -> dict[str, JSON]:
    """Trains the network that `module` builds with `arguments` on the archive `data`, writes it to `target` as .pt2
    with an open batch.

    Returns:
        How long it was trained and how far it came.
    """
    hyper = Recipe(**recipe)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    samples = Samples(data)
    model = build(module, arguments)
    budget = Budget(time_budget_s)
    course = _fit(model, samples, hyper, budget)
    trained_s = budget.spent_s
    with failing_at(Stage.EXPORT):
        # The example, which goes into the archive, tells nothing of the data.
        exported = export(model.eval(), (torch.from_numpy(np.zeros_like(samples.inputs("test")[:2])),), Path(target))
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pretrained": False,
        "trained_s": trained_s,
        "steps": course.steps,
        "epochs": course.steps / -(-len(samples.labels("train")) // hyper.batch_size),
        "ended_by": "time_budget" if course.stopped else "epochs",
        "train_loss": course.loss,
        "validation_accuracy": course.validation_accuracy,
        "bytes_with_optimizer": course.bytes_with_optimizer,
        **exported,
    }


def answer(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes the answers of the .pt2 file `source` to every sample of `inputs` to the archive `target`."""
    model = load(source).module()
    with np.load(inputs) as archive, torch.inference_mode():
        batches = zip(*(torch.from_numpy(archive[name]).split(_ANSWER_BATCH) for name in archive.files), strict=True)
        answered = [torch.utils._pytree.tree_leaves(model(*batch)) for batch in batches]
    answers = (torch.cat(pieces).numpy() for pieces in zip(*answered, strict=True))
    np.savez(target, **{f"output_{index}": answer for index, answer in enumerate(answers)})
    return {}


def load(path: str) -> torch.export.ExportedProgram:
    """The program of a .pt2 file of any name."""
    with Path(path).open("rb") as file:
        return torch.export.load(file)


def export(model: nn.Module, examples: tuple[torch.Tensor, ...], target: Path) -> dict[str, JSON]:
    """Writes a .pt2 file in which the first axis of all inputs is open, with these inputs in it.

    It has no stack traces, which tell where portbench is installed, and one name inside: equal models give equal bytes.

    Returns:
        Nothing, or for a network that fixes that axis, which then stays as in the examples, its reason.
    """
    model.requires_grad_(False)
    open_batch = tuple({0: torch.export.Dim.DYNAMIC} for _ in examples)
    facts: dict[str, JSON] = {}
    try:
        program = torch.export.export(model, examples, dynamic_shapes=open_batch)
    except Exception as error:  # a network's own code raises what it likes
        facts["fixed_batch_because"] = " ".join(f"{type(error).__name__}: {error}".split())[:600]
        program = torch.export.export(model, examples)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        saved = Path(folder) / "model.pt2"
        torch.export.save(program, saved)
        saved.replace(target)
    return facts


@dataclass
class _Course:
    """How training went: `loss` is the mean of the last epoch, as far as it went; the accuracy is that of the weights
    with which it ends."""

    steps: int = 0
    loss: float = 0.0
    validation_accuracy: float = -1.0
    stopped: bool = False
    bytes_with_optimizer: int = 0


def _fit(model: nn.Module, samples: Samples, hyper: Recipe, budget: Budget) -> _Course:
    """Ends with the weights of the best epoch, the last of equals, if the recipe wants them."""
    optimizer = _optimizer(model, hyper)
    decay = torch.optim.lr_scheduler.StepLR(optimizer, hyper.decay_epochs or hyper.epochs + 1)
    course, best_weights = _Course(), model.state_dict()
    for epoch in range(1, hyper.epochs + 1):
        _epoch(model.train(), optimizer, samples, hyper, budget, course)
        decay.step()
        reached = accuracy(_answers(model.eval(), samples.inputs("validation")), samples.labels("validation"))
        tell(f"epoch {epoch}: loss {course.loss:.3f}, val_accuracy {reached:.3f}")
        if reached >= course.validation_accuracy or not hyper.keep_best:
            course.validation_accuracy, best_weights = reached, copy.deepcopy(model.state_dict())
        if course.stopped:
            break
    course.bytes_with_optimizer = _size({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    model.load_state_dict(best_weights)
    return course


def _optimizer(model: nn.Module, hyper: Recipe) -> torch.optim.Optimizer:
    if hyper.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), hyper.learning_rate)
    return torch.optim.SGD(model.parameters(), hyper.learning_rate, hyper.momentum)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    hyper: Recipe,
    budget: Budget,
    course: _Course,
) -> None:
    inputs, labels = (torch.from_numpy(array) for array in (samples.inputs("train"), samples.labels("train")))
    order = torch.randperm(len(labels)) if hyper.shuffle else torch.arange(len(labels))
    total, seen = 0.0, 0
    for chosen in order.split(hyper.batch_size):
        optimizer.zero_grad()
        batch = _augmented(inputs[chosen]) if hyper.augment else inputs[chosen]
        loss = _loss(model(batch), labels[chosen])
        loss.backward()
        if hyper.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), hyper.clip_norm)
        optimizer.step()
        course.steps += 1
        total, seen = total + loss.item() * len(chosen), seen + len(chosen)
        if budget.is_over:
            course.stopped = True
            break
    course.loss = total / seen


def _loss(answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of logits of several classes, or of one probability."""
    if answers.shape[1] == 1:
        return nn.functional.binary_cross_entropy(answers[:, 0], labels.float())
    return nn.functional.cross_entropy(answers, labels)


def _augmented(images: torch.Tensor) -> torch.Tensor:
    """Each mirrored by chance, and moved by chance by up to 4 pixels over a frame of zeros."""
    count, _, height, width = images.shape
    mirrored = torch.where(torch.rand(count, 1, 1, 1) < 0.5, images.flip(3), images)
    framed = nn.functional.pad(mirrored, (_SHIFT,) * 4)
    offsets = torch.randint(0, 2 * _SHIFT + 1, (count, 2)).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(framed, offsets, strict=True)])


def _answers(model: Any, inputs: NDArray[Any]) -> NDArray[Any]:
    with torch.inference_mode():
        batches = torch.from_numpy(inputs).split(_ANSWER_BATCH)
        return np.concatenate([model(batch).numpy() for batch in batches])


def _size(state: dict[str, Any]) -> int:
    file = io.BytesIO()
    torch.save(state, file)
    return file.tell()
