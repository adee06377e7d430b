"""What scores cannot mean: the tests against scipy, worked examples of every note, and no alarm without cause."""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from statllama.cli.console import scores as console_scores
from statllama.cli.console import terminal
from statllama.config import blind as blind_module
from statllama.config.benchmarks import BenchmarkError, find_tasks
from statllama.config.blind import Blind
from statllama.evaluation import meaning, tally
from statllama.evaluation.compare import Record, Scored, compare
from statllama.evaluation.meaning import Note, floors, grouped, notes, p_above, p_below, sentences
from statllama.evaluation.scorecard import scorecard
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.tally import Tally
from statllama.runs.results import Compared, Scores
from tests.benchmarks_for_tests import choice_task


def ones(right: int, n: int) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def scored(items: Sequence[float], **changes: Any) -> TaskScore:
    """A score on four choices, in JSON and back."""
    ids = tuple(f"item{i}" for i in range(len(items)))
    values = {"chance": 0.25, "clusters": None} | changes
    score = TaskScore(
        "stats", "1", "acc", math.fsum(items) / len(items), 0.01, tuple(items), ids, len(items), len(items), 0, 1.0,
        **values,
    )  # fmt: skip
    again = TaskScore.from_json(json.loads(json.dumps(score.to_json())))
    assert again == score
    return again


def said(score: TaskScore, **others: TaskScore) -> list[str]:
    """The notes on a score as they stand below a table: kind of verdict, reason, whose."""
    lines = grouped(notes({"sft": score, **others})).items()
    return [f"{'meaningless' if bad else 'note'}: {what}: {', '.join(names)}" for (bad, what), names in lines]


# ------------------------------------------------------------------ the tests


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.01, 0.99))
def test_without_clusters_the_test_is_the_binomial_one(case: tuple[int, int], floor: float) -> None:
    right, n = case
    items = ones(right, n)
    assert p_above(items, floor) == pytest.approx(stats.binomtest(right, n, floor, "greater").pvalue, abs=1e-9)
    assert p_below(items, floor) == pytest.approx(stats.binomtest(right, n, floor, "less").pvalue, abs=1e-9)


def by_hand(items: Sequence[float], clusters: Sequence[str], floor: float, error: float) -> float:
    """The larger one of the binomial p and of t with the variance that chance would have, times the design effect."""
    x, names = numpy.array(items), sorted(set(clusters))
    sums = numpy.array([sum(a - x.mean() for a, c in zip(x, clusters, strict=True) if c == name) for name in names])
    of_clusters = (sums**2).sum() * len(names) / (len(names) - 1) / len(x) ** 2
    effect = max(1.0, of_clusters / (x.var(ddof=1) / len(x)))
    t = (x.mean() - floor) / math.sqrt(floor * (1 - floor) * effect / len(x) + error**2)
    exact = stats.binomtest(int(x.sum()), len(x), floor, "greater").pvalue
    return float(max(stats.t.sf(t, len(names) - 1), exact))


@pytest.mark.parametrize("seed", range(6))
def test_with_clusters_it_is_of_clusters(seed: int) -> None:
    draw = numpy.random.default_rng(seed)
    clusters = [f"kind {i // 4}" for i in range(80)]
    items = [float(draw.random() < (0.7 if (i // 4) % 3 == 0 else 0.2)) for i in range(80)]
    for floor, error in ((0.25, 0.0), (0.25, 0.03), (0.4, 0.01)):
        assert p_above(items, floor, error, clusters) == pytest.approx(by_hand(items, clusters, floor, error), abs=1e-9)


def test_one_cluster_and_a_baseline_at_an_end_say_what_they_can() -> None:
    assert p_above(ones(9, 10), 0.25, clusters=["a"] * 10) == 1.0
    assert (
        p_above(ones(10, 10), 1.0, 0.0) == 1.0 and p_above(ones(1, 10), 0.0) == 0.0 and p_above(ones(0, 10), 0.0) == 1
    )
    assert p_below(ones(10, 10), 1.0) == 1.0 and p_below(ones(9, 10), 1.0) == 0.0
    assert p_above(ones(3, 10), 0.0, clusters=list("abcdefghij")) == 0.0
    with pytest.raises(ValueError, match="at least one item"):
        p_above([], 0.25)


def test_a_model_at_chance_is_seldom_called_better_however_its_clusters_lean() -> None:
    """40 kinds of 6 items, each right at a share of its own around 25 %: the binomial test alone errs too often."""
    draw, runs = numpy.random.default_rng(7), 400
    clusters = [f"kind {i}" for i in range(40) for _ in range(6)]
    false = naive = 0
    for _ in range(runs):
        shares = numpy.repeat(draw.beta(0.75, 2.25, size=40), 6)
        items = (draw.random(240) < shares).astype(float).tolist()
        false += p_above(items, 0.25, clusters=clusters) < 0.05
        naive += p_above(items, 0.25) < 0.05
    assert false / runs <= 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / runs)
    assert naive / runs > 0.10


# ------------------------------------------------------------------ chance and the blind baseline


def test_a_small_sound_benchmark_is_not_called_meaningless() -> None:
    """6 of 20 right where guessing gets 5: P(X >= 6) = 0.383 by the binomial table."""
    assert said(scored(ones(6, 20))) == ["note: not shown to be above chance (25.0): sft (30.0, p = 0.383)"]
    assert said(scored(ones(5, 20))) == ["note: not shown to be above chance (25.0): sft (25.0, p = 0.585)"]
    assert said(scored(ones(12, 20))) == []


def test_a_large_benchmark_shows_that_a_model_guesses() -> None:
    assert said(scored(ones(147, 600))) == ["meaningless: less than 5 points above chance (25.0): sft (24.5)"]
    assert said(scored(ones(90, 600))) == ["meaningless: below chance (25.0): sft (15.0)"]
    assert said(scored(ones(240, 600))) == []


def test_clusters_count_as_what_they_say() -> None:
    """30 of 60 right of four choices: above chance if each item stands alone, not with 6 kinds of ten that are each all
    right or all wrong."""
    alone, kinds = [f"kind {i}" for i in range(60)], [f"kind {i // 10}" for i in range(60)]
    half = ones(30, 60)
    assert said(scored(half, clusters=tuple(alone))) == []
    (note,) = notes({"sft": scored(half, clusters=tuple(kinds))})
    assert (note.what, note.meaningless) == ("not shown to be above chance (25.0)", False)


def test_a_score_is_held_against_the_blind_baseline_too() -> None:
    giving = Blind(0.67, 0.02)
    assert said(scored(ones(300, 600), blind=giving)) == ["meaningless: below the blind baseline (67.0): sft (50.0)"]
    assert said(scored(ones(480, 600), blind=giving)) == []
    wide = Blind(0.67, 0.10)  # a baseline that is not known well: 75 % may well not be above it
    assert [n.what for n in notes({"a": scored(ones(450, 600), blind=wide)})] == [
        "not shown to be above the blind baseline (67.0)"
    ]
    sound = Blind(0.245, 0.014)
    assert said(scored(ones(150, 600), blind=sound)) == [
        "meaningless: less than 5 points above chance (25.0) or the blind baseline (24.5): sft (25.0)"
    ]


def test_without_choices_nothing_is_said_of_chance() -> None:
    assert said(scored(ones(1, 50), chance=None)) == []
    assert said(scored(ones(0, 50), chance=None)) == ["note: no item is right, so a loss cannot show: sft"]
    assert said(scored([0.3, 0.1, 0.2], chance=0.25)) == [], "graded scores have no binomial test"


# ------------------------------------------------------------------ answers


def answers(times: int, right: int, unread: int = 0, digest: str = "d", common: str = "B") -> Tally:
    return Tally(common, times, right, unread, digest)


def test_equal_answers_are_noted_with_their_share() -> None:
    right = ones(100, 216)
    every = said(scored(right, answered=answers(216, 100)))
    assert every == ["meaningless: the same answer to every item: sft (B)"]
    nearly = said(scored(right, answered=answers(205, 90)))
    assert nearly == ["note: the same answer to nearly every item: sft (B to 94.9 %, 205 of 216)"]
    assert said(scored(right, answered=answers(150, 70))) == []
    long = said(scored(right, answered=answers(216, 100, common="on and \n" * 40)))
    assert long == ["meaningless: the same answer to every item: sft (on and on and on and on and on and on...)"]


def test_right_answers_that_are_mostly_alike_are_no_cause() -> None:
    """19 of 20 questions are answered by `yes`: a model that knows them answers so."""
    assert said(scored(ones(195, 200), chance=0.5, answered=answers(190, 186, common="yes"))) == []
    assert said(scored(ones(5, 6), chance=0.25, answered=answers(6, 5))) == [], "six equal answers are no surprise"


def test_replies_without_an_end_or_an_answer_are_noted() -> None:
    cut = said(scored(ones(40, 100), chance=None, unfinished=12))
    assert cut == ["note: replies cut at the token limit: sft (12.0 %, 12 of 100)"]
    assert said(scored(ones(60, 100), chance=None, answered=answers(3, 3, unread=9))) == []
    unread = said(scored(ones(10, 100), chance=None, answered=answers(3, 3, unread=88)))
    assert unread == ["note: replies without a readable answer: sft (88.0 %, 88 of 100)"]


def test_answers_that_are_those_of_before_are_noted() -> None:
    base, other = (scored(ones(90, 100), answered=answers(30, 28, digest=d)) for d in ("d", "e"))
    found = notes({"base": base, "sft": base, "dpo": other}, {"sft": ("base",), "dpo": ("sft", "base")})
    assert [(n.stack, n.what) for n in found] == [("sft", "every answer is that of base, so nothing changed here")]
    elsewhere = replace(base, item_ids=tuple(f"other{i}" for i in range(100)))
    unrecorded = replace(base, answered=None)
    assert not notes({"base": base, "sft": elsewhere}, {"sft": ("base",)})
    assert not notes({"base": unrecorded, "sft": unrecorded}, {"sft": ("base",)})


def test_records_from_before_these_figures_are_read_and_say_nothing() -> None:
    old = {k: v for k, v in scored(ones(0, 9)).to_json().items() if k not in ("chance", "blind", "answered")}
    score = TaskScore.from_json(old)
    assert (score.chance, score.blind, score.answered) == (None, None, None)
    assert said(replace(score, items=(1.0,) * 9)) == []


# ------------------------------------------------------------------ tallies


def choices(prediction: int, score: float, texts: Sequence[str] = "ABCD") -> dict[str, Any]:
    return {"choices": list(texts), "prediction": prediction, "score": score}


def test_a_tally_counts_the_answers() -> None:
    letters = tally.tally([choices(1, 1.0), choices(1, 0.0), choices(2, 1.0)])
    assert letters is not None and (letters.common, letters.times, letters.right, letters.unread) == ("B", 2, 1, 0)
    words = tally.tally([choices(1, 1.0, ["x", "y"]), choices(1, 0.0, ["v", "w"])])
    assert words is not None and words.common == "choice 2"
    same, other = ([choices(p, s) for p, s in ((1, 1.0), (k, 0.0))] for k in (2, 3))
    assert tally.tally(same) == tally.tally([dict(one) for one in same]) != tally.tally(other)
    replies: list[dict[str, Any]] = [{"generated": text, "prediction": read, "score": s} for text, read, s in (
        ("so 4", "4", 1.0), ("maybe", tally.UNREAD, 0.0), ("it is 4", "4", 0.0), ("?", tally.UNREAD, 0.0),
    )]  # fmt: skip
    written = tally.tally(replies)
    assert written is not None and (written.common, written.times, written.right, written.unread) == ("4", 2, 1, 2)
    again = tally.tally([{**one, "generated": f"{one['generated']}!"} for one in replies])
    assert again is not None and again.digest != written.digest, "whole replies are compared"
    assert tally.tally([{"prediction": True, "loglikelihoods": [-1.0], "score": 1.0}]) is None


# ------------------------------------------------------------------ the task file


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        (0.245, Blind(0.245)),
        (0, Blind(0.0)),
        ({"value": 0.245, "stderr": 0.014, "how": "by hand"}, Blind(0.245, 0.014, "by hand")),
        (None, None),
    ],
)
def test_a_blind_baseline_is_read(stated: object, wanted: Blind | None) -> None:
    assert blind_module.read_blind(stated) == wanted


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("24.5", "`metadata.blind` is 24.5; it is a share from 0 to 1: for 24.5 % write 0.245"),
        ("-0.1", "`metadata.blind` is -0.1; write a share from 0 to 1"),
        ("101", "`metadata.blind` is 101; write a share from 0 to 1"),
        (".nan", "`metadata.blind` is nan; write a share"),
        (".inf", "`metadata.blind` is inf; write a share"),
        ("true", "`metadata.blind` is True, which is not a number"),
        ("a quarter", "`metadata.blind` is 'a quarter', which is not a number"),
        ("[0.2]", "`metadata.blind` is [0.2], which is not a number"),
        ("{stderr: 0.1}", "`metadata.blind.value` is missing"),
        ("{value: 0.2, stder: 0.1}", "unknown field `stder`; did you mean 'stderr'?"),
        (
            "{value: 0.2, stderr: 1.4}",
            "`metadata.blind.stderr` is 1.4; it is a share from 0 to 1: for 1.4 % write 0.014",
        ),
        ("{value: 0.2, how: 3}", "`metadata.blind.how` is 3"),
    ],
)
def test_a_wrong_baseline_is_refused_with_its_file(tmp_path: Path, stated: str, message: str) -> None:
    path = choice_task(tmp_path, "letters", 3)
    path.write_text(path.read_text().replace("version: 1.0", f"version: 1.0\n  blind: {stated}"))
    with pytest.raises(BenchmarkError) as caught:
        find_tasks(["letters"], [tmp_path])
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_metadata_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = choice_task(tmp_path, "letters", 3)
    path.write_text(path.read_text().replace("metadata:\n  version: 1.0", "metadata: [1]"))
    with pytest.raises(BenchmarkError, match=r"`metadata` must be a mapping, got \[1\]"):
        find_tasks(["letters"], [tmp_path])


# ------------------------------------------------------------------ shown


def rows() -> list[tuple[str, str | None, list[TaskScore]]]:
    """A base that guesses and a stage that answers B to all, on a benchmark with a blind baseline."""
    base = scored(ones(147, 600), blind=Blind(0.245, 0.014), answered=answers(160, 40, digest="base"))
    stage = scored(ones(240, 600), blind=Blind(0.245, 0.014), answered=answers(600, 240, digest="sft"))
    return [("base", None, [base]), ("sft", "base", [stage])]


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], show: Any, columns: int) -> str:
    for module in (terminal, console_scores):
        monkeypatch.setattr(module, "Out", Console(width=columns, highlight=False))
    show()
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    return " ".join(text.split())


@pytest.mark.parametrize("columns", [80, 160])
def test_scorecard_and_comparison_show_what_scores_are_held_against(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = scorecard(rows())
    text = printed(monkeypatch, capsys, lambda: console_scores.print_scorecard(card), columns)
    assert "stats (acc, 600 items; chance 25.0, blind baseline 24.5 ± 1.4)" in text
    lines = (
        "meaningless: less than 5 points above chance (25.0) or the blind baseline (24.5): base (24.5)",
        "meaningless: the same answer to every item: sft (B)",
    )
    assert all(line in text for line in lines) and "sees the options alone" in text

    comparison = compare([Scored(name, {"stats": Record(found[0], {})}) for name, _, found in rows()])
    text = printed(monkeypatch, capsys, lambda: console_scores.print_comparison(comparison, 0), columns)
    assert "stats: chance 25.0, blind baseline 24.5 ± 1.4" in text and "sees the options alone" in text
    assert all(line.replace("less: ", "less: stats: ", 1) in text for line in lines)


def test_json_and_tables_hold_them() -> None:
    card = scorecard(rows())
    data = json.loads(json.dumps(card.to_json()))
    assert data["rows"][0]["cells"][0]["chance"] == 0.25
    assert data["rows"][0]["cells"][0]["blind"] == {"value": 0.245, "stderr": 0.014, "how": ""}
    assert [(note["stack"], note["kind"], note["meaningless"]) for note in data["notes"]] == [
        ("base", "chance", True),
        ("sft", "one answer", True),
    ]
    table = Scores("run", card)
    assert [(row["chance"], row["blind"]) for row in table.rows()] == [(25.0, 24.5), (25.0, 24.5)]
    assert "stats: chance 25.0, blind baseline 24.5 ± 1.4." in repr(table)
    assert "stats: the same answer to every item: sft (B). Such a score says nothing of what a model knows." in repr(
        table
    )
    comparison = compare([Scored(name, {"stats": Record(found[0], {})}) for name, _, found in rows()])
    assert len(json.loads(json.dumps(comparison.to_json()))["notes"]) == 2
    compared = Compared(comparison)
    assert (compared.rows()[0]["chance"], compared.rows()[0]["blind"]) == (25.0, 24.5)
    assert "chance 25.0" in repr(compared) and "the same answer to every item" in repr(compared)


def test_notes_in_words() -> None:
    note = Note("stats", "sft", "cut", False, "replies cut at the token limit", "2.0 %, 2 of 100")
    assert str(note) == "stats: replies cut at the token limit: sft (2.0 %, 2 of 100)"
    assert sentences([note]) == [f"{note}."]
    assert sentences([note], tasks=False) == ["replies cut at the token limit: sft (2.0 %, 2 of 100)."]
    assert (floors(None, None), floors(0.25, None), floors(None, Blind(0.3))) == (
        "",
        "chance 25.0",
        "blind baseline 30.0",
    )


@pytest.mark.parametrize("module", [meaning, tally, blind_module])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
