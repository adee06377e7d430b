"""A model's shape: sizes, RoPE, and every tensor under its names in Transformers and in GGUF; both ways.

Names and keys as in llama.cpp's converter (`conversion/llama.py`, `conversion/qwen.py`). What llama.cpp does not
compute for an architecture is refused. Loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from statllama.errors import ModelError
from statllama.model.architectures import (
    EMBEDDING,
    HEAD,
    LAST_NORM,
    Architecture,
    architecture_of,
    from_gguf,
)
from statllama.store.files import read_json

Order = np.ndarray[Any, np.dtype[np.int64]]
Factors = np.ndarray[Any, np.dtype[np.float32]]
FACTORS = "rope_freqs.weight"
"""The tensor of a GGUF file that holds the RoPE factors."""


@dataclass(frozen=True)
class Layout:
    """The sizes of a base, and its RoPE."""

    architecture: Architecture
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_width: int
    positions: int
    vocabulary: int
    """Rows of the embedding."""
    epsilon: float
    rope: Mapping[str, Any]
    """`rope_type`, `rope_theta` and the type's own parameters, as in Transformers' config."""
    tied: bool
    """Whether the embedding is the head, too."""

    def tensors(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """List (name in GGUF, name in Transformers, shape) of every weight, in the file's order.

        Shapes are (out, in) of matrices and (numbers,) of norms and biases.
        """
        record, shapes = self.architecture, self._linear_shapes()
        yield self._tensor(f"{EMBEDDING}.weight", (self.vocabulary, self.width))
        for layer in range(self.layers):
            place = f"model.layers.{layer}"
            for norm in record.norms:
                yield self._tensor(f"{place}.{norm}.weight", (self.width,))
            for norm in record.head_norms:
                yield self._tensor(f"{place}.{norm}.weight", (self.head_width,))
            for module in record.linear:
                yield self._tensor(f"{place}.{module}.weight", shapes[module])
                if module in record.biased:
                    yield self._tensor(f"{place}.{module}.bias", shapes[module][:1])
        yield self._tensor(f"{LAST_NORM}.weight", (self.width,))
        if not self.tied:
            yield self._tensor(f"{HEAD}.weight", (self.vocabulary, self.width))

    def _tensor(self, name: str, shape: tuple[int, ...]) -> tuple[str, str, tuple[int, ...]]:
        ours = self.architecture.gguf_name(name)
        assert ours is not None, name
        return ours, name, shape

    def _linear_shapes(self) -> dict[str, tuple[int, int]]:
        """Return {linear module of a layer: (out, in)}."""
        width, inner = self.width, self.feed_forward
        query, kv = self.heads * self.head_width, self.kv_heads * self.head_width
        by_name = {
            "attn_q": (query, width),
            "attn_k": (kv, width),
            "attn_v": (kv, width),
            "attn_output": (width, query),
        }
        by_name |= {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
        return {module: by_name[ours] for module, ours in self.architecture.linear.items()}

    def rope_order(self, tensor: str) -> Order | None:
        """Return which of Transformers' rows each row of a GGUF tensor of q or k is; None for the same order."""
        heads = self._rotated_heads(tensor)
        if not heads:
            return None
        rows = np.arange(heads * self.head_width)
        return rows.reshape(heads, 2, self.head_width // 2).swapaxes(1, 2).reshape(-1)

    def hf_order(self, tensor: str) -> Order | None:
        """Return which row of a GGUF tensor of q or k each of Transformers' rows is: the inverse of `rope_order`."""
        order = self.rope_order(tensor)
        return None if order is None else np.argsort(order)

    def _rotated_heads(self, tensor: str) -> int:
        """Return the heads whose rows GGUF reorders; 0 for a tensor with none."""
        if not self.architecture.rotated:
            return 0
        return self.heads if ".attn_q." in tensor else self.kv_heads if ".attn_k." in tensor else 0

    def rope_factors(self) -> Factors | None:
        """Return what llama3 scaling divides each frequency by, (head_width / 2,); None without that scaling."""
        return llama3_factors(self.rope, self.head_width) if self.rope["rope_type"] == "llama3" else None

    def metadata(self) -> dict[str, int | float | str]:
        """Return the hyperparameters of a GGUF file's metadata, `general.architecture` first. Floats have 32 bits."""
        prefix = self.architecture.gguf
        sizes: dict[str, int | float | str] = {
            "vocab_size": self.vocabulary,
            "context_length": self.positions,
            "embedding_length": self.width,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head_width,
            "attention.value_length": self.head_width,
            "rope.dimension_count": self.head_width,
            "rope.freq_base": float(self.rope["rope_theta"]),
            "attention.layer_norm_rms_epsilon": float(self.epsilon),
        }
        if self.rope["rope_type"] == "linear":
            sizes |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(self.rope["factor"])}
        return {"general.architecture": prefix, **{f"{prefix}.{key}": value for key, value in sizes.items()}}


def llama3_factors(rope: Mapping[str, Any], head_width: int) -> Factors:
    """Compute what llama3 scaling divides each RoPE frequency by, (head_width / 2,).

    Low frequencies by `factor`, high ones by 1, those between smoothly (https://arxiv.org/abs/2407.21783;
    `_compute_llama3_parameters` in Transformers). `rope`: Transformers' `rope_parameters`.
    """
    half = np.arange(0, head_width, 2, dtype=np.float32) / np.float32(head_width)
    waves = 2 * math.pi * np.float32(rope["rope_theta"]) ** half
    low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    smooth = np.clip((old / waves - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - smooth) / rope["factor"] + smooth), dtype=np.float32)


def read_layout(folder: Path) -> Layout:
    """Read the layout of a model folder, by its config.json. ModelError as in `layout_of`, and when there is none."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise ModelError(f"{folder}: config.json is missing or not JSON", remedy="give the folder of a saved model")
    return layout_of(config, str(folder))


def layout_of(config: Mapping[str, Any], where: str) -> Layout:
    """Return the layout for the body of a config.json. ModelError for what llama.cpp does not compute."""
    record = architecture_of(config, where)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # it knows defaults, and RoPE of old configs

    try:
        read = CONFIG_MAPPING[record.model_type].from_dict(dict(config))
    except Exception as error:  # each strict field raises its own
        why = str(error).splitlines()[0]
        raise ModelError(f"{where}: config.json is not one of a {record.causal}: {why}") from error
    head = getattr(read, "head_dim", None) or read.hidden_size // read.num_attention_heads
    rope = dict(read.rope_parameters)
    if found := next(_refused(record, read, head, rope), None):
        raise ModelError(f"{where}: GGUF cannot hold this base: it has {found[0]}; allowed: {found[1]}")
    return Layout(
        architecture=record,
        layers=read.num_hidden_layers,
        width=read.hidden_size,
        feed_forward=read.intermediate_size,
        heads=read.num_attention_heads,
        kv_heads=read.num_key_value_heads,
        head_width=head,
        positions=read.max_position_embeddings,
        vocabulary=read.vocab_size,
        epsilon=read.rms_norm_eps,
        rope=rope,
        tied=read.tie_word_embeddings,
    )


def window_of(config: Any) -> int | None:
    """Return how many tokens back a layer with a sliding window sees, by Transformers' config; None without one."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    return window if kinds is None or "sliding_attention" in kinds else None


def _refused(record: Architecture, config: Any, head: int, rope: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what the base has, what llama.cpp computes) of all that it does not."""
    if rope["rope_type"] not in record.rope_types:
        yield f"RoPE of type {rope['rope_type']}", ", ".join(record.rope_types)
    for name, allowed in record.fixed.items():
        if (value := getattr(config, name)) not in allowed:
            yield f"{name}={_plain(value)}", f"{name}={_plain(allowed[0])}"
    window = window_of(config)
    if window is not None and window < config.max_position_embeddings:
        found = f"a sliding window of {window} tokens in a context of {config.max_position_embeddings}"
        yield found, f"none (sliding_window=null), or max_position_embeddings={window}"
    if head % 2 or config.num_attention_heads % config.num_key_value_heads:
        sizes = f"{config.num_attention_heads} heads of {head} and {config.num_key_value_heads} kv heads"
        yield sizes, "an even head_dim, and heads in groups of one kv head each"


def _plain(value: Any) -> str:
    """Write it as JSON does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# ------------------------------------------------------------------ the way back


def config_from_gguf(
    fields: Mapping[str, Any], where: str, *, tied: bool, factors: Factors | None = None
) -> dict[str, Any]:
    """Rebuild the body of a config.json from a GGUF file's metadata, {key: value}.

    `tied`: the file has no `output.weight`. `factors`: its RoPE factors (`FACTORS`). `layout_of` of the result lists
    the tensors that the file must have. ModelError for a field that is missing or of another type, sizes that do not
    fit each other, and what an architecture's record does not know: experts, other RoPE scaling, a sliding window.
    """
    record = from_gguf(fields.get("general.architecture"), where)
    read = _Fields(fields, record.gguf, where)
    heads, width = read.count("attention.head_count"), read.count("embedding_length")
    head = read.count("attention.key_length", width // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if read.count(key, head) != head:
            raise read.odd(key, f"{head}, a head's width")
    for key in ("expert_count", "attention.sliding_window", "attention.scale"):
        if fields.get(f"{record.gguf}.{key}"):
            raise read.odd(key, "none")
    body: dict[str, Any] = {
        "architectures": [record.causal],
        "model_type": record.model_type,
        "vocab_size": read.count("vocab_size", len(fields.get("tokenizer.ggml.tokens") or ()) or None),
        "hidden_size": width,
        "intermediate_size": read.count("feed_forward_length"),
        "num_hidden_layers": read.count("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": read.count("attention.head_count_kv", heads),
        "head_dim": head,
        "max_position_embeddings": read.count("context_length"),
        "rms_norm_eps": read.number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rope(read, head, factors),
        "tie_word_embeddings": tied,
        **{name: allowed[0] for name, allowed in record.fixed.items()},
    }
    for key, name in (
        ("bos_token_id", "bos_token_id"),
        ("eos_token_id", "eos_token_id"),
        ("padding_token_id", "pad_token_id"),
    ):
        value = fields.get(f"tokenizer.ggml.{key}")
        body[name] = value if isinstance(value, int) and 0 <= value < body["vocab_size"] else None
    return body


@dataclass(frozen=True)
class _Fields:
    """A file's metadata below the architecture's prefix."""

    fields: Mapping[str, Any]
    prefix: str
    where: str

    def count(self, key: str, default: int | None = None) -> int:
        """Return a positive integer."""
        value = self.fields.get(f"{self.prefix}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise self.odd(key, "a positive integer")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a positive number, in the fewest digits that 32 bits tell apart: 1e-05, not 9.99999974737875e-06."""
        value = self.fields.get(f"{self.prefix}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.odd(key, "a positive number")
        return float(str(np.float32(value)))

    def odd(self, key: str, allowed: str) -> ModelError:
        """Return the error for a field."""
        name = f"{self.prefix}.{key}"
        return ModelError(
            f"{self.where}: {name} is {self.fields.get(name)!r}; expected: {allowed}",
            remedy="take a file that llama.cpp's converter made of a base with a supported architecture",
        )


def _rope(read: _Fields, head: int, factors: Factors | None) -> dict[str, Any]:
    """Return Transformers' `rope_parameters`."""
    theta = read.number("rope.freq_base", 10000.0)
    kind = read.fields.get(f"{read.prefix}.rope.scaling.type") or "none"
    if kind == "linear" and factors is None:
        return {"rope_type": "linear", "rope_theta": theta, "factor": read.number("rope.scaling.factor")}
    if kind != "none":
        raise read.odd("rope.scaling.type", "none or linear, and no factors beside linear")
    if factors is None:
        return {"rope_type": "default", "rope_theta": theta}
    # The file holds what comes of llama3 scaling, not its parameters. Low and high are 1 and 4 in all models that have
    # it, and the old context is a power of two: those that give these factors are computed with the same.
    found = np.asarray(factors, dtype=np.float32).reshape(-1)
    for power in range(5, 24):
        rope: dict[str, Any] = {
            "rope_type": "llama3",
            "rope_theta": theta,
            "factor": float(found.max(initial=1.0)),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 2**power,
        }
        wanted = llama3_factors(rope, head)
        if found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, atol=0):
            return rope
    raise ModelError(
        f"{read.where}: its RoPE factors ({FACTORS}) are not those of llama3 scaling, the only ones that can be read",
        remedy="take a file of a base without other RoPE scaling",
    )
