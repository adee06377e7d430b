"""GGUF LoRA files in real llama.cpp, on a GGUF of the base that is made for it and deleted afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from statllama.model.adapter import Adapter, Slice
from statllama.model.architectures import from_gguf
from statllama.release.bounds import GGUF_TYPES
from statllama.release.certificate import Check
from statllama.release.forms import InLlamaCpp, rounded_activations, stack_form
from statllama.release.gguf import write_gguf
from statllama.release.llamacpp import LlamaCpp
from statllama.release.source import Source
from statllama.release.verify_checks import Reference, check_llama_cpp, check_replies, distance
from statllama.release.verify_gguf import transformers_order
from statllama.release.verify_weights import InSafetensors, check_update


def stages_of(source: Source, file: Path) -> tuple[str, ...]:
    """Return the stages that a GGUF LoRA file holds, by its name: one, or all."""
    return next(((stage,) for stage in source.stages if file.name == f"{source.name}-{stage}-lora.gguf"), source.stages)


def base_type(source: Source) -> str:
    """Return the type of GGUF that holds the base's weights as they are."""
    tensors = InSafetensors(source.base)
    kinds = {tensors.type(name) for name in tensors.names()}
    return GGUF_TYPES.get(kinds.pop(), "f32") if len(kinds) == 1 else "f32"


def base_bytes(source: Source) -> int:
    """Return the bytes that verifying GGUF LoRA files takes on the disk while it lasts."""
    from statllama.release.gguf import needed_bytes

    return needed_bytes(replace(source, adapters=(), stages=()), base_type(source))


@contextmanager
def base_file(source: Source, folder: Path) -> Iterator[Path]:
    """Yield the base alone as GGUF, in a hidden folder below `folder` that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".base-", dir=folder) as place:
        path = Path(place) / "base.gguf"
        write_gguf(replace(source, adapters=(), stages=()), path, base_type(source))
        yield path


def check_lora(source: Source, file: Path) -> list[Check]:
    """Compare the update that a file holds with that of its stages."""
    stages = stages_of(source, file)
    adapters = [one for name, one in zip(source.stages, source.adapters, strict=True) if name in stages]
    return check_update(adapters, read_lora(file, source), 0.0)


def read_lora(file: Path, source: Source) -> Adapter:
    """Return a GGUF LoRA as PEFT's would be: names and order of rows as in Transformers."""
    reader = gguf.GGUFReader(file)
    named = reader.get_field("general.architecture")
    record = from_gguf(None if named is None else named.contents(), str(file))
    field = reader.get_field("adapter.lora.alpha")
    alpha = float(field.contents()) if field is not None else 0.0
    tensors = {tensor.name: np.array(tensor.data, dtype=np.float32) for tensor in reader.tensors}
    heads = _head_width(source)
    slices = {}
    for name, a in tensors.items():
        if name.endswith(".lora_a"):
            weight = name.removesuffix(".lora_a")
            module = (record.hf_name(weight) or weight).removesuffix(".weight")
            b = transformers_order(tensors[name.replace(".lora_a", ".lora_b")], module, heads, record)
            scaling = alpha / a.shape[0] if alpha else 1.0  # as llama.cpp computes it
            slices[module] = Slice(torch.from_numpy(a), torch.from_numpy(b), scaling)
    return Adapter(slices)


def _head_width(source: Source) -> int:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.base, trust_remote_code=False)
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def check_answers(
    source: Source, base: Path, files: Sequence[Path], observed: Reference, context: int, device: Any
) -> list[Check]:
    """Compare llama.cpp, with the base and these files (together the whole stack), with the reference."""
    kind = base_type(source)
    with LlamaCpp(base, [(file, 1.0) for file in files], context=context) as server:
        form = InLlamaCpp(server, observed.logits[0].shape[-1])
        predictions = [form.predict(row) for row in observed.rows]
        replies = check_replies(observed, form, kind, distance(observed.logits, predictions).largest)
    types = {name: letters for letters, name in GGUF_TYPES.items()}
    with stack_form(source, device) as same, rounded_activations(same, lambda name: types[kind]):
        rounded = [same.logits(row) for row in observed.rows]
    return [replies, *check_llama_cpp(observed, observed.logits, rounded, predictions, kind)]
