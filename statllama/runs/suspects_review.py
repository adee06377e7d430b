"""Lists suspect rows for review, with a judge's answers where there is one, for `statllama data check`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from statllama.data.contamination import Question
from statllama.data.judging import Judge, JudgeError, Judgement
from statllama.data.select import Progress
from statllama.data.suspects import Suspect, Suspects


@dataclass(frozen=True)
class Review:
    """One suspect row of a stage. `rows`: how many resemble the question; `judgement`: None when nobody judged."""

    stage: str
    question: Question
    rows: int
    suspect: Suspect
    judgement: Judgement | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values: a line of the review file."""
        return {
            "stage": self.stage,
            "row": self.suspect.where,
            "benchmark": self.question.task,
            "number": self.question.number,
            "similarity": self.suspect.similarity,
            "rows_alike": self.rows,
            "verdict": self.judgement.answer if self.judgement else None,
            "said": self.judgement.said if self.judgement else None,
            "question": self.question.text,
            "passage": self.suspect.passage,
        }


def reviews_of(stage: str, suspects: Sequence[Suspects]) -> list[Review]:
    """Return a stage's suspects, each by itself, the nearest first."""
    found = [Review(stage, group.question, group.rows, suspect) for group in suspects for suspect in group.nearest]
    return sorted(found, key=lambda review: -review.suspect.similarity)


def judged(
    reviews: Sequence[Review], judge: Judge, memory: Path, progress: Progress | None = None
) -> tuple[list[Review], JudgeError | None]:
    """Return all reviews, judged as far as the judge answered, and the error that ended it.

    `memory`: a workspace's, which keeps the answers (`Store.memory`): what was answered before is not asked again.
    """
    found = [replace(r, judgement=judge.remembered(r.question.text, r.suspect.passage, memory)) for r in reviews]
    done = sum(review.judgement is not None for review in found)
    for i, review in enumerate(found):
        if review.judgement is not None:
            continue
        if progress is not None:
            progress("judge", done, len(found))
        try:
            judgement = judge.judge(review.question.text, review.suspect.passage, memory)
        except JudgeError as error:
            return found, _with_count(error, done, len(found))
        found[i] = replace(review, judgement=judgement)
        done += 1
    return found, None


def _with_count(error: JudgeError, done: int, total: int) -> JudgeError:
    kept = f"; {done:,} of {total:,} suspects are judged, and their verdicts are kept in the workspace"
    again = "run the same command again when it answers: it goes on with the others"
    return JudgeError(error.message + kept, remedy=f"{error.remedy}; then {again}" if error.remedy else again)


def review_lines(reviews: Sequence[Review]) -> Iterator[str]:
    """Yield the review file, JSON lines."""
    for review in reviews:
        yield json.dumps(review.as_json(), ensure_ascii=False) + "\n"
