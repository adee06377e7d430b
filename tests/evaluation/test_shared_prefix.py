"""What prompts start with, computed once: the same likelihoods and replies as from whole rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.evaluation.replies import Manner, Reply, replies
from statllama.evaluation.shared_context import forks, likelihoods, takes_prefix
from statllama.evaluation.shared_prefix import Prefix, groups
from tests.conftest import make_llama
from tests.evaluation.test_shared_context import PAD, VOCABULARY, Pairs, alone, ids, pair_lists
from tests.reference import Lora, peft_lora, randomise
from tests.small_models import make_model

torch.set_num_threads(1)

prompt_lists = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), max_size=9)


@pytest.fixture(scope="module")
def model() -> Any:
    return make_llama(VOCABULARY, initializer_range=0.3).eval()


def saved(found: list[Any]) -> int:
    return sum((len(group.numbers) - 1) * len(group.prefix) for group in found)


@settings(max_examples=300, deadline=None)
@given(prompts=prompt_lists, worth=st.integers(1, 12))
def test_groups_are_of_prompts_that_start_alike(prompts: list[list[int]], worth: int) -> None:
    found = groups(prompts, worth)
    assert sorted(number for group in found for number in group.numbers) == list(range(len(prompts)))
    assert sum(not group.prefix for group in found) <= 1
    for group in found:
        for number in group.numbers:
            assert len(prompts[number]) > len(group.prefix), "what is asked follows the last token"
            assert tuple(prompts[number][: len(group.prefix)]) == group.prefix
        assert not group.prefix or saved([group]) >= worth
    # From the definition: no one prefix saves more than the groups do.
    for prompt in prompts:
        for width in range(1, len(prompt)):
            with_it = sum(len(p) > width and p[:width] == prompt[:width] for p in prompts)
            if (area := (with_it - 1) * width) >= worth:
                assert saved(found) >= area


def test_examples_that_a_few_prompts_do_not_have() -> None:
    """As when examples come from the scored split: an item that is one of them gets another in its place."""
    head, usual = list(range(20)), list(range(100, 400))
    prompts = [[*head, *usual, 500 + i] for i in range(40)]
    prompts[3], prompts[7] = [*head, *usual[:150], *range(900, 1000), 1], [*head, *range(700, 800), 2]
    big, *rest = groups(prompts)
    assert list(big.prefix) == [*head, *usual] and len(big.numbers) == 38
    assert [(group.prefix, group.numbers) for group in rest] == [((), (3, 7))]
    assert groups([]) == []


@settings(max_examples=30, deadline=None)
@given(head=st.lists(ids, min_size=1, max_size=6), pairs=pair_lists, size=st.integers(1, 9), branching=st.booleans())
def test_likelihoods_behind_a_prefix(model: Any, head: list[int], pairs: Pairs, size: int, branching: bool) -> None:
    behind = [([*head, *context], continuation) for context, continuation in pairs]
    rows = forks(behind, 60, branching)
    with torch.no_grad():
        prefix = Prefix(model, head)
        for batch in (rows[i : i + size] for i in range(0, len(rows), size)):
            for fork, found in zip(batch, likelihoods(model, batch, PAD, prefix), strict=True):
                for number, (likelihood, greedy) in zip(fork.numbers, found, strict=True):
                    right = alone(model, *behind[number])
                    assert likelihood == pytest.approx(right[0], abs=2e-5) and greedy is right[1]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["mistral", "qwen2", "qwen3"])
def test_likelihoods_on_other_architectures(kind: str, attention: str) -> None:
    model = make_model(kind, VOCABULARY, initializer_range=0.3).eval()
    model.set_attn_implementation(attention)
    assert takes_prefix(model)
    head = [9, 8, 7, 6]
    pairs = [([*head, 10 + i, 11], [20, *range(30, 30 + j), 40]) for i in range(3) for j in range(i + 2)]
    with torch.no_grad():
        for fork, found in zip(
            rows := forks(pairs, 60), likelihoods(model, rows, PAD, Prefix(model, head)), strict=True
        ):
            for number, (likelihood, _) in zip(fork.numbers, found, strict=True):
                assert likelihood == pytest.approx(alone(model, *pairs[number])[0], abs=2e-5)


def test_a_sliding_window_is_computed_whole() -> None:
    assert not takes_prefix(make_model("mistral", VOCABULARY, sliding_window=4))


# ------------------------------------------------------------------ replies


class Letters:
    """A tokenizer of one character a token, which is all that replies ask of one."""

    pad_token_id = PAD

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(letter) for letter in text]

    def batch_decode(self, rows: list[list[int]]) -> list[str]:
        return ["".join(map(chr, row)) for row in rows]


PROMPTS = [[7, 8, 9, *range(10, 10 + 3 * i)] for i in range(6)]


def one_by_one(model: Any, prompt: list[int], stops: tuple[str, ...], longest: int) -> tuple[list[int], bool]:
    """From the definition: the likeliest next token after a whole row, until a stop string or an end of text."""
    said: list[int] = []
    ends = model.generation_config.eos_token_id
    while len(said) < longest:
        with torch.no_grad():
            said.append(int(model(torch.tensor([[*prompt, *said]])).logits[0, -1].argmax()))
        if said[-1] == ends or any(stop in "".join(map(chr, said)) for stop in stops):
            return said, True
    return said, False


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("caches", [True, False])
@pytest.mark.parametrize("options", [{}, {"min_new_tokens": 0}])
def test_replies_are_those_of_one_prompt_alone(model: Any, known: int, caches: bool, options: dict[str, Any]) -> None:
    if known and not caches:
        pytest.skip("a prefix is a cache")
    free = [one_by_one(model, prompt, (), 12)[0] for prompt in PROMPTS]
    stops = ("".join(map(chr, free[1][3:5])), chr(free[2][7]))  # of two tokens, and of one
    right = [one_by_one(model, prompt, stops, 12) for prompt in PROMPTS]
    assert len({len(said) for said, _ in right}) > 2 and {ended for _, ended in right} == {True, False}
    with torch.no_grad():
        prefix = Prefix(model, PROMPTS[0][:known]) if known else None
        prompts = PROMPTS[1:] if known else PROMPTS
        found = list(replies(model, Letters(), prompts, Manner(stops, 12, options), prefix, caches))
    assert sorted(found, key=lambda reply: reply.number) == [
        Reply(number, *one) for number, one in enumerate(right[1:] if known else right)
    ]


def test_replies_end_at_an_end_of_text_with_a_stack(model: Any) -> None:
    peft = peft_lora(model, Lora(4, 8.0)).eval()
    randomise(peft, seed=1)
    before = model.generation_config.eos_token_id
    try:
        model.generation_config.eos_token_id = one_by_one(peft, PROMPTS[3], (), 5)[0][4]
        right = [one_by_one(peft, prompt, (), 12) for prompt in PROMPTS[1:]]
        assert any(ended for _, ended in right)
        with torch.no_grad():
            found = list(
                replies(peft, Letters(), PROMPTS[1:], Manner((), 12), Prefix(peft, PROMPTS[0][:3]), caches=True)
            )
        assert [(reply.ids, reply.ended) for reply in sorted(found, key=lambda reply: reply.number)] == right
    finally:
        model.generation_config.eos_token_id = before
        peft.unload()
