"""Every network of the study to every format, hardly trained: what is right does not depend on how good a network is.

One cell is drawn for every run of the tests, that at which converters fail most often; the others have the marker
`study`.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator import fidelity, preparation
from orchestrator.artifacts import Artifact, Cache
from orchestrator.conversion import CONVERSIONS, coreml
from orchestrator.runtimes import RUNNERS
from orchestrator.zoo import MODELS, Training
from runners.adapters import import_adapter
from tests.sources import targets

SAMPLES = 24
ALWAYS = ("gru", "keras")
FIXED_BATCH = {("vgg", "pytorch"): "Adaptive pooling"}
CELLS = [pytest.param(*cell, marks=() if cell == ALWAYS else pytest.mark.study) for cell in MODELS]
BYTES = {"float32": 4, "float16": 2}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "framework"), CELLS)
def test_all_conversions_answer_as_their_source_and_have_its_size(cache: Cache, name: str, framework: str) -> None:
    recurrent = MODELS[name, framework].inputs == "tokens"
    origin = preparation.Origin(name, framework, "reviews" if recurrent else "digits")
    inputs = preparation.prepare_inputs(cache, origin, SAMPLES)
    source = preparation.prepare_source(cache, origin, Training(time_budget_s=0.1, batch_size=8), 1)
    trained: dict[str, Any] = source.details
    assert source.size_bytes <= 4 * trained["parameters"] + 350_000  # no optimizer's state; PyTorch's holds its program
    # Its own copy of every weight, but for Keras's LeNet-5, which the study trains by plain gradient descent.
    state_bytes = 0 if (name, framework) == ("lenet5", "keras") else 4 * trained["parameters"]
    assert trained["bytes_with_optimizer"] > 4 * trained["parameters"] + 0.9 * state_bytes
    expected = preparation.source_answers(cache, source, framework, inputs)["output_0"]
    given = np.load(inputs.path)["input"]
    made = [(format_, precision) for format_ in targets(framework) for precision in CONVERSIONS[format_].precisions]
    for format_, precision in (each for each in made if each[1] in BYTES):  # the study knew no integers
        artifact = preparation.convert(cache, source, framework, format_, precision)
        details: dict[str, Any] = artifact.details
        answers = _answers(artifact, given)
        found = fidelity.compare(expected, answers, None, None)
        if precision == "float32":
            assert found.max_abs_error <= 5e-6 * max(1.0, float(np.abs(expected).max()))
            assert found.label_agreement == 1
        else:
            assert found.max_abs_error <= 1e-2 * max(1.0, float(np.abs(expected).max()))
            # Of a loop those that it begins with.
            assert set(details.get("float32_weights", {})) <= {"lstm", "while_loop"}
        if format_ == "coreml":
            why = FIXED_BATCH.get((name, framework))
            assert details["batch_sizes"] == ([1] if why else list(coreml.BATCH_SIZES))
            assert (why or "") in details.get("fixed_batch_because", "")
        assert details["operator_count"] < 250  # steps of a sequence stay loops
        if "lstm" not in details.get("float32_weights", {}) or precision == "float32":
            spare = 1.25 if recurrent and format_ == "coreml" else 1.02
            weights_bytes = BYTES[precision] * trained["parameters"]
            assert artifact.size_bytes <= spare * weights_bytes + 25_000 * BYTES[precision]


def _answers(artifact: Artifact, given: NDArray[Any]) -> NDArray[Any]:
    """By the first runtime of the table that executes it here."""
    kinds = (kind for kind in RUNNERS.values() if artifact.format in kind.formats and "cpu" in kind.devices)
    model = import_adapter(next(kinds).runtime).load(artifact.path, "cpu", 1)
    (spec,) = model.inputs
    (answers,) = model.fetch(model.bind({spec.name: given}, compute_only=False)()).values()
    return answers
