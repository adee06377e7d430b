"""One optimizer step, whatever its forward passes: the token budget changes rounding alone."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from statllama.data.budget import PASS_TOKENS, deal, split, split_joined
from statllama.train.step import averaged
from tests.conftest import stage, write_jsonl
from tests.reference import relative
from tests.running import losses, run
from tests.train.test_resume import StopAt

torch.set_num_threads(1)
Write = Callable[..., Path]
LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=7)

# ------------------------------------------------------------------ the split


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """All ways to put items into groups."""
    if not items:
        yield []
        return
    first, *rest = items
    for groups in partitions(rest):
        yield [[first], *groups]
        for i in range(len(groups)):
            yield [*groups[:i], [first, *groups[i]], *groups[i + 1 :]]


def cost(groups: list[list[int]], lengths: list[int], rows: int) -> int:
    """Tokens computed, padding included, and the fixed cost of each pass."""
    return sum(len(g) * rows * max(lengths[i] for i in g) + PASS_TOKENS for g in groups)


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 3000), st.sampled_from([1, 2]))
def test_no_split_under_the_budget_costs_less(lengths: list[int], budget: int, rows: int) -> None:
    found = split(lengths, budget, rows)
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    assert all(group == sorted(group) for group in found)

    def fits(groups: list[list[int]]) -> bool:
        return all(len(g) == 1 or len(g) * rows * max(lengths[i] for i in g) <= budget for g in groups)

    assert fits(found)
    least = min(cost(g, lengths, rows) for g in partitions(list(range(len(lengths)))) if fits(g))
    assert cost(found, lengths, rows) == least


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 3000), st.integers(1, 4))
def test_no_deal_of_neighbours_ends_sooner(lengths: list[int], budget: int, ranks: int) -> None:
    """Each item goes to one rank; by trying every way to cut the rows, sorted by length."""
    found = deal(lengths, budget, ranks)
    assert len(found) == ranks
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    assert all(group == sorted(group) for group in found)

    def ends(parts: list[list[int]]) -> int:
        return max(cost(split(part, budget), part, 1) for part in parts)

    ordered, count = sorted(lengths), len(lengths)
    cuts = itertools.combinations_with_replacement(range(count + 1), ranks - 1)
    least = min(ends([ordered[a:b] for a, b in itertools.pairwise([0, *cut, count])]) for cut in cuts)
    assert ends([[lengths[i] for i in group] for group in found]) == least


def test_rows_of_like_length_share_a_pass() -> None:
    assert split([500, 20, 480, 30, 490], 2000) == [[0, 2, 4], [1, 3]]
    assert split([10, 10, 10], 8) == [[0], [1], [2]]
    assert split([100, 100], 10_000) == [[0, 1]]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.integers(1, 3000))
def test_joined_rows_fill_passes(lengths: list[int], budget: int) -> None:
    """Each row once; no pass above the budget but a row by itself; no two passes that would fit into one."""
    found = split_joined(lengths, budget)
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    sizes = [sum(lengths[i] for i in group) for group in found]
    assert all(size <= budget or len(group) == 1 for size, group in zip(sizes, found, strict=True))
    assert all(a + b > budget for i, a in enumerate(sizes) for b in sizes[:i])


# ------------------------------------------------------------------ the figures of a step


def test_figures_of_passes_are_averaged_by_what_they_are_means_over() -> None:
    """By hand: two pairs and one, 30 and 10 tokens."""
    first = {"entropy": 2.0, "rewards/chosen": 1.0, "rewards/rejected": 0.5, "rewards/margins": 0.5}
    second = {"entropy": 4.0, "rewards/chosen": 4.0, "rewards/margins": 9.0}
    counts = [
        {"items": 2, "tokens": 30, "chosen": 2, "rejected": 1},
        {"items": 1, "tokens": 10, "chosen": 1, "rejected": 0},
    ]
    found = averaged([(first, counts[0]), (second, counts[1])])
    assert found == {"entropy": 2.5, "rewards/chosen": 2.0, "rewards/rejected": 0.5, "rewards/margins": 1.5}
    assert averaged([(first, counts[0])]) == first


# ------------------------------------------------------------------ any budget, one result


def unequal(kind: str, folder: Path, rows: int = 11) -> None:
    """Eleven rows whose lengths differ several times over: with steps of 8, the last one of an epoch has 3."""
    draw = random.Random(5)
    words = [" ".join(["mean", "median", "range", "value"][draw.randrange(4)] for _ in range(draw.randint(1, 30))) for _ in range(2 * rows)]  # noqa: E501 # fmt: skip
    made: dict[str, Callable[[int], dict[str, Any]]] = {
        "cpt": lambda i: {"text": f"{i} {words[i]} {words[i + rows]}"},
        "sft": lambda i: {"messages": [{"role": "user", "content": f"{i} {words[i]}"}, {"role": "assistant", "content": words[i + rows]}]},  # noqa: E501
        "dpo": lambda i: {"prompt": f"{i} of", "chosen": words[i], "rejected": words[i + rows]},
        "kto": lambda i: {"prompt": f"{i} of", "completion": words[i], "label": i % 3 > 0},
    }  # fmt: skip
    write_jsonl(folder / f"{kind}.jsonl", [made[kind](i) for i in range(rows)])


def small(kind: str, **changes: Any) -> dict[str, Any]:
    train = {"steps": 5, "batch_size": 8, "micro_tokens": 10**6, "max_length": 160, "learning_rate": 3e-3}
    return stage("one", kind, train=train | {"adam_epsilon": 1e-4} | changes)


def difference(first: Path, second: Path) -> float:
    """The largest difference of a module's B, relative to it; A's is smaller."""
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (first, second))
    return max(relative(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", [pytest.param("cpt", marks=pytest.mark.slow), "sft", "dpo", "kto"])
def test_any_budget_gives_the_same_adapter(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    """Also in the short last step of an epoch. With micro-batches of rows, dpo and kto differed by 10 to 25 %."""
    path = write_recipe([small(kind)])
    unequal(kind, tmp_path)
    whole = run(path, tmp_path / "whole")["one"]
    figures = [json.loads((whole / "history.json").read_text())]
    for budget in (1, 150, 400):
        other = run(path, tmp_path / str(budget), f"stages.one.train.micro_tokens={budget}")["one"]
        assert other.name == whole.name, "the budget is not in the key"
        assert difference(other, whole) < 1e-5
        assert losses(other) == pytest.approx(losses(whole), rel=1e-5)
        figures.append(json.loads((other / "history.json").read_text()))
    for step in range(5):
        names = figures[0][step].keys() - {"epoch"}
        assert names
        for name in names:
            assert all(f[step][name] == pytest.approx(figures[0][step][name], rel=1e-3, abs=1e-5) for f in figures), (
                name
            )


def test_a_run_resumed_under_another_budget(write_recipe: Write, tmp_path: Path) -> None:
    """In the middle of an epoch: the whole run's adapter but for rounding."""
    path = write_recipe([small("dpo", checkpoint_every=1)])
    unequal("dpo", tmp_path)
    whole = run(path, tmp_path / "whole")["one"]
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "broken", reporter=StopAt(3))
    resumed = run(path, tmp_path / "broken", "stages.one.train.micro_tokens=150")["one"]
    assert json.loads((resumed / "manifest.json").read_text())["metrics"]["resumed_from"] == 2
    assert difference(resumed, whole) < 1e-5
