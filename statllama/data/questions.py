"""Questions that a model answers by itself while it learns: the prompt, and the values that check its answers.

A row of the data is a question when its format says so (`prompt_answer`), or a conversation whose last turn is left
out. What a format knows beside the turns (`answer`, `reasoning`, ...) goes to the rewards as columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from statllama.data.examples import Completion, Conversation, Example, Message, Question
from statllama.errors import DataError

# Names under which TRL gives rewards something of its own, or takes a column for an image or an environment.
RESERVED = frozenset({
    "prompt", "prompts", "prompt_ids", "completion", "completions", "completion_ids", "trainer_state", "log_extra",
    "log_metric", "environment", "environments", "image", "images",
})  # fmt: skip
PROMPT_TOO_LONG = "prompt longer than max_prompt_length"


@dataclass(frozen=True)
class QuestionRules:
    """A stage's rules for its questions."""

    system: str | None = None
    """Text of a system turn that is put before each prompt."""
    columns: tuple[str, ...] = ()
    """Columns that each question must have, for the rewards."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for keys."""
        return {**asdict(self), "columns": sorted(self.columns)}


def as_question(example: Example, rules: QuestionRules) -> Question:
    """Return the example as a question under the stage's rules.

    DataError for running text and preferences, a missing column, or a system turn where there is one already.
    """
    question = _bare(example)
    filled = [name for name, value in question.columns.items() if value is not None and str(value).strip()]
    if missing := [name for name in rules.columns if name not in filled]:
        found = ", ".join(filled) or "none"
        raise DataError(
            f"no {missing[0]!r}, which a reward needs; columns for rewards: {found}",
            remedy="give the row one (formats question_answer, gsm8k and prompt_answer read `answer`), or leave out "
            "the reward",
        )
    if rules.system is None:
        return question
    if isinstance(question.prompt, str):
        raise DataError("a plain prompt takes no `system` turn", remedy="set `render: chat`, or remove `system`")
    if question.prompt[0].role == "system":
        raise DataError(
            "the row has a system turn of its own, and the stage sets `system` too",
            remedy="remove one of them",
        )
    return Question((Message("system", rules.system), *question.prompt), question.columns, question.tools)


def _bare(example: Example) -> Question:
    if isinstance(example, Question):
        return example
    if isinstance(example, Conversation):
        return Question(example.messages[:-1], example.columns, example.tools)
    if isinstance(example, Completion):
        return Question(example.prompt, {})
    raise DataError(f"a {type(example).__name__.lower()} is no question")


def packed_question(question: Question) -> list[int]:
    """Return the question as the UTF-8 bytes of JSON, since prepared data holds columns of integers alone.

    Without columns of a `RESERVED` name. What JSON has no form for, such as a date, becomes text.
    """
    columns = {name: value for name, value in question.columns.items() if name not in RESERVED}
    messages = [{"role": m.role, "content": m.content} for m in question.prompt if not isinstance(m, str)]
    body = {"prompt": messages or question.prompt, "columns": columns}
    return list(json.dumps(body, ensure_ascii=False, default=str).encode("utf-8"))


def unpacked_question(values: Any) -> dict[str, Any]:
    """Return {prompt, column: value, ...} of what `packed_question` gave, as TRL gives rows to rewards."""
    body: Mapping[str, Any] = json.loads(np.asarray(values, dtype=np.uint8).tobytes().decode("utf-8"))
    return {**body["columns"], "prompt": body["prompt"]}
