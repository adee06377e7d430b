"""The contents of a GGUF file, read by PyPI's gguf: tensors by their names in Transformers, and the metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from statllama.model.architectures import Architecture, architecture, from_gguf
from statllama.model.layout import FACTORS
from statllama.release.certificate import Check
from statllama.release.source import Source

_ROTATED = re.compile(r"\.[qk]_proj\b")
_EXACT = 1e-5  # relative; floats are written in 32 bits


class InGguf:
    """A file's tensors, dequantised by PyPI's gguf, the rows of q and k put back into Transformers' order."""

    def __init__(self, path: Path) -> None:
        self.reader = gguf.GGUFReader(path)
        self.architecture = from_gguf(self.value("general.architecture"), str(path))
        self._tensors = {
            self.architecture.hf_name(tensor.name) or tensor.name: tensor
            for tensor in self.reader.tensors
            if tensor.name != FACTORS
        }
        self._head = int(self.size("attention.key_length") or 0) or (
            int(self.size("embedding_length")) // int(self.size("attention.head_count"))
        )

    def value(self, key: str) -> Any:
        """Return a field of the metadata; None when it is not there."""
        found = self.reader.get_field(key)
        return None if found is None else found.contents()

    def size(self, key: str) -> Any:
        """Return a field below the architecture's prefix, such as `block_count`; None when it is not there."""
        return self.value(f"{self.architecture.gguf}.{key}")

    def factors(self) -> np.ndarray[Any, Any] | None:
        """Return the divisors of the RoPE frequencies."""
        return next((tensor.data for tensor in self.reader.tensors if tensor.name == FACTORS), None)

    def names(self) -> set[str]:
        return set(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in reversed(self._tensors[name].shape))

    def type(self, name: str) -> str:
        return str(self._tensors[name].tensor_type.name)

    def unit(self, name: str) -> int:
        return self._head if self.architecture.rotated and _ROTATED.search(name) else 1

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        tensor = self._tensors[name]
        data = tensor.data.reshape(self.shape(name)[0], -1)[start:stop]
        found = gguf.quants.dequantize(data, tensor.tensor_type).reshape(stop - start, *self.shape(name)[1:])
        return torch.from_numpy(
            np.array(transformers_order(found, name, self._head, self.architecture), dtype=np.float32)
        )


def transformers_order(
    rows: np.ndarray[Any, Any], name: str, head: int, architecture: Architecture
) -> np.ndarray[Any, Any]:
    """Return the rows of whole heads of `head` rows in Transformers' order, (rows, in); those of other tensors as they
    are.

    For the architectures whose rows are reordered, llama.cpp turns neighbouring rows with one another, Transformers the
    first half of a head with the second.
    """
    if not (architecture.rotated and _ROTATED.search(name)):
        return rows
    return rows.reshape(-1, head // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def check_metadata(source: Source, found: InGguf, tokenizer: Any) -> Check:
    """Return everything the file says of architecture, RoPE and tokenizer, against what Transformers computes with.

    `tokenizer`: of the stack that was trained.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.base, trust_remote_code=False)
    wrong = [*_sizes(found, config), *_rope(found, config), *_vocabulary(found, source, tokenizer, config.vocab_size)]
    detail = "; ".join(wrong[:4]) or "sizes, RoPE, vocabulary, token types, special tokens, template"
    return Check("metadata", not wrong, len(wrong), 0, detail)


def _sizes(found: InGguf, config: Any) -> Iterator[str]:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    prefix = found.architecture.gguf
    sizes = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "rope.dimension_count": head,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": config.rope_parameters["rope_theta"],
    }
    if head * config.num_attention_heads != config.hidden_size:
        sizes |= {"attention.key_length": head, "attention.value_length": head}
    wants = architecture(config.model_type).gguf
    expected = {"general.architecture": wants, **{f"{prefix}.{key}": value for key, value in sizes.items()}}
    for key, wanted in expected.items():
        got = found.value(key)
        same = (
            got is not None and abs(got - wanted) <= _EXACT * abs(wanted)
            if isinstance(wanted, float)
            else got == wanted
        )
        if not same:
            yield f"{key} is {got} instead of {wanted}"


def _rope(found: InGguf, config: Any) -> Iterator[str]:
    """Yield the frequencies that llama.cpp will compute, against those of Transformers' own module."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding  # that of the other architectures, too

    wanted = LlamaRotaryEmbedding(config).inv_freq.double().numpy()
    size = 2 * len(wanted)
    base = float(found.size("rope.freq_base") or 10000.0)
    plain = base ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    factors = found.factors()
    scale = found.size("rope.scaling.factor") if found.size("rope.scaling.type") == "linear" else 1.0
    got = plain / (1.0 if factors is None else factors.astype(np.float64).reshape(-1)) / float(scale or 1.0)
    if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=10 * _EXACT, atol=0):
        what = "has no RoPE factors" if factors is None else "has other RoPE factors"
        yield f"it {what}: its frequencies are not those of {config.rope_parameters['rope_type']} RoPE"


def _vocabulary(found: InGguf, source: Source, tokenizer: Any, rows: int) -> Iterator[str]:
    tokens, types = found.value("tokenizer.ggml.tokens") or [], found.value("tokenizer.ggml.token_type") or []
    if not len(tokens) == len(types) == rows:
        yield f"{len(tokens)} tokens and {len(types)} types for {rows} rows of the embedding"
        return
    added = tokenizer.added_tokens_decoder
    other = [i for piece, i in tokenizer.get_vocab().items() if i < rows and tokens[i] != piece]
    if other:
        yield f"{len(other)} tokens are others, such as {min(other)}"
    control = gguf.TokenType.CONTROL
    if untyped := [i for i, token in added.items() if token.special and i < rows and types[i] != control]:
        yield f"{len(untyped)} special tokens are not control tokens, such as {tokens[untyped[0]]!r}"
    if typed := [i for i, kind in enumerate(types) if kind == control and i not in added]:
        yield f"{len(typed)} tokens of text are control tokens, such as {tokens[typed[0]]!r}"
    for key, token in (("bos", tokenizer.bos_token_id), ("eos", tokenizer.eos_token_id)):
        if token is not None and found.value(f"tokenizer.ggml.{key}_token_id") != token:
            yield f"{key} is {found.value(f'tokenizer.ggml.{key}_token_id')} instead of {token}"
    adds = tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    if found.value("tokenizer.ggml.add_bos_token") is not adds:
        yield f"add_bos_token is {found.value('tokenizer.ggml.add_bos_token')} instead of {adds}"
    if (found.value("tokenizer.chat_template") or None) != (source.chat_template or None):
        yield "the chat template differs"
