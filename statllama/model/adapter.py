"""An adapter as data: one stage's LoRA factors in PEFT's own file format, without a model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.errors import StoreError

ADAPTER_FILE = "adapter_model.safetensors"
ROWS_FILE = "token_rows.safetensors"
CONFIG_FILE = "adapter_config.json"
PREFIX = "base_model.model."
_LAYER = re.compile(r".*?\.[^.]*\.(\d+)\.")
_PEFT_ROWS = ".token_adapter.trainable_tokens_delta"  # not what is added to the base's rows, but their sum


@dataclass(frozen=True)
class Slice:
    """One stage's LoRA on one module: the update is `scaling * B @ A`. A: (r, in), B: (out, r)."""

    A: Tensor
    B: Tensor
    scaling: float


@dataclass(frozen=True)
class Rows:
    """One stage's update of some rows of the embedding or the head: row `ids[i]` gets `scaling * delta[i]` added."""

    ids: tuple[int, ...]
    delta: Tensor
    """(tokens, width), float32."""
    scaling: float = 1.0

    def shape(self, matrix: tuple[int, int]) -> tuple[int, int]:
        """Return the shape of `matrix` if the rows fit it, else what they ask for."""
        return max(matrix[0], *(one + 1 for one in self.ids)), self.delta.shape[1]

    def as_slice(self, vocabulary: int) -> Slice:
        """Return the same update of the matrix as a product: B, (vocabulary, tokens), places each row of A."""
        b = torch.zeros(vocabulary, len(self.ids))
        b[list(self.ids), range(len(self.ids))] = 1.0
        return Slice(self.delta, b, self.scaling)


@dataclass(frozen=True)
class Adapter:
    """One stage's trained adapter: {module name in the base: its slice}."""

    slices: Mapping[str, Slice]
    rows: Mapping[str, Rows] = field(default_factory=dict)
    """{`model.embed_tokens` or `lm_head`: rows of tokens}; of a tied head the embedding's alone."""

    def scaled(self, factor: float) -> Adapter:
        """Return the adapter with its update multiplied."""
        slices = {name: replace(part, scaling=part.scaling * factor) for name, part in self.slices.items()}
        return Adapter(slices, {name: replace(part, scaling=part.scaling * factor) for name, part in self.rows.items()})

    @property
    def has_effect(self) -> bool:
        """Return whether some update is not zero."""
        return any(bool(part.A.any() and part.B.any()) for part in self.slices.values()) or any(
            bool(part.delta.any()) for part in self.rows.values()
        )


def load_adapter(folder: Path) -> Adapter:
    """Read a plain LoRA adapter in PEFT's format, in float32. StoreError when it is not one that can be stacked."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        peft_type = config.get("peft_type")
        tensors = load_file(folder / ADAPTER_FILE)
    except Exception as error:  # safetensors, JSON and the file system each raise their own
        raise StoreError(f"{folder}: not a readable adapter: {error}") from error
    unusual = [k for k in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(k)]
    if peft_type != "LORA" or unusual or config.get("bias", "none") != "none":
        raise StoreError(f"{folder}: only plain LoRA adapters can be stacked; this one uses {unusual or config}")
    try:
        spec = LoraSpec(r=config["r"], alpha=float(config["lora_alpha"]), rslora=bool(config.get("use_rslora")))
    except (KeyError, TypeError, ValueError):
        got = {k: config.get(k) for k in ("r", "lora_alpha")}
        raise StoreError(f"{folder}: not a readable adapter: {CONFIG_FILE} has {got}") from None
    rows = _read_rows(folder, config["trainable_token_indices"]) if config.get("trainable_token_indices") else {}
    tensors = {name: tensor for name, tensor in tensors.items() if not (rows and name.endswith(_PEFT_ROWS))}
    slices = {}
    for name, a in tensors.items():
        if name.endswith(".lora_A.weight"):
            b = tensors.get(name.replace(".lora_A.", ".lora_B."))
            if b is None:
                raise StoreError(f"{folder}: not a readable adapter: {name} has no lora_B beside it")
            module = name.removeprefix(PREFIX).removesuffix(".lora_A.weight")
            slices[module] = Slice(a.float(), b.float(), spec.scaling)
    if not slices:
        raise StoreError(f"{folder}: the adapter holds no LoRA weights")
    if len(tensors) != 2 * len(slices):
        raise StoreError(f"{folder}: only plain LoRA adapters can be stacked; this one has weights besides A and B")
    return Adapter(slices, rows)


def layer_of(name: str) -> int | None:
    """Return the decoder layer that a module's full name stands in; None for one outside the layers, such as the head.

    As PEFT reads `layers_to_transform`: the first number between dots.

    >>> layer_of("model.layers.12.self_attn.q_proj"), layer_of("lm_head")
    (12, None)
    """
    found = _LAYER.match(name)
    return None if found is None else int(found[1])


def _read_rows(folder: Path, indices: Any) -> dict[str, Rows]:
    """Return the rows of tokens that an adapter of ours has."""
    if not (folder / ROWS_FILE).is_file():
        raise StoreError(
            f"{folder}: the adapter has rows of tokens as PEFT writes them, without their difference from the base's "
            f"({ROWS_FILE}), so it cannot be stacked"
        )
    try:
        tensors = load_file(folder / ROWS_FILE)
        ids = tuple(tensors.pop("ids").tolist())
    except Exception as error:
        raise StoreError(f"{folder}: {ROWS_FILE} is not readable: {error}") from error
    rows = {name: Rows(ids, delta.float()) for name, delta in tensors.items()}
    if {name.rpartition(".")[2]: list(ids) for name in rows} != indices:
        raise StoreError(f"{folder}: {ROWS_FILE} and {CONFIG_FILE} name other tokens")
    return rows


def write_rows(rows: Mapping[str, Rows], folder: Path) -> dict[str, list[int]]:
    """Write what is added to the base's rows, exactly; return PEFT's `trainable_token_indices`."""
    (ids,) = {part.ids for part in rows.values()}
    tensors = {name: (part.delta * part.scaling).float().contiguous() for name, part in rows.items()}
    save_file({"ids": torch.tensor(ids), **tensors}, folder / ROWS_FILE, metadata={"format": "pt"})
    return {name.rpartition(".")[2]: list(ids) for name in rows}


def peft_rows(name: str) -> str:
    """Return the name that PEFT gives to the rows of a matrix in an adapter's file."""
    return f"{PREFIX}{name}{_PEFT_ROWS}"


def write_config(
    lora: LoraSpec,
    modules: Iterable[str],
    base: str,
    folder: Path,
    revision: str | None = None,
    tokens: Mapping[str, list[int]] | None = None,
) -> None:
    """Write adapter_config.json of an ordinary PEFT adapter on `modules`: the same bytes for the same settings.

    Where `lora` has layers, `modules` are the last parts of names: PEFT counts the layers of no full name. `tokens`:
    what `write_rows` returned.
    """
    config = _config(lora, modules)
    config.layers_to_transform = None if lora.layers is None else list(lora.layers)
    config.trainable_token_indices = dict(tokens) if tokens else None
    config.base_model_name_or_path, config.revision, config.inference_mode = base, revision, True
    body = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    text = json.dumps(body, indent=2, sort_keys=True, default=str)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def _config(lora: LoraSpec, modules: Iterable[str]) -> LoraConfig:
    return LoraConfig(
        r=lora.r,
        lora_alpha=int(lora.alpha) if float(lora.alpha).is_integer() else cast(Any, lora.alpha),
        use_rslora=lora.rslora,
        lora_dropout=lora.dropout,
        target_modules=list(modules),
        bias="none",
        use_dora=False,
        init_lora_weights=True,
        fan_in_fan_out=False,
        task_type="CAUSAL_LM",
    )
