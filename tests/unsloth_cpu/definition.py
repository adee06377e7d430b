"""Our architectures and the adapter stack by definition, in plain torch and float64: what Unsloth's numbers must equal.

Nothing here touches Transformers' model code, which Unsloth rewrites, nor PEFT, nor `statllama.model.stack`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from statllama.model.adapter import Adapter

Weights = dict[str, Tensor]
"""{parameter name in the base: float64 tensor}, dense, also where the base is 4-bit."""


@torch.no_grad()
def dense_weights(model: Any) -> Weights:
    """The weights of a loaded base, 4-bit ones dequantised by bitsandbytes."""
    import bitsandbytes as bnb

    weights = {}
    for name, parameter in model.named_parameters():
        state = getattr(parameter, "quant_state", None)
        value = parameter.data if state is None else bnb.functional.dequantize_4bit(parameter.data, state)
        weights[name] = value.detach().double()
    if "lm_head.weight" not in weights:  # tied
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    return weights


def with_adapters(weights: Mapping[str, Tensor], adapters: Iterable[Adapter]) -> Weights:
    """`weights` with `scaling * B A` of every slice of every adapter added."""
    total = dict(weights)
    for adapter in adapters:
        for module, part in adapter.slices.items():
            old = total[f"{module}.weight"]
            update = part.scaling * (part.B.to(old) @ part.A.to(old))
            total[f"{module}.weight"] = old + update
    return total


def logits(weights: Mapping[str, Tensor], config: Any, ids: Tensor) -> Tensor:
    """Logits (rows, width, vocabulary) over rows without padding; ids: (rows, width).

    Biases and the norms of heads are there where the weights have them.
    """
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    rows, width = ids.shape
    frequency = config.rope_parameters["rope_theta"] ** -(
        torch.arange(0, size, 2, dtype=torch.float64, device=ids.device) / size
    )
    angle = torch.outer(torch.arange(width, dtype=torch.float64, device=ids.device), frequency).repeat(1, 2)

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-second, first], -1) * angle.sin()

    def norm(x: Tensor, name: str) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + config.rms_norm_eps)
        return weights[f"{name}.weight"] * (x * scale)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)

    def split(x: Tensor, count: int) -> Tensor:
        return x.view(rows, width, count, size).transpose(1, 2)

    def head_norm(x: Tensor, name: str) -> Tensor:
        return norm(x, name) if f"{name}.weight" in weights else x

    later = torch.ones(width, width, dtype=torch.bool, device=ids.device).triu(1)
    if window := getattr(config, "sliding_window", None):
        later |= later.new_ones(width, width).tril(-window)
    x = weights["model.embed_tokens.weight"][ids]
    for index in range(config.num_hidden_layers):
        layer = f"model.layers.{index}"
        h = norm(x, f"{layer}.input_layernorm")
        q = head_norm(split(linear(h, f"{layer}.self_attn.q_proj"), heads), f"{layer}.self_attn.q_norm")
        k = head_norm(split(linear(h, f"{layer}.self_attn.k_proj"), shared), f"{layer}.self_attn.k_norm")
        q, k = turn(q), turn(k).repeat_interleave(heads // shared, 1)
        v = split(linear(h, f"{layer}.self_attn.v_proj"), shared).repeat_interleave(heads // shared, 1)
        score = (q @ k.transpose(-1, -2) / size**0.5).masked_fill(later, -torch.inf)
        mixed = (score.softmax(-1) @ v).transpose(1, 2).reshape(rows, width, heads * size)
        x = x + linear(mixed, f"{layer}.self_attn.o_proj")
        h = norm(x, f"{layer}.post_attention_layernorm")
        gate = F.silu(linear(h, f"{layer}.mlp.gate_proj"))
        x = x + linear(gate * linear(h, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")
    return linear(norm(x, "model.norm"), "lm_head")


def token_losses(values: Tensor, ids: Tensor) -> Tensor:
    """Negative log-likelihood of each token after the first, (rows, width - 1)."""
    return -values[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
