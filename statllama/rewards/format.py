"""Reward `format`: is a completion written as `<reasoning>...</reasoning><answer>...</answer>`?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from statllama.rewards.completions import texts
from statllama.rewards.spec import Reward, RewardSpec


class Spec(RewardSpec):
    """The parts have the paper's range, -0.75 to 1.25."""

    name: Literal["format"]


def make(spec: Spec) -> Reward:
    """Return the reward function.

    >>> reward = make(Spec(name="format"))
    >>> reward(prompts=["p"] * 2, completions=["<reasoning>2+2</reasoning><answer>4</answer>", "4"])
    [1.25, -0.75]
    """

    def format_(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return [sum(parts(text).values()) for text in texts(completions)]

    return format_


def parts(text: str) -> dict[str, float]:
    """Return the points that each part of the format earns; tags are in lower case, as requested.

    | part | earned | else |
    |---|---|---|
    | reasoning: one opening tag and one closing tag after it | 0.25 | -0.25 |
    | answer: the same | 0.25 | -0.25 |
    | order: the reasoning closes before the answer opens | 0.25 | 0 |
    | content: neither is empty | 0.25 | 0 |
    | end: nothing but white space after `</answer>` | 0.25 | -0.25 |

    `order`, `content` and `end` need what they speak of to be there exactly once, so repeating tags earns nothing.
    """
    reasoning, answer = _once(text, "reasoning"), _once(text, "answer")
    both = reasoning is not None and answer is not None
    return {
        "reasoning": 0.25 if reasoning else -0.25,
        "answer": 0.25 if answer else -0.25,
        "order": 0.25 if reasoning and answer and reasoning[1] < answer[0] else 0.0,
        "content": 0.25 if both and all(text[slice(*span)].strip() for span in (reasoning, answer) if span) else 0.0,
        "end": 0.25 if answer and not text[answer[1] + len("</answer>") :].strip() else -0.25,
    }


def _once(text: str, tag: str) -> tuple[int, int] | None:
    """Return the start and end of the content between these tags; None without exactly one pair."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    if text.count(opening) != 1 or text.count(closing) != 1:
        return None
    start, end = text.index(opening) + len(opening), text.index(closing)
    return (start, end) if start <= end else None
