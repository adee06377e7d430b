"""Computed questions: every answer comes from a formula, every wrong answer from a named mistake."""

from __future__ import annotations

import random
from collections.abc import Callable

from worlds.concepts import literal
from worlds.items import Item, capital, listing
from worlds.stats_scenes import TEST_BAGS, TEST_THINGS, TRAIN_BAGS, TRAIN_THINGS
from worlds.stats_wordings import wording

Draw = Callable[[random.Random, bool], Item]
Mistakes = dict[str, str]


def build(
    topic: str,
    text: tuple[str, str],
    answer: str,
    mistakes: Mistakes,
    why: str,
    setting: tuple[str, ...],
    numbers: str,
) -> Item:
    """An item from its question and frame, with the mistakes that give an answer of their own."""
    question, frame = capital(text[0]), text[1]
    wrong = {f"{value}.": error for value, error in mistakes.items() if value != answer}
    return Item(
        topic=topic,
        key=f"{topic}:{numbers}",
        question=question,
        answer=f"{answer}.",
        wrong=tuple(wrong),
        errors=tuple(wrong.values()),
        why=why,
        plain=f"{question} {answer}. {why}",
        setting=setting,
        frame=(literal(frame),),
    )


def list_text(rng: random.Random, test: bool, values: list[int], word: str) -> tuple[str, str, str]:
    """The question about a list of numbers, its frame, and the things that the list tells about."""
    things = rng.choice(TEST_THINGS if test else TRAIN_THINGS)
    frame = wording(rng, "list", test)
    return frame.format(things=things, values=listing(values), word=word), frame, things


def spread(rng: random.Random, test: bool) -> Item:
    """The range of three to five numbers."""
    values = rng.sample(range(1, 31), rng.randint(3, 5))
    low, high = min(values), max(values)
    mistakes = {
        str(high): "gives the largest value for the range",
        str(low): "gives the smallest value for the range",
        str(high + low): "adds the extremes for the range",
        str(abs(values[0] - values[-1])): "subtracts the ends of the unsorted list",
    }
    question, frame, things = list_text(rng, test, values, "range")
    why = f"The largest value is {high} and the smallest is {low}, and {high} - {low} = {high - low}."
    return build("range", (question, frame), str(high - low), mistakes, why, (things,), listing(sorted(values)))


def median(rng: random.Random, test: bool) -> Item:
    """The median of three or five numbers."""
    values = rng.sample(range(1, 31), rng.choice((3, 3, 5)))
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    mistakes = {str(values[len(values) // 2]): "takes the middle of the unsorted list"} | {
        str(ordered[0]): "gives the smallest value for the median",
        str(ordered[-1]): "gives the largest value for the median",
        str(ordered[-1] - ordered[0]): "gives the range for the median",
    }
    question, frame, things = list_text(rng, test, values, "median")
    why = f"In order the values are {listing(ordered)}, and the middle one is {middle}."
    return build("median", (question, frame), str(middle), mistakes, why, (things,), listing(sorted(values)))


def mode(rng: random.Random, test: bool) -> Item:
    """The most frequent of five or six numbers."""
    values = rng.sample(range(1, 31), rng.randint(3, 4))
    often = rng.choice(values)
    full = [*values, *[often] * rng.choice((1, 1, 2))]
    rng.shuffle(full)
    rest = [value for value in values if value != often]
    mistakes = {str(max(full)): "gives the largest value for the mode"} | {
        str(rest[0]): "gives a value that stands once for the mode",
        str(rest[1]): "gives a value that stands once for the mode",
        str(full.count(often)): "gives the frequency for the mode",
    }
    question, frame, things = list_text(rng, test, full, "mode")
    why = f"The value {often} stands {full.count(often)} times, more often than the others."
    return build("mode", (question, frame), str(often), mistakes, why, (things,), listing(sorted(full)))


def mean(rng: random.Random, test: bool) -> Item:
    """The mean of two or three numbers with a whole result."""
    count = rng.choice((2, 3))
    values = [rng.randint(1, 15) for _ in range(count)]
    while sum(values) % count or len(set(values)) == 1:
        values = [rng.randint(1, 15) for _ in range(count)]
    total = sum(values)
    mistakes = {
        str(total): "forgets to divide the sum",
        str(max(values)): "gives the largest value for the mean",
        str(total // count + count): "adds the count to the mean",
        str(max(values) - min(values)): "gives the range for the mean",
    }
    question, frame, things = list_text(rng, test, values, "mean")
    why = f"The sum is {total}, and {total} / {count} = {total // count}."
    return build("mean", (question, frame), str(total // count), mistakes, why, (things,), listing(sorted(values)))


def outlier(rng: random.Random, test: bool) -> Item:
    """The one value that lies far from the others."""
    centre = rng.randint(5, 30)
    values = rng.sample(range(centre - 3, centre + 4), rng.randint(3, 4))
    far = centre + rng.randint(40, 60)
    full = [*values, far]
    rng.shuffle(full)
    mistakes = {
        str(min(full)): "gives the smallest value for the outlier",
        str(values[0]): "gives a usual value for the outlier",
        str(values[1]): "gives a usual value for the outlier",
        str(values[2]): "gives a usual value for the outlier",
    }
    question, frame, things = list_text(rng, test, full, "outlier")
    why = f"The value {far} lies far from the others."
    return build("outlier", (question, frame), str(far), mistakes, why, (things,), listing(sorted(full)))


def probability(rng: random.Random, test: bool) -> Item:
    """The chance of drawing one kind of piece, as a fraction."""
    place, first, second, pieces = rng.choice(TEST_BAGS if test else TRAIN_BAGS)
    a, b = rng.sample(range(2, 14), 2)
    frame = wording(rng, "probability", test)
    question = frame.format(place=place, a=a, b=b, first=first, second=second, pieces=pieces)
    total = a + b
    mistakes = {
        f"{a}/{b}": "divides by the other kind and not by the total",
        f"{b}/{total}": "gives the probability of the other kind",
        f"{total}/{a}": "turns the fraction upside down",
    }
    why = f"There are {a} + {b} = {total} {pieces} in all, and {a} of them are {first}."
    answer = f"{a}/{total}"
    return build("probability", (question, frame), answer, mistakes, why, (pieces, place), f"{a} {b}")


LISTS: tuple[Draw, ...] = (spread, median, mode, mean, outlier, probability)
