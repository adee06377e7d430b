"""Small bases and stacks to export, saved by Transformers and by PEFT alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.model.adapter import Adapter, load_adapter
from statllama.model.stack import attach_frozen
from statllama.release import forms, prompts
from statllama.release import verify as verifying
from statllama.release.source import Source
from statllama.release.verify import Opened
from tests.conftest import TEMPLATE, make_llama, make_tokenizer
from tests.reference import Lora, saved_lora
from tests.small_models import save_model

# Ranks, scales, kinds of scale and modules all differ.
STAGES = {
    "cpt": Lora(r=6, alpha=12.0),
    "sft": Lora(r=5, alpha=7.0, rslora=True, modules=("q_proj", "v_proj", "down_proj")),
    "dpo": Lora(r=2, alpha=3.0, modules=("q_proj", "o_proj", "gate_proj")),
}


def save_base(folder: Path, dtype: torch.dtype = torch.float32, shard: str = "1GB", **changes: Any) -> Any:
    """Save a random base with its tokenizer; returns the model. A Llama unless `model_type` is another architecture."""
    kind = changes.pop("model_type", "llama")
    if kind != "llama":
        return save_model(kind, folder, **changes)
    tokenizer = make_tokenizer()
    model = make_llama(len(tokenizer), **changes).to(dtype)
    model.save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    return model


def save_stages(model: Any, folder: Path, stages: dict[str, Lora] = STAGES, size: float = 0.1) -> list[Path]:
    """One folder a stage, saved by PEFT."""
    return [
        saved_lora(model, lora, folder / name, seed=i + 1, size=size) for i, (name, lora) in enumerate(stages.items())
    ]


def source_of(base: Path, folders: Sequence[Path] = (), adapters: Sequence[Adapter] = ()) -> Source:
    """A stack on a saved base, from saved adapters or from ones in memory."""
    found = tuple(load_adapter(folder) for folder in folders) or tuple(adapters)
    names = tuple(folder.name for folder in folders) or tuple(f"stage{i}" for i in range(len(found)))
    return Source("small", base, base, TEMPLATE, found, names)


def scales(stages: dict[str, Lora] = STAGES) -> list[float]:
    """The scale of each stage."""
    return [lora.scale for lora in stages.values()]


def norm(values: Sequence[float]) -> float:
    """Root of the sum of squares."""
    return math.sqrt(math.fsum(v * v for v in values))


def opened(source: Source) -> Opened:
    """The stack on the original base in float32."""

    @contextmanager
    def reference() -> Iterator[tuple[Any, Any]]:
        base = AutoModelForCausalLM.from_pretrained(source.base, dtype=torch.float32).eval()
        model = attach_frozen(base, source.adapters) if source.adapters else base
        yield model, AutoTokenizer.from_pretrained(source.tokenizer)

    return reference


@contextmanager
def fewer_questions() -> Iterator[None]:
    """A sixth of the predictions and a third of the texts: what is planted here is no near miss."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ROWS", 3), ("ROW_POSITIONS", 5), ("LONG_POSITIONS", 10)):
            patch.setattr(prompts, name, value)
        patch.setattr(forms, "MOST", 200)
        patch.setattr(verifying, "strings", lambda tokenizer: prompts.strings(tokenizer)[::3])
        yield
