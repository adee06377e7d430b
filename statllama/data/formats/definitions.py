"""A term and its meaning, asked for and answered in one of several ways.

{"term": "median", "description": "The middle value of sorted data.", "formula": ""}

Both wordings are drawn from the term itself (SHA-256), so a term has the same ones in every recipe, whatever the seed
and the other rows are. `repeat` repeats a row as it is: it gives no other wording. The formula, where there is one,
follows the description.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation
from statllama.data.formats._values import as_text, one_turn

REQUIRED = ("term", "description")
OPTIONAL = ("formula",)
QUESTIONS = (
    "What does the term {term} mean in statistics?",
    "Define {term}.",
    "Explain {term} briefly.",
    "What is meant by {term}?",
    "Give a definition of {term}.",
    "How is {term} defined?",
    "In statistics, what is the meaning of {term}?",
    "I came across the term {term}. What does it mean?",
)
# None begins a sentence that the description would have to finish: descriptions are sentences or noun phrases.
ANSWERS = ("{description}", "{term}: {description}", "**{term}**: {description}", "Definition of {term}: {description}")
FORMULAS = ("Formula: {formula}", "As a formula: {formula}", "In symbols: {formula}")


def parse(values: Mapping[str, Any], source: SourceSpec) -> Conversation:
    """Return a question and its answer."""
    term = as_text(values["term"], "term").strip()
    description = as_text(values["description"], "description").strip()
    formula = as_text(values.get("formula", ""), "formula").strip()
    # Of an empty description no answer is made, so that the row is refused.
    question, answer, with_formula = _wordings(term) if description else (QUESTIONS[0], "", "")
    text = answer.format(term=term, description=description)
    if formula:
        text += "\n\n" + with_formula.format(formula=formula)
    return one_turn(question.format(term=term), text)


def _wordings(term: str) -> tuple[str, str, str]:
    """Choose wordings for the question, the answer and the formula, each from its own bytes of the hash."""
    drawn = hashlib.sha256(term.encode()).digest()
    choices = (QUESTIONS, ANSWERS, FORMULAS)
    question, answer, formula = (
        options[int.from_bytes(drawn[4 * i : 4 * i + 4], "big") % len(options)] for i, options in enumerate(choices)
    )
    return question, answer, formula
