"""Which column of a user's file is which column of a format, guessed from its name: `Frage` is a question.

A guess is only ever shown, as a line to paste: nothing is trained on one. Names are compared without case, accents and
punctuation; a whole name that is known weighs more than a known word in it, and an earlier word more than a later one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Words that columns are called by, the surest first; each in the forms that `plain_name` gives.
WORDS: dict[str, tuple[str, ...]] = {
    "question": (
        *("question", "frage", "pregunta", "domanda", "vraag", "pergunta", "fraga", "sporgsmal", "pytanie", "вопрос"),
        *(
            "问题",
            "問題",
            "質問",
            "질문",
            "prompt",
            "instruction",
            "anweisung",
            "query",
            "problem",
            "aufgabe",
            "exercise",
        ),
        *("task", "front", "user", "human", "input", "eingabe", "request", "ask", "q"),
    ),
    "answer": (
        *("answer", "antwort", "respuesta", "reponse", "risposta", "antwoord", "resposta", "svar", "odpowiedz"),
        *("ответ", "答案", "回答", "답변", "response", "completion", "output", "ausgabe", "reply", "solution"),
        *("losung", "loesung", "musterlosung", "target", "back", "assistant", "bot", "gpt", "model", "a"),
    ),
    "reasoning": (
        *("reasoning", "rationale", "cot", "chain of thought", "thought", "thinking", "begrundung", "explanation"),
        *("erklarung", "explicacion", "explication", "spiegazione", "derivation", "rechenweg"),
    ),
    "context": ("context", "kontext", "contexto", "contexte", "passage", "background"),
    "term": ("term", "begriff", "fachbegriff", "concept", "termino", "terme", "word", "wort", "keyword", "name"),
    "description": (
        *("definition", "description", "bedeutung", "beschreibung", "meaning", "definicion", "descripcion"),
        *("definizione", "explanation", "erklarung", "gloss"),
    ),
    "formula": ("formula", "formel", "equation", "latex"),
    "steps": ("steps", "schritte", "solution steps", "pasos", "etapes"),
    "chosen": (
        *("chosen", "preferred", "accepted", "better", "winner", "winning", "best", "good", "positive", "besser"),
        *("bevorzugt", "gut", "mejor", "meilleur"),
    ),
    "rejected": (
        *("rejected", "dispreferred", "unpreferred", "worse", "loser", "losing", "worst", "bad", "negative"),
        *("schlechter", "abgelehnt", "schlecht", "peor", "pire"),
    ),
    "judgement": (
        *("label", "judgement", "judgment", "verdict", "is good", "good", "is correct", "correct", "thumbs up"),
        *("thumbs", "liked", "like", "accepted", "approved", "feedback", "rating", "urteil", "richtig", "gut"),
    ),
    "turns": (
        *("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "history", "nachrichten"),
    ),
    "text": (
        *("text", "content", "body", "document", "inhalt", "texto", "texte", "testo", "article", "paragraph"),
        *("passage", "abstract", "section", "transcript", "markdown", "raw content"),
    ),
}
# (format, {its column: what that is}, the same of columns that may be missing), the most particular first.
FORMS: tuple[tuple[str, Mapping[str, str], Mapping[str, str]], ...] = (
    ("preference", {"prompt": "question", "chosen": "chosen", "rejected": "rejected"}, {}),
    ("preference", {"chosen": "chosen", "rejected": "rejected"}, {}),
    ("judged", {"prompt": "question", "completion": "answer", "label": "judgement"}, {}),
    ("messages", {"messages": "turns"}, {}),
    ("sharegpt", {"conversations": "turns"}, {}),
    ("problem_steps", {"problem": "question", "steps": "steps"}, {}),
    ("alpaca", {"instruction": "question", "output": "answer", "input": "context"}, {}),
    ("question_answer", {"question": "question", "answer": "answer"}, {"reasoning": "reasoning"}),
    ("definitions", {"term": "term", "description": "description"}, {"formula": "formula"}),
    ("text", {"text": "text"}, {}),
)
CHOICES = {"choices", "options", "alternatives", "distractors", "optionen", "antwortmoglichkeiten", "opciones"}
LONG = 200  # characters of a text that is a document rather than a cell


def plain_name(name: str) -> str:
    """Return a column's name as words: in lower case, without accents, `userQuestion` and `user_question` the same.

    >>> plain_name("Die_Lösung (kurz)")
    'die losung kurz'
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    letters = unicodedata.normalize("NFKD", spaced).casefold()
    kept = "".join(c if c.isalnum() else " " for c in letters if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def guesses(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (format, {its column: the file's column}), the likeliest first: by the names, then by what stands in the
    rows.

    None for questions with choices: the letter of the right one is no answer to learn, and which is right stands
    elsewhere.
    """
    names = {plain_name(column) for column in columns}
    if names & CHOICES or {"a", "b", "c"} <= {name.split()[-1] for name in names if name}:
        return
    for form, needed, optional in FORMS:
        if (found := _assigned({**needed, **optional}, columns)) and set(needed) <= set(found):
            yield form, found
    yield from _by_content(columns, rows)


def _assigned(wanted: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Return {the format's column: the file's}, each of the file's once, the surest pairs first."""
    scores = [
        (_score(name, what), i, place, column)
        for i, column in enumerate(columns)
        for place, (name, what) in enumerate((column, what) for what in wanted.values())
    ]
    keys, found = list(wanted), dict[str, str]()
    for score, _, place, column in sorted(scores, key=lambda one: (-one[0], one[1], one[2])):
        if score > 0 and keys[place] not in found and column not in found.values():
            found[keys[place]] = column
    return {name: found[name] for name in wanted if name in found}


def _score(column: str, what: str) -> float:
    """Return how surely a column is `what`: 2 to 3 for a name that is known, up to 1 for a known word in it, 0 for
    none.
    """
    name, words = plain_name(column), WORDS[what]
    if name == what or name in words:
        return 3.0 - (words.index(name) / len(words) if name in words else 0.0)
    parts = set(name.split())
    return max((1.0 - i / len(words) for i, word in enumerate(words) if len(word) > 1 and word in parts), default=0.0)


def _by_content(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what the texts say where the names say nothing: of two columns of text one asks; one alone is long."""
    texts = {
        column: values
        for column in columns
        if (values := [row[column] for row in rows if isinstance(row.get(column), str) and row[column].strip()])
    }
    asking = [
        column for column, values in texts.items() if 2 * sum(v.rstrip()[-1:] in "?？" for v in values) > len(values)
    ]
    if len(texts) == 2 and len(asking) == 1:
        (answer,) = set(texts) - set(asking)
        yield "question_answer", {"question": asking[0], "answer": answer}
    if len(texts) == 1:
        ((column, values),) = texts.items()
        if sum(map(len, values)) > LONG * len(values):
            yield "text", {"text": column}
