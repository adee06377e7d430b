"""Layouts, which make one text of reasoning and answer: text with `{answer}` and, mostly, `{reasoning}`."""

from __future__ import annotations

import re
from string import Formatter

from statllama.errors import DataError

PLACES = ("reasoning", "answer")
PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")


def check_layout(layout: str) -> None:
    """Raise DataError unless the layout has `{answer}` and no placeholder but that and `{reasoning}`."""
    try:
        fields = [
            (name, spec, conversion) for _, name, spec, conversion in Formatter().parse(layout) if name is not None
        ]
    except ValueError as error:
        raise DataError(f"layout {layout!r}: {error}", remedy="write a literal brace twice") from None
    for name, spec, conversion in fields:
        if name not in PLACES or spec or conversion:
            raise DataError(
                f"layout {layout!r}: unknown placeholder {{{name}}}; allowed: {{reasoning}} and {{answer}}",
                remedy="write a literal brace twice: \\boxed{{{answer}}}",
            )
    if "answer" not in [name for name, _, _ in fields]:
        raise DataError(f"layout {layout!r} has no {{answer}}", remedy="put {answer} in the place of the answer")


def lay_out(layout: str | None, default: str, reasoning: str, answer: str) -> str:
    """Return the text of an answer. Without a layout: `default`, or the answer alone when there is no reasoning.

    Of a row without reasoning the layout's paragraphs (text between blank lines) that hold `{reasoning}` are left out.
    """
    if not reasoning.strip():
        if layout is None:
            return answer
        kept = [part for part in PARAGRAPHS.split(layout) if "{reasoning}" not in part]
        layout = "\n\n".join(kept) if any("{answer}" in part for part in kept) else "{answer}"
    return (layout or default).format(reasoning=reasoning.strip(), answer=answer.strip())
