"""Questions about results: skew from mean and median, the decision from a p-value, frequencies."""

from __future__ import annotations

import random

from worlds.items import Item, listing
from worlds.stats_numbers import Draw, build
from worlds.stats_scenes import TEST_BAGS, TRAIN_BAGS, draw_scene
from worlds.stats_wordings import wording


def skew(rng: random.Random, test: bool) -> Item:
    """The direction of skew from mean and median."""
    scene = draw_scene(rng, test)
    answer = rng.choice(("Right-skewed", "Left-skewed", "Symmetric"))
    low, high = sorted(rng.sample(range(2, 99), 2))
    mean, median = {"Right-skewed": (high, low), "Left-skewed": (low, high), "Symmetric": (low, low)}[answer]
    frame = wording(rng, "skew", test)
    mistakes = {
        "Right-skewed": "says that the mean is above the median",
        "Left-skewed": "says that the mean is below the median",
        "Symmetric": "says that the mean equals the median",
    }
    why = {
        "Right-skewed": f"The mean {mean} is larger than the median {median}.",
        "Left-skewed": f"The mean {mean} is smaller than the median {median}.",
        "Symmetric": f"The mean and the median are both {mean}.",
    }[answer]
    text = (frame.format(mean=mean, median=median, **scene), frame)
    return build("skew", text, answer, mistakes, why, (scene["x"],), f"{mean} {median}")


def p_value(rng: random.Random, test: bool) -> Item:
    """Whether a p-value rejects the null hypothesis at a level."""
    scene = draw_scene(rng, test)
    level = rng.choice((5, 10))
    reject = rng.random() < 0.5
    p = rng.randint(1, level * 10 - 1) if reject else rng.randint(level * 10 + 1, 400)
    frame = wording(rng, "p_value", test)
    shown = {"p": f"0.{p:03d}", "level": f"0.{level:02d}"}
    yes, no = "Reject the null hypothesis", "Do not reject the null hypothesis"
    mistakes = {
        yes: "rejects although the p-value is above the level",
        no: "does not reject although the p-value is below the level",
    }
    word = "smaller" if reject else "larger"
    why = f"The p-value {shown['p']} is {word} than the level {shown['level']}."
    text = (frame.format(**shown, **scene), frame)
    return build("p_value", text, yes if reject else no, mistakes, why, (scene["exposure"],), f"{p} {level}")


def frequency(rng: random.Random, test: bool) -> Item:
    """How often a category occurs in a list."""
    place, first, second, pieces = rng.choice(TEST_BAGS if test else TRAIN_BAGS)
    a, b = rng.sample(range(1, 6), 2)
    values = [first] * a + [second] * b
    rng.shuffle(values)
    frame = wording(rng, "frequency", test)
    mistakes = {
        str(b): "counts the other category",
        str(a + b): "counts all values",
        str(a + 1 if a + 1 not in (b, a + b) else a + b + 1): "counts one too many",
    }
    shown = listing(values)
    why = f"Among {a + b} values, {first} occurs {a} time{'s' if a > 1 else ''}."
    text = (frame.format(pieces=pieces, place=place, values=shown, first=first), frame)
    return build("frequency", text, str(a), mistakes, why, (pieces,), shown)


RESULTS: tuple[Draw, ...] = (skew, p_value, frequency)
