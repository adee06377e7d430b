"""The question has the row's answer: a model that does not see the answer finds it too.

The question is asked several times. Numbers, choices and short answers are compared by the rules of the reward
`correctness` (tolerances, units, LaTeX, spelling); a reply in a sentence, which these rules cannot judge, by the model
itself, which sees both answers and says whether they agree.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from statllama.config.spec import Count, NonNegative
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.asking import Reply, Request, Talk, filled, object_in, prompt_text, said, seed_of
from statllama.data.build.check.findings import Finding, cut, failed, passed, unchecked
from statllama.data.build.check.quoting import words
from statllama.data.build.check.reading import Reading
from statllama.rewards import REWARDS_VERSION
from statllama.rewards.completions import final_answer
from statllama.rewards.correctness import judge
from statllama.rewards.quantities import read_quantity

KIND, COST, NUMERICS = "asked", 60, 1

DISAGREES = "a model that is asked again answers otherwise"
NO_QUESTION = "has no question and answer"
NO_REPLY = "no reply has an answer to compare"
_AGREES = {
    "type": "object",
    "properties": {"agree": {"type": "boolean"}},
    "required": ["agree"],
    "additionalProperties": False,
}
_FEW_WORDS = 4  # an answer of more is a statement, which the model compares


class Spec(Settings):
    """Rows whose answer a model does not find again are left out."""

    server: str | None = None
    """Name of the server that is asked. None: the first one."""
    times: Annotated[int, Field(ge=1, le=50)] = 3
    """How often the question is asked."""
    agree: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Least share of the replies with an answer that must agree with the row's."""
    temperature: NonNegative = 0.7
    """Of the replies; those on agreement have 0."""
    max_tokens: Count = 1024
    """Longest reply. A reply that is cut off has no answer."""
    context: bool = True
    """Show the passage that the row was written from."""
    without_context: bool = False
    """Ask as often without the passage too, where it is shown otherwise, and keep how many agree, as
    `agree_without_context`. Leaves no row out."""
    rtol: NonNegative = 1e-2
    """Tolerance of a number, as a share; a row's own `tolerance` comes first."""
    by_model: bool = True
    """Let the model compare answers in a sentence. Else they are not checkable."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed draws other replies."""
    prompt: str | None = None
    """File with a prompt of your own, a Jinja template (`question`, `context`, `fence`), relative to this file."""
    agree_prompt: str | None = None
    """File with your own prompt for agreement (`question`, `reference`, `reply`, `fence`)."""


def prepare(spec: Spec, folder: Path) -> dict[str, Any]:
    """Return the prompts' texts and the version of the rules of agreement."""
    return {
        "prompt": prompt_text(spec.prompt, "answerable.jinja", folder, ("question", "context", "fence")),
        "agree": prompt_text(spec.agree_prompt, "agree.jinja", folder, ("question", "reference", "reply", "fence")),
        "rewards": REWARDS_VERSION,
    }


def talk(spec: Spec, prepared: Mapping[str, Any], row: Mapping[str, Any], reading: Reading) -> Talk:
    """Ask one row's question, and return whether the replies agree with its answer."""
    if not (reading.question and reading.reference):
        return unchecked(NO_QUESTION)
    shown = reading.context if spec.context else ""
    finding = yield from _asked(spec, prepared, row, reading, shown, 0)
    if spec.without_context and shown:
        again = yield from _asked(spec, prepared, row, reading, "", spec.times)
        share = again.figures.get("agree")
        return Finding(
            finding.passed, finding.reason, finding.detail, {**finding.figures, "agree_without_context": share}
        )
    return finding


def _asked(
    spec: Spec, prepared: Mapping[str, Any], row: Mapping[str, Any], reading: Reading, context: str, turn: int
) -> Generator[Sequence[Request], Sequence[Reply], Finding]:
    """Ask `times` times and compare: by rule, then by the model what no rule can."""
    text = filled(prepared["prompt"], question=_question(reading), context=context)
    replies = yield [
        Request(
            text,
            None,
            spec.temperature,
            spec.max_tokens,
            seed_of(str(row["id"]), spec.seed, turn + i),
        )
        for i in range(spec.times)
    ]
    answers = [_answer(reply) for reply in replies]
    votes = [None if answer is None else agrees(answer, reading, spec.rtol) for answer in answers]
    open_ = [i for i, vote in enumerate(votes) if vote is None and answers[i] is not None]
    if open_ and spec.by_model:
        compared = yield [
            Request(
                _both(prepared["agree"], reading, answers[i] or ""),
                _AGREES,
                0.0,
                spec.max_tokens,
                seed_of(str(row["id"]), spec.seed, turn + i),
            )
            for i in open_
        ]
        for i, reply in zip(open_, compared, strict=True):
            vote = (object_in(said(reply)) or {}).get("agree")
            votes[i] = vote if isinstance(vote, bool) else None
    return _counted(spec, votes, answers)


def _question(reading: Reading) -> str:
    """Return the question; of a conversation all turns that lead to it, each after its role."""
    if len(reading.prompt) == 1:
        return reading.prompt[0].text
    return "\n\n".join(f"{turn.role}: {turn.text}" for turn in reading.prompt)


def _both(prompt: str, reading: Reading, answer: str) -> str:
    return filled(prompt, question=reading.question, reference=reading.reference, reply=answer)


def _answer(reply: Reply) -> str | None:
    """Return the answer that a reply gives; None for one that is cut off or says nothing."""
    text = said(reply)
    if reply.finish_reason == "length" or not text:
        return None
    return final_answer(text) or text


def agrees(answer: str, reading: Reading, rtol: float = 1e-2) -> bool | None:
    """Return whether an answer agrees with the row's, by rule; None where it takes a reader.

    A statement in other words may say the same, so a rule can say of statements that they agree, never that they do
    not.
    """
    reference = reading.reference
    if reading.value is not None and reading.tolerance is not None:
        outcome = judge(answer, reference, 0.0, reading.tolerance, value=reading.value)
    else:
        outcome = judge(answer, reference, rtol)
    if outcome == "correct":
        return True
    ruled = read_quantity(reference, strict=True) is not None or len(words(reference)) <= _FEW_WORDS
    both_short = len(words(answer)) <= 3 * _FEW_WORDS
    return False if outcome == "no answer" or (ruled and both_short) else None


def _counted(spec: Spec, votes: Sequence[bool | None], answers: Sequence[str | None]) -> Finding:
    counted = [vote for vote in votes if vote is not None]
    figures: dict[str, Any] = {"asked": len(votes), "answered": len(counted)}
    if not counted:
        return unchecked(NO_REPLY, **figures)
    share = sum(counted) / len(counted)
    figures["agree"] = round(share, 4)
    if share >= spec.agree:
        return passed(**figures)
    other = next(answer for answer, vote in zip(answers, votes, strict=True) if vote is False)
    return failed(DISAGREES, f"asked again: {cut(other or '')}", **figures)
