"""Attention within the examples of a packed row in one call, where torch's own needs help.

torch has one kernel for rows of several examples, `varlen_attn`. In 2.11 it wants as many heads of keys as of queries,
and Llama has fewer, so Unsloth calls attention for one example after the other: some hundred times a layer where the
examples are short. With the heads of keys and values repeated, 2.11 does it in one call too.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from statllama.model.layout import window_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

Attention = Callable[..., "Tensor"]
TOLERANCE = 0.02  # of the largest value: bfloat16 keeps 8 bits, and two kernels sum in different orders


def joins_rows(model: PreTrainedModel) -> bool:
    """Return whether, under Unsloth, rows of one example each are best joined into one.

    That is where one call attends within each of them: with FlashAttention, with xFormers, or with torch's
    `varlen_attn` in 16 bits. Elsewhere attention to a joined row would cost its length squared, or one call for each
    example. Not under a sliding window, which Unsloth's paths count differently.
    """
    if model.device.type != "cuda" or window_of(model.config) is not None:
        return False
    import torch
    from unsloth.utils import attention_dispatch as dispatch

    if dispatch.select_attention_backend(use_varlen=True) != dispatch.SDPA:
        return True
    heads_fit = getattr(model.config, "head_dim", None) or model.config.hidden_size // model.config.num_attention_heads
    ampere = torch.cuda.get_device_capability(model.device)[0] >= 8
    half = model.dtype in (torch.float16, torch.bfloat16)
    return dispatch._TORCH_VARLEN_ATTN is not None and ampere and half and heads_fit <= 256 and heads_fit % 8 == 0


def varlen_with_groups() -> Attention | None:
    """Return torch's `varlen_attn` for grouped heads, as 2.12 has it, made of that of 2.11; None where there is no
    need.

    None too without a GPU, and where it does not agree with attention to each example alone on this GPU.
    """
    import torch

    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    if "window_size" not in known or "enable_gqa" in known or not torch.cuda.is_available():
        return None
    attend = repeat_groups(cast(Attention, varlen_attn))
    try:
        same = agrees(attend, torch.device("cuda"), torch.bfloat16)
    except RuntimeError as error:  # a GPU that its kernel is not made for
        logging.getLogger(__name__).info("varlen_attn: %s", error)
        return None
    return attend if same else None


def repeat_groups(varlen: Attention) -> Attention:
    """Return `varlen`, which wants as many heads of keys as of queries, for fewer: each is repeated for its group.

    Takes queries (tokens, heads, d), keys and values (tokens, fewer heads, d), and what `varlen` takes besides.
    """

    def attend(
        query: Tensor, key: Tensor, value: Tensor, *places: Any, enable_gqa: bool = False, **options: Any
    ) -> Tensor:
        groups = query.shape[1] // key.shape[1] if enable_gqa else 1
        if groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return varlen(query, key, value, *places, **options)

    return attend


def agrees(attend: Attention, device: torch.device, dtype: torch.dtype, lengths: Sequence[int] = (5, 37, 1)) -> bool:
    """Return whether causal attention over packed examples of these lengths, and its gradients, are as of each one
    alone.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    generator = torch.Generator().manual_seed(0)
    heads = {"query": 6, "key": 2, "value": 2}
    drawn = [torch.randn(sum(lengths), n, 64, generator=generator).to(device, dtype) for n in heads.values()]
    weight = torch.randn(sum(lengths), heads["query"], 64, generator=generator).to(device, dtype)
    starts = torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)

    def at_once(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        longest = max(lengths)
        return attend(
            query, key, value, starts, starts, longest, longest, scale=None, window_size=(-1, 0), enable_gqa=True
        )

    def one_by_one(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        examples = zip(*(x.transpose(0, 1).split(list(lengths), 1) for x in (query, key, value)), strict=True)
        found = [
            scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]
            for q, k, v in examples
        ]
        return torch.cat(found, 1).transpose(0, 1)

    def all_of(way: Attention) -> list[Tensor]:
        inputs = [x.clone().requires_grad_() for x in drawn]
        output = way(*inputs)
        return [output.detach(), *torch.autograd.grad((output * weight).sum(), inputs)]

    return all(
        bool((a.float() - b.float()).abs().max() <= TOLERANCE * b.float().abs().max())
        for a, b in zip(all_of(at_once), all_of(one_by_one), strict=True)
    )
