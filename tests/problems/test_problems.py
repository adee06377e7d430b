"""The generator itself: balance, determinism, the split, and the converters."""

from __future__ import annotations

import ast
import collections
import dataclasses
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import statllama.problems as package
from statllama.problems import (
    Problem,
    generate,
    kinds,
    make_problem,
    to_messages,
    to_multiple_choice,
    to_preference,
    topics,
)
from statllama.problems._problem import fingerprint

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
    assert sum(len(kinds(topic)) for topic in topics()) >= 30
    assert all(len(kinds(topic)) >= 4 for topic in topics())


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
    for kind in kinds(topic):
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
    ],
)
def test_mistakes_are_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_an_exhausted_topic_says_so() -> None:
    with pytest.raises(ValueError, match="ask for fewer"):
        _exhaust()


def _exhaust() -> None:
    problem = make_problem("means", "one_mean_t")
    seen = {problem.question}
    only = package._draw.Kind("fixed", 1, lambda draw: _fixed(draw))
    while True:
        seen.add(package._fresh("means", [only], 0, "train", "0", seen).question)


def _fixed(draw: package._draw.Draw) -> package._problem.Draft:
    draw.settings.append("nowhere")
    words, wrong = package._problem.words, package._problem.Wrong
    options = [wrong(words(text), "slipped", ["Step."]) for text in "bcd"]
    return package._problem.Draft("Q?", ["Step."], words("a"), options, "Idea.", {})


def test_a_problem_checks_itself() -> None:
    problem = make_problem("slopes", "slope_interval", 2)
    with pytest.raises(ValueError, match="four different options"):
        dataclasses.replace(problem, distractors=(*problem.distractors[:2], (problem.answer, "nothing")))
    with pytest.raises(ValueError, match="rejected solution ends in the right answer"):
        dataclasses.replace(problem, rejected=problem.solution)
    with pytest.raises(ValueError, match="difficulty"):
        dataclasses.replace(problem, difficulty=4)


def test_the_package_needs_only_the_standard_library() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(name.name.split(".")[0] in sys.stdlib_module_names for name in node.names), path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] in sys.stdlib_module_names, path


def test_functions_and_modules_stay_short() -> None:
    for path in FOLDER.glob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) < 400, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, (path, node.name)
