"""Finding numbers and phrases in a printed question."""

from __future__ import annotations

import re

from scipy import stats

Expected = float | tuple[float, float] | str | re.Pattern[str]
NUMBER = r"-?\d+(?:\.\d+)?"


def find(question: str, *patterns: str) -> str:
    """The first group of the first pattern that occurs; `#` stands for a number."""
    for pattern in patterns:
        found = re.search(pattern.replace("#", NUMBER), question)
        if found:
            return found[1]
    raise AssertionError(f"none of {patterns} in {question!r}")


def value(question: str, *patterns: str) -> float:
    return float(find(question, *patterns))


def values(question: str, pattern: str) -> list[float]:
    return [float(text) for text in re.findall(pattern.replace("#", NUMBER), question)]


def choose(question: str, *cases: tuple[str, str]) -> str:
    """The label of the one case whose pattern occurs."""
    labels = [label for label, pattern in cases if re.search(pattern, question)]
    assert len(labels) == 1, (labels, question)
    return labels[0]


def table(question: str) -> dict[str, dict[str, str]]:
    """The rows of the table of a question by name, each by column."""
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in re.findall(r"^\|.*\|$", question, re.M)]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


def ask(question: str) -> str:
    """What stands below the table."""
    return question.rpartition("\n\n")[2]


def tail(t: float, df: float | None, sign: str) -> float:
    curve = stats.norm if df is None else stats.t(df)
    return float({">": curve.sf(t), "<": curve.cdf(t), "!=": 2 * curve.sf(abs(t))}[sign])
