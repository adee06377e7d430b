"""One family, one p-value: a change looks the same in scorecard, report, card, comparison, attribution and dial."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import statllama
from statllama.config.benchmarks import chosen_tasks
from statllama.evaluation.clusters import clustered_error, sums_of
from statllama.evaluation.paired import paired_change
from statllama.evaluation.scores import TaskScore
from statllama.recipe import Recipe, load_recipe
from statllama.release.card_scores import recorded, scores_section
from statllama.report import collect
from statllama.runs import attribution
from statllama.runs.family import Family, compare_scored
from statllama.runs.plan import plan
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run
from statllama.runs.scorebook import SAMPLES, ScoreBook
from statllama.runs.scorer import open_scorer
from statllama.runs.subject import BASE, StackRef, Subject
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import stage

ITEMS = 40
RIGHT = {BASE: 8, "one": 14, "two": 17}
"""Number of right answers of each stack, the first so many: 6 and 9 gained, none lost."""


def publish(store: Store, subject: Subject, stack: StackRef, task: str, items: Sequence[float]) -> None:
    """Record a score as if the stack had been asked."""
    book = ScoreBook(
        store, subject.identity, chosen_tasks(subject.evaluate, subject.root), subject.evaluate, subject.compute
    )
    ids = [f"item{i}" for i in range(len(items))]
    error = clustered_error(items, sums_of(items, None))
    value = math.fsum(items) / len(items)
    score = TaskScore(task, "1", "acc", value, error, tuple(items), tuple(ids), len(items), len(items), 0, 0.1)
    sample = {"question": "?", "prompt": "?", "choices": ["a", "b"], "answer": 0, "prediction": 1}
    rows = [sample | {"id": ids[i], "row": i + 1, "score": item} for i, item in enumerate(items)]
    key = book.keys(stack)[task]
    (store.fresh_out("scores", key) / SAMPLES).write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = {"kind": "score", "name": stack.name, "stack": [list(part) for part in stack.parts]}
    store.publish("scores", key, manifest | {"protocol": book.protocol(stack, task), "score": score.to_json()})


def answers(right: int) -> list[float]:
    return [1.0] * right + [0.0] * (ITEMS - right)


@pytest.fixture(scope="module")
def scored(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    """A run of two stages on two benchmarks, of which the scores are made up."""
    folder = shutil.copytree(trained_once, tmp_path_factory.mktemp("family") / "trained")
    path = folder / "recipe.yaml"
    body = yaml.safe_load(path.read_text()) | {"evaluate": {"tasks": ["letters", "replies"]}}
    path.write_text(yaml.safe_dump(body))
    store = Store(folder / "w")
    subject = find_subject(str(path), store)
    whole = subject.stack("two")
    left = {"without one": whole.scaled("without one", {whole.keys[0]: 0.0})}
    for stack in (*subject.stacks(), *left.values()):
        for task in ("letters", "replies"):
            publish(store, subject, stack, task, answers(RIGHT.get(stack.name, 12)))
    return path, store


def test_a_change_has_one_p_wherever_it_is_shown(scored: tuple[Path, Store]) -> None:
    """two against the base: 9 gained of 40. One and two on base, two on one; two benchmarks: six changes."""
    path, store = scored
    result = run(load_recipe(path), store, Reporter())
    assert result.scorecard is not None and result.scorecard.tests == 6
    cell = next(row for row in result.scorecard.rows if row.name == "two").cells[0]
    alone = paired_change(answers(8), answers(17))
    assert cell.from_base is not None
    wanted = cell.from_base.p_adjusted
    assert wanted == pytest.approx(6 * alone.p) and 0.0001 < wanted < 0.05
    interval = cell.from_base.change.low, cell.from_base.change.high

    subject = find_subject("tiny", store)
    assert recorded(subject, subject.stack("two"), store).changes["letters", "two"] == cell.from_base
    text = "\n".join(scores_section(subject, recorded(subject, subject.stack("two"), store)))
    assert re.search(rf"\*\*two\*\* .* \| {wanted:.3f} \| better", text)

    page = collect(subject, store).benchmarks[0].score("two")
    assert page is not None and page.from_base is not None
    assert (page.from_base.p, page.from_base.change) == (wanted, cell.from_base.change)

    for reference, other in ((BASE, "two"), ("two", BASE)):
        wanted_stacks = [(name, subject, subject.stack(name)) for name in (reference, other)]
        tested = compare_scored(store, wanted_stacks).contrasts[0].overall
        assert tested.p_adjusted == wanted
        found = tested.change.low, tested.change.high
        assert found == pytest.approx(interval if reference == BASE else (-interval[1], -interval[0]))
    frame = statllama.compare("tiny", workspace=store.root).to_pandas()
    assert list(frame[(frame.task == "letters") & (frame.model == "tiny:two")].p_adjusted) == [wanted]

    scorer = open_scorer(subject, store, Reporter())
    some = [subject.stack(BASE), subject.stack("two")]  # a part of the stacks, whose other one is still in the family
    card, _ = attribution.evaluate(scorer, some, Family.of(subject))
    assert card.rows[1].cells[0].from_base == cell.from_base
    step = attribution.attribute(subject, scorer, "one").shares[0].step
    first = next(row for row in result.scorecard.rows if row.name == "one").cells[0]
    assert step == first.from_base
    notch = attribution.dial(subject, scorer, "two", [0.0]).notches[0]  # without it, the stack of one
    assert notch.changes["letters"].p_adjusted == cell.from_parent.p_adjusted  # type: ignore[union-attr]


def test_what_the_recipe_does_not_ask_about_is_a_family_of_what_is_shown(scored: tuple[Path, Store]) -> None:
    path, store = scored
    subject = find_subject(str(path), store)
    shares = attribution.attribute(subject, open_scorer(subject, store, Reporter())).shares
    kept = [share.kept for share in shares if share.stage == "one"]
    assert [judged.change.tests for judged in kept] == [2, 2]
    assert all(share.step.change.tests == 6 for share in shares)


def test_a_benchmark_beyond_the_recipes_is_a_family_by_itself(scored: tuple[Path, Store]) -> None:
    path, store = scored
    subject = find_subject(str(path), store).evaluated({"tasks": ["letters", "other", "third"]})
    family, base = Family.of(subject), subject.stack(BASE)
    assert {task: family.size(base, subject.stack("one"), task) for task in ("letters", "other", "third")} == {
        "letters": 6, "other": 3, "third": 3,
    }  # fmt: skip


def test_a_part_of_a_recipe_is_judged_as_the_whole(scored: tuple[Path, Store]) -> None:
    path, store = scored
    part = run(load_recipe(path).down_to("one"), store, Reporter()).scorecard
    assert part is not None and part.tests == 6


def recipe_of(parents: Mapping[str, Sequence[str] | str], path: Path) -> Recipe:
    rates = {name: {"learning_rate": 0.01 + i / 100} for i, name in enumerate(parents)}  # else equal stages are one
    stages: list[dict[str, Any]] = [stage(name, parents=of, train=rates[name]) for name, of in parents.items()]
    body = yaml.safe_load(path.read_text())
    other = path.with_name("dag.yaml")
    other.write_text(yaml.safe_dump(body | {"name": "dag", "stages": stages}))
    return load_recipe(other)


@pytest.mark.parametrize(
    ("parents", "comparisons"),
    [
        ({"a": "base"}, 1),
        ({"a": "base", "b": ["a"], "c": ["b"]}, 5),
        ({"a": "base", "b": "base"}, 2),
        ({"a": "base", "b": "base", "c": ["a", "b"]}, 5),  # a, b, a + b and c on the base, c on a + b
        ({"a": "base", "b": "base", "c": ["a", "b"], "d": ["a", "b"]}, 7),
    ],
)
def test_comparisons_of_a_recipe(
    scored: tuple[Path, Store], parents: Mapping[str, Any], comparisons: int, tmp_path: Path
) -> None:
    """Counted from the recipe, and again from the stacks that a plan of it makes."""
    recipe = recipe_of(parents, scored[0])
    assert recipe.comparisons == comparisons
    planned = {p.spec.name: p for p in plan(recipe, Store(tmp_path / "w"))}
    pairs = set()
    for stage_ in planned.values():
        pairs |= {((), stage_.stack.keys), (stage_.parent.keys, stage_.stack.keys)}
        pairs |= {((), stage_.parent.keys)} if stage_.parent.keys else set()
    assert len(pairs) == comparisons
    assert len(Family.of(find_subject(str(recipe.source), Store(tmp_path / "w"))).pairs) == comparisons


def test_old_records_are_counted_by_their_stacks(scored: tuple[Path, Store]) -> None:
    subject = find_subject(str(scored[0]), scored[1])
    record = {name: value for name, value in subject.record.items() if name != "comparisons"}
    assert Family.of(replace(subject, record=record)) == Family.of(subject)
