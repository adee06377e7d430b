"""The generator itself: balance, determinism, the split, and the converters."""

from __future__ import annotations

import ast
import collections
import dataclasses
import importlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import statllama.problems as package
from statllama.problems import (
    FORMS,
    Problem,
    generate,
    held_out_kinds,
    kinds,
    make_problem,
    rows,
    to_chat,
    to_messages,
    to_multiple_choice,
    to_preference,
    to_prompt_answer,
    topics,
)
from statllama.problems._draw import Draw, Kind
from statllama.problems._problem import fingerprint, words
from statllama.problems._registry import kinds_of
from statllama.problems._siblings import Sibling, Siblings, four
from statllama.problems._wording import wordings

from .checks import agree

FOLDER = Path(package.__file__).parent


def _masked(text: str) -> str:
    return re.sub(r"\d+(?:\.\d+)?", "#", text)


@pytest.fixture(scope="module")
def train() -> list[Problem]:
    return list(generate(1000, seed=5))


@pytest.fixture(scope="module")
def held_out() -> list[Problem]:
    return list(generate(400, seed=5, split="test"))


def test_topics_are_the_nine_units() -> None:
    assert set(topics()) == {
        "one_variable",
        "two_variable",
        "study_design",
        "probability",
        "sampling_distributions",
        "proportions",
        "means",
        "categorical",
        "slopes",
    }
    assert sum(len(kinds(topic)) for topic in topics()) == 155
    assert all(len(kinds(topic)) >= 11 for topic in topics())
    levels = collections.Counter(of.difficulty for topic in topics() for of in kinds_of(topic).values())
    assert min(levels.values()) >= 15


def test_same_arguments_same_problems() -> None:
    assert list(generate(60, seed=3)) == list(generate(60, seed=3))
    assert list(generate(60, seed=3)) != list(generate(60, seed=4))
    assert list(generate(20, seed=3)) == list(itertools.islice(generate(60, seed=3), 20))


def test_deterministic_across_processes() -> None:
    code = "from statllama.problems import *\nfor p in generate(30, seed=9): print(p.question, p.answer, p.rejected)"
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": seed, "PYTHONPATH": str(FOLDER.parents[1])} for seed in "12")
    }
    assert len(runs) == 1


def test_balanced_and_unique(train: list[Problem]) -> None:
    counts = collections.Counter(problem.topic for problem in train)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({problem.question for problem in train}) == len(train)
    assert {problem.difficulty for problem in train} == {1, 2, 3}


def test_topics_argument() -> None:
    assert {problem.topic for problem in generate(10, topics=["slopes", "means"])} == {"slopes", "means"}


def test_no_setting_in_both_splits(train: list[Problem], held_out: list[Problem]) -> None:
    names = [{(p.kind, key) for p in group for key in p.setting.split("+")} for group in (train, held_out)]
    assert all(names)
    assert not names[0] & names[1]


def test_no_numbers_in_both_splits(train: list[Problem], held_out: list[Problem]) -> None:
    numbers = [{fingerprint(p.kind, p.parameters) for p in group} - {None} for group in (train, held_out)]
    assert all(numbers)
    assert not numbers[0] & numbers[1]


def test_no_story_in_both_splits(train: list[Problem], held_out: list[Problem]) -> None:
    """With all numbers masked, no test question is a train question."""
    assert not {_masked(p.question) for p in train} & {_masked(p.question) for p in held_out}


@pytest.mark.parametrize("topic", topics())
def test_splits_of_one_kind(topic: str) -> None:
    for kind in kinds(topic, "train"):
        groups = [[make_problem(topic, kind, seed, split) for seed in range(25)] for split in ("train", "test")]
        settings = [{p.setting for p in group} for group in groups]
        numbers = [{fingerprint(kind, p.parameters) for p in group} - {None} for group in groups]
        assert not settings[0] & settings[1]
        assert not numbers[0] & numbers[1]
        assert not {_masked(p.question) for p in groups[0]} & {_masked(p.question) for p in groups[1]}


def test_preference_pairs(train: list[Problem]) -> None:
    for problem in train:
        pair = to_preference(problem)
        assert [m["role"] for m in pair["prompt"]] == ["user"]
        assert [m["role"] for m in pair["chosen"] + pair["rejected"]] == ["assistant", "assistant"]
        assert pair["chosen"][0]["content"].endswith(f"\nAnswer: {problem.answer}")
        assert not pair["rejected"][0]["content"].endswith(f"\nAnswer: {problem.answer}")


def test_rejected_is_not_told_by_its_length(train: list[Problem]) -> None:
    ratio = sum(len(p.rejected) for p in train) / sum(len(p.solution) for p in train)
    assert 0.85 < ratio < 1.1


def test_messages() -> None:
    problem = make_problem("means", "paired_t", 1)
    messages = to_messages(problem)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"]
    assert messages[0]["content"] == problem.question
    assert messages[1]["content"].splitlines()[-1] == f"Answer: {problem.answer}"
    json.dumps(messages)


def test_multiple_choice(held_out: list[Problem]) -> None:
    places: collections.Counter[object] = collections.Counter()
    for problem in held_out:
        item = to_multiple_choice(problem, seed=1)
        choices, answer = item["choices"], item["answer"]
        assert isinstance(choices, list)
        assert isinstance(answer, int)
        assert choices[answer] == problem.answer
        assert set(choices) == {problem.answer, *(text for text, _ in problem.distractors)}
        assert item == to_multiple_choice(problem, seed=1)
        slips = dict(problem.distractors)
        assert item["misconceptions"] == [slips.get(text, "") for text in choices]
        assert to_multiple_choice(problem, place=2)["answer"] == 2
        places[answer] += 1
    assert min(places.values()) > len(held_out) / 4 * 0.7


def test_the_longest_option_is_no_clue(train: list[Problem]) -> None:
    sentences = [p for p in train if p.value is None and not p.answer.startswith("(")]
    longest = sum(len(p.answer) >= max(len(text) for text, _ in p.distractors) for p in sentences)
    assert longest / len(sentences) < 0.45


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generate(-1), "count must be 0 or more"),
        (lambda: generate(1, topics=["slope"]), "did you mean 'slopes'"),
        (lambda: generate(1, topics=[]), "must not be empty"),
        (lambda: generate(1, split="validation"), "unknown split"),
        (lambda: make_problem("means", "paired"), "unknown kind"),
        (lambda: kinds("algebra"), "allowed: categorical"),
        (lambda: kinds("means", "dev"), "unknown split"),
        (lambda: generate(1, topics="means"), "nor a single text"),  # type: ignore[arg-type]
        (lambda: generate(1, difficulty=4), "difficulty must be 1, 2, 3"),
        (lambda: generate(1, topics=["study_design"], difficulty=3), "has no train kind of difficulty 3"),
        (lambda: rows("spo", 1), "unknown form 'spo', did you mean 'dpo'"),
        (lambda: rows("sft", 1, topics=["slope"]), "did you mean 'slopes'"),
        (lambda: make_problem("means", "paired_interval"), 'held out: it has problems only with split="test"'),
    ],
)
def test_mistakes_are_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_an_exhausted_topic_says_how_many_it_has() -> None:
    live = {"means": [Kind("fixed", 1, _three)], "slopes": list(kinds_of("slopes").values())[:1]}
    drawn = package._generate(100, live, 0, "train")
    message = (
        "topic 'means' ran dry: it has about 3 different train problems of this sort, .* a count of 6 over 2 topics"
    )
    with pytest.raises(ValueError, match=message):
        list(drawn)


def _three(draw: Draw) -> Siblings:
    draw.settings.append("nowhere")
    number = draw.integer(1, 3)
    return four([Sibling(t, f"{t}{number}?", ["Step."], words(t), "Idea.") for t in "abcd"], ["slipped"] * 4, {})


def test_held_out_kinds_are_in_the_test_split_only(train: list[Problem], held_out: list[Problem]) -> None:
    hidden = set(held_out_kinds())
    assert {topic for topic, _ in hidden} == set(topics())
    assert max(collections.Counter(topic for topic, _ in hidden).values()) <= 2
    seen = [{(p.topic, p.kind) for p in group} for group in (train, held_out)]
    assert not seen[0] & hidden
    assert hidden <= seen[1]
    assert all(p.held_out == ((p.topic, p.kind) in hidden) for p in [*train, *held_out])
    for topic, kind in hidden:
        assert kind in kinds(topic)
        assert kind not in kinds(topic, "train")


def test_difficulty_argument() -> None:
    assert {p.difficulty for p in generate(60, difficulty=3)} == {3}
    assert {p.difficulty for p in generate(90, difficulty=(1, 2), seed=2)} == {1, 2}
    assert "study_design" not in {p.topic for p in generate(60, difficulty=3)}


def test_rows_are_what_the_converters_make() -> None:
    drawn = list(generate(40, seed=8, topics=["means", "slopes"], difficulty=2))
    for form, convert in (("sft", to_messages), ("chat", to_chat), ("dpo", to_preference), ("grpo", to_prompt_answer)):
        assert list(rows(form, 40, seed=8, topics=["means", "slopes"], difficulty=2)) == [convert(p) for p in drawn]
    items = list(rows("mc", 40, seed=8, topics=["means", "slopes"], difficulty=2))
    assert [item["question"] for item in items] == [p.question for p in drawn]
    assert set(FORMS) == {"sft", "chat", "dpo", "grpo", "mc", "frq"}


def test_formulas_as_latex() -> None:
    """The words and the numbers are those of the plain rows; only the formulas are written otherwise."""
    for form, key in (("sft", "messages"), ("dpo", "chosen"), ("dpo", "rejected")):
        pairs = [rows(form, 60, seed=8, topics=["study_design", "means"], math=math) for math in ("plain", "latex")]
        texts = [[row[key][-1]["content"] for row in found] for found in pairs]
        assert texts[0] != texts[1]
        assert not any("`" in text or r"\frac" in text for text in texts[0])
        assert any(r"\frac{" in text for text in texts[1])
        for before, after in zip(*texts, strict=True):
            assert re.findall(r"[0-9]+", before) == re.findall(r"[0-9]+", after)
            assert after.count("$") % 2 == 0
            assert before.splitlines()[-1] == after.splitlines()[-1]
    for form in ("chat", "grpo", "mc"):
        assert list(rows(form, 20, seed=8, math="latex")) == list(rows(form, 20, seed=8))
    with pytest.raises(ValueError, match="unknown math 'latx', did you mean 'latex'"):
        rows("sft", 1, math="latx")


def test_right_choices_are_in_balance() -> None:
    items = list(rows("mc", 200, seed=4, split="test"))
    for start in range(0, 200, 4):
        assert {item["answer"] for item in items[start : start + 4]} == {0, 1, 2, 3}
    assert items[:50] == list(rows("mc", 50, seed=4, split="test"))


def test_prompt_answer(train: list[Problem]) -> None:
    for problem in train[:300]:
        row = to_prompt_answer(problem)
        assert list(row) == ["prompt", "answer", "value", "tolerance", "topic", "kind", "difficulty"]
        assert row["prompt"] == [{"role": "user", "content": problem.question}]
        assert row["value"] is None or abs(row["value"] - float(problem.answer.split()[0])) <= max(
            row["tolerance"], 10.0 ** -len(problem.answer.split()[0].partition(".")[2])
        )
        json.dumps(row)


@pytest.mark.parametrize("topic", topics())
def test_numeric_options_look_alike(topic: str) -> None:
    """The same unit and as many decimals in all four, so that the form of an option tells nothing."""
    for kind in kinds(topic):
        for seed in range(20):
            problem = make_problem(topic, kind, seed, "test")
            options = [problem.answer, *(text for text, _ in problem.distractors)]
            if problem.value is not None:
                assert (
                    len({re.sub(r"^-?\d+", "", re.sub(r"\.\d", ".", text)) for text in options}) == 1
                    or len({(text.partition(" ")[2], len(text.split()[0].partition(".")[2])) for text in options}) == 1
                ), options


@pytest.mark.parametrize("topic", topics())
def test_place_and_length_of_the_answer_are_no_clue(topic: str) -> None:
    """Within a kind, the answer is not nearly always the longest, shortest, largest or smallest option."""
    for kind in kinds(topic):
        counts: collections.Counter[str] = collections.Counter()
        for seed in range(60):
            problem = make_problem(topic, kind, seed, "test")
            others = [text for text, _ in problem.distractors]
            if problem.value is None:
                counts["longest"] += len(problem.answer) > max(map(len, others))
                counts["shortest"] += len(problem.answer) < min(map(len, others))
            else:
                values = [float(text.split()[0]) for text in others]
                counts["largest"] += problem.value > max(values) + 1e-9
                counts["smallest"] += problem.value < min(values) - 1e-9
        assert all(count < 0.8 * 60 for count in counts.values()), (kind, counts)


def test_wordings() -> None:
    block = wordings("""
        train: {x.real:g} of {who!a}.
        test/one more: {who!c} and
            {who!A}: {x}
    """)
    fields = {"x": package._draw.Given(2), "who": "owl"}
    assert block.of["train", ""][0].fill(fields) == "2 of an owl."
    assert block.of["test", "one more"][0].fill(fields) == "Owl and An owl: 2"
    with pytest.raises(ValueError, match="begins with 'train: '"):
        wordings("validation: {x}")


def test_every_kind_has_wordings_and_a_docstring() -> None:
    for path in (p for p in FOLDER.glob("*/*.py") if not p.name.startswith("_")):
        module = importlib.import_module(".".join((package.__name__, path.parent.name, path.stem)))
        for of in (item for item in vars(module).values() if isinstance(item, Kind)):
            assert of.draft.__doc__, of.name
        for name, block in vars(module).items():
            if name.startswith("_ASK_"):
                labels = {label for _, label in block.of}
                for label in labels:
                    assert block.of.get(("test", label)), (name, label)
                if any(split == "train" for split, _ in block.of):
                    assert all(len(block.of["train", label]) >= 2 for label in labels), name
                assert len(block.of.get(("test", ""), "ab")) >= 2, name


def test_a_problem_checks_itself() -> None:
    problem = make_problem("slopes", "slope_interval", 2)
    with pytest.raises(ValueError, match="four different options"):
        dataclasses.replace(problem, distractors=(*problem.distractors[:2], (problem.answer, "nothing")))
    with pytest.raises(ValueError, match="rejected solution ends in the right answer"):
        dataclasses.replace(problem, rejected_answer=problem.answer)
    with pytest.raises(ValueError, match="difficulty"):
        dataclasses.replace(problem, difficulty=4)


@pytest.mark.parametrize(
    ("topic", "kind", "twin"),
    [
        ("slopes", "slope_t_statistic", lambda p: f"{p.value:.3f}"),  # 1.234 beside 1.23
        ("means", "one_mean_interval", lambda p: p.answer.partition(")")[0] + ")"),  # without its unit
        ("proportions", "error_type", lambda p: p.answer.removesuffix(".")),
    ],
)
def test_the_checks_refuse_an_item_with_two_right_options(
    topic: str, kind: str, twin: Callable[[Problem], str]
) -> None:
    """Texts that differ, but both are what the question asks for: by the reader of the printed question."""
    problem = make_problem(topic, kind, 2, "test")
    read = importlib.import_module(f".printed.{topic}", __package__).READ[kind]
    agree(problem, read(problem.question))
    double = dataclasses.replace(problem, distractors=((twin(problem), "a slip"), *problem.distractors[1:]))
    with pytest.raises(AssertionError, match="two right options"):
        agree(double, read(double.question))


def test_the_package_needs_only_the_standard_library() -> None:
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(name.name.split(".")[0] in sys.stdlib_module_names for name in node.names), path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] in sys.stdlib_module_names, path


def test_functions_and_modules_stay_short() -> None:
    for path in FOLDER.rglob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) < 400, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, (path, node.name)


def test_short_exchanges() -> None:
    """Each form occurs; the reply names the right answer or the idea, and blames the one who was wrong."""
    heard = collections.Counter()
    for problem in generate(400, seed=5):
        question, reply = (turn["content"] for turn in to_chat(problem)["messages"])
        assert question.startswith(problem.question) and len(reply) < 700
        if "Who is right" in question:
            right = reply.split(" is right.")[0]
            assert f"{right} says: {problem.answer}" in question and reply.endswith(".")
            heard["judge"] += 1
        elif question.endswith("Answer:"):
            assert f"{reply[0]}. {problem.answer}" in question.splitlines() and reply[3:] == problem.answer
            heard["letter"] += 1
        else:
            assert problem.answer.rstrip(".") in reply and problem.idea in reply
            heard["slip" if "\n\n" in question else "short"] += 1
    assert min(heard.values()) > 40 and len(heard) == 4
