"""The quality rules: each measures one thing of a text and has a threshold of its own in the spec.

Sources: Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1 and table A1), C4 (Raffel et al. 2020, arXiv
1910.10683, section 2.2), FineWeb (Penedo et al. 2024, arXiv 2406.17557, section 3.6). Left out of C4: the rules on
curly brackets, `javascript` and lines without a full stop, which drop LaTeX, code and lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from statllama.data.build.clean.prose import Text
from statllama.data.build.clean.spec import QualitySpec
from statllama.data.ngrams import gram_hashes

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
SHORT = 30  # characters
_BULLETS = ("•", "-", "*", "‣", "◦", "–", "·", "●", "▪")
_ELLIPSES = ("...", "…", ". . .")
_ENDS = tuple(".!?:;…\"'”’)]。！？")
_GARBLED = re.compile(r"\(cid:\d+\)|[\ufffd\ue000-\uf8ff\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True)
class Rule:
    """One rule. `field`: its threshold in QualitySpec; `bound`: which side of it is wrong; `reason`: in words, with
    `{}` for the threshold.
    """

    field: str
    measure: Callable[[Text], float]
    bound: Literal["least", "most"]
    reason: str
    of: Literal["prose", "lines", "text"] = "prose"
    """What must have `from_words` words for the rule to judge: prose, in `from_lines` lines where shares of lines are
    measured, or the whole text, since a table of numbers has no prose."""
    whole: bool = False
    """Whether it judges documents alone: a good section may be one list."""

    def breaks(self, value: float, threshold: float) -> bool:
        """Return whether a measured value is on the wrong side of the threshold."""
        return value < threshold if self.bound == "least" else value > threshold


def word_length(text: Text) -> float:
    """Return the mean length of the words of prose, in characters, numbers left out. Gopher, A.1.1: 3 to 10.

    Letters set apart ("T h e  m e a n") have less, joined words and hashes more.
    """
    lengths = [len(word) for word in text.words if not word[0].isdigit()]
    return sum(lengths) / len(lengths) if lengths else 0.0


def hashes(text: Text) -> float:
    """Return hash signs for each word. Gopher, A.1.1: at most 0.1."""
    return text.plain.count("#") / max(1, len(text.words))


def ellipses(text: Text) -> float:
    """Return ellipses for each word. Gopher, A.1.1: at most 0.1."""
    return (text.plain.count("...") + text.plain.count("…")) / max(1, len(text.words))


def bullet_lines(text: Text) -> float:
    """Return the share of lines that begin with a bullet. Gopher, A.1.1: at most 0.9."""
    return _share(line.startswith(_BULLETS) for line in text.lines)


def ellipsis_lines(text: Text) -> float:
    """Return the share of lines that end with an ellipsis. Gopher, A.1.1: at most 0.3."""
    return _share(line.endswith(_ELLIPSES) for line in text.lines)


def alphabetic(text: Text) -> float:
    """Return the share of words with a letter, tables included. Gopher, A.1.1: at least 0.8."""
    return text.alphabetic


def stop_words(text: Text) -> float:
    """Return how many of eight English stop words occur. Gopher, A.1.1: at least 2."""
    return len(STOP_WORDS.intersection(map(str.lower, text.words)))


def punctuated_lines(text: Text) -> float:
    """Return the share of lines that end with a punctuation mark. FineWeb, 3.6: more than 0.12."""
    return _share(line.endswith(_ENDS) for line in text.lines)


def short_lines(text: Text) -> float:
    """Return the share of lines shorter than 30 characters. FineWeb, 3.6: less than 0.67."""
    return _share(len(line) < SHORT for line in text.lines)


def repeated_lines(text: Text) -> float:
    """Return the share of lines that repeat an earlier one. Gopher, table A1: at most 0.30."""
    return _repeated(text.lines)[0]


def repeated_line_characters(text: Text) -> float:
    """Return the share of characters in lines that repeat an earlier one. Gopher, table A1: at most 0.20."""
    return _repeated(text.lines)[1]


def repeated_paragraphs(text: Text) -> float:
    """Return the share of paragraphs that repeat an earlier one. Gopher, table A1: at most 0.30."""
    return _repeated(text.paragraphs)[0]


def repeated_paragraph_characters(text: Text) -> float:
    """Return the share of characters in paragraphs that repeat an earlier one. Gopher, table A1: at most 0.20."""
    return _repeated(text.paragraphs)[1]


def garbled(text: Text) -> float:
    """Return the share of characters that a damaged font or encoding leaves. Ours, for text from PDF."""
    return sum(len(found) for found in _GARBLED.findall(text.text)) / max(1, len(text.text))


def lorem_ipsum(text: Text) -> float:
    """Return how often `lorem ipsum` stands in the text. C4, section 2.2: never."""
    return text.text.lower().count("lorem ipsum")


def top_ngram(text: Text, n: int) -> float:
    """Return the share of characters in the commonest run of n words, once it repeats. Gopher, table A1."""
    hashes_, starts = gram_hashes(text.ids, n)
    if not len(starts):
        return 0.0
    _, first, counts = np.unique(hashes_, return_index=True, return_counts=True)
    top = int(counts.argmax())
    if counts[top] < 2:
        return 0.0
    at = int(starts[first[top]])
    return float(counts[top] * text.lengths[at : at + n].sum() / text.lengths.sum())


def repeated_ngrams(text: Text, n: int) -> float:
    """Return the share of characters in runs of n words that repeat an earlier one, each character counted once.
    Gopher, table A1.
    """
    hashes_, starts = gram_hashes(text.ids, n)
    if not len(starts):
        return 0.0
    again = starts[_repeats(hashes_)]
    change = np.zeros(len(text.ids) + 1, dtype=np.int64)
    np.add.at(change, again, 1)
    np.add.at(change, again + n, -1)
    covered = change.cumsum()[:-1] > 0
    return float(text.lengths[covered].sum() / text.lengths.sum())


RULES = (
    Rule("most_lorem_ipsum", lorem_ipsum, "most", "`lorem ipsum` more than {} times", of="text"),
    Rule("most_garbled", garbled, "most", "more than {} of the characters are garbled", of="text"),
    Rule("least_word_length", word_length, "least", "words shorter than {} characters on average"),
    Rule("most_word_length", word_length, "most", "words longer than {} characters on average"),
    Rule("most_hashes", hashes, "most", "more than {} hash signs a word"),
    Rule("most_ellipses", ellipses, "most", "more than {} ellipses a word"),
    Rule("most_bullet_lines", bullet_lines, "most", "more than {} of the lines are bullets", of="lines", whole=True),
    Rule("most_ellipsis_lines", ellipsis_lines, "most", "more than {} of the lines end in an ellipsis", of="lines"),
    Rule("least_alphabetic", alphabetic, "least", "less than {} of the words have a letter", of="text"),
    Rule("least_stop_words", stop_words, "least", "fewer than {} of the stop words"),
    Rule(
        "least_punctuated_lines", punctuated_lines, "least", "less than {} of the lines end in punctuation",
        of="lines",
    ),
    Rule("most_short_lines", short_lines, "most", "more than {} of the lines are short", of="lines"),
    Rule("most_repeated_lines", repeated_lines, "most", "more than {} of the lines repeat others", of="lines"),
    Rule(
        "most_repeated_line_characters", repeated_line_characters, "most",
        "more than {} of the characters are in lines that repeat others",
    ),
    Rule(
        "most_repeated_paragraphs", repeated_paragraphs, "most", "more than {} of the paragraphs repeat others",
        of="lines",
    ),
    Rule(
        "most_repeated_paragraph_characters", repeated_paragraph_characters, "most",
        "more than {} of the characters are in paragraphs that repeat others",
    ),
)  # fmt: skip
"""All rules with one threshold, cheap ones first; those of n-grams come after them."""


def faults(text: Text, spec: QualitySpec, language: str | None, whole: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (reason, measured value) of each rule that the text breaks.

    `language`: what texts have; the stop words are English. `whole`: the text is that of a document.
    """
    for rule in RULES:
        if rule.whole and not whole:
            continue
        threshold = getattr(spec, rule.field)
        size = text.size if rule.of == "text" else len(text.words)
        if threshold is None or size < spec.from_words or (rule.measure is stop_words and language != "en"):
            continue
        if rule.of == "lines" and len(text.lines) < spec.from_lines:
            continue
        if rule.breaks(value := rule.measure(text), threshold):
            yield rule.reason.format(f"{threshold:g}"), f"{value:.3g}"
    if len(text.words) < spec.from_words:
        return
    for n, most in enumerate(spec.most_in_top_ngram or (), start=2):
        if (value := top_ngram(text, n)) > most:
            yield f"more than {most:g} of the characters are in one run of {n} words", f"{value:.3g}"
    for n, most in enumerate(spec.most_in_repeated_ngrams or (), start=5):
        value = repeated_ngrams(text, n)
        if value <= min(spec.most_in_repeated_ngrams or (1.0,)):
            break  # longer runs cover a part of what shorter ones cover
        if value > most:
            yield f"more than {most:g} of the characters are in repeated runs of {n} words", f"{value:.3g}"


def _share(flags: Iterator[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


def _repeated(pieces: Sequence[str]) -> tuple[float, float]:
    """Return the shares of pieces that repeat an earlier one: of their number, and of their characters."""
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        seen.add(piece)
    return count / max(1, len(pieces)), characters / max(1, sum(map(len, pieces)))


def _repeats(hashes_: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return the bool (n,): which hashes stand earlier too."""
    again = np.ones(len(hashes_), dtype=bool)
    again[np.unique(hashes_, return_index=True)[1]] = False
    return again
