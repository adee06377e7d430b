"""The comparisons of verification against worked numbers, scipy and numpy."""

from __future__ import annotations

import doctest
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.stats import entropy
from torch import Tensor
from transformers import AutoTokenizer

from statllama.model.adapter import Adapter, Slice
from statllama.release import forms, prompts
from statllama.release.forms import Prediction, Reply
from statllama.release.source import Source
from statllama.release.verify_checks import (
    Reference,
    check_chats,
    check_replies,
    check_stops,
    check_tokens,
    distance,
    divergence,
    parted,
)
from statllama.release.verify_weights import InSafetensors, check_weights
from tests.conftest import REPO

# ------------------------------------------------------------------ the comparisons


def whole(row: Tensor) -> list[Prediction]:
    return [Prediction(line.numpy()) for line in row.double().log_softmax(-1)]


def test_divergence_against_scipy() -> None:
    """Of all tokens; of the most probable ones with the rest as one event, which is the KL of the coarser variables."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p, q = (rng.dirichlet(np.full(50, 0.3)) + 1e-9 for _ in range(2))
        p, q = p / p.sum(), q / q.sum()
        assert divergence(np.log(p), Prediction(np.log(q))) == pytest.approx(entropy(p, q), rel=1e-9)
        top = np.argsort(-q)[:7]
        coarse = [np.append(x[top], 1 - x[top].sum()) for x in (p, q)]
        assert divergence(np.log(p), Prediction(np.log(q[top]), top)) == pytest.approx(entropy(*coarse), rel=1e-6)


def test_a_divergence_survives_float32() -> None:
    """llama.cpp's probabilities are float32: what that rounds is no divergence."""
    logits = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0)) * 3
    exact = logits.double().log_softmax(-1)[0].numpy()
    single = logits.float().softmax(-1)[0].log().double().numpy()
    top = np.argsort(-single)[:1000]
    assert divergence(exact, Prediction(single[top], top)) < 1e-9
    assert divergence(exact, Prediction(single)) < 1e-9
    hidden = np.log(np.r_[1e-50, 1 - 1e-50])  # llama.cpp writes the smallest float32 for a probability of 0
    assert divergence(hidden, Prediction(np.array([-3.4e38, 0.0]))) == pytest.approx(0, abs=1e-12)


def test_distance() -> None:
    """Worked by hand: a shift of all logits is nothing; a first choice that is sure and another one is counted."""
    row = torch.tensor([[4.0, 1.0, 0.0], [1.0, 0.9, 0.0]])
    same = distance([row], [whole(row + 7)])
    assert same.relative == pytest.approx(0, abs=1e-7) and same.divergence == pytest.approx(0, abs=1e-12)
    assert (same.positions, same.confident, same.flipped) == (2, 1, 0)
    other = torch.tensor([[1.0, 4.0, 0.0], [0.9, 1.0, 0.0]])
    found = distance([row], [whole(other)])
    assert (found.confident, found.flipped) == (1, 1)
    assert found.largest == pytest.approx(3.0, abs=1e-6)
    spread = np.concatenate([line.logprobs - line.logprobs.mean() for line in whole(row)])
    off = np.concatenate([b.logprobs - a.logprobs for a, b in zip(whole(row), whole(other), strict=True)])
    assert found.relative == pytest.approx(np.linalg.norm(off) / np.linalg.norm(spread))
    broken = [Prediction(np.array([np.nan, 0.0, 0.0]))] * 2
    assert distance([row], [broken]).relative == float("inf")


@pytest.mark.parametrize(
    ("wanted", "got", "at"),
    [
        (Reply((1, 2), True), Reply((1, 2), True), None),
        (Reply((1, 2), True), Reply((1, 2), False), 2),
        (Reply((1, 2), False), Reply((1, 3), False), 1),
        (Reply((1, 2, 3), False), Reply((1, 2), True), 2),  # it ends where the reference goes on
        (Reply((1, 9, 3), False), Reply((1,), True), None),  # the reference says a special token there
        (Reply((1,), True), Reply((1, 5), False), 1),
    ],
)
def test_where_replies_part(wanted: Reply, got: Reply, at: int | None) -> None:
    assert parted(wanted, got, frozenset({9})) == at


class Answering:
    """A form with answers of its own, for what no real one does."""

    def __init__(self, chat: list[int] | None = None, replies: Sequence[Reply] = (), ends: Sequence[int] = ()) -> None:
        self._chat, self._replies, self._ends = chat, list(replies), ends

    def tokens(self, text: str, *, add_special: bool) -> list[int] | None:
        return [1] * add_special + [len(text)]

    def chat(self, messages: Any) -> list[int] | None:
        return self._chat

    def predict(self, row: Any) -> list[Prediction]:
        return []

    def reply(self, ids: Sequence[int], count: int) -> Reply:
        return self._replies.pop(0)

    def ends_at(self, token: int) -> bool:
        return token in self._ends


def asked(**changes: Any) -> Reference:
    fields = {
        "texts": ("ab", "abc"),
        "ids": (([2], [1, 2]), ([3], [1, 3])),
        "rows": (),
        "logits": (),
        "prompts": ((1,), (1,)),
        "replies": (Reply((5, 6), False, (3.0, 0.011)), Reply((7,), True, (2.0, 2.0))),
        "bos": 1,
        "special": frozenset({1, 2}),
        "stops": (2, 8),
        "chats": prompts.chats(AutoTokenizer.from_pretrained(REPO / "recipes" / "quickstart" / "base")),
    }
    return Reference(**{**fields, **changes})


def test_two_bos_are_found() -> None:
    """Also where the reference itself has two: that is never right."""
    for ids, passed in (([1, 5], True), ([1, 1, 5], False), ([5], False), ([1, 5, 1], False)):
        checks = {check.name: check for check in check_chats(asked(), Answering(ids), lambda talk, ids=ids: ids)}
        assert checks["rendered chats"].passed
        assert checks["one BOS"].passed is passed
    checks = {check.name: check for check in check_chats(asked(), Answering([1, 6]), lambda talk: [1, 5])}
    assert not checks["rendered chats"].passed
    assert check_chats(asked(), Answering(None), lambda talk: [1, 5]) == []  # no template
    days = iter(range(100))  # the date changes while it is asked
    assert check_chats(asked(bos=None), Answering([1]), lambda talk: [next(days) % 2])[0].passed


def test_tokens_and_stops() -> None:
    assert check_tokens(asked(), Answering()).passed
    failed = check_tokens(asked(ids=(([2], [1, 2]), ([4], [1, 4]))), Answering())
    assert (failed.passed, failed.value) == (False, 1) and "'abc'" in failed.detail
    assert check_stops(asked(), Answering(ends=[2, 8]), str).passed
    assert "after 8" in check_stops(asked(), Answering(ends=[2]), str).detail
    assert not check_stops(asked(stops=()), Answering(), str).passed  # a model that nothing stops


def test_replies_may_part_only_where_the_reference_was_undecided() -> None:
    """And of a float type no difference is so large that it explains everything."""
    tie, end = Reply((5, 9), False), Reply((7,), True)
    assert check_replies(asked(), Answering(replies=[tie, end]), "f32", 0.006).passed is False
    assert check_replies(asked(), Answering(replies=[tie, end]), "f16", 0.006).passed
    early = Reply((9, 6), False)
    assert not check_replies(asked(), Answering(replies=[early, end]), "f16", 12.0).passed
    assert not check_replies(asked(), Answering(replies=[tie, Reply((7, 3), False)]), "f16", 0.006).passed
    assert check_replies(asked(), Answering(replies=[early, end]), "q4_k_m", 0.1).required is False


# ------------------------------------------------------------------ weights


def stored(folder: Path, tensors: dict[str, Tensor]) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_cast_passes_and_its_neighbour_does_not(seed: int) -> None:
    """For every type of float: torch's cast is within half the distance of two numbers, the next number is not."""
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(64, generator=generator) * 10.0 ** torch.randint(-6, 4, (64,), generator=generator)
    for dtype in (torch.bfloat16, torch.float16):
        cast = exact.to(dtype)
        next_ = (cast.view(torch.int16) + 1).view(dtype)
        with tempfile.TemporaryDirectory() as place:
            base = stored(Path(place) / "base", {"w.weight": exact})
            source = Source("x", base, base, None, (), ())
            type_ = {torch.bfloat16: "bf16", torch.float16: "f16"}[dtype]
            assert check_weights(source, InSafetensors(stored(Path(place) / "a", {"w.weight": cast})), type_)[0].passed
            for i in (0, 17):
                changed = cast.clone()
                changed[i] = next_[i]
                folder = stored(Path(place) / f"b{i}", {"w.weight": changed})
                assert not check_weights(source, InSafetensors(folder), type_)[0].passed


def test_shares_of_stages_against_numpy(tmp_path: Path) -> None:
    """Known amounts of two overlapping updates are missing under noise: least squares of numpy finds the same."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(64, 96, generator=generator)
    parts = [
        Slice(torch.randn(r, 96, generator=generator), torch.randn(64, r, generator=generator) * 0.02, 1.5)
        for r in (3, 5)
    ]
    u = [1.5 * part.B @ part.A for part in parts]
    released = w + 0.7 * u[0] + 1.2 * u[1] + 0.02 * torch.randn(64, 96, generator=generator)
    base = stored(tmp_path / "base", {"w.weight": w})
    source = Source("x", base, base, None, tuple(Adapter({"w": part}) for part in parts), ("one", "two"))
    found = InSafetensors(stored(tmp_path / "r", {"w.weight": released}))
    checks = {check.name: check for check in check_weights(source, found, "q8_0")}
    error, wanted = (released - w - u[0] - u[1]).flatten().numpy(), (w + u[0] + u[1]).flatten().numpy()
    columns = np.stack([wanted, *(x.flatten().numpy() for x in u)], 1)
    fit = np.linalg.lstsq(columns, error, rcond=None)[0]
    for stage, off in zip(("one", "two"), fit[1:], strict=True):
        assert checks[f"stage {stage}"].value == pytest.approx(abs(off), rel=1e-4)
        assert not checks[f"stage {stage}"].passed


def test_missing_and_foreign_tensors_are_named(tmp_path: Path) -> None:
    w = torch.randn(4, 8)
    base = stored(tmp_path / "base", {"a.weight": w, "b.weight": w + 1})
    source = Source("x", base, base, None, (), ())
    folder = stored(tmp_path / "r", {"a.weight": w.T.contiguous(), "c.weight": w})
    found = check_weights(source, InSafetensors(folder), "f32")
    assert found[0].passed is False
    assert "b.weight is missing; c.weight is superfluous; a.weight is of shape (8, 4)" in found[0].detail


@pytest.mark.parametrize("type_", ["Q8_0", "F16", "BF16"])
def test_activations_are_rounded_as_ggml_rounds(type_: str) -> None:
    """Against PyPI's gguf, whose Q8_0 also rounds the scale to 16 bits."""
    x = torch.randn(3, 512, generator=torch.Generator().manual_seed(0))
    kind = GGMLQuantizationType[type_]
    wanted = quants.dequantize(quants.quantize(x.numpy(), kind), kind)
    assert np.abs(forms.rounded(x, type_).numpy() - wanted).max() <= (2e-3 if type_ == "Q8_0" else 0)


def test_questions() -> None:
    """Over 200 different texts; conversations that end with the user; positions within their rows."""
    tokenizer = AutoTokenizer.from_pretrained(REPO / "recipes" / "quickstart" / "base")
    texts = prompts.strings(tokenizer)
    assert len(set(texts)) == len(texts) >= 200
    assert any("<|eot_id|>" in text for text in texts) and any("\u0301" in text for text in texts)
    rows = prompts.rows(tokenizer, 480)
    for row in rows:
        assert max(row.positions) < len(row.ids) <= 480 and len(set(row.positions)) == len(row.positions)
    assert prompts.fingerprint(texts, rows, ()) != prompts.fingerprint(texts[:-1], rows, ())
    assert doctest.testmod(prompts).failed == 0
