"""The text of a worked solution: which of several wordings each step takes, and what in it is mathematics.

A kind writes a step once, with the ways to say a part of it in brackets; a step that is two sentences takes them in
either order:

    "[The parameter is mu, // Let mu be // We estimate mu,] the mean weight of all apples."

`solutions` draws one of each from a stream of its own, so that wordings can be added without moving any question. The
four siblings share the draws: two solutions of a preference pair are written alike and differ in their statistics.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence

from ._formulas import plain
from ._siblings import Sibling

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SPACES, _GAPS = re.compile(r" {2,}"), re.compile(r" +(?=[.,;:](?!\d))")
_LEADS = 0.3
_COMMON = frozenset(("that", "with", "from", "this", "their", "have", "which", "when", "where", "than", "each"))
_PER_STEP, _STEPS = 12, 12


def solutions(of: Sequence[Sibling], places: Sequence[int], stream: str) -> list[tuple[str, ...]]:
    """Return the steps of some of four siblings, a line each, formulas between backquotes; `stream` names the draws.

    Some begin with the idea behind the solution, unless a step of a sibling says nearly the same. A step that only
    repeats the answer is left out.
    """
    source = random.Random(stream)
    drawn = [source.random() for _ in range(_PER_STEP * _STEPS)]
    leads = drawn[0] < _LEADS and not any(map(_says_its_idea, of))
    return [_written(of[place], leads, drawn) for place in places]


def _written(sibling: Sibling, leads: bool, drawn: Sequence[float]) -> tuple[str, ...]:
    steps = [said(f"[The idea: // The principle: // Key point:] {sibling.idea}", drawn[1:2])] if leads else []
    for at, step in enumerate(sibling.steps, 1):
        own = drawn[_PER_STEP * at : _PER_STEP * (at + 1)]
        sentences = [step] if isinstance(step, str) else list(step) if own[-1] < 0.5 else list(step[::-1])
        steps += [said(sentence, own[i:]) for i, sentence in enumerate(sentences)]
    written = [_begun(marked(step)) for step in steps if step.strip(". ")]
    return tuple(step for step in written if plain(step) != sibling.answer.text)


def said(step: str, drawn: Sequence[float]) -> str:
    """Return a step with one of the wordings in each pair of brackets, innermost first; each number draws one.

    Raises `ValueError` where a bracket has no partner.
    """
    numbers = itertools.cycle(drawn)

    def one(found: re.Match[str]) -> str:
        options = found.group(1).split("//")
        return options[int(next(numbers) * len(options))]

    if "[" not in step:
        return step
    while "[" in step:
        step, count = _CHOICE.subn(one, step)
        if not count:
            raise ValueError(f"brackets do not match in the step {step!r}")
    return _GAPS.sub("", _SPACES.sub(" ", step)).strip()


_VALUE = r"-?\d+(?:,\d{3})*(?:\.\d+)?%?(?!\d)"
_SYMBOL = (
    r"(?:H_?[0a]\b|(?:mu|sigma|beta)(?:_[A-Za-z0-9]+)*\b|alpha\b|[xyd]_bar(?:_\d)?\b|p\d?_hat(?:_\d)?\b|p_0\b|p[12]\b"
    r"|s(?:_d|x|y)\b|SE_b\b|[tz]\*|S(?:xx|yy|xy)\b|r\^2|log\([A-Za-z0-9]+\)|Var\([A-Z]\d?\)|P\([^()`]*\))"
)
_LEFT = rf"(?:{_SYMBOL}|(?:SE|SD|df|SSE|SST|chi-square|[A-Za-z](?:\d(?!\d))?)(?![\w-]))"
_NAMES = "interval|test|procedure|statistic|distribution|curve|score"  # a t interval is a name, not a symbol
_MATHEMATICS = re.compile(
    r"(?<![\w'.-])(?<!tatistic )(?:"
    + "|".join(
        (
            rf"{_VALUE}(?: [-+*/] {_VALUE})+(?: = {_VALUE})?",
            rf"{_LEFT} (?:=|<|>|<=|>=|!=) (?:{_VALUE}|{_SYMBOL})",
            rf"(?:\d )?{_SYMBOL}(?: [-+] {_SYMBOL})*",
            r"[a-z] - \d\b",
            rf"(?:[enpqrsxykTXY]|[zt](?! (?:{_NAMES})))(?![\w'-])",
        )
    )
    + ")"
)


def marked(text: str) -> str:
    """Return the text with backquotes around symbols and short relations: mu, p_hat, `n = 14`, `P(A | B) = 0.3`.

    What stands between backquotes already stays as it is.
    """
    pieces = text.split("`")
    outside = (_MATHEMATICS.sub(r"`\g<0>`", piece) if at % 2 == 0 else piece for at, piece in enumerate(pieces))
    return "`".join(outside)


def _begun(step: str) -> str:
    """Return the step with a capital at its beginning, unless it begins with a formula."""
    return step[:1].upper() + step[1:]


def _says_its_idea(sibling: Sibling) -> bool:
    """Return True when one step has more than half of the longer words of the idea."""
    words = _words(sibling.idea)
    sentences = [text for step in sibling.steps for text in ([step] if isinstance(step, str) else step)]
    return any(2 * len(words & _words(text)) > len(words) for text in [*sentences, sibling.answer.text])


def _words(text: str) -> set[str]:
    return {word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]{4,}", text)} - _COMMON
