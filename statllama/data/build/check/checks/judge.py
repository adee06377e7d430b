"""A model judges the row by a rubric: scores from 1 to 5, a mark to reach, the majority of several votes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from statllama.config.spec import Count, NonNegative
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.asking import Request, Talk, filled, object_in, prompt_text, said, seed_of
from statllama.data.build.check.findings import cut, failed, passed, unchecked
from statllama.data.build.check.reading import Reading
from statllama.data.build.records import Json

KIND, COST, NUMERICS = "asked", 70, 1

BELOW = "a judge scores it below the mark"
UNREAD = "no vote of the judge can be read"
NO_ANSWER = "has no answer to judge"
Criterion = Literal["correct", "complete", "clear", "grounded"]
Score = Annotated[int, Field(ge=1, le=5)]
_VARIABLES = ("question", "answer", "rejected", "context", "criteria", "fence")


class Spec(Settings):
    """Rows that a judge does not pass are left out."""

    server: str | None = None
    """Name of the server that judges: better not the one that wrote the rows. None: the first one."""
    marks: dict[Criterion, Score] = Field(
        default={"correct": 4, "complete": 3, "clear": 3, "grounded": 4}, min_length=1
    )
    """{criterion: least score of a vote that passes the row}, each from 1 to 5. Criteria left out are not judged."""
    votes: Annotated[int, Field(ge=1, le=50)] = 1
    """How often it is judged; more than half of the votes that can be read must pass."""
    temperature: NonNegative = 0.0
    """Above 0 with several votes: they would be the same."""
    max_tokens: Count = 1024
    """Longest vote."""
    context: bool = True
    """Show the passage that the row was written from."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed draws other votes."""
    prompt: str | None = None
    """File with a prompt of your own, a Jinja template (`question`, `answer`, `rejected`, `context`, `criteria`,
    `fence`), relative to this file."""


def prepare(spec: Spec, folder: Path) -> dict[str, str]:
    """Return the prompt's text."""
    return {"prompt": prompt_text(spec.prompt, "judge.jinja", folder, _VARIABLES)}


def talk(spec: Spec, prepared: Mapping[str, str], row: Mapping[str, Any], reading: Reading) -> Talk:
    """Have one row judged."""
    if not reading.answer:
        return unchecked(NO_ANSWER)
    text = filled(
        prepared["prompt"],
        question=reading.asked,
        answer=reading.answer,
        rejected=reading.rejected,
        context=reading.context if spec.context else "",
        criteria=list(spec.marks),
    )
    replies = yield [
        Request(
            text,
            schema(spec),
            spec.temperature,
            spec.max_tokens,
            seed_of(str(row["id"]), spec.seed, i),
        )
        for i in range(spec.votes)
    ]
    votes = [(scores, found) for r in replies if (scores := scores_of(spec, found := object_in(said(r)))) is not None]
    figures: dict[str, Any] = {"votes": len(replies), "read": len(votes)}
    if not votes:
        return unchecked(UNREAD, **figures)
    passing = [all(scores[name] >= mark for name, mark in spec.marks.items()) for scores, _ in votes]
    figures |= {name: round(statistics.fmean(scores[name] for scores, _ in votes), 3) for name in spec.marks}
    figures["passing"] = sum(passing)
    if 2 * sum(passing) > len(votes):
        return passed(**figures)
    scores, found = votes[passing.index(False)]
    low = ", ".join(f"{name} {scores[name]} of 5" for name, mark in spec.marks.items() if scores[name] < mark)
    return failed(BELOW, f"{low}: {cut(str((found or {}).get('comment', '')))}".rstrip(": "), **figures)


def schema(spec: Spec) -> Json:
    """Return the JSON schema of a vote. The comment comes first, so that the scores follow from it."""
    scores = {name: {"type": "integer", "minimum": 1, "maximum": 5} for name in spec.marks}
    return {
        "type": "object",
        "properties": {"comment": {"type": "string"}, **scores},
        "required": ["comment", *spec.marks],
        "additionalProperties": False,
    }


def scores_of(spec: Spec, vote: Json | None) -> dict[str, int] | None:
    """Return a vote's scores; None for what is no vote: a score missing, no whole number, or outside 1 to 5."""
    if vote is None:
        return None
    scores = {name: vote.get(name) for name in spec.marks}
    sound = all(isinstance(s, int) and not isinstance(s, bool) and 1 <= s <= 5 for s in scores.values())
    return {name: int(str(score)) for name, score in scores.items()} if sound else None
