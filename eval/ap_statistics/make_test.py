"""Write test.jsonl: the same bytes every time.

    python eval/ap_statistics/make_test.py [FILE]

The items are problems of the test split of `statllama.problems`: of each kind its four siblings, one item each, and
a second one of some in topics with few kinds. No two items share more than half of the shorter one's word 5-grams,
numbers and names masked.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statllama.problems import Problem, kinds, make_problem, to_multiple_choice, topics

SEED, LEAST, TRIES, SIZE = 2026, 64, 400, 5
LARGEST_SHARE = 0.5
FIELDS = ("question", "choices", "answer", "topic", "kind", "asked", "held_out", "misconceptions")


def grams(text: str) -> set[tuple[str, ...]]:
    """Return the word 5-grams of a text in lower case, with `#` for numbers and `@` for names inside a sentence."""
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?:])\s", text):
        for place, word in enumerate(re.findall(r"\d[\d,.]*|[^\W\d_]+(?:['’-][^\W\d_]+)*", sentence)):
            masked = "#" if word[0].isdigit() else "@" if place and word[0].isupper() else word.lower()
            if masked != "#" or words[-1:] != ["#"]:
                words.append(masked)
    return {tuple(words[i : i + SIZE]) for i in range(len(words) - SIZE + 1)}


class Taken:
    """The 5-grams of the questions taken so far."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.places: dict[tuple[str, ...], list[int]] = defaultdict(list)

    def take(self, question: str) -> bool:
        """Take a question unless it is a near copy of one before it, and say whether it was taken."""
        own = grams(question)
        shared = Counter(item for gram in own for item in self.places.get(gram, ()))
        if any(count > LARGEST_SHARE * min(len(own), self.sizes[item]) for item, count in shared.items()):
            return False
        for gram in own:
            self.places[gram].append(len(self.sizes))
        self.sizes.append(len(own))
        return True


def chosen(topic: str, kind: str, taken: Taken, seeds: Iterator[int]) -> Iterator[Problem]:
    """Yield a fit problem of each sibling of a kind; of fewer where tries run out."""
    asked: set[str] = set()
    for _, seed in zip(range(TRIES), seeds, strict=False):
        problem = make_problem(topic, kind, seed, "test")
        if problem.asked not in asked and taken.take(problem.question):
            asked.add(problem.asked)
            yield problem
        if len(asked) == 4:
            return


def items() -> Iterator[dict[str, Any]]:
    """Yield the items: topics in turn, so that a part of the file is of all of them."""
    taken = Taken()
    of_topic: dict[str, list[Problem]] = {topic: [] for topic in topics()}
    seeds = {(topic, kind): iter(range(SEED, SEED + 10**6)) for topic in topics() for kind in kinds(topic)}
    for topic, found in of_topic.items():
        for turn in range(2):
            for kind in kinds(topic):
                if turn and len(found) >= LEAST:
                    break
                found += chosen(topic, kind, taken, seeds[topic, kind])
    order = random.Random(SEED)
    for found in of_topic.values():
        order.shuffle(found)
    mixed = [problem for place in range(max(map(len, of_topic.values()))) for found in of_topic.values()
             for problem in found[place : place + 1]]  # fmt: skip
    places: list[int] = []
    for problem in mixed:
        places = places or order.sample(range(4), 4)
        row = to_multiple_choice(problem, SEED, places.pop()) | {"asked": problem.asked}
        yield {name: row[name] for name in FIELDS}


def main(out: Path) -> None:
    """Write the items to `out`."""
    out.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "test.jsonl")
