"""One call of attention for all examples of a packed row, where torch's kernel knows no grouped heads."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from statllama.model import packed_attention
from statllama.model.packed_attention import agrees, repeat_groups, varlen_with_groups

CPU = torch.device("cpu")


def varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    _starts: Tensor,
    longest: int,
    _longest: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """What torch 2.11's kernel computes, from its definition: (tokens, heads, d) for each, with equal heads."""
    assert query.shape == key.shape == value.shape
    assert longest == (starts[1:] - starts[:-1]).max()
    places = torch.arange(len(query))
    example = torch.bucketize(places, starts[1:-1].to(places.dtype), right=True)
    seen = example[:, None] == example[None, :]
    if window_size == (-1, 0):
        seen &= places[None, :] <= places[:, None]
    scores = torch.einsum("qhd,khd->hqk", query, key) * (scale or query.shape[-1] ** -0.5)
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


def test_repeated_heads_are_grouped_attention() -> None:
    assert agrees(repeat_groups(varlen), CPU, torch.float32)


@pytest.mark.parametrize("lengths", [(7,), (4, 4), (1, 2, 3, 9)])
def test_for_any_lengths(lengths: tuple[int, ...]) -> None:
    assert agrees(repeat_groups(varlen), CPU, torch.float32, lengths)


def tiled(query: Tensor, key: Tensor, value: Tensor, *places: Any, enable_gqa: bool, **options: Any) -> Tensor:
    """The heads in the wrong order: those of each group must stand together."""
    return varlen(query, key.repeat(1, 3, 1), value.repeat(1, 3, 1), *places, **options)


def seeing_ahead(*tensors: Any, window_size: Any, **options: Any) -> Tensor:
    return repeat_groups(varlen)(*tensors, **options)


def seeing_others(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, *_: Any, **options: Any) -> Tensor:
    ends, longest = starts[[0, -1]], int(starts[-1])
    return repeat_groups(varlen)(query, key, value, ends, ends, longest, longest, **options)


def right_but_for_gradients(query: Tensor, key: Tensor, value: Tensor, *places: Any, **options: Any) -> Tensor:
    return repeat_groups(varlen)(query, key.detach(), value, *places, **options) + 0 * key.sum()


def not_a_number(*tensors: Any, **options: Any) -> Tensor:
    return repeat_groups(varlen)(*tensors, **options) * float("nan")


@pytest.mark.parametrize("wrong", [tiled, seeing_ahead, seeing_others, right_but_for_gradients, not_a_number])
def test_a_kernel_that_computes_something_else_is_not_taken(wrong: Any) -> None:
    assert not agrees(wrong, CPU, torch.float32)


def test_only_where_torch_cannot_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes grouped heads itself is left alone, and without a GPU there is none."""
    own = pytest.importorskip("torch.nn.attention.varlen")
    assert varlen_with_groups() is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(packed_attention, "agrees", lambda *_: True)
    monkeypatch.setattr(own, "varlen_attn", varlen)
    taken = varlen_with_groups()
    assert taken is not None
    assert "enable_gqa" in inspect.signature(taken).parameters
    monkeypatch.setattr(packed_attention, "agrees", lambda *_: False)
    assert varlen_with_groups() is None
    monkeypatch.setattr(packed_attention, "agrees", lambda *_: True)
    monkeypatch.setattr(own, "varlen_attn", taken)  # as in torch 2.12
    monkeypatch.setattr(inspect, "signature", lambda _: inspect.Signature(parameters()))
    assert varlen_with_groups() is None


def parameters() -> list[inspect.Parameter]:
    return [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in ("window_size", "enable_gqa")]
