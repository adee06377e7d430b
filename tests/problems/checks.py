"""What every kind of problem is held to, and the comparison with an independent computation."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from statllama.problems import Problem, kinds, make_problem

SEEDS = 200
Params = Mapping[str, Any]
Expected = float | tuple[float, float] | str | re.Pattern[str]
Oracle = Callable[[Params], Expected]
_NUMBER = r"-?\d+(?:\.\d+)?"
IMPOSSIBLE = re.compile(
    "|".join(
        (
            *(r"\bnan\b", r"\binf\b", r"\bNone\b", r"[{}]", r"\d(?:\.\d+)?e[-+]?\d", r"\d\.\d{7,}"),
            *(r"-0(?:\.0+)?(?![\d.])", r"[-+] -\d", r"p-value (?:is|of) 0\.0+[.,) ]"),
            *(
                r"  ",
                r" ,",
                r" \.(?!\d)",
                r"\ba (?!one\b)[aeioAEIO]\w",
                r"(?<!1)[123]th\b",
                r"\bto (?:are|is|has)\b",
                r"\ban (?![aeiouAEIOU8h1f]|x\b|SD|SE|IQR)",
                r"(?<![*/^+=-] )(?<![=(\d.,-])\b1 (?:hours|minutes|points|grams|dollars|percent|centimeters)\b",
                r"\b(?:all [12]|exactly 1) are\b",
                r"\b([a-z]+) \1\b",
            ),
        )
    )
)
_SHARE = re.compile(r"(?:[Pp]robability|[Pp]roportion|[Ss]hare|[Cc]hance|p-value|power) (?:is|of) (-?\d+\.\d+)")
_ROOT = re.compile(r"sqrt\((-?\d[\d.]*)\)")


def problems(topic: str, kind: str) -> list[Problem]:
    """`SEEDS` problems of one kind, three in four of them from the train split unless the kind is held out."""
    splits = ["test" if seed % 4 == 0 or kind not in kinds(topic, "train") else "train" for seed in range(SEEDS)]
    return [make_problem(topic, kind, seed, split) for seed, split in enumerate(splits)]


def check_topic(topic: str, oracles: Mapping[str, Oracle]) -> None:
    """Every kind of a topic has an oracle that agrees with it; raises `AssertionError` otherwise."""
    assert set(oracles) == set(kinds(topic)), "each kind needs an independent computation"
    for kind, oracle in oracles.items():
        for problem in problems(topic, kind):
            agree(problem, oracle({**problem.parameters, "asked": problem.asked}))
            well_formed(problem)


def agree(problem: Problem, expected: Expected) -> None:
    """The answer is the expected number, interval, or a sentence that begins as expected, and no other option is."""
    where = f"{problem.kind} {dict(problem.parameters)}: {problem.answer} against {expected}"
    if isinstance(expected, str | re.Pattern):
        pattern = re.compile(re.escape(expected)) if isinstance(expected, str) else expected
        assert problem.value is None, where
        assert pattern.match(problem.answer), where
    elif isinstance(expected, tuple):
        assert problem.value is None, where
        shown = [float(x) for x in re.findall(_NUMBER, problem.answer)][:2]
        decimals = len(re.findall(_NUMBER, problem.answer)[0].split(".")[1])
        assert all(abs(a - b) <= 0.51 * 10**-decimals for a, b in zip(shown, expected, strict=True)), where
    else:
        assert problem.value is not None, where
        assert math.isclose(problem.value, expected, rel_tol=1e-9, abs_tol=1e-12), where
        first = re.match(_NUMBER, problem.answer)
        assert first is not None, where
        decimals = len(first.group().partition(".")[2])
        assert abs(float(first.group()) - expected) <= 0.5 * 10**-decimals + 1e-9, where
    also = [text for text, _ in problem.distractors if shows(text, expected)]
    assert not also, f"two right options: {also} beside {where}"


def shows(option: str, expected: Expected) -> bool:
    """Whether an option is what is expected, as its printed decimals round it."""
    if isinstance(expected, str | re.Pattern):
        return re.match(re.escape(expected) if isinstance(expected, str) else expected, option) is not None
    wanted = expected if isinstance(expected, tuple) else (expected,)
    shown = re.findall(_NUMBER, option)[: len(wanted)]
    near = [abs(float(x) - y) <= 0.501 * 10.0 ** -len(x.partition(".")[2]) for x, y in zip(shown, wanted, strict=False)]
    return len(near) == len(wanted) and all(near)


def well_formed(problem: Problem) -> None:
    """Options differ, misconceptions are named, and no text holds an impossible number or a stray sign."""
    options = [problem.answer, *(text for text, _ in problem.distractors)]
    assert len(set(options)) == 4, options
    slips = [slip for _, slip in problem.distractors] + [problem.error]
    assert all(slip and slip[0].islower() and not slip.endswith(".") for slip in slips), slips
    assert problem.rejected != problem.solution
    assert 0.4 < len(problem.rejected) / len(problem.solution) < 2.0, (problem.solution, problem.rejected)
    assert len(problem.question) < 700
    assert len(problem.solution) < 900
    assert problem.question.endswith(("?", "."))
    text = "\n".join((problem.question, problem.solution, problem.rejected, *options))
    found = IMPOSSIBLE.search(text)
    assert found is None, (found, text)
    for value in _SHARE.findall(text):
        assert 0.0 <= float(value) <= 1.0, text
    for value in _ROOT.findall(text):
        assert float(value) > 0.0, text
    for line in dict.fromkeys((problem.solution + "\n" + problem.rejected).splitlines()):
        arithmetic_holds(line)


def arithmetic_holds(line: str) -> None:
    """Each "calculation = result" in a line of working holds within what its rounded numbers allow."""
    sides = [re.sub(r"[.;,]$", "", side.strip()) for side in line.split(" = ")]
    for left, right in itertools.pairwise(sides):
        tail, head = _TAIL.search(left), _HEAD.match(right)
        if tail and head and re.search(r"\d [-+*/] |sqrt|\^", tail.group()):
            first, second = _value(tail.group()), _value(head.group())
            shown = head.group().strip()
            decimals = len(shown.partition(".")[2]) if re.fullmatch(_NUMBER, shown) else 2
            slack = 1.01 * 10.0**-decimals + 0.006 * abs(second)
            unreadable = math.isnan(first) or math.isnan(second)
            assert unreadable or abs(first - second) <= slack, (line, first, second)


_TERM = r"(?:-?\d+(?:\.\d+)?|sqrt|C\(\d+, \d+\)|[-+*/^()| ])"
_TAIL, _HEAD = re.compile(rf"{_TERM}+$"), re.compile(rf"{_TERM}+")


def _value(text: str) -> float:
    source = re.sub(r"\|([^|]*)\|", r"abs(\1)", text.strip()).replace("^", "**")
    try:
        return float(eval(source, {"sqrt": math.sqrt, "C": math.comb, "abs": abs}))
    except SyntaxError:
        return math.nan  # a formula that begins or ends in words
