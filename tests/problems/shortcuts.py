"""How often the words of a question and the look of its options tell the right one, without any calculation.

What a guess may see: the words of the question, with `#` for every number but usual levels (90%, 0.05); the words of
each option that not all four share, masked alike; how its numbers rank among those of the others by value, size, width
and middle; its sign and its length; how many of its words and numbers the question has too. No value of a number is
seen, so nothing can be worked out. A softmax over the four options learns a weight for each of these traits and for
each pair of a trait and a word of the question: "99% asked, widest option" is one such pair.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy import optimize, sparse

Row = dict[str, Any]
Array = np.ndarray[Any, Any]
COLUMNS = 2**18  # that pairs are hashed into
PENALTY = 0.02
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LEVEL = re.compile(r"[89]\d%|0\.(?:0?[15]|02|10)")
_TOKEN = re.compile(r"#|\d[\d.]*%?|[a-z_]+|[<>=!]=?|\+/-")


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, with `#` for numbers that are not usual levels."""
    kept = re.sub(r"-?\d[\d,]*(?:\.\d+)?%?", lambda m: m[0] if _LEVEL.fullmatch(m[0]) else "#", text)
    return _TOKEN.findall(kept.lower())


def asked(question: str) -> str:
    """Return the last sentence of a question."""
    return re.split(r"(?<=[.?])\s+(?=[A-Z])", question.strip())[-1]


def _rank(values: Sequence[float], j: int) -> str:
    """Return how many of the others are smaller and how many are larger than the j-th: "21"."""
    return f"{sum(x < values[j] - 1e-9 for x in values)}{sum(x > values[j] + 1e-9 for x in values)}"


def measures(choices: Sequence[str], question: str) -> dict[str, list[float]]:
    """Return what the options are ranked by: {measure: one number an option}."""
    found = [[float(x) for x in _NUMBER.findall(text)] or [math.nan] for text in choices]
    words = set(tokens(question))
    return {
        "value": [x[0] for x in found],
        "size": [abs(x[0]) for x in found],
        "width": [x[-1] - x[0] for x in found],
        "middle": [(x[0] + x[-1]) / 2 for x in found],
        "length": [len(text) for text in choices],
        "shared": [sum(w in words for w in said) for said in _own_words(choices)],
    }


def looks(choices: Sequence[str], question: str) -> list[list[str]]:
    """Return for each option its traits beside the others': "width30" for the widest of four intervals."""
    printed, ranked = set(_NUMBER.findall(question)), measures(choices, question)
    table = []
    for j, text in enumerate(choices):
        rank = {name: f"{name}{_rank(values, j)}" for name, values in ranked.items()}
        together = [rank["value"] + rank["size"], rank["width"] + rank["middle"]]
        copied = sum(x in printed for x in _NUMBER.findall(text))
        table.append([*rank.values(), *together, f"negative {ranked['value'][j] < 0}", f"printed {copied}"])
    return table


def _own_words(choices: Sequence[str]) -> list[set[str]]:
    """Return the words and pairs of words of each option that not all options have."""
    said = [set(words) | {f"{a} {b}" for a, b in itertools.pairwise(words)} for words in map(tokens, choices)]
    return [words - set.intersection(*said) for words in said]


def _hashed(names: Iterable[str]) -> Array:
    return np.array([zlib.crc32(name.encode()) for name in names], dtype=np.int64)


def _paired(words: Array, traits: Array) -> Array:
    """Return a column for each pair of a word and a trait."""
    return ((words[:, None] * 31 + traits[None, :] * 17) ** 2 // 64 % COLUMNS).ravel()


def _columns(row: Row, words: bool) -> Iterator[Array]:
    """Yield the columns of each option. Its words, if `words`, are paired with those of the last sentence only."""
    last = tokens(asked(row["question"]))
    ask = _hashed({f"^{w}" for w in last} | {f"^{a} {b}" for a, b in itertools.pairwise(last)})
    everywhere = np.concatenate([_hashed(set(tokens(row["question"]))), ask])
    own = _own_words(row["choices"])
    for j, look in enumerate(looks(row["choices"], row["question"])):
        traits = _hashed(look)
        parts = [traits % COLUMNS, _paired(everywhere, traits)]
        if words:
            said = _hashed(f"={word}" for word in own[j])
            parts += [said % COLUMNS, _paired(ask, said)]
        yield np.unique(np.concatenate(parts))


def design(rows: Sequence[Row], words: bool = True) -> sparse.csr_matrix:
    """Return one line of length 1 for each option of each row, `COLUMNS` wide."""
    lines = [columns for row in rows for columns in _columns(row, words)]
    sizes = np.array([len(columns) for columns in lines])
    data = np.repeat((1 / np.sqrt(sizes)).astype(np.float32), sizes)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_matrix((data, np.concatenate(lines), ends), shape=(len(lines), COLUMNS))


def learn(rows: Sequence[Row], words: bool = True, penalty: float = PENALTY) -> Array:
    """Return the weights of a softmax over the four options of {question, choices, answer} rows, by maximum likelihood
    with an L2 penalty.
    """
    x, right = design(rows, words), np.array([row["answer"] for row in rows])
    target = np.zeros((len(rows), 4))
    target[np.arange(len(rows)), right] = 1

    def loss(w: Array) -> tuple[float, Array]:
        scores = (x @ w).reshape(-1, 4)
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return float(-(logs * target).sum() + penalty / 2 * w @ w), x.T @ (np.exp(logs) - target).ravel() + penalty * w

    found = optimize.minimize(loss, np.zeros(COLUMNS), jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return np.asarray(found.x)


def hits(weights: Array, rows: Sequence[Row], words: bool = True) -> Array:
    """Return for each row whether the option that the weights like best is the right one."""
    guesses = (design(rows, words) @ weights).reshape(-1, 4).argmax(axis=1)
    return np.asarray(guesses == [row["answer"] for row in rows])


RULES: dict[str, tuple[str, str, int]] = {
    "99% asked: a widest interval": (r"\b99%", "width", 1),
    "90% asked: a narrowest interval": (r"\b90%", "width", -1),
    "above, more or greater: the smallest number": (r"above|more than|greater|exceed|>", "value", -1),
    "below or less: the largest number": (r"below|less than|fewer|<", "value", 1),
    "at least, or more: the largest number": (r"at least|or more|>=", "value", 1),
    "not equal: the largest number": (r"two-sided|differ|!=", "value", 1),
    "variance: the largest number": (r"variance", "value", 1),
    "standard error or deviation: the smallest number": (r"SE\b|standard error|SD\b|standard deviation", "value", -1),
    "a total: the largest number": (r"\btotal\b", "value", 1),
    "given or among: the largest number": (r"[Gg]iven|[Aa]mong|\|", "value", 1),
    "most words in common with the question": ("", "shared", 1),
    "fewest words in common with the question": ("", "shared", -1),
}
"""{rule of thumb: (what the last sentence holds, measure, 1 for its largest value and -1 for its smallest)}."""


def thumb(rule: str, rows: Sequence[Row]) -> list[float]:
    """Return the point of each row in which a rule of `RULES` tells options apart; options alike share the point."""
    pattern, measure, sign = RULES[rule]
    points: list[float] = []
    for row in rows:
        values = [sign * x for x in measures(row["choices"], row["question"])[measure]]
        best = [j for j in range(4) if values[j] >= max(values) - 1e-9]
        if 0 < len(best) < 4 and re.search(pattern, asked(row["question"])):
            points.append((row["answer"] in best) / len(best))
    return points
