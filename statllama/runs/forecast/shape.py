"""A base model's sizes, from its config.json: all that a forecast needs to know of it. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.config.specs import DEFAULT_MODULES, BaseModelSpec
from statllama.errors import ModelError
from statllama.model.architectures import architecture_of
from statllama.store.files import read_json


@dataclass(frozen=True)
class Shape:
    """Sizes of a base: numbers of layers, and widths."""

    layers: int
    hidden: int
    inner: int
    """Of the MLP."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool = True
    """Whether the embedding is the head, too."""
    biased: tuple[str, ...] = ()
    """Linear modules with a bias: q, k and v of Qwen 2."""

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return {linear module of a layer: (in, out)}."""
        h, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        sizes = ((h, q), (h, kv), (h, kv), (q, h), (h, self.inner), (h, self.inner), (self.inner, h))
        return dict(zip(DEFAULT_MODULES, sizes, strict=True))


def shape_of(config: Mapping[str, Any], where: str) -> Shape:
    """Return the shape for the body of a config.json. ModelError where it lacks a size."""
    record = architecture_of(config, where)
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return Shape(
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            inner=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            vocab=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            biased=tuple(module.rpartition(".")[2] for module in record.biased),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{where}: config.json has no usable {error}", remedy="give a folder saved by Transformers"
        ) from None


def read_shape(base: BaseModelSpec, root: Path) -> Shape:
    """Return the shape of a recipe's base. ModelError for a base that is not here: a hub model never fetched."""
    folder = Path(base.model) if Path(base.model).is_absolute() else root / base.model
    if folder.is_dir():
        config = read_json(folder / "config.json")
    else:
        config = _from_cache(base)
    if not isinstance(config, dict):
        raise ModelError(
            f"{base.model}: its config.json is not on this machine", remedy="fetch it: statllama fetch RECIPE"
        )
    return shape_of(config, base.model)


def _from_cache(base: BaseModelSpec) -> Any:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(base.model, "config.json", revision=base.revision or "main")
    return read_json(Path(found)) if isinstance(found, str) else None
