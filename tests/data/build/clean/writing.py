"""Documents and rows that the tests clean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from statllama.data.build.chain import Step
from statllama.data.build.records import Json, Kept, LeftOut

PROSE = (
    "The standard error of a mean tells how far the mean of a sample tends to be from the mean of the population. It "
    "falls with the square root of the size of the sample, so four times as many observations halve it. We estimate "
    "it with the standard deviation of the sample, and use the t distribution where the sample is small."
)
MORE = (
    "A confidence interval holds the true value in a known share of samples. Its width depends on the level that we "
    "ask for, on the spread of the observations and on their number. An interval that is wide says that the data "
    "leave much open, and a narrow one that they do not. It does not say where the next observation will be."
)


def section(text: str, heading: str = "", level: int = 1, kind: str = "other") -> Json:
    return {"heading": heading, "level": level, "kind": kind, "text": text}


def document(name: str, *sections: Json | str) -> Json:
    parts = [part if isinstance(part, dict) else section(part) for part in sections]
    return {"id": name, "origin": {"collector": "folder", "place": name}, "sections": parts}


def row(name: str, **columns: Any) -> Json:
    return {"id": name, "part": "qa", "format": "pair", "row": columns, "provenance": {"document": "d"}}


def outcomes(step: Step, records: Iterable[Json]) -> tuple[list[Json], list[LeftOut]]:
    """What goes on, and what is left out, with a block for all."""
    given = list(records)
    plan = step.plan(lambda: iter(given))
    found = list(step.apply(given, plan, Path()))
    kept = [dict(outcome.record) for outcome in found if isinstance(outcome, Kept)]
    return kept, [outcome for outcome in found if isinstance(outcome, LeftOut)]


def reasons(lost: Iterable[LeftOut]) -> list[tuple[str, str]]:
    return [(each.reason, each.where) for each in lost]
