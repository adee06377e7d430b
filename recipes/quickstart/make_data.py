"""Make the statistics data of the quickstart and both of its benchmarks' test files.

    python make_data.py

Writes `data/*.jsonl` and `eval/quickstart_*/test.jsonl`. The same seed gives the same bytes. Before a
file is written, the script asserts that no test question, setting, wording or set of numbers occurs in
a training file.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from worlds import concepts, documents, stats_prose
from worlds.concepts import Concept
from worlds.general_world import draw_test_items
from worlds.items import Item, Row, as_choices, balance, held_out, message, strings, write_jsonl
from worlds.stats_ideas import IDEAS
from worlds.stats_methods import METHODS
from worlds.stats_numbers import LISTS, Draw
from worlds.stats_results import RESULTS

HERE = Path(__file__).resolve().parent
CONCEPTS: tuple[Concept, ...] = METHODS + IDEAS
NUMBERS: tuple[Draw, ...] = LISTS + RESULTS
FOLLOW_UPS = ("Why?", "How do we know?", "Please explain.")


def training_item(rng: random.Random, source: Concept | Draw) -> Item:
    """A training question of a topic; numbers that belong to the test are drawn again."""
    if isinstance(source, Concept):
        return concepts.draw(rng, source, rng.choice(source.answers))
    while True:
        item = source(rng, False)
        if not held_out(item.key):
            return item


def training_items(rng: random.Random, per_topic: int) -> list[Item]:
    """Equally many questions of every topic, in random order."""
    items = [training_item(rng, source) for source in CONCEPTS + NUMBERS for _ in range(per_topic)]
    rng.shuffle(items)
    return items


def test_items(rng: random.Random, per_topic: int) -> list[Item]:
    """Held-out questions; within a topic every answer is right about equally often."""
    items: list[Item] = []
    for source in CONCEPTS + NUMBERS:
        found: dict[str, Item] = {}
        answers: Counter[str] = Counter()
        for _ in range(20_000):
            if len(found) == per_topic:
                break
            if isinstance(source, Concept):
                item = concepts.draw(rng, source, source.answers[len(found) % len(source.answers)], test=True)
            else:
                item = source(rng, True)
                limit = -(-per_topic // (len(item.wrong) + 1))
                if not held_out(item.key) or answers[item.answer] >= limit or len(item.wrong) < 1:
                    continue
            if item.key not in found:
                found[item.key] = item
                answers[item.answer] += 1
        assert len(found) == per_topic, f"too few held-out questions: {source}"
        items.extend(found.values())
    return items


def cpt_rows(rng: random.Random, per_topic: int, essays: int) -> list[Row]:
    """Prose: explanations with examples of every topic, and essays."""
    texts = [stats_prose.concept_document(rng, concept) for concept in CONCEPTS for _ in range(per_topic)]
    texts += [stats_prose.number_document(rng, draw) for draw in NUMBERS for _ in range(per_topic)]
    texts += [stats_prose.essay(rng) for _ in range(essays)]
    rng.shuffle(texts)
    return [{"text": text} for text in texts]


def exchange(rng: random.Random, item: Item) -> list[dict[str, str]]:
    """A question with its answer: short, with a reason, or with the reason as a second turn."""
    question = message("user", item.question)
    style = rng.choices(("short", "reason", "follow-up"), (7, 2, 1))[0]
    if style == "short":
        return [question, message("assistant", item.answer)]
    if style == "reason":
        return [question, message("assistant", f"{item.answer} {item.why}")]
    follow_up = message("user", rng.choice(FOLLOW_UPS))
    return [question, message("assistant", item.answer), follow_up, message("assistant", item.why)]


def sft_rows(rng: random.Random, per_topic: int) -> list[Row]:
    """Dialogues of two questions about different topics: rows of like length leave little padding."""
    items = training_items(rng, per_topic)
    pairs = zip(items[::2], items[1::2], strict=True)
    return [{"messages": exchange(rng, first) + exchange(rng, second)} for first, second in pairs]


def dpo_rows(rng: random.Random, per_topic: int) -> list[Row]:
    """A right answer against the answer that a named mistake leads to."""
    rows: list[Row] = []
    for item in training_items(rng, per_topic):
        wrong, error = rng.choice(list(zip(item.wrong, item.errors, strict=True)))
        rows.append({"prompt": item.question, "chosen": item.answer, "rejected": wrong, "error": error})
    return rows


def downstream_rows(rng: random.Random, per_topic: int) -> list[Row]:
    """Quiz questions: the possible answers stand in the question."""
    rows: list[Row] = []
    for item in training_items(rng, per_topic):
        options = [item.answer, *item.wrong[:3]]
        rng.shuffle(options)
        shown = "; ".join(option.rstrip(".") for option in options)
        lead = rng.choice(("Choose from", "Possible answers", "One of these is right"))
        messages = [
            message("user", f"{item.question} {lead}: {shown}."),
            message("assistant", item.answer),
        ]
        rows.append({"messages": messages})
    return rows


def instruct_rows(rng: random.Random, count: int) -> list[Row]:
    """Dialogues about the general world, for a stage of general instructions: what the base was trained on."""
    return [{"messages": documents.dialogue(rng)} for _ in range(count)]


def question_rows(rng: random.Random, per_topic: int) -> list[Row]:
    """Questions with the answer that a reward checks."""
    items = training_items(rng, per_topic)
    return [{"prompt": item.question, "answer": item.answer, "topic": item.topic} for item in items]


def numbers_in(text: str) -> tuple[str, ...]:
    """The numbers of a text in their order."""
    return tuple(re.findall(r"\d+(?:\.\d+)?", text))


def assert_disjoint(tests: Iterable[Item], rows: Iterable[Row]) -> None:
    """No test question, setting or wording stands in a training row, and no test list of numbers either."""
    for concept in CONCEPTS:
        for answer in concept.answers:
            assert not set(concept.cues[answer]) & set(concept.test_cues[answer]), concept.topic
    texts = list(strings(list(rows)))
    corpus = "\n".join(texts).lower()
    trained_numbers = {numbers_in(text) for text in texts}
    for item in tests:
        assert item.question.lower() not in corpus, item.question
        for piece in item.setting + item.frame:
            pattern = rf"\b{re.escape(piece.lower())}\b"
            assert not re.search(pattern, corpus), (item.topic, piece)
        listed = numbers_in(item.question)
        if len(listed) > 2:
            assert listed not in trained_numbers, item.question


def unique(rows: list[Row]) -> list[Row]:
    """The rows without repetitions, in their order."""
    return list({json.dumps(row): row for row in rows}.values())


def files(seed: int) -> Iterator[tuple[Path, list[Row]]]:
    """Every file with its rows; each file has a random stream of its own."""
    data, benchmarks = HERE / "data", HERE.parents[1] / "eval"
    training = {
        "cpt.jsonl": cpt_rows(random.Random(f"{seed} cpt"), per_topic=60, essays=120),
        "sft.jsonl": sft_rows(random.Random(f"{seed} sft"), per_topic=220),
        "dpo.jsonl": dpo_rows(random.Random(f"{seed} dpo"), per_topic=24),
        "dtft.jsonl": downstream_rows(random.Random(f"{seed} dtft"), per_topic=20),
        "grpo.jsonl": question_rows(random.Random(f"{seed} grpo"), per_topic=40),
    }
    # "final": drawn anew once the recipe was settled, because earlier draws had been looked at while settling it.
    tests = test_items(random.Random(f"{seed} stats final"), per_topic=12)
    assert_disjoint(tests, [row for rows in training.values() for row in rows])
    for name, rows in training.items():
        yield data / name, unique(rows)
    # Of the base's own world, whose words may stand in the test's questions: only answers are held out there.
    yield data / "instruct.jsonl", unique(instruct_rows(random.Random(f"{seed} instruct"), count=1200))
    general = draw_test_items(random.Random(f"{seed} general"), per_topic=8)
    for name, items in (("quickstart_stats", tests), ("quickstart_general", general)):
        rng = random.Random(f"{seed} {name}")
        rng.shuffle(items)
        yield benchmarks / name / "test.jsonl", balance([as_choices(rng, item) for item in items])


def main() -> None:
    """Write all files and say how large they are."""
    parser = argparse.ArgumentParser(description="Write the quickstart's data and test files.")
    parser.add_argument("--seed", type=int, default=0, help="seed of all files")
    for path, rows in files(parser.parse_args().seed):
        size = write_jsonl(path, rows)
        print(f"{path.relative_to(HERE.parents[1])}: {len(rows)} rows, {size:,} bytes")


if __name__ == "__main__":
    main()
