"""Statistics problems with computed answers, one file a topic.

    from statllama.problems import rows
    for row in rows("sft", 100, topics=["means", "slopes"], seed=1):
        ...

Every module here whose name does not begin with an underscore is a topic, and every function in it marked
with `@kind(difficulty)` is a kind of problem. No answer is written by hand or by a model: each is computed
from drawn numbers, and the tests recompute it with scipy from the recorded parameters. README.md in this
folder tells how to add a kind.

How train and test are kept apart. A problem's settings come from catalogues with separate train and test
lists, so a test problem never tells a story that a train problem tells. The wordings around the setting have
separate lists too. Its numbers, taken together, are hashed, and each set of numbers belongs to one split: a
test problem never asks for a train problem's computation under another story. And some kinds are held out:
they occur in the test split only.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

from ._chat import to_chat
from ._draw import Kind, make
from ._free_response import to_free_response
from ._problem import Problem
from ._registry import SYLLABUSES, ap_topics, check_split, held_out_kinds, kinds, kinds_of, live_kinds, topics, unknown
from ._rows import FORMS, MATHS, Row, to_messages, to_multiple_choice, to_preference, to_prompt_answer

#: Raised whenever the same arguments give other problems or rows than before; caches of rows are keyed on it.
PROBLEMS_VERSION = 5

__all__ = [
    "FORMS",
    "PROBLEMS_VERSION",
    "SYLLABUSES",
    "Problem",
    "ap_topics",
    "generate",
    "held_out_kinds",
    "kinds",
    "make_problem",
    "rows",
    "to_chat",
    "to_free_response",
    "to_messages",
    "to_multiple_choice",
    "to_preference",
    "to_prompt_answer",
    "topics",
]

_CONVERTERS = {"chat": to_chat, "grpo": to_prompt_answer}
_WITH_STEPS = {"sft": to_messages, "dpo": to_preference, "frq": to_free_response}
_RETRIES = 50


def make_problem(topic: str, kind: str, seed: int = 0, split: str = "train") -> Problem:
    """Return the problem of one kind for one seed; the same arguments give the same problem.

    Raises `ValueError` for an unknown name, and for a held-out kind in the train split.
    """
    check_split(split)
    found = kinds_of(topic)
    if kind not in found:
        raise ValueError(unknown("kind", kind, kinds(topic)))
    if not found[kind].in_split(split):
        raise ValueError(f'kind {kind!r} of topic {topic!r} is held out: it has problems only with split="test"')
    return make(topic, found[kind], split, str(seed))


def generate(
    count: int,
    topics: Sequence[str] | None = None,
    seed: int = 0,
    split: str = "train",
    difficulty: int | Collection[int] | None = None,
    syllabus: str | None = None,
) -> Iterator[Problem]:
    """Yield `count` different problems, balanced over topics and, within a topic, over its kinds.

    `topics` defaults to all that have a kind of the `difficulty` (1, 2, 3 or several). The same arguments give
    the same problems in the same order, and a smaller count gives the first of them. `syllabus` "ap" leaves out what
    no topic of the AP course covers. Raises `ValueError` for a negative count or an unknown name at once, and when a
    topic runs dry, which the message says.
    """
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    return _generate(count, live_kinds(topics, split, difficulty, syllabus), seed, split, syllabus is not None)


def rows(
    form: str,
    count: int,
    topics: Sequence[str] | None = None,
    seed: int = 0,
    split: str = "train",
    difficulty: int | Collection[int] | None = None,
    math: str = "plain",
    syllabus: str | None = None,
) -> Iterator[Row]:
    """Yield `count` rows of one of the `FORMS`; the other arguments and errors are those of `generate`.

    `math` "latex" writes the formulas of worked solutions ("sft", "dpo", "frq") as $LaTeX$; the other forms have none.

    "sft" and "chat" give {messages}, "dpo" {prompt, chosen, rejected}, "grpo" {prompt, answer, value, tolerance, topic,
    kind, difficulty} and "mc" {question, choices, answer, misconceptions, topic, kind, difficulty, held_out};
    in "mc" every four rows in turn have the right choice once at each place. "frq" gives {messages, question, rubric,
    answer, topic, kind, difficulty, held_out, ap}.
    """
    if form not in FORMS:
        raise ValueError(unknown("form", form, FORMS))
    if math not in MATHS:
        raise ValueError(unknown("math", math, tuple(MATHS)))
    drawn = generate(count, topics, seed, split, difficulty, syllabus)
    if form in _WITH_STEPS:
        return (_WITH_STEPS[form](problem, math) for problem in drawn)
    return _choices(drawn, seed) if form == "mc" else map(_CONVERTERS[form], drawn)


def _choices(drawn: Iterator[Problem], seed: int) -> Iterator[Row]:
    order = random.Random(f"places/{seed}")
    places: list[int] = []
    for problem in drawn:
        places = places or order.sample(range(4), 4)
        yield to_multiple_choice(problem, seed, places.pop())


def _generate(
    count: int, live: dict[str, list[Kind]], seed: int, split: str, on_syllabus: bool = False
) -> Iterator[Problem]:
    seen: set[str] = set()
    names = list(live)
    for index in range(count):
        turn, place = divmod(index, len(names))
        name = names[place]
        problem = _fresh(name, live[name], turn, split, f"{seed}/{index}", seen, on_syllabus)
        if problem is None:
            raise ValueError(
                f"topic {name!r} ran dry: it has about {turn} different {split} problems of this sort, which is "
                f"enough for a count of {turn * len(names)} over {len(names)} topics, and {count} were asked for"
            )
        seen.add(problem.family)
        yield problem


def _fresh(
    topic: str, live: list[Kind], turn: int, split: str, seed: str, seen: set[str], on_syllabus: bool
) -> Problem | None:
    """Return a problem not seen before, or None; a kind that has no new one left is dropped from `live`."""
    while live:
        of = live[turn % len(live)]
        for retry in range(_RETRIES):
            problem = make(topic, of, split, f"{seed}/{retry}")
            if problem.family not in seen and (problem.ap or not on_syllabus):  # whichever of the siblings is asked
                return problem
        live.remove(of)
    return None
