"""The text of a completion, and the final answer in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from statllama.errors import TrainingError

#: What TRL passes beside the columns of the data.
TRAINER_COLUMNS = frozenset(
    {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments"}
)

_OPEN = re.compile(r"<answer>", re.IGNORECASE)
_CLOSE = re.compile(r"</answer>", re.IGNORECASE)
# Where a final answer begins when there are no tags. Each is linear in the text's length.
_MARKS = re.compile(
    r"####"
    r"|\\boxed\s*(?=\{)"
    r"|(?<![a-z])answer[*_]*\s*:[*_]*"
    r"|(?<![a-z])(?:the|my)\s{1,4}(?:(?:final|correct|right)\s{1,4})?answer\s{1,4}(?:is|would\s+be|comes\s+to)\b:?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])[-−]?[$€£]?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?(?:\s?%)?")


def texts(completions: Sequence[Any]) -> list[str]:
    """Return the text of each completion: a string itself, or the content of a conversation's last assistant message.

    >>> texts(["5", [{"role": "assistant", "content": "6"}]])
    ['5', '6']
    """
    return [_text(completion) for completion in completions]


def _text(completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and all(isinstance(message, Mapping) for message in completion):
        for message in reversed(completion):
            if message.get("role", "assistant") == "assistant":
                return _content(message.get("content"))
        return ""
    raise TypeError(f"a completion is a string or a list of messages, not {type(completion).__name__}")


def _content(content: Any) -> str:
    """Return a message's content: a string, nothing (a bare tool call), or parts of which those of text count."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return "" if content is None else str(content)


def final_answer(text: str, last_number: bool = False) -> str | None:
    """Return the answer that a completion gives, or None.

    In this order: what follows the last `<answer>`, up to its `</answer>` or, when that is missing, to the end; else
    what follows the last of `####`, `\\boxed{}`, `Answer:` and `the answer is`, on that line or the next one that is
    not blank; else, with `last_number`, the last number. Only the last counts, so naming several gains nothing. A mark
    inside the tags is followed too.

    >>> final_answer("<reasoning>3 + 4</reasoning><answer>7 eggs</answer>")
    '7 eggs'
    >>> final_answer("So the answer is **7**.")
    '**7**.'
    """
    opened = [match.end() for match in _OPEN.finditer(text)]
    if opened:
        inner = text[opened[-1] :]
        closed = _CLOSE.search(inner)
        inner = inner[: closed.start()] if closed else inner
        return _marked(inner) or inner.strip()
    marked = _marked(text)
    if marked is None and last_number:
        numbers = _NUMBER.findall(text)
        return str(numbers[-1]) if numbers else None
    return marked


def _marked(text: str) -> str | None:
    """Return the text after the last mark."""
    marks = list(_MARKS.finditer(text))
    if not marks:
        return None
    rest = text[marks[-1].end() :]
    if marks[-1][0].startswith("\\boxed"):
        return _braced(rest)
    lines = [line.strip() for line in rest.splitlines() if line.strip(" \t*_`")]
    return lines[0] if lines else ""


def _braced(text: str) -> str:
    """Return the content of the braces that `text` begins with; up to the end when they never close."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0) if text[place - 1 : place] != "\\" else 0
        if depth == 0:
            return text[1:place].strip()
    return text[1:].strip()


def column(name: str, columns: Mapping[str, Any], reward: str) -> Sequence[Any]:
    """Return a column of the data, one entry per completion. Raises `TrainingError` when the data has no such
    column.
    """
    if name not in columns:
        there = sorted(columns.keys() - TRAINER_COLUMNS)
        raise TrainingError(
            f"reward {reward!r} needs the column `{name}`; the data has {', '.join(f'`{c}`' for c in there) or 'none'}",
            remedy=f"rename a column with `columns: {{{name}: NAME}}` in the source, or remove the reward",
        )
    values: Sequence[Any] = columns[name]
    return values
