"""The quality rules, each on text that was counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.clean import quality
from statllama.data.build.clean.prose import Text, is_prose, plain
from statllama.data.build.clean.quality import RULES, faults, repeated_ngrams, top_ngram
from statllama.data.build.clean.spec import QualitySpec
from tests.data.build.clean.writing import MORE, PROSE


@pytest.mark.parametrize(
    ("measure", "text", "value"),
    [
        (quality.word_length, "an apple is red 12345", 12 / 4),  # 2 + 5 + 2 + 3; numbers left out
        (quality.hashes, "one # two ## three four", 3 / 4),
        (quality.ellipses, "well... so it is … we think", 2 / 6),
        (quality.bullet_lines, "- one thing\n• two things\nthree things\n* four things", 3 / 4),
        (quality.ellipsis_lines, "read more...\nand more…\nthe end.\nlast line", 2 / 4),
        (quality.alphabetic, "mean 3 4 5\nx 1 2 a7", 3 / 8),  # mean, x, a7
        (quality.stop_words, "The mean of THE sample is with us", 3),  # the, of, with
        (quality.punctuated_lines, "It ends.\nIt does not\nDoes it?\nno end", 2 / 4),
        (quality.short_lines, "a short line\n" + "words " * 6 + "\n" + "letters " * 5, 1 / 3),  # 12, 35, 39 characters
        (quality.repeated_lines, "same line\nsame line\nother line\nsame line", 2 / 4),
        (quality.repeated_line_characters, "abcde fgh\nabcde fgh\nabcdefgh ijkl mno ab", 9 / 38),
        (quality.repeated_paragraphs, "one par\n\ntwo par\n\none par", 1 / 3),
        (quality.repeated_paragraph_characters, "one par\n\nsecond par\n\none par", 7 / 24),
        (quality.garbled, "(cid:12)ab\ufffd", 9 / 11),
        (quality.lorem_ipsum, "Lorem ipsum dolor, lorem ipsum", 2),
    ],
)
def test_each_rule_measures_what_was_counted(measure: Callable[[Text], float], text: str, value: float) -> None:
    assert measure(Text(text)) == pytest.approx(value)


def test_runs_of_words_are_counted_by_their_characters() -> None:
    text = Text("aa bb cc aa bb dd aa bb ee")  # 18 characters, `aa bb` three times
    assert top_ngram(text, 2) == pytest.approx(12 / 18)
    assert top_ngram(text, 3) == 0  # none repeats
    assert repeated_ngrams(text, 2) == pytest.approx(8 / 18)  # its second and third time
    long = Text("aa bb cc dd ee ff xx aa bb cc dd ee ff")  # the last six repeat, in two runs of five that share four
    assert repeated_ngrams(long, 5) == pytest.approx(6 / 13)
    assert repeated_ngrams(long, 7) == 0


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(2, 8))
def test_longer_runs_cover_a_part_of_what_shorter_ones_cover(letters: list[str], n: int) -> None:
    """So no longer run is looked at once a shorter one covers little."""
    text = Text(" ".join(f"{letter}word" for letter in letters))
    assert repeated_ngrams(text, n + 1) <= repeated_ngrams(text, n)


BROKEN = {
    "most_lorem_ipsum": PROSE + " Lorem ipsum dolor sit amet.",
    "most_garbled": PROSE + "\ufffd" * 20,
    "least_word_length": "T h e m e a n o f a s a m p l e i s " * 4,
    "most_word_length": "the of " + "correlationcoefficients " * 60,
    "most_hashes": "the mean of # " * 30,
    "most_ellipses": "the mean of it ... " * 30,
    "most_bullet_lines": "\n".join(f"- the item of number {i} in a long list of things." for i in range(10)),
    "most_ellipsis_lines": "\n".join(f"the article of number {i} in the list ..." for i in range(10)),
    "least_alphabetic": "Table of z and its area\n" + "0.01 0.5040\n" * 40,
    "least_stop_words": "Ann Lee, Ulm. Bob Ray, Bonn. Eve Ives, Bern. Tom Hart, Kiel. " * 5,
    "least_punctuated_lines": "\n".join(f"Chapter {i} of the book and of its long appendix" for i in range(12)),
    "most_short_lines": "\n".join(f"word the of number {i}." for i in "abcdefghijklmnopqrst"),
    "most_repeated_lines": "The same line of words.\n" * 12,
    "most_repeated_line_characters": "The same line of words stands here again.\n" * 8,
    "most_repeated_paragraphs": "A paragraph of the text that is there.\n\n" * 10,
    "most_repeated_paragraph_characters": "A paragraph of the text that is there.\n\n" * 10,
    "most_in_top_ngram": "of the " * 40 + PROSE,
    "most_in_repeated_ngrams": " ".join([PROSE] * 3),
}


@pytest.mark.parametrize("field", BROKEN)
def test_each_rule_finds_its_fault_and_can_be_switched_off(field: str) -> None:
    spec = QualitySpec()
    off = {name: None for name in QualitySpec.model_fields if name.startswith(("most_", "least_"))}
    alone = QualitySpec(**{**off, field: getattr(spec, field)})
    (found, *_) = faults(Text(BROKEN[field]), alone, "en", whole=True)
    assert found[0] and list(faults(Text(BROKEN[field]), QualitySpec(**off), "en", whole=True)) == []
    assert list(faults(Text(f"{PROSE}\n\n{MORE}"), spec, "en", whole=True)) == []


def test_every_threshold_has_a_rule() -> None:
    tables = {"from_words", "from_lines", "most_in_top_ngram", "most_in_repeated_ngrams"}
    assert {rule.field for rule in RULES} == set(QualitySpec.model_fields) - tables == set(BROKEN) - tables
    assert all(rule.measure.__doc__ for rule in RULES)


def test_short_texts_are_not_judged() -> None:
    assert list(faults(Text("same words\n" * 20), QualitySpec(), "en")) == []  # 40 words
    assert list(faults(Text("same words\n" * 30), QualitySpec(), "en")) != []


def test_one_line_without_a_full_stop_is_no_fault() -> None:
    """A page or a paragraph may end within a sentence, and a link at the end is followed by the full stop."""
    spec = QualitySpec()
    assert list(faults(Text(PROSE[:-1]), spec, "en")) == []
    lines = "\n".join(f"{part} You find it at https://a.org/{part[:3]}." for part in PROSE.split(".") if part.strip())
    assert list(faults(Text(f"{lines}\n{lines.lower()}"), QualitySpec(most_in_repeated_ngrams=None), "en")) == []


def test_stop_words_are_asked_of_english_alone() -> None:
    german = "Der Mittelwert einer Stichprobe schwankt um den Mittelwert der Grundgesamtheit, wenn man zieht. " * 1
    text = Text(german + "Je mehr Werte man hat, desto kleiner wird der Fehler, den man dabei macht. " * 1 + german * 2)
    spec = QualitySpec(most_in_repeated_ngrams=None, most_in_top_ngram=None, from_words=20)
    assert [reason for reason, _ in faults(text, spec, "en")] == ["fewer than 2 of the stop words"]
    assert list(faults(text, spec, "de")) == []


MATHS = r"""
Let $X_1, \dots, X_n$ be independent with mean $\mu$ and variance $\sigma^2$. The mean of the sample is
\[ \bar X = \frac{1}{n} \sum_{i=1}^n X_i \]
and we have that its variance is $\sigma^2 / n$. To see this, write
\begin{align}
\mathrm{Var}(\bar X) &= \frac{1}{n^2} \sum_i \mathrm{Var}(X_i) \\
 &= \frac{\sigma^2}{n}
\end{align}
In R the same is computed with the function `mean`, and the error of it with
```r
# the standard error
sd(x) / sqrt(length(x)); sd(x) / sqrt(length(x)); sd(x) / sqrt(length(x)); sd(x) / sqrt(length(x))
```
The limit of the law is normal, so an interval with the level 0.95 can be given by the two values
$$ \bar X - 1.96 \frac{s}{\sqrt n} \quad \text{and} \quad \bar X + 1.96 \frac{s}{\sqrt n} $$
of which the table below has some, and of which the reader may compute the others to see how they fall:
n | s | low | high
10 | 2 | 1.1 | 3.2
20 | 2 | 1.4 | 2.9
40 | 2 | 1.6 | 2.7
"""


def test_mathematics_code_and_tables_are_no_fault() -> None:
    assert list(faults(Text(MATHS), QualitySpec(), "en", whole=True)) == []
    assert not {"frac", "sqrt", "bar", "sd"} & set(Text(MATHS).words)


def test_money_is_no_formula() -> None:
    text = "It costs $5 and then $10 more, or $2,500 in all."
    assert plain(text) == text
    assert plain("a \\$x and \\$y of $z$") == "a \\$x and \\$y of  "


@pytest.mark.parametrize("line", ["P(X > 5) = 1 - 0.2", "a | b | c", "mean & sd & n", "3 4 5", "", "| Lap 1 | Lap 2"])
def test_what_is_no_prose(line: str) -> None:
    assert not is_prose(line)


def test_a_lone_sign_costs_little_time() -> None:
    """Formulas have a greatest length, so text with opening signs and no closing ones is not read again and again."""
    assert plain("\\[ x " * 3000 + "$ y " * 3000)
