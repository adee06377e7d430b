"""Training documents of the base: short plain paragraphs, dialogues, and lists of words to repeat."""

from __future__ import annotations

import random
from pathlib import Path

from worlds.general_world import draw_training_item
from worlds.items import listing, message

Dialogue = list[dict[str, str]]
SHARES = (("plain", 0.25), ("dialogue", 0.65), ("words", 0.10))


def read_vocabulary() -> list[str]:
    """Words of the later stages' data and of the test's people and things, without their sentences.

    The base repeats them in random order, so that it can read and write them, as any base model can
    (embeddings stay frozen later), while nothing about statistics is told.
    """
    return (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()


def plain(rng: random.Random) -> str:
    """A paragraph of one to six statements."""
    return " ".join(draw_training_item(rng)[0].plain for _ in range(rng.randint(1, 6)))


def dialogue(rng: random.Random) -> Dialogue:
    """One to three questions with their answers."""
    turns: Dialogue = []
    for _ in range(rng.choices((1, 2, 3), (6, 3, 1))[0]):
        item, may_ask = draw_training_item(rng)
        while not may_ask:
            item, may_ask = draw_training_item(rng)
        turns += [message("user", item.question), message("assistant", item.answer)]
    return turns


def words(rng: random.Random, vocabulary: list[str]) -> Dialogue:
    """A list of random words and the request to repeat it, or to give its first or last word."""
    chosen = rng.sample(vocabulary, rng.randint(2, 8))
    text = listing(chosen)
    question, answer = rng.choice(
        [
            (f"Repeat these words: {text}.", f"{text}."),
            (f"What is the first word of this list: {text}?", f"{chosen[0]}."),
            (f"What is the last word of this list: {text}?", f"{chosen[-1]}."),
        ]
    )
    return [message("user", question), message("assistant", answer)]


def draw(rng: random.Random, vocabulary: list[str]) -> str | Dialogue:
    """One training document of a random type."""
    kind = rng.choices([name for name, _ in SHARES], [share for _, share in SHARES])[0]
    if kind == "plain":
        return plain(rng)
    return dialogue(rng) if kind == "dialogue" else words(rng, vocabulary)
