"""Continuations that share the row of their context: the same likelihoods as in rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.evaluation.shared_context import Fork, fork_of, forks, layout, likelihoods, takes_forks
from tests.conftest import make_llama
from tests.reference import Lora, peft_lora, randomise
from tests.small_models import make_model

torch.set_num_threads(1)
VOCABULARY, PAD = 90, 5
Pairs = list[tuple[list[int], list[int]]]

ids = st.integers(6, VOCABULARY - 1)
several = st.lists(st.lists(ids, min_size=1, max_size=5), max_size=5)
pairs_of_one = st.tuples(st.lists(ids, min_size=1, max_size=9), several)
pair_lists = st.lists(pairs_of_one, max_size=5).map(lambda found: [(c, k) for c, ks in found for k in ks])


def alone(model: Any, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
    """From the definition: one row, the logits before each token of the continuation."""
    row = torch.tensor([[*context, *continuation]])
    with torch.no_grad():
        logits = model(row).logits[0, len(context) - 1 : -1].double()
    wanted = torch.tensor(continuation)
    chances = logits.log_softmax(-1)[torch.arange(len(wanted)), wanted]
    return float(chances.sum()), bool((logits.argmax(-1) == wanted).all())


def compare(model: Any, pairs: Pairs, longest: int, size: int, branching: bool = True) -> None:
    rows = forks(pairs, longest, branching)
    for batch in (rows[i : i + size] for i in range(0, len(rows), size)):
        with torch.no_grad():
            answers = likelihoods(model, batch, PAD)
        for fork, found in zip(batch, answers, strict=True):
            for number, (likelihood, greedy) in zip(fork.numbers, found, strict=True):
                right = alone(model, *pairs[number])
                assert likelihood == pytest.approx(right[0], abs=2e-5)
                assert greedy is right[1]


@pytest.fixture(scope="module")
def model() -> Any:
    return make_llama(VOCABULARY, initializer_range=0.3).eval()


@settings(max_examples=40, deadline=None)
@given(pairs=pair_lists, longest=st.integers(5, 40), size=st.integers(1, 9), branching=st.booleans())
def test_the_same_as_in_rows_of_their_own(model: Any, pairs: Pairs, longest: int, size: int, branching: bool) -> None:
    compare(model, pairs, longest, size, branching)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["mistral", "qwen2", "qwen3"])
def test_the_same_on_other_architectures(kind: str, attention: str) -> None:
    """With biases, and with norms of heads."""
    model = make_model(kind, VOCABULARY, initializer_range=0.3).eval()
    model.set_attn_implementation(attention)
    assert takes_forks(model)
    draw = torch.Generator().manual_seed(3)
    pairs: Pairs = []
    for length in (1, 3, 9, 14):
        context = torch.randint(6, VOCABULARY, (length,), generator=draw).tolist()
        for width in (1, 2, 6, 7):
            pairs.append((context, torch.randint(6, VOCABULARY, (width,), generator=draw).tolist()))
    compare(model, pairs, 40, 3)


def test_a_sliding_window_is_scored_row_by_row() -> None:
    layers = {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"]}
    windowed = make_model("mistral", VOCABULARY, sliding_window=4, initializer_range=0.3).eval()
    assert not takes_forks(windowed)
    compare(windowed, [([7, 8, 9, 10, 11], [20, 21, 22]), ([7, 8, 9, 10, 11], [20, 21, 23]), ([7], [8])], 40, 9, False)
    assert not takes_forks(make_model("qwen2", VOCABULARY, **layers))
    assert takes_forks(make_model("qwen2", VOCABULARY, sliding_window=4)), "which is not used"


def test_with_a_stack_and_greedy_continuations(model: Any) -> None:
    """A continuation that greedy decoding would say, beside ones that it would not."""
    peft = peft_lora(model, Lora(4, 8.0)).eval()
    randomise(peft, seed=1)
    context, said = [7, 8, 9, 40, 41], []
    for _ in range(4):
        said.append(int(peft(torch.tensor([[*context, *said]])).logits[0, -1].argmax()))
    pairs = [(context, said), (context, [*said[:3], 6]), (context, said[:1]), ([7, 8], [9]), ([7, 8], [9, 40])]
    with torch.no_grad():
        answers, _ = likelihoods(peft, forks(pairs, 64), PAD)
    assert [greedy for _, greedy in answers] == [True, False, True]
    compare(peft, pairs, 64, 16)
    peft.unload()


@settings(max_examples=100, deadline=None)
@given(pairs=pair_lists, longest=st.integers(1, 40), branching=st.booleans())
def test_every_request_once_and_no_row_too_long(pairs: Pairs, longest: int, branching: bool) -> None:
    rows = forks(pairs, longest, branching)
    assert sorted(number for row in rows for number in row.numbers) == list(range(len(pairs)))
    for row in rows:
        assert row.length <= longest or len(row.numbers) == 1
        assert branching or not row.branches
        for number, tail in zip(row.numbers, row.tails, strict=True):
            context, continuation = pairs[number]
            assert [*row.trunk, *tail, continuation[-1]] == [*context, *continuation] and row.start == len(context)


@settings(max_examples=60, deadline=None)
@given(pairs=pair_lists, longest=st.integers(5, 40))
def test_a_batch_is_no_wider_than_its_longest_row(pairs: Pairs, longest: int) -> None:
    """Unsloth cuts rows at the model's maximum length."""
    rows = forks(pairs, longest)
    assert not rows or layout(rows, PAD).ids.shape == (len(rows), max(row.length for row in rows))


def test_rows_by_hand() -> None:
    """A row with two tails, beside one with a longer context whose choices differ in their last token."""
    pairs = [([7, 8], [20, 21, 22]), ([7, 8], [30, 31]), ([9, 10], [11, 40]), ([9, 10], [11, 50])]
    batch = [fork_of(pairs, [0, 1]), fork_of(pairs, [2, 3])]
    assert batch[1] == Fork([9, 10, 11], 2, ([11, 40], [11, 50]), (2, 3))
    assert [row.branches for row in batch] == [True, False]
    rows = layout(batch, PAD)
    assert rows.ends == [2, 5] and rows.tails == [[2, 4], [5, 5]]
    assert rows.ids.tolist() == [[7, 8, 20, 21, 30], [PAD, PAD, 9, 10, 11]]
    assert rows.positions.tolist() == [[0, 1, 2, 3, 2], [0, 0, 0, 1, 2]]
    assert rows.seen is not None
    assert [int("".join(map(str, row)), 2) for row in rows.seen[0].int().tolist()] == [
        0b10000, 0b11000, 0b11100, 0b11110, 0b11001,
    ]  # fmt: skip
    assert bool(rows.seen.any(-1).all()), "a row that sees nothing is not a number"
    plain = layout(batch[1:], PAD, known=1)
    assert plain.seen is None and plain.ids.tolist() == [[10, 11]] and plain.positions.tolist() == [[1, 2]]


def test_models_that_see_by_a_mask() -> None:
    model = make_llama(VOCABULARY)
    model.config._attn_implementation = "sdpa"
    assert takes_forks(model)
    model.config._attn_implementation = "flash_attention_2"
    assert not takes_forks(model)
    model.config._attn_implementation, model.config.model_type = "sdpa", "gemma3"
    assert not takes_forks(model)
