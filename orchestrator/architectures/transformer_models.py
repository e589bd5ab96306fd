"""Architectures of the package transformers, small ones with random weights, each as the function of its name here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchestrator.architectures import CLASSES, SAMPLES, SEED

PIXELS = 64
TOKENS, WORDS = 32, 1000
SOUND_SAMPLES = 8_000
"""Half a second at 16 kHz."""

_LAYERS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
_WORDS = _LAYERS | {"vocab_size": WORDS, "pad_token_id": 0}
_PATCHES = _LAYERS | {"image_size": PIXELS, "patch_size": 8}
_DECODER = _WORDS | {"num_key_value_heads": 2, "use_cache": False}
_OF_GPT2 = {"vocab_size": WORDS, "n_embd": 64, "n_layer": 2, "n_head": 2, "pad_token_id": 0, "use_cache": False}
_OF_SWIN = {"image_size": PIXELS, "window_size": 4, "depths": [2, 2, 2], "num_heads": [3, 6, 12]}
_OF_T5 = {"vocab_size": WORDS, "d_model": 64, "d_kv": 32, "d_ff": 128, "num_layers": 2, "num_heads": 2}
_OF_DISTILBERT = {"vocab_size": WORDS, "dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128}


@dataclass(frozen=True)
class Architecture:
    """A class of transformers, what makes it small, the name of what it takes and of the output that is asked for."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    takes: str = "pixel_values"
    gives: str = "logits"


def _text(model: str, settings: Mapping[str, Any], gives: str = "logits") -> Architecture:
    return Architecture(model, settings, "input_ids", gives)


ARCHITECTURES = {
    "albert": _text("AlbertForSequenceClassification", _WORDS | {"embedding_size": 32}),
    "bert": _text("BertForSequenceClassification", _WORDS),
    "deberta_v2": _text("DebertaV2ForSequenceClassification", _WORDS),
    "distilbert": _text("DistilBertForSequenceClassification", _OF_DISTILBERT),
    "electra": _text("ElectraForSequenceClassification", _WORDS | {"embedding_size": 32}),
    "fnet": _text("FNetForSequenceClassification", _WORDS),
    "gpt2": _text("GPT2ForSequenceClassification", _OF_GPT2),
    "llama": _text("LlamaForCausalLM", _DECODER),
    "mpnet": _text("MPNetForSequenceClassification", _WORDS),
    "roberta": _text("RobertaForSequenceClassification", _WORDS),
    "t5_encoder": _text("T5EncoderModel", _OF_T5, "last_hidden_state"),
    "convnextv2": Architecture("ConvNextV2ForImageClassification"),
    "deit": Architecture("DeiTForImageClassification", _PATCHES),
    "dinov2": Architecture("Dinov2ForImageClassification", _PATCHES),
    "levit": Architecture("LevitForImageClassification", {"image_size": PIXELS}),
    "mobilenet_v2": Architecture("MobileNetV2ForImageClassification", {"image_size": PIXELS}),
    "mobilevit": Architecture("MobileViTForImageClassification", {"image_size": PIXELS}),
    "poolformer": Architecture("PoolFormerForImageClassification"),
    "regnet": Architecture("RegNetForImageClassification"),
    "resnet": Architecture("ResNetForImageClassification"),
    "segformer": Architecture("SegformerForImageClassification"),
    "swin": Architecture("SwinForImageClassification", _OF_SWIN),
    "vit": Architecture("ViTForImageClassification", _PATCHES),
    "wav2vec2": Architecture("Wav2Vec2ForSequenceClassification", _LAYERS, "input_values"),
}


def __getattr__(name: str) -> Callable[[], Any]:
    if name not in ARCHITECTURES:
        raise AttributeError(f"{__name__} has no {name}; it has {', '.join(ARCHITECTURES)}")
    return partial(_build, ARCHITECTURES[name])


def _build(architecture: Architecture) -> Any:
    """A torch module with one output, and what it takes: of images float32, of texts int64 indices of words."""
    import torch
    import transformers

    class OneOutput(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        def __init__(self) -> None:
            super().__init__()
            kind = getattr(transformers, architecture.model)
            self.model = kind(kind.config_class(**architecture.settings, num_labels=CLASSES))

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.model(**{architecture.takes: given})[architecture.gives]

    torch.manual_seed(SEED)
    return OneOutput().eval(), _inputs(architecture.takes)


def _inputs(takes: str) -> Any:
    import torch

    if takes == "input_ids":
        return torch.randint(2, WORDS, (SAMPLES, TOKENS))
    return torch.rand(SAMPLES, SOUND_SAMPLES) if takes == "input_values" else torch.rand(SAMPLES, 3, PIXELS, PIXELS)
