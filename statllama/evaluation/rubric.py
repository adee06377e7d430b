"""Free response scored point by point: what can be checked mechanically in a reply, and nothing else. No torch.

A benchmark names the column of its rubric in `metadata.rubric`. A rubric is a list of points; a point belongs to a part
of the question and has a `check`:

| check | earned when, in its part of the reply |
|---|---|
| `answer` | the last `Answer:` line states the quantity of `wants`, within `tolerance` of `value` |
| `closest` | that line has more of what tells `wants` apart than of what tells any of `others` apart |
| `work` | one of the numbers of `wants` stands, within the share `tolerance`; not where numbers are listed wholesale |
| `words` | each of `wants` occurs; `a|b` is one or the other |
| `hypotheses` | H0 states the relation and value of the first of `wants`, Ha that of the second |
| `decision` | the last decision on H0 is the first of `wants` (`reject`, `fail`), and the level, the second, is named |
| `conclusion` | a sentence on the evidence says `yes` or `no`, the first of `wants`, with half of the second's words |

What it cannot check: whether an argument holds together, whether a formula is right, whether words are meant. A reply
that sets right words in a wrong order earns what they earn; a right answer in quite other words than those foreseen
earns nothing.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from statllama.rewards.completions import final_answer
from statllama.rewards.correctness import judge
from statllama.rewards.plain import plain
from statllama.rewards.wording import words

Point = Mapping[str, Any]

MOST_NUMBERS = 40
"""Different numbers in a part; with more, it is a list of numbers rather than a solution."""
_LABEL = re.compile(  # every repeat has a bound: replies of one character over and over are no rarity
    r"^[^\S\n]{0,12}(?:[#*_>-]{1,8}[^\S\n]{0,4})?(?:\d[.)][^\S\n]{1,4})?(?:\\(?:text|math)bf\{)?(?:"
    r"(?:part[^\S\n]{1,4})?[*_]{0,3}(?:\$\(([a-h])\)\$|\(([a-h])\)|([a-h])[).:])"
    r"|part[^\S\n]{1,4}([a-h])(?=[*_}]{0,3}[^\S\n]{0,4}(?:\n|\Z|[-–—])))",
    re.I | re.M,
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_STEM = 6  # letters that two forms of a word share: rejected, rejecting
_RECALL, _PRECISION = 0.5, 0.8  # of telling words: said of those wanted, wanted of those said
_SPARE = 2  # numbers in an answer beyond those of the right one
_SMALL = frozenset((
    "a", "an", "the", "of", "is", "are", "was", "were", "be", "been", "it", "its", "this", "that", "these", "those",
    "to", "in", "on", "for", "by", "as", "at", "we", "there", "and", "so", "then", "will", "has", "have", "had", "do",
    "does", "did", "with", "from", "or", "if", "than", "what",
))  # fmt: skip
_SAME = {"no": "not", "insufficient": "not", "lack": "not", "without": "not", "neither": "not", "nor": "not"}
_NEGATION = re.compile(r"\b(?:not|no|never|insufficient|lacks?|lacking|without|little)\b|n['’]t\b", re.I)
_AFTER = re.compile(r"^\W*(?:is|was)\s+(?:\w+\s+)?(?:not|in(?:sufficient|conclusive)|too weak|lacking)", re.I)
_VERDICT = re.compile(
    r"(?P<kept>(?:fail(?:s|ed|ing|ure)?\s+to|can\s*not|not|n['’]t|never|unable\s+to)\s+(?:be\s+)?reject"
    r"|\b(?:insufficient|too\s+weak|not)\s+(?:\w+\s+){0,3}?to\s+reject"
    r"|(?:\b(?:insufficient|not|no|without|lack\w*|little)|n['’]t)\b[^.,;:\n]{0,60}?"
    r"\b(?:evidence|reason|grounds?|basis)\s+(?:\w+\s+){0,3}?to\s+reject)"
    r"|reject",
    re.I,
)
_CLAUSE = re.compile(r"[;:]|,\s*(?:so|and|then|therefore|we|there|it|the|this)\b", re.I)
_RELATION = {
    "=": r"(?:=|equals?(?:to)?|is)",
    ">": r"(?:>|(?:greater|more|higher|larger)than|exceeds|above)",
    "<": r"(?:<|(?:less|lower|smaller|fewer)than|below)",
    "!=": r"(?:!=|notequal(?:to)?|isnot|differsfrom|(?:is)?differentfrom)",
}
_STATISTIC = re.compile(  # of a sample, in text without spaces; a hypothesis is about the population
    r"[xyd]\d?-?bar|(?<![a-z])bar[xyd]|p\d?-?hat|(?<![tw])hatp|[xyd]\u0304|p\u0302|sample(?:mean|proportion|slope)"
)
_VALUE = r"(?P<value>-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?)(?P<percent>%?)"
_SIGNS = {"≠": "!=", r"\neq": "!=", r"\ne": "!=", r"\gt": ">", r"\lt": "<", "₀": "0", "ₐ": "a", "₁": "1", "₂": "2"}


def parts(reply: str) -> dict[str, str]:
    """Return the text of each part by its label, a letter.

    A label begins a line: `(a)`, `a)`, `a.`, `Part (a)`, `**Part a**`, `$(a)$`. Of two parts with one label the last
    counts, and one with a final answer before one without: a summary at the end does not take the place of the work.

    >>> parts("(a) Yes.\\nAnswer: 3\\n**(b)** No.")
    {'a': ' Yes.\\nAnswer: 3\\n', 'b': '** No.'}
    """
    labels = list(_LABEL.finditer(reply))
    ends = [*(found.start() for found in labels[1:]), len(reply)]
    found: dict[str, str] = {}
    for label, end in zip(labels, ends, strict=False):
        letter, text = next(filter(None, label.groups())).lower(), reply[label.end() : end]
        if letter not in found or final_answer(text) is not None or final_answer(found[letter]) is None:
            found[letter] = text
    return found


def earned(rubric: Sequence[Point], reply: str) -> tuple[bool, ...]:
    """Return for each point of a rubric whether a reply earns it."""
    by_label = parts(reply)
    return tuple(
        point["part"] in by_label and _CHECKS[point["check"]](point, by_label[point["part"]]) for point in rubric
    )


def share(rubric: Sequence[Point], reply: str) -> float:
    """Return the points earned over the points possible, 0 to 1."""
    return sum(earned(rubric, reply)) / len(rubric)


def fault(rubric: object) -> str | None:
    """Return what is wrong with a rubric, or None: for a file of one's own, before a model is asked."""
    if not isinstance(rubric, list) or not rubric:
        return f"is not a list of points: {rubric!r:.60}"
    for number, point in enumerate(rubric, start=1):
        if not isinstance(point, Mapping):
            return f"point {number} is not an object: {point!r:.60}"
        check, wants = point.get("check"), point.get("wants")
        if not isinstance(check, str) or check not in _CHECKS:
            return f"point {number}: `check` is {check!r}; allowed: {', '.join(_CHECKS)}"
        if not (isinstance(point.get("part"), str) and re.fullmatch("[a-h]", point["part"])):
            return f"point {number}: `part` is {point.get('part')!r}; allowed: a letter from a to h"
        if not isinstance(wants, list) or not wants or not all(isinstance(want, str) and want for want in wants):
            return f"point {number}: `wants` is not a list of texts: {wants!r:.60}"
        if len(wants) < _LEAST.get(check, 1):
            return f"point {number}: `{check}` takes {_LEAST[check]} `wants`, got {wants!r:.60}"
        if check == "work" and not all(_NUMBER.fullmatch(want.removeprefix("-")) for want in wants):
            return f"point {number}: `work` takes numbers, got {wants!r:.60}"
        if check == "hypotheses" and not all(_hypothesis(want) for want in wants):
            return f"point {number}: hypotheses are written as in `mu = 83` and `mu > 83`, got {wants!r:.60}"
        if check == "decision" and not (wants[0] in ("reject", "fail") and re.fullmatch(r"0?\.\d+", wants[1])):
            return f"point {number}: `decision` takes `reject` or `fail`, and a level such as 0.05, got {wants!r:.60}"
        if check == "conclusion" and wants[0] not in ("yes", "no"):
            return f"point {number}: `conclusion` takes `yes` or `no`, and the claim, got {wants!r:.60}"
        if check == "words" and not all(one for want in wants for one in want.split("|")):
            return f"point {number}: `words` takes texts with something on both sides of `|`, got {wants!r:.60}"
        if wrong := _wrong_field(point):
            return f"point {number}: {wrong}"
    return None


def _wrong_field(point: Point) -> str | None:
    """Return what is wrong with the fields beside `part`, `check` and `wants`, or None."""
    earns, others = point.get("earns"), point.get("others")
    if not isinstance(earns, str):  # it is in the record of each reply
        return f"`earns` is {earns!r:.60}; say in a text what earns it"
    for name, least in (("tolerance", 0.0), ("value", -math.inf)):
        number = point.get(name)
        if number is not None and not (isinstance(number, int | float) and number >= least):
            return f"`{name}` is {number!r:.60}; write a number{' from 0 up' if not least else ''}"
    texts = isinstance(others, list) and bool(others) and all(isinstance(other, str) for other in others)
    if point["check"] == "closest" and not texts:
        return "`closest` takes `others`, a list of texts that are not the answer"
    return None


def _answer(point: Point, text: str) -> bool:
    value, tolerance = point.get("value"), float(point.get("tolerance") or 0.0)
    return judge(final_answer(text), point["wants"][0], 0.0, tolerance, value=value) == "correct"


def _closest(point: Point, text: str) -> bool:
    """The answer has more of the words that tell the right text apart than of those of any other.

    Pairs of neighbouring words take their place where two texts differ in nothing but their order.
    """
    said = _tokens(final_answer(text) or "")
    known = [_tokens(wanted) for wanted in (point["wants"][0], *point["others"])]
    if sum(map(_is_number, said)) > sum(map(_is_number, known[0])) + _SPARE:
        return False
    if any(set(known[0]) == set(other) for other in known[1:]):
        said, known = _pairs(said), [_pairs(tokens) for tokens in known]
    texts = [set(tokens) for tokens in known]
    everywhere = set.intersection(*texts)
    telling = [words_of - everywhere for words_of in texts]
    spoken = set(said) & set().union(*telling)
    right = spoken & telling[0]
    if _says_two_things(said, known[0], everywhere) or any(
        other <= spoken and not other <= telling[0] for other in telling[1:]
    ):
        return False
    if telling[0] <= {"not"}:  # nothing is told apart by a word of its own
        return spoken == telling[0] and len(everywhere & set(said)) >= _RECALL * len(everywhere)
    likeness = [2 * len(spoken & words_of) / (len(spoken) + len(words_of) or 1) for words_of in telling]
    return (
        len(right) >= _RECALL * len(telling[0])
        and len(right) >= _PRECISION * len(spoken) > 0
        and likeness[0] > max(likeness[1:])
    )


def _says_two_things(said: Sequence[str], right: Sequence[str], everywhere: set[str]) -> bool:
    """Return whether most of the words that all texts share come more often than in the right one."""
    again = [token for token in everywhere if said.count(token) > right.count(token)]
    return 2 * len(again) > len(everywhere)


def _tokens(text: str) -> list[str]:
    """Return the words that carry meaning, cut to their stem, and the numbers as they are written shortest."""
    found = []
    for word in words(plain(text)):
        if _is_number(word):
            found.append(f"{float(word.replace(',', '')):g}")
        elif word not in _SMALL:
            found.append(_SAME.get(word, word)[:_STEM])
    return found


def _is_number(word: str) -> bool:
    return bool(_NUMBER.fullmatch(word.lstrip("-")))


def _pairs(tokens: Sequence[str]) -> list[str]:
    return [f"{one} {next_one}" for one, next_one in itertools.pairwise(tokens)]


def _work(point: Point, text: str) -> bool:
    numbers = {float(number.replace(",", "")) for number in _NUMBER.findall(plain(text))}
    wanted = [abs(float(want.replace(",", ""))) for want in point["wants"]]
    tolerance = float(point.get("tolerance") or 0.0)
    return len(numbers) <= MOST_NUMBERS and any(
        abs(number - want) <= tolerance * want + 1e-9 for number in numbers for want in wanted
    )


def _words(point: Point, text: str) -> bool:
    said = re.sub(r"\s+", " ", plain(text)).lower()
    said = re.sub(r"(\d) ?(?:%|percent)", r"\1%", said)
    return all(
        any(re.search(rf"(?<![^\W_]){re.escape(one.lower())}", said) for one in want.split("|"))
        for want in point["wants"]
    )


def _hypothesis(text: str) -> tuple[str, str] | None:
    """Return the relation and the value of `mu > 83`."""
    found = re.fullmatch(r"[^=<>!]+(!=|[=<>])\s*(\S+)", text.strip())
    return (found[1], found[2]) if found else None


def _hypotheses(point: Point, text: str) -> bool:
    said = text
    for sign, written in _SIGNS.items():
        said = said.replace(sign, written)
    said = re.sub(r"[\s$\\{}_*`()]", "", plain(said)).lower()
    both = zip((r"h0", r"h[a1]"), point["wants"][:2], strict=True)
    return all(_states(said, name, *(_hypothesis(want) or ("=", ""))) for name, want in both)


def _states(said: str, name: str, relation: str, value: str) -> bool:
    """Return whether the hypothesis `name` has the relation and value, about a parameter."""
    ends = re.escape(value.lower().replace("_", ""))
    number = re.fullmatch(r"-?\d[\d.]*", value)
    wanted = _VALUE if number else rf"(?:{ends}|0(?!\d|\.\d))"  # p1 > p2, or p1 - p2 > 0
    for found in re.finditer(rf"{name}(?P<of>[^=<>!]{{0,60}}?){_RELATION[relation]}{wanted}", said):
        if _STATISTIC.search(found["of"]):
            return False
        if not number or _same_value(found["value"], found["percent"], value):
            return True
    return False


def _same_value(said: str, percent: str, wanted: str) -> bool:
    """Return whether 0.60, .6 or 60% states the value 0.6."""
    if not any(map(str.isdigit, said)):
        return False
    return math.isclose(float(said.replace(",", "")) / (100 if percent else 1), float(wanted), rel_tol=1e-9)


def _decision(point: Point, text: str) -> bool:
    verdict, level = point["wants"][:2]
    found = list(_VERDICT.finditer(text))
    named = {float(number) for number in re.findall(r"(?<![\d.])0?\.\d+", text)}
    named |= {float(number) / 100 for number in re.findall(r"(?<![\d.])(\d{1,2}(?:\.\d{1,4})?)\s?(?:%|percent)", text)}
    return bool(found) and ("fail" if found[-1]["kept"] else "reject") == verdict and float(level) in named


def _conclusion(point: Point, text: str) -> bool:
    wanted = set(_tokens(point["wants"][1]))
    for sentence in reversed(re.split(r"(?<=[.!?])\s+|\n", text)):
        before, evidence, after = sentence.partition("evidence")
        if evidence:
            clause = _CLAUSE.split(before)[-1]  # not what comes first: since 0.02 is not above 0.05, there is ...
            none = bool(_NEGATION.search(clause) or _AFTER.search(after))
            return none == (point["wants"][0] == "no") and 2 * len(wanted & set(_tokens(sentence))) >= len(wanted)
    return False


_CHECKS: dict[str, Callable[[Point, str], bool]] = {
    "answer": _answer,
    "closest": _closest,
    "work": _work,
    "words": _words,
    "hypotheses": _hypotheses,
    "decision": _decision,
    "conclusion": _conclusion,
}
_LEAST = {"hypotheses": 2, "decision": 2, "conclusion": 2}
