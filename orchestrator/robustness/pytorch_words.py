"""A recurrent PyTorch network as the attacks on texts ask it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.robustness.words import Floats, Tokens, Victim
from orchestrator.zoo import pytorch_source

_BATCH = 256


def victim(path: str) -> Victim:
    """The network of the .pt2 file `path`: it embeds its tokens once and answers the probability of class 1."""
    return _Network(pytorch_source.load(path))


class _Embedding(torch.fx.Interpreter):  # type: ignore[misc]  # torch is not type-checked
    """Runs a program and keeps what it embeds its tokens by and to, the latter as a leaf to differentiate by."""

    weights: torch.Tensor
    embedded: torch.Tensor

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super().call_function(target, args, kwargs)
        if target is not torch.ops.aten.embedding.default:
            return result
        self.weights, self.embedded = args[0], result.detach().requires_grad_()
        return self.embedded


class _Network:
    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._module = program.module()
        self._embedding = _Embedding(self._module)
        self._embedding.run(*program.example_inputs[0])
        self.embedding: Floats = self._embedding.weights.detach().numpy()

    def probabilities(self, tokens: Tokens) -> Floats:
        with torch.inference_mode():
            parts = [self._module(part)[:, 0].numpy() for part in torch.from_numpy(tokens).split(_BATCH)]
        return np.concatenate(parts)

    def gradients(self, tokens: Tokens, labels: NDArray[np.int64]) -> Floats:
        parts = zip(*(torch.from_numpy(array).split(_BATCH) for array in (tokens, labels)), strict=True)
        return np.concatenate([self._gradients(*part).numpy() for part in parts])

    def _gradients(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        answers = self._embedding.run(tokens)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy(answers, labels.float(), reduction="sum")
        (gradients,) = torch.autograd.grad(loss, self._embedding.embedded)
        return gradients
