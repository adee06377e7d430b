"""The items that two stacks score differently, with both answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from statllama.evaluation.scores import TaskScore
from statllama.report.data import Flip, Flips, Reply

MOST_FLIPS = 30
"""Items that are shown each way; the page says how many more there are."""
MOST_TEXT = 8000
"""Characters of one text; the page says how many more there are."""

_MARK = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
_ROLES = {"system", "user", "assistant", "model", "tool"}


def flips_of(old: TaskScore, new: TaskScore, before: str, after: str) -> Flips:
    """Return the items of one benchmark that score differently in two stacks of these names, in the benchmark's
    order.
    """
    gained: list[tuple[dict[str, Any], dict[str, Any]]] = []
    lost: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for a, b in zip(old.samples, new.samples, strict=True):
        if a["score"] != b["score"]:
            (gained if b["score"] > a["score"] else lost).append((a, b))
    return Flips(
        task=old.task,
        before=before,
        after=after,
        gained=tuple(_flip(a, b) for a, b in gained[:MOST_FLIPS]),
        lost=tuple(_flip(a, b) for a, b in lost[:MOST_FLIPS]),
        gained_total=len(gained),
        lost_total=len(lost),
    )


def _flip(before: Mapping[str, Any], after: Mapping[str, Any]) -> Flip:
    prompt = str(before["prompt"])
    asked = str(before.get("question") or question(prompt)).strip()
    choices = [str(choice) for choice in before.get("choices", ())]
    named = all(len(choice) < 3 or choice in asked for choice in choices)
    return Flip(
        row=before["row"],
        question=_capped(asked),
        prompt=_capped(prompt),
        expected=_capped(_answer(before)),
        before=_reply(before),
        after=_reply(after),
        choices=() if named else tuple(choices),
    )


def question(prompt: str) -> str:
    """Return the last turn of a prompt that says something, without the marks of the chat template.

    >>> question("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\\n\\n2 + 2?<|eot_id|>")
    '2 + 2?'
    """
    turns = []
    for piece in _MARK.split(prompt):
        head, _, rest = piece.strip().partition("\n")
        said = rest.strip() if head.strip() in _ROLES else piece.strip()
        if said:
            turns.append(said)
    return turns[-1] if turns else prompt.strip()


def _answer(sample: Mapping[str, Any]) -> str:
    """Return the right answer as text; several are separated by `or`."""
    choices, answer = sample.get("choices"), sample["answer"]
    answers = answer if isinstance(answer, list) else [answer]
    return " or ".join(_chosen(choices, one) for one in answers)


def _chosen(choices: Any, answer: Any) -> str:
    if isinstance(answer, int) and not isinstance(answer, bool) and choices and 0 <= answer < len(choices):
        return str(choices[answer])
    return str(answer).strip()


def _reply(sample: Mapping[str, Any]) -> Reply:
    score = float(sample["score"])
    if "generated" in sample:
        return Reply(_capped(str(sample["generated"])), _capped(str(sample["prediction"])), score)
    if sample.get("choices"):
        return Reply(_capped(_chosen(sample["choices"], sample["prediction"])), None, score)
    if isinstance(said := sample["prediction"], str):  # of a benchmark by likelihood: its loss
        return Reply(said, None, score)
    greedy = "would write it" if said else "would write something else"
    return Reply(f"{greedy} (log-likelihood {sample['loglikelihoods'][0]:.3f})", None, score)


def _capped(text: str) -> str:
    more = len(text) - MOST_TEXT
    return text if more <= 0 else f"{text[:MOST_TEXT]}… ({more:,} more characters)"
