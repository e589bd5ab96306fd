"""A PyTorch image classifier as ART attacks it."""

from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from numpy.typing import NDArray

from orchestrator.zoo import pytorch_source


class _Answering(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """An exported program; it has no mode of training, to which ART would switch it."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        self._call = program.module().forward

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._call(images)


class _Classifier(PyTorchClassifier):  # type: ignore[misc]  # ART is not type-checked
    """ART's own gradient of a class takes a pass through the network for each class that any of the inputs wants."""

    def class_gradient(self, x: NDArray[Any], label: Any = None, **_: Any) -> NDArray[np.float32]:
        """Of the logits `label`, one for each input, shape (N, 1, ...), or of all logits, shape (N, classes, ...)."""
        images = torch.from_numpy(x.astype(np.float32)).requires_grad_()
        classes = torch.arange(self.nb_classes) if label is None else torch.tensor(np.broadcast_to(label, (1, len(x))))
        logits = self.model(images)
        # An input has no part in the logits of another: their sum has the gradients of all.
        chosen = [logits[torch.arange(len(x)), wanted].sum() for wanted in classes]
        gradients = [torch.autograd.grad(logit, images, retain_graph=True)[0].numpy() for logit in chosen]
        return np.stack(gradients, axis=1)


def classifier(path: str) -> PyTorchClassifier:
    """Of the .pt2 file `path`, whose inputs are images in [0, 1] and whose answers are logits."""
    program = pytorch_source.load(path)
    (example,) = program.example_inputs[0]
    answering = _Answering(program)
    return _Classifier(
        answering,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(example.shape[1:]),
        nb_classes=answering(example).shape[-1],
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
