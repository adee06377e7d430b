"""Statistics problems with computed answers, one file a topic.

    from statllama.problems import generate, to_messages
    rows = [to_messages(problem) for problem in generate(100, seed=1)]

Every module here whose name does not begin with an underscore is a topic, and every function in it marked
with `@kind(difficulty)` is a kind of problem. No answer is written by hand or by a model: each is computed
from drawn numbers, and the tests recompute it with scipy from the recorded parameters.

How train and test are kept apart. A problem's settings come from catalogues with separate train and test
lists, so a test problem never tells a story that a train problem tells. Its numbers, taken together, are
hashed, and each set of numbers belongs to one split: a test problem never asks for a train problem's
computation under another story. What the splits share is the kind of problem and the wording around the
setting.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import random
from collections.abc import Iterator, Sequence
from functools import cache

from ._draw import Kind, make
from ._problem import Problem

__all__ = [
    "Problem",
    "generate",
    "kinds",
    "make_problem",
    "to_messages",
    "to_multiple_choice",
    "to_preference",
    "topics",
]

_SPLITS = ("train", "test")


@cache
def topics() -> tuple[str, ...]:
    """The names of all topics, in alphabetical order."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))


@cache
def kinds(topic: str) -> tuple[str, ...]:
    """The names of a topic's kinds, in the order of its file; `ValueError` for an unknown topic."""
    return tuple(_kinds(topic))


def make_problem(topic: str, kind: str, seed: int = 0, split: str = "train") -> Problem:
    """The problem of one kind for one seed; the same arguments give the same problem."""
    _check_split(split)
    if kind not in _kinds(topic):
        raise ValueError(_unknown("kind", kind, kinds(topic)))
    return make(topic, _kinds(topic)[kind], split, str(seed))


def generate(count: int, topics: Sequence[str] | None = None, seed: int = 0, split: str = "train") -> Iterator[Problem]:
    """Yield `count` different problems, balanced over topics and, within a topic, over its kinds.

    The same arguments give the same problems in the same order. Raises `ValueError` for a negative count, an
    unknown topic or an unknown split.
    """
    _check_split(split)
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    names = _ALL() if topics is None else tuple(topics)
    for name in names:
        _kinds(name)
    if not names:
        raise ValueError("topics must not be empty")
    return _generate(count, names, seed, split)


def to_messages(problem: Problem) -> dict[str, list[dict[str, str]]]:
    """A chat example: the question, and the worked solution ending in `Answer: ...`."""
    return {"messages": [_message("user", problem.question), _message("assistant", problem.solution)]}


def to_preference(problem: Problem) -> dict[str, list[dict[str, str]]]:
    """A preference pair: the right worked solution over one that makes the slip `problem.error`."""
    return {
        "prompt": [_message("user", problem.question)],
        "chosen": [_message("assistant", problem.solution)],
        "rejected": [_message("assistant", problem.rejected)],
    }


def to_multiple_choice(problem: Problem, seed: int = 0) -> dict[str, object]:
    """A four-option item: question, choices, answer (index of the right choice), topic and kind."""
    choices = [problem.answer, *(text for text, _ in problem.distractors)]
    random.Random(f"{seed}/{problem.question}").shuffle(choices)
    return {
        "question": problem.question,
        "choices": choices,
        "answer": choices.index(problem.answer),
        "topic": problem.topic,
        "kind": problem.kind,
    }


_ALL = topics  # `generate` has an argument named topics


@cache
def _kinds(topic: str) -> dict[str, Kind]:
    if topic not in _ALL():
        raise ValueError(_unknown("topic", topic, _ALL()))
    module = importlib.import_module(f"{__name__}.{topic}")
    return {item.name: item for item in vars(module).values() if isinstance(item, Kind)}


def _generate(count: int, names: Sequence[str], seed: int, split: str) -> Iterator[Problem]:
    seen: set[str] = set()
    live = {name: list(_kinds(name).values()) for name in names}
    for index in range(count):
        turn, place = divmod(index, len(names))
        problem = _fresh(names[place], live[names[place]], turn, split, f"{seed}/{index}", seen)
        seen.add(problem.question)
        yield problem


def _fresh(topic: str, live: list[Kind], turn: int, split: str, seed: str, seen: set[str]) -> Problem:
    """A problem not seen before; a kind that has no new one left is dropped from `live`."""
    while live:
        of = live[turn % len(live)]
        for retry in range(50):
            problem = make(topic, of, split, f"{seed}/{retry}")
            if problem.question not in seen:
                return problem
        live.remove(of)
    raise ValueError(f"topic {topic!r} has no new {split} problem left; ask for fewer")


def _check_split(split: str) -> None:
    if split not in _SPLITS:
        raise ValueError(_unknown("split", split, _SPLITS))


def _unknown(what: str, got: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(got, allowed, n=1)
    hint = f", did you mean {near[0]!r}" if near else ""
    return f"unknown {what} {got!r}{hint}; allowed: {', '.join(allowed)}"


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
