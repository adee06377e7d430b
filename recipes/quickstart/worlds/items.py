"""The question that every generator makes, the ways to write it down, and small text helpers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, object]


@dataclass(frozen=True)
class Item:
    """One question with its right answer and wrong answers.

    `key` is what has to be new in a test item (a pair of numbers, a fact). `setting` and `frame` are the
    pieces of text that a held-out item shares with no training row. `errors` names, for each wrong
    answer, the mistake that leads to it.
    """

    topic: str
    key: str
    question: str
    answer: str
    wrong: tuple[str, ...]
    errors: tuple[str, ...] = ()
    why: str = ""
    plain: str = ""
    setting: tuple[str, ...] = ()
    frame: tuple[str, ...] = ()


def held_out(key: str, percent: int = 15) -> bool:
    """Whether a key belongs to the test side: decided by its hash, so every script agrees on it."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100 < percent


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def capital(text: str) -> str:
    """The text with a capital first letter, and the rest as it was."""
    return text[:1].upper() + text[1:]


def listing(values: Iterable[object]) -> str:
    """Values with commas between them."""
    return ", ".join(str(value) for value in values)


def others(rng: random.Random, pool: Sequence[str], answer: str, count: int = 3) -> tuple[str, ...]:
    """Up to `count` different members of the pool that are not the answer."""
    rest = sorted(set(pool) - {answer})
    return tuple(rng.sample(rest, min(count, len(rest))))


def near(rng: random.Random, value: int, count: int = 3, low: int = 0) -> tuple[str, ...]:
    """Different whole numbers near a value, as answers, none of them the value."""
    span = [n for n in range(max(low, value - 5), value + 6) if n != value]
    return tuple(f"{n}." for n in rng.sample(span, count))


def message(role: str, content: str) -> dict[str, str]:
    """One chat message."""
    return {"role": role, "content": content}


def as_choices(rng: random.Random, item: Item) -> Row:
    """A test row for lm-eval; where the answer stands is drawn, and `balance` evens it out later."""
    choices = [item.answer, *item.wrong[:3]]
    rng.shuffle(choices)
    return {
        "question": item.question,
        "choices": choices,
        "answer": choices.index(item.answer),
        "topic": item.topic,
    }


def balance(rows: Sequence[Row]) -> list[Row]:
    """Test rows with the answer at each position equally often, for each number of choices."""
    seen: dict[int, int] = {}
    balanced = []
    for row in rows:
        choices = list(row["choices"])  # type: ignore[call-overload]
        answer = choices.pop(row["answer"])
        size = len(choices) + 1
        position = seen.get(size, 0) % size
        seen[size] = seen.get(size, 0) + 1
        choices.insert(position, answer)
        balanced.append({**row, "choices": choices, "answer": position})
    return balanced


def strings(value: object) -> list[str]:
    """All strings in a JSON value, except the names of columns and roles."""
    if isinstance(value, str):
        return [] if value in ("user", "assistant", "system") else [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else []


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write one row a line in UTF-8 and return the number of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return len(text.encode())
