"""The shape of a base model, from its config.json alone: what forecasts of memory and time compute with. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from statllama.errors import ModelError
from statllama.model.architectures import architecture_of
from statllama.store.files import read_json


@dataclass(frozen=True)
class Shape:
    """Sizes of a base model. Widths are in numbers, not bytes."""

    layers: int
    hidden: int
    """Width of the hidden states."""
    inner: int
    """Width within the MLP."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    """Rows of the embedding."""
    tied: bool
    """Whether the head is the embedding."""
    bias: bool
    """Whether q, k and v have biases, which never train."""
    head_norms: bool = False
    """Whether each head of q and k is normed."""

    @property
    def query(self) -> int:
        """Return the width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv(self) -> int:
        """Return the width of all key heads together, which is also that of the values."""
        return self.kv_heads * self.head_dim

    @cached_property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return {linear module of a layer: (in, out)}; LoRA adapts these, and NF4 packs them."""
        hidden, inner, query, kv = self.hidden, self.inner, self.query, self.kv
        return {
            "q_proj": (hidden, query),
            "k_proj": (hidden, kv),
            "v_proj": (hidden, kv),
            "o_proj": (query, hidden),
            "gate_proj": (hidden, inner),
            "up_proj": (hidden, inner),
            "down_proj": (inner, hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Return the numbers in the linear modules of all layers."""
        return self.layers * sum(a * b for a, b in self.matrices.values())

    @property
    def head_parameters(self) -> int:
        """Return the numbers in the head, which the embedding has as many of."""
        return self.vocab * self.hidden

    @property
    def other_parameters(self) -> int:
        """Return the numbers outside the linear modules: embedding, head unless it is tied, norms, biases."""
        biases = self.bias * (self.query + 2 * self.kv)
        norms = 2 * self.hidden + self.head_norms * 2 * self.head_dim
        return self.head_parameters * (1 if self.tied else 2) + self.layers * (norms + biases) + self.hidden

    @property
    def parameters(self) -> int:
        """Return all numbers of the base."""
        return self.linear_parameters + self.other_parameters

    def slice_parameters(self, rank: int, modules: Collection[str], layers: Collection[int] | None = None) -> int:
        """Return the numbers in LoRA slices of this rank on these modules of these layers. None: of all."""
        return (
            (self.layers if layers is None else len(layers))
            * rank
            * sum(sum(self.matrices[module]) for module in modules)
        )


def shape_of(config: Mapping[str, Any], where: str) -> Shape:
    """Return the shape for the body of a config.json. ModelError for an architecture without a record, and for a size
    that is missing or no whole number above 0.

    `where`: what the message calls the base. Sizes that are left out are what Transformers fills in.
    """
    record = architecture_of(config, where)

    def size(name: str, default: int | None = None) -> int:
        value = config.get(name)
        value = record.defaults.get(name, default) if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{where}: `{name}` in config.json is {value!r}; expected a whole number above 0")
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    return Shape(
        layers=size("num_hidden_layers"),
        hidden=hidden,
        inner=size("intermediate_size"),
        heads=heads,
        kv_heads=size("num_key_value_heads", heads),
        head_dim=size("head_dim", hidden // heads),
        vocab=size("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        bias=bool(record.biased),
        head_norms=bool(record.head_norms),
    )


def read_shape(folder: Path) -> Shape:
    """Return the shape of a model folder. ModelError as in `shape_of`, and where there is no config.json."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: config.json is missing or not JSON", remedy="give a folder saved by Transformers")
    return shape_of(config, str(folder))
