"""Seeded draws for one problem, the mark that makes a function a kind, and the step from draft to problem."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ._formulas import plain as without_marks
from ._problem import Problem, Redraw, number_split, plain
from ._siblings import Siblings
from ._solution import solutions
from ._wording import Wordings

_ATTEMPTS = 2_000


class Keyed(Protocol):
    """A setting: anything with a key that is unique in its catalogue."""

    @property
    def key(self) -> str: ...


T = TypeVar("T")
S = TypeVar("S", bound=Keyed)


class Given(float):
    """A drawn number: a float that prints without trailing zeros, so that a question can name it as it is."""

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else plain(self)

    def __str__(self) -> str:
        return plain(self)


class Draw:
    """Random choices for one problem of one split; remembers which settings were used."""

    def __init__(self, rng: random.Random, split: str) -> None:
        self.rng = rng
        self.split = split
        self.settings: list[str] = []

    def setting(self, catalogue: Mapping[str, Sequence[S]]) -> S:
        """Return a setting of this split from a catalogue with the keys "train" and "test"."""
        chosen = self.choice(catalogue[self.split])
        self.settings.append(chosen.key)
        return chosen

    def ask(self, wordings: Wordings, label: str = "", /, **fields: object) -> str:
        """Return a wording of this split with its fields filled in; `label` names the story where there are several."""
        return self.choice(wordings.of[self.split, label]).fill(fields)

    def choice(self, options: Sequence[T]) -> T:
        """Return one option, all equally likely."""
        return options[self.rng.randrange(len(options))]

    def integer(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return self.rng.randint(low, high)

    def decimal(self, low: float, high: float, digits: int) -> Given:
        """Return a number with `digits` decimals from low to high, never 1 or -1, as its unit is in the plural."""
        scale = 10**digits
        drawn = self.rng.randint(round(low * scale), round(high * scale)) / scale
        return Given(drawn if abs(drawn) != 1 else drawn + 1 / scale)

    def normal(self, mean: float, sd: float, digits: int = 0) -> Given:
        """Return a normal draw rounded to `digits` decimals."""
        return Given(round(self.rng.gauss(mean, sd), digits))

    def confidence(self) -> int:
        """Return a usual confidence level in percent; 95 is drawn most."""
        return self.choice((90, 95, 95, 99))

    def need(self, condition: bool) -> None:
        """Raise `Redraw` unless the draw is fit for a problem."""
        if not condition:
            raise Redraw


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its name, its difficulty and the function that drafts it.

    A held-out kind occurs in the test split only, so that a benchmark can tell problems of a kind that was trained on
    from problems of a kind that was never seen. `ap`: the topics of the AP Statistics Course and Exam Description
    (effective Fall 2020) that cover it, "7.5, 7.9"; "" for a kind that is off the syllabus. `beyond`: what the `asked`
    of those siblings contains that are off it all the same.
    """

    name: str
    difficulty: int
    draft: Callable[[Draw], Siblings]
    held_out: bool = False
    ap: str = ""
    beyond: str = ""

    def in_split(self, split: str) -> bool:
        """Return True when the kind occurs in the split."""
        return split == "test" or not self.held_out

    def ap_of(self, asked: str) -> str:
        """Return the topics of the AP course that cover one of the siblings, "" for none."""
        return "" if self.beyond and self.beyond in asked else self.ap


def kind(
    difficulty: int, held_out: bool = False, *, ap: str = "", beyond: str = ""
) -> Callable[[Callable[[Draw], Siblings]], Kind]:
    """Mark a function of a topic as a kind of problem with difficulty 1, 2 or 3. `ap` and `beyond`: see `Kind`."""

    def mark(draft: Callable[[Draw], Siblings]) -> Kind:
        return Kind(draft.__name__, difficulty, draft, held_out, ap, beyond)

    return mark


def make(topic: str, of: Kind, split: str, seed: str) -> Problem:
    """Return the problem of one kind for one seed text; redraws until the numbers belong to `split`.

    Raises `RuntimeError` when no draw fits, which is a fault of the kind's function.
    """
    for attempt in range(_ATTEMPTS):
        stream = f"{topic}/{of.name}/{split}/{seed}/{attempt}"
        draw = Draw(random.Random(stream), split)
        try:
            draft = of.draft(draw)
            if of.held_out or number_split(of.name, draft.parameters) in (None, split):
                return _chosen(topic, of, draft, draw, f"{stream}/solution")
        except Redraw:
            continue
    raise RuntimeError(f"{topic}.{of.name}: no fit problem in {_ATTEMPTS} draws for split {split}")


def _chosen(topic: str, of: Kind, drawn: Siblings, draw: Draw, stream: str) -> Problem:
    """Draw which of four siblings is asked, after the four have been found fit together; `Redraw` when they are not.

    The wordings of the solutions are drawn from `stream`, apart from all that bears on the question.
    """
    answers = [sibling.answer for sibling in drawn.of]
    draw.need(bool(draw.settings) and all(answer.possible for answer in answers))
    draw.need(all(a.differs(b) for a, b in itertools.combinations(answers, 2)))
    asked = draw.rng.randrange(4)
    others = draw.rng.sample([j for j in range(4) if j != asked], 3)
    right, slips, taken = drawn.of[asked], drawn.slips[asked], drawn.of[others[0]]
    steps, rejected_steps = solutions(drawn.of, (asked, others[0]), stream)
    return Problem(
        topic=topic,
        kind=of.name,
        difficulty=of.difficulty,
        held_out=of.held_out,
        split=draw.split,
        setting="+".join(draw.settings),
        question=right.question,
        steps=steps,
        answer=right.answer.text,
        value=right.answer.numbers[0] if len(right.answer.numbers) == 1 else None,
        tolerance=right.answer.tolerance,
        distractors=tuple((drawn.of[j].answer.text, slips[j]) for j in others),
        rejected_steps=rejected_steps,
        rejected_answer=taken.answer.text,
        error=slips[others[0]],
        idea=without_marks(right.idea),
        parameters=dict(drawn.parameters),
        asked=right.asked,
        family=drawn.of[0].question,
        siblings=drawn.of,
        stream=stream,
        covered=tuple(of.ap_of(sibling.asked) for sibling in drawn.of),
    )
