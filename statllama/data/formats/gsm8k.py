r"""A word problem and its worked solution as in GSM8K, with `<<...>>` marks for a calculator and `#### ` at the end.

{"question": "May sold 48 clips in April and half as many in May. How many in all?",
 "answer": "In May: 48/2 = <<48/2=24>>24.\nIn all: 48+24 = <<48+24=72>>72.\n#### 72"}

The marks are taken out. The answer is laid out as GSM8K does it, `{reasoning}\n#### {answer}`, which its graders look
for, or as `layout` says. In a grpo stage the rewards get the final answer (`72`) and the solution before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._layout import lay_out
from statllama.data.formats._values import as_text, one_turn
from statllama.errors import DataError

REQUIRED = ("question", "answer")
OPTIONAL = ()
LAYOUT = "{reasoning}\n#### {answer}"
MARK = re.compile(r"<<[^<>\n]*>>")
FINAL = re.compile(r"(?:^|\n)#### *(\S[^\n]*)\s*\Z")


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return the question as the user's turn; the solution without marks, and the final answer, as the assistant's."""
    solution = as_text(values["answer"], "answer")
    final = FINAL.search(solution)
    if final is None:
        raise DataError(
            f"the answer does not end with a line `#### 72`: it ends with {solution[-40:]!r}",
            remedy="use `format: question_answer` for answers without it",
        )
    reasoning = MARK.sub("", solution[: final.start()])
    text = lay_out(source.layout, LAYOUT, reasoning, final.group(1))
    columns = {"answer": final.group(1).strip(), "reasoning": reasoning.strip()}
    return one_turn(as_text(values["question"], "question"), text, columns)


def recognises(values: Mapping[str, Any]) -> bool:
    """Return whether the answer ends with a line `#### ...`."""
    return isinstance(values["answer"], str) and FINAL.search(values["answer"]) is not None
