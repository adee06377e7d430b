"""Continuations that share the row of their context: the same likelihoods as in rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.evaluation.shared_context import Fork, batches, forks, layout, likelihoods, takes_forks
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


def compare(model: Any, pairs: Pairs, longest: int, size: int) -> None:
    for batch in batches(forks(pairs, longest), size):
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
@given(pairs=pair_lists, longest=st.integers(5, 40), size=st.integers(1, 9))
def test_the_same_as_in_rows_of_their_own(model: Any, pairs: Pairs, longest: int, size: int) -> None:
    compare(model, pairs, longest, size)


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
    assert not takes_forks(make_model("mistral", VOCABULARY, sliding_window=4))
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
    found = next(iter(batches(forks(pairs, 64), 16)))
    (answers,) = [a for f, a in zip(found, likelihoods(peft, found, PAD), strict=True) if len(f.context) == 5]
    assert [greedy for _, greedy in answers] == [True, False, True]
    compare(peft, pairs, 64, 16)
    peft.unload()


@settings(max_examples=100, deadline=None)
@given(pairs=pair_lists, longest=st.integers(1, 40), size=st.integers(1, 9))
def test_every_request_at_most_once_and_no_row_too_long(pairs: Pairs, longest: int, size: int) -> None:
    found = forks(pairs, longest)
    numbers = [number for fork in found for number in fork.numbers]
    assert len(numbers) == len(set(numbers))
    for fork in found:
        assert len(fork.numbers) > 1 and fork.length <= longest
        assert [(list(fork.context), k) for k in fork.continuations] == [pairs[n] for n in fork.numbers]
    batched = list(batches(found, size))
    assert sorted(n for batch in batched for fork in batch for n in fork.numbers) == sorted(numbers)
    for batch in batched:
        pair = max(len(c) - 1 for c in batch[0].continuations) + len(batch[0].context)
        assert len(batch) == 1 or layout(batch, PAD)[0].numel() <= size * pair


def test_rows_by_hand() -> None:
    """Two continuations of three tokens, beside a fork with a longer context."""
    batch = [Fork([7, 8], ([20, 21, 22], [30, 31]), (0, 1)), Fork([9, 10, 11], ([40], [50]), (2, 3))]
    tokens, positions, seen, end = layout(batch, PAD)
    assert end == 3
    assert tokens.tolist() == [[PAD, 7, 8, 20, 21, 30], [9, 10, 11, PAD, PAD, PAD]]
    assert positions.tolist() == [[0, 0, 1, 2, 3, 2], [0, 1, 2, 0, 0, 0]]
    assert [int("".join(map(str, row)), 2) for row in seen[0].int().tolist()] == [
        0b100000, 0b010000, 0b011000, 0b011100, 0b011110, 0b011001,
    ]  # fmt: skip
    assert bool(seen.any(-1).all()), "a row that sees nothing is not a number"


def test_models_that_see_by_a_mask() -> None:
    model = make_llama(VOCABULARY)
    model.config._attn_implementation = "sdpa"
    assert takes_forks(model)
    model.config._attn_implementation = "flash_attention_2"
    assert not takes_forks(model)
    model.config._attn_implementation, model.config.model_type = "sdpa", "gemma3"
    assert not takes_forks(model)
