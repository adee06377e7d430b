"""A term and what it means, asked for in one of several ways.

    {"term": "median", "description": "The middle value of sorted data.", "formula": ""}

The question's wording is drawn from the term itself (SHA-256), so a term always gets the same one. The answer is the
description, followed by the formula where there is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from statllama.data.examples import Conversation, Message
from statllama.data.formats._values import as_text

REQUIRED = ("term", "description")
OPTIONAL = ("formula",)
QUESTIONS = (
    "What does the term {term} mean in statistics?",
    "Define {term}.",
    "Explain {term} briefly.",
    "What is meant by {term}?",
    "Give a definition of {term}.",
    "How is {term} defined?",
)


def parse(values: Mapping[str, Any], render: str) -> Conversation:
    """A question and its answer; `render` does not matter."""
    term = as_text(values["term"], "term").strip()
    answer = as_text(values["description"], "description").strip()
    formula = as_text(values.get("formula", ""), "formula").strip()
    if formula:
        answer += f"\n\nFormula: {formula}"
    pick = int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "big") % len(QUESTIONS)
    return Conversation((Message("user", QUESTIONS[pick].format(term=term)), Message("assistant", answer)))
