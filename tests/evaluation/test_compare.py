"""Comparing scored models: refusals, families of tests, flipped items, topics, false claims on simulated null pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest
from rich.console import Console
from scipy import stats

from statllama.cli.console import scores as console_scores
from statllama.cli.console import terminal as console
from statllama.errors import UsageError
from statllama.evaluation import paired
from statllama.evaluation.compare import Comparison, Record, Scored, compare
from statllama.evaluation.paired import paired_change
from statllama.evaluation.scorecard import IncomparableError
from tests.evaluation.test_scorecard import task_score

PROTOCOL = {
    "protocol": 2,
    "lm_eval": "0.4.13",
    "base": {"repo": "one"},
    "stack": [],
    "tasks": {"stats": "f" * 64},
    "limit": None,
    "chat_template": True,
}


def record(
    items: Sequence[float], task: str = "stats", topics: Sequence[str] = (), samples: bool = True, **protocol: Any
) -> Record:
    score = task_score(list(items), task)
    rows = [
        {
            "id": score.item_ids[i],
            "row": i + 1,
            "score": value,
            "question": f"Question {i}: what is it?\nA. this\nB. that",
            "prompt": f"An example. Question {i}: what is it?\nA. this\nB. that<|end|>assistant: ",
            "choices": ["this", "that"],
            "answer": 0,
            "prediction": int(value < 0.5),
            **({"topic": topics[i]} if topics else {}),
        }
        for i, value in enumerate(items)
    ]
    fields = {**PROTOCOL, "tasks": {task: "f" * 64}, **protocol}
    return Record(replace(score, samples=tuple(rows) if samples else ()), fields)


def model(name: str, *records: Record) -> Scored:
    return Scored(name, {r.score.task: r for r in records})


BEFORE, AFTER = [0.0] * 8 + [1.0] * 4, [1.0] * 7 + [0.0] * 2 + [1.0] * 3  # 7 gained, 1 lost
REVERSED = AFTER[::-1]


def known_p(n: int, gained: int, lost: int) -> float:
    """The larger one of McNemar's mid-p and of the test whose interval is Agresti and Min's, by scipy."""
    changed, center = gained + lost, (gained - lost) / (n + 2)
    unit = math.sqrt((changed + 1 - (gained - lost) ** 2 / (n + 2)) / (n + 2) ** 2)
    own = stats.binom.pmf(gained, changed, 0.5)
    mid = 1.0 if gained == lost else stats.binomtest(gained, changed, 0.5).pvalue - own
    return max(mid, float(2 * stats.t.sf(abs(center) / unit, n - 1)))


def test_every_model_is_compared_with_the_first_on_what_all_have() -> None:
    base = model("base", record(BEFORE), record(BEFORE, "general"), record(BEFORE, "alone"))
    sft = model("sft", record(AFTER), record(BEFORE, "general"), record(AFTER, "two"))
    dpo = model("dpo", record(REVERSED), record(AFTER, "general"), record(AFTER, "two"))
    result = compare([base, sft, dpo])
    assert (result.reference, result.others) == ("base", ("sft", "dpo"))
    assert [(c.task, c.other) for c in result.contrasts] == [
        ("stats", "sft"), ("stats", "dpo"), ("general", "sft"), ("general", "dpo"),
    ]  # fmt: skip
    assert [c.overall.change for c in result.contrasts] == [
        paired_change(BEFORE, after, tests=4) for after in (AFTER, REVERSED, BEFORE, AFTER)
    ]
    assert (result.contrasts[0].overall.before, result.contrasts[0].overall.after) == (4 / 12, 10 / 12)
    assert dict(result.left_out) == {"alone": ("base",), "two": ("sft", "dpo")}


def test_verdicts_take_all_comparisons_into_account() -> None:
    eight, six, two = (known_p(20, gained, 0) for gained in (8, 6, 2))
    assert 3 * eight < six < 0.05 < 3 * six < two

    def scored(name: str, *gained: int) -> Scored:
        tasks = zip(("a", "b", "c"), gained, strict=True)
        return model(name, *(record([1.0] * up + [0.0] * (20 - up), task) for task, up in tasks))

    one = compare([model("x", record([0.0] * 20, "b")), model("y", record([1.0] * 6 + [0.0] * 14, "b"))])
    assert one.contrasts[0].overall.verdict == "better"
    assert one.contrasts[0].overall.p_adjusted == pytest.approx(six)
    rows = [c.overall for c in compare([scored("x", 0, 0, 0), scored("y", 8, 6, 2)]).contrasts]
    assert [row.change.p for row in rows] == pytest.approx([eight, six, two])
    assert [row.p_adjusted for row in rows] == pytest.approx([3 * eight, 3 * six, min(1, 3 * two)])
    nothing = "no evidence of a difference"
    assert [row.verdict for row in rows] == ["better", nothing, nothing]
    sizes = {("a", "y"): 20, ("b", "y"): 1}  # of a recipe's family; the third change is alone
    rows = [c.overall for c in compare([scored("x", 0, 0, 0), scored("y", 8, 6, 2)], sizes).contrasts]
    assert [row.p_adjusted for row in rows] == pytest.approx([20 * eight, six, two])


def test_flipped_items_both_ways() -> None:
    contrast = compare([model("base", record(BEFORE)), model("sft", record(AFTER))]).contrasts[0]
    assert [(old["row"], new["row"]) for old, new in contrast.gained] == [(i, i) for i in range(1, 8)]
    ((old, new),) = contrast.lost
    assert (old["row"], old["score"], new["score"]) == (9, 1, 0)
    bare = compare([model("base", record(BEFORE, samples=False)), model("sft", record(AFTER))]).contrasts[0]
    assert (bare.gained, bare.lost, dict(bare.topics)) == ((), (), {})
    assert bare.overall == contrast.overall


def test_topics_are_a_family_of_their_own() -> None:
    """Of 10 items each: 8 gained of `one`, 5 of `two`, none of `three`."""
    topics = ["two"] * 10 + ["one"] * 10 + ["three"] * 10
    after = [1.0] * 5 + [0.0] * 5 + [1.0] * 8 + [0.0] * 12
    result = compare([model("base", record([0.0] * 30, topics=topics)), model("sft", record(after, topics=topics))])
    found = result.contrasts[0].topics
    assert list(found) == ["one", "three", "two"]
    assert {t: (tested.before, tested.after, tested.change.n) for t, tested in found.items()} == {
        "one": (0, 0.8, 10), "two": (0, 0.5, 10), "three": (0, 0, 10),
    }  # fmt: skip
    wanted = {"one": 3 * known_p(10, 8, 0), "two": 3 * known_p(10, 5, 0), "three": 1.0}
    assert {t: tested.p_adjusted for t, tested in found.items()} == pytest.approx(wanted)
    assert found["one"].verdict == "better" and found["two"].verdict == "no evidence of a difference"
    assert result.contrasts[0].overall.p_adjusted == result.contrasts[0].overall.change.p


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"limit": 100}, ["`limit` is None and 100"]),
        ({"lm_eval": "0.4.14"}, ["the version of lm-eval is '0.4.13' and '0.4.14'"]),
        ({"protocol": 3}, ["the version of statllama's scoring is 2 and 3"]),
        ({"tasks": {"stats": "a" * 64}}, ["the benchmark's file or data differ", "ffffffffffff and aaaaaaaaaaaa"]),
        ({"decoding": {"engine": "vllm"}}, ["`decoding.engine` is 'not recorded' and 'vllm'"]),
        ({"limit": 3, "chat_template": False}, ["`limit` is None and 3", "`chat_template` is True and False"]),
    ],
)
def test_another_protocol_is_refused_with_what_differs(changed: Mapping[str, Any], words: list[str]) -> None:
    base, same = model("base", record(BEFORE)), model("sft", record(AFTER))
    with pytest.raises(IncomparableError) as caught:
        compare([base, same, model("dpo", record(AFTER, **changed))])
    message = str(caught.value)
    assert all(text in message for text in (*words, "stats, base and dpo", "-> score both again"))
    assert "sft" not in message
    assert caught.value.exit_code == 2


def test_another_model_is_no_other_protocol() -> None:
    other = record(AFTER, base={"repo": "two", "quantization": "nf4"}, stack=["k1"])
    compare([model("base", record(BEFORE)), model("other", other)])
    together = record(AFTER, tasks={"stats": "f" * 64, "general": "0" * 64})  # scored beside another benchmark
    compare([model("base", record(BEFORE)), model("other", together)])


def test_other_items_are_refused() -> None:
    other = Record(task_score([1.0] * 12, ids=[f"item{i}" for i in (0, 1, 3, 2, *range(4, 12))]), PROTOCOL)
    with pytest.raises(IncomparableError, match="item 3 is a different question"):
        compare([model("base", record(BEFORE)), model("sft", other)])


def test_what_cannot_be_a_comparison() -> None:
    base = model("base", record(BEFORE))
    with pytest.raises(UsageError, match="two models or more"):
        compare([base])
    with pytest.raises(UsageError, match="'base' is given twice"):
        compare([base, base])
    with pytest.raises(UsageError, match=r"no benchmark .* \(base: stats; sft: general\)"):
        compare([base, model("sft", record(AFTER, "general"))])


def test_json_holds_everything() -> None:
    topics = ["a"] * 6 + ["b"] * 6
    result = compare([model("base", record(BEFORE, topics=topics)), model("sft", record(AFTER, topics=topics))])
    data = json.loads(json.dumps(result.to_json()))
    (contrast,) = data["contrasts"]
    assert contrast["overall"]["verdict"] == result.contrasts[0].overall.verdict
    assert len(contrast["gained"]) == 7 and len(contrast["lost"]) == 1
    assert (contrast["lost"][0]["before"]["score"], contrast["lost"][0]["after"]["score"]) == (1, 0)
    assert set(contrast["topics"]) == {"a", "b"}
    assert (data["reference"], data["others"], data["level"], data["left_out"]) == ("base", ["sft"], 0.05, {})


def null_items(draw: numpy.random.Generator, n: int, graded: bool) -> tuple[list[float], list[float]]:
    """Scores of two equally good models that agree on most items, as related models do: some items are easy for both,
    some hard, and of the rest each model gets its own draw."""
    easy = draw.beta(0.5, 0.5, n)
    size = 4 if graded else 1
    first = draw.binomial(size, easy)
    second = numpy.where(draw.random(n) < 0.6, first, draw.binomial(size, easy))
    return (first / size).tolist(), (second / size).tolist()


def test_false_claims_on_null_pairs_are_at_most_nominal(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 pairs of equally good models on four benchmarks, one of them graded: any claim at all is a false one."""
    monkeypatch.setattr(paired, "DRAWS", 999)  # the graded test is as valid with fewer random signs, and quicker
    draw, pairs = numpy.random.default_rng(2026), 1000
    sizes = {"a": (60, False), "b": (100, False), "c": (287, False), "graded": (100, True)}
    any_claim, single = 0, dict.fromkeys(sizes, 0)
    for _ in range(pairs):
        items = {task: null_items(draw, *how) for task, how in sizes.items()}
        subjects = [
            Scored(name, {task: Record(task_score(both[side], task), PROTOCOL) for task, both in items.items()})
            for side, name in enumerate(("one", "two"))
        ]
        rows = compare(subjects).contrasts
        any_claim += any(row.overall.verdict != "no evidence of a difference" for row in rows)
        for row in rows:
            single[row.task] += row.overall.change.p < 0.05
    allowed = 0.05 + 2.33 * math.sqrt(0.05 * 0.95 / pairs)  # one-sided 99 % bound of a share of 1,000
    assert any_claim / pairs <= allowed
    assert max(single.values()) / pairs <= allowed
    assert min(single.values()) / pairs >= 0.005  # the tests are not silent either


def test_a_real_difference_is_found() -> None:
    draw = numpy.random.default_rng(5)
    found = 0
    for _ in range(50):
        before, _ = null_items(draw, 287, graded=False)
        after = [1.0 if draw.random() < 0.16 else x for x in before]  # 8 points better: 16 % of the wrong half
        subjects = [
            Scored(name, {"a": Record(task_score(s, "a"), PROTOCOL)}) for name, s in (("x", before), ("y", after))
        ]
        found += compare(subjects).contrasts[0].overall.verdict == "better"
    assert found >= 45


def printed(result: Comparison, items: int, columns: int, monkeypatch: Any, capsys: Any) -> str:
    for module in (console, console_scores):
        monkeypatch.setattr(module, "Out", Console(width=columns, highlight=False))
    console_scores.print_comparison(result, items, topics=True)
    text: str = capsys.readouterr().out
    return text


@pytest.mark.parametrize("columns", [80, 160])
def test_printed_comparison(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    topics = ["Sampling [1]"] * 6 + ["Inference"] * 6
    base = model(
        "base", record(BEFORE, topics=topics), record(BEFORE, "mmlu_high_school_statistics"), record(AFTER, "x")
    )
    sft = model("sft", record(AFTER, topics=topics), record(BEFORE, "mmlu_high_school_statistics"))
    said = printed(compare([base, sft]), 2, columns, monkeypatch, capsys)
    assert max(map(len, said.splitlines())) <= columns
    assert "…" not in said
    flat = " ".join(said.split())
    for text in (
        "33.3", "83.3", "+50.0", f"{2 * known_p(12, 7, 1):.3f}", "Sampling [1]",
        "for all 2 together", "topics of a change are judged together",
        "left out: x, which is scored for base only", "stats: sft scores higher on 7 items; the first 2:",
        "stats: sft scores lower on 1 item:", "item 1 Question 0: what is it? A. this B. that (Sampling [1])",
        "right this base that sft this",
    ):  # fmt: skip
        assert text in flat, text
    assert "item 3 " not in said and "assistant" not in said
    assert flat.count("no evidence") >= 3


def test_printed_generated_answers_and_no_items(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def generated(value: float, text: str) -> Record:
        first = record([value])
        sample = {**first.score.samples[0], "answer": "7", "generated": text, "prediction": text[-1]}
        del sample["choices"], sample["question"]
        return replace(first, score=replace(first.score, samples=(sample,)))

    result = compare([model("base", generated(0, "3 + 4 = 8")), model("sft", generated(1, "so much " * 99 + "= 7"))])
    said = " ".join(printed(result, 5, 100, monkeypatch, capsys).split())
    assert "item 1 An example. Question 0: what is it? A. this B. that<|end|>assistant:" in said
    assert "base 8 from: 3 + 4 = 8" in said
    assert "sft 7 from: ... so much" in said and "much = 7" in said
    assert "from:" not in printed(result, 0, 100, monkeypatch, capsys)
