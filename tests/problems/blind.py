"""How often a classifier that never sees the question tells the right option, or the chosen reply."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORDS = HashingVectorizer(ngram_range=(1, 3), n_features=2**16, norm=None, binary=True, token_pattern=r"\S+")
Row = dict[str, Any]


def _masked(text: str) -> str:
    return _NUMBER.sub("#", text)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 0.012 * max(abs(a), abs(b), 1e-9)


def _linked(a: float, b: float) -> list[bool]:
    """How two options may give each other away: negatives, complements, halves, squares."""
    return [_near(a, -b), _near(a + b, 1), _near(a, 2 * b) or _near(b, 2 * a), _near(a * a, b) or _near(b * b, a)]


def _form(choices: Sequence[str]) -> list[list[float]]:
    """One row an option: its length, and how its first and last number stand to those of the others."""
    found = [[float(x) for x in _NUMBER.findall(text)] or [math.nan] for text in choices]
    first, wide = [x[0] for x in found], [x[-1] - x[0] for x in found]
    table: list[list[float]] = []
    for i, text in enumerate(choices):
        others = [j for j in range(len(choices)) if j != i]
        links = np.sum([_linked(first[j], first[i]) for j in others], axis=0)
        ratios = sorted(math.log(max(abs(first[i]), 1e-9) / max(abs(first[j]), 1e-9)) for j in others)
        ranks = [sum(x[j] < x[i] for j in others) for x in (first, wide, [len(c) for c in choices])]
        table.append([len(text), len(found[i]), first[i], wide[i], *ranks, *ratios, *links])
    return table


def options_right(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Return the share of test items {choices, answer} right, as four options alone let one guess after train."""
    form, form_new = (np.array([f for row in rows for f in _form(row["choices"])]) for rows in (train, test))
    words, words_new = (
        _WORDS.transform([_masked(c) for row in rows for c in row["choices"]]) for rows in (train, test)
    )
    right = np.array([i == row["answer"] for row in train for i in range(len(row["choices"]))])
    by_form = HistGradientBoostingClassifier(max_iter=80, random_state=0).fit(form, right)
    by_words = LogisticRegression(C=0.3, max_iter=200).fit(words, right)
    score = by_form.predict_proba(form_new)[:, 1] * by_words.predict_proba(words_new)[:, 1]
    guesses = score.reshape(len(test), 4).argmax(axis=1)
    return float(np.mean(guesses == [row["answer"] for row in test]))


def _reply(rows: Sequence[Row], key: str) -> sparse.csr_matrix:
    texts = [row[key][-1]["content"] for row in rows]
    counts = [[len(text) / 100, text.count("\n"), text.count(" = "), len(_NUMBER.findall(text)) / 10] for text in texts]
    return sparse.hstack([_WORDS.transform([_masked(text) for text in texts]), sparse.csr_matrix(counts)]).tocsr()


def pairs_right(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Return the share of pairs {chosen, rejected} told apart by the two replies alone, after train."""
    apart, apart_new = (_reply(rows, "chosen") - _reply(rows, "rejected") for rows in (train, test))
    sign = np.where(np.arange(len(train)) % 2, 1.0, -1.0)
    model = LogisticRegression(max_iter=200, fit_intercept=False).fit(sparse.diags(sign) @ apart, sign > 0)
    score = model.decision_function(apart_new)
    return float(np.mean((np.sign(score) + 1) / 2))
