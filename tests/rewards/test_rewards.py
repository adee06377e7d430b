"""Rewards against a table of verdicts written by hand, worked arithmetic, SymPy, math-verify and real answers."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import os
import pkgutil
import re
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from statllama import rewards
from statllama.errors import TrainingError, UsageError
from statllama.problems import generate, kinds, make_problem, to_prompt_answer, topics
from statllama.rewards import AnyReward, build, checked, correctness, format, length, local, reasoning, required_columns
from statllama.rewards.bounds import admitted
from statllama.rewards.completions import final_answer, texts
from statllama.rewards.correctness import judge
from statllama.rewards.latex import equivalent, number_of, to_latex
from statllama.rewards.quantities import read_quantity
from tests.conftest import REPO, SHARED
from tests.rewards.rewards_table import COMPLETIONS, REPLIES

VERDICTS = {"+": "correct", "-": "wrong", "0": "no answer"}
MODULES = [f"statllama.rewards.{found.name}" for found in pkgutil.iter_modules(rewards.__path__)]


def spec(**fields: Any) -> Any:
    """The spec that a recipe's mapping becomes."""
    return TypeAdapter(AnyReward).validate_python(fields)


def score(completion: Any, name: str = "correctness", columns: dict[str, Any] | None = None, **options: Any) -> Any:
    """The reward of one completion."""
    given = {key: [value] for key, value in (columns or {}).items()}
    return build(spec(name=name, **options))(prompts=["p"], completions=[completion], **given)[0]


# --- the hand-made table ---------------------------------------------------------------------------------------------


def test_the_table_is_large_and_covers_what_it_must() -> None:
    assert sum(len(rows) for rows in (*REPLIES.values(), *COMPLETIONS.values())) >= 400
    assert {"percentages", "fractions", "units", "LaTeX", "negative zero and signs", "thousands", "intervals",
            "no answer", "words", "choices", "hostile"} <= REPLIES.keys()  # fmt: skip
    for rows in REPLIES.values():
        assert len(rows) == len(set(rows))


@pytest.mark.parametrize("group", REPLIES)
def test_answers_are_judged_as_in_the_table(group: str) -> None:
    wrong = [(a, b, v, said) for a, b, v in REPLIES[group] if (said := judge(a, b)) != VERDICTS[v]]
    assert wrong == []


@pytest.mark.parametrize("group", COMPLETIONS)
def test_completions_are_judged_as_in_the_table(group: str) -> None:
    points = {"+": 2.0, "-": -1.5, "0": -1.0}
    rows = COMPLETIONS[group]
    reward = build(spec(name="correctness"))
    columns = {"prompts": ["p"] * len(rows), "answer": [reference for _, reference, _ in rows]}
    texts_ = [completion for completion, _, _ in rows]
    conversations = [[{"role": "assistant", "content": text}] for text in texts_]
    for completions in (texts_, conversations):
        said = reward(completions=completions, **columns)
        assert [row for row, s in zip(rows, said, strict=True) if s != points[row[2]]] == []


# --- correctness -----------------------------------------------------------------------------------------------------


def test_each_completion_is_compared_with_its_own_rows_answer() -> None:
    """The authors compared a whole batch with its first answer."""
    answers = ["1", "2", "3", "4"]
    completions = [f"<answer>{a}</answer>" for a in ("1", "1", "3", "9")]
    said = build(spec(name="correctness"))(prompts=["p"] * 4, completions=completions, answer=answers)
    assert said == [2.0, -1.5, 2.0, -1.5]


def test_points_and_tolerances_are_options() -> None:
    options = {"correct": 1.0, "wrong": 0.0, "no_answer": -0.5, "rtol": 0.0, "atol": 0.0}
    for reply, wanted in (("Answer: 100", 1.0), ("Answer: 100.01", 0.0), ("hm", -0.5)):
        assert score(reply, columns={"answer": "100"}, **options) == wanted
    assert score("Answer: 100.01", columns={"answer": "100"}, rtol=0.0, atol=0.02) == 2.0
    assert score("It makes 12 eggs", columns={"answer": "12"}) == -1.0
    assert score("It makes 12 eggs", columns={"answer": "12"}, last_number=True) == 2.0
    assert score("Of 12 eggs it leaves 9.", columns={"answer": "12"}, last_number=True) == -1.5
    assert score("Answer: 5", columns={"key": 5, "answer": "6"}, column="key") == 2.0


def test_a_whole_completion_as_its_answer() -> None:
    """Only where nothing marks an answer; an empty one is still none."""
    assert score("Right-skewed.", columns={"answer": "Right-skewed."}) == -1.0
    assert score("Right-skewed.", columns={"answer": "Right-skewed."}, whole=True) == 2.0
    assert score("Left-skewed.", columns={"answer": "Right-skewed."}, whole=True) == -1.5
    assert score("right. Answer: left", columns={"answer": "right"}, whole=True) == -1.5
    assert score(" ", columns={"answer": "right"}, whole=True) == -1.0


def test_a_rows_own_tolerance_and_exact_value_replace_the_options() -> None:
    exact = {"answer": "49 women", "value": 49.0, "tolerance": 0.0}
    assert score("Answer: 49", columns=exact) == 2.0
    assert score("Answer: 49.2", columns=exact) == -1.5  # within 1 %
    rounded = {"answer": "3.42", "value": 3.4171428, "tolerance": 0.05}
    assert score("Answer: 3.37", columns=rounded) == 2.0  # 1.4 % off
    assert score("Answer: 3.36", columns=rounded) == -1.5
    ends = {"answer": "(513.02, 573.18) points", "value": None, "tolerance": 0.015}
    assert score("Answer: (513.03, 573.17)", columns=ends) == 2.0
    assert score("Answer: (513.03, 573.20)", columns=ends) == -1.5
    percent = {"answer": "57.1 percent", "value": 57.142857, "tolerance": 0.1}
    assert score("Answer: 0.5715", columns=percent) == 2.0
    assert score("Answer: 0.58", columns=percent) == -1.5
    assert score("Answer: Skewed left", columns={"answer": "Skewed left.", "value": None, "tolerance": 0.0}) == 2.0


@given(
    value=st.floats(-1e9, 1e9, allow_nan=False).map(lambda v: round(v, 4)),
    off=st.floats(-0.05, 0.05, allow_nan=False),
)
def test_numbers_are_right_exactly_within_the_tolerances(value: float, off: float) -> None:
    """Against exact rational arithmetic; cases at the very edge are left to the table."""
    said = value * (1 + off)
    gap, allowed = abs(Fraction(said) - Fraction(value)), max(Fraction(1, 10**4), abs(Fraction(value)) / 100)
    if abs(gap - allowed) > allowed * Fraction(1, 10**6):
        assert judge(repr(said), repr(value)) == ("correct" if gap <= allowed else "wrong")


@given(value=st.integers(-(10**12), 10**12), places=st.integers(0, 4))
def test_a_number_is_right_in_every_spelling(value: int, places: int) -> None:
    number = value / 10**places
    spellings = (
        f"{number:.{places}f}", f"{number:,.{places}f}", f"${number:,.{places}f}$", f"**{number:.{places}f}**.",
        f"{number:.{places}f}".replace("-", "−"), f"{number:.10e}", rf"\boxed{{{number:.{places}f}}}",
        f"{number * 100:.{places}f}%", f"x = {number:.{places}f}", f"{value}/{10**places}",
    )  # fmt: skip
    for spelling in spellings:
        assert judge(spelling, f"{number:.{places}f}") == "correct", spelling


@given(a=st.integers(-500, 500), b=st.integers(1, 60), c=st.integers(-500, 500), d=st.integers(1, 60))
def test_fractions_agree_with_exact_arithmetic(a: int, b: int, c: int, d: int) -> None:
    one, other = Fraction(a, b), Fraction(c, d)
    expected = abs(one - other) <= max(Fraction(1, 10**4), abs(other) / 100)
    sign = "-" if a < 0 else ""
    for said in (f"{a}/{b}", rf"{sign}\frac{{{abs(a)}}}{{{b}}}"):
        assert judge(said, f"{c}/{d}") == ("correct" if expected else "wrong")


@given(low=st.integers(-999, 999), width=st.integers(1, 999))
def test_intervals_are_right_in_every_spelling(low: int, width: int) -> None:
    a, b = low / 10, (low + width) / 10
    reference = f"({a}, {b})"
    middle, half = (a + b) / 2, (b - a) / 2
    for said in (f"[{a}, {b}]", f"{a} to {b}", f"between {a} and {b}", f"{a} < mu < {b}", f"{middle:.2f} ± {half:.2f}"):
        assert judge(said, reference) == "correct", said
    for said in (f"({b}, {a})", f"({a - 9}, {b})", f"{a}", f"({a}, {b}, {b})"):
        assert judge(said, reference) == "wrong", said


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_judged_without_an_error(reply: str, reference: str) -> None:
    assert judge(reply, reference) in VERDICTS.values()
    assert not reference.strip() or judge(reference, reference) == "correct"


@pytest.mark.parametrize("file", ["gsm8k_test_200.jsonl", "gsm8k_train_1000.jsonl"])
def test_real_answers_are_right_for_themselves_and_wrong_for_other_questions(file: str) -> None:
    path = SHARED / "data" / file
    if not path.exists():
        pytest.skip("needs the shared data")
    solutions = [json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines()]
    values = [float(s.rpartition("####")[2].replace(",", "")) for s in solutions]
    reward = build(spec(name="correctness"))
    assert set(reward(prompts=solutions, completions=solutions, answer=solutions)) == {2.0}
    others, other_values = [*solutions[1:], solutions[0]], [*values[1:], values[0]]
    said = reward(prompts=solutions, completions=others, answer=solutions)
    pairs = zip(other_values, values, strict=True)
    assert said == [2.0 if abs(a - b) <= max(1e-4, 0.01 * abs(b)) else -1.5 for a, b in pairs]


def test_generated_problems_are_right_with_their_solution_and_wrong_with_each_slip() -> None:
    """All 155 kinds; a distractor or a rejected solution differs from the answer by more than the row's tolerance."""
    problems = [make_problem(topic, kind, 11, "test") for topic in topics() for kind in kinds(topic)]
    problems += generate(200, seed=11)
    rows = [to_prompt_answer(p) for p in problems]
    columns = {key: [row[key] for row in rows] for key in ("answer", "value", "tolerance")}
    reward = build(spec(name="correctness"))

    def said(completions: list[str]) -> set[float | None]:
        return set(reward(prompts=[p.question for p in problems], completions=completions, **columns))

    assert len({(p.topic, p.kind) for p in problems}) == 155
    assert said([p.solution for p in problems]) == {2.0}
    assert said([f"<reasoning>.</reasoning><answer>{p.answer}</answer>" for p in problems]) == {2.0}
    assert said([p.rejected for p in problems]) == {-1.5}
    for option in range(3):
        assert said([f"The answer is {p.distractors[option][0]}" for p in problems]) == {-1.5}


# --- LaTeX, and text that means harm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{1+\sqrt{5}}{2}", (1 + 5**0.5) / 2),
        (r"e^{-1.5} \cdot \frac{1.5^{2}}{2!}", math.exp(-1.5) * 1.5**2 / 2),
        (r"\binom{10}{3} (0.2)^{3} (0.8)^{7}", math.comb(10, 3) * 0.2**3 * 0.8**7),
        (r"\frac{1}{\sqrt{2\pi}}", 1 / math.sqrt(2 * math.pi)),
        (r"\log_{2}(8)", 3.0),
        (r"(-8)^{3} + (-2)^{-1}", -512.5),
        (r"\sin(1) + \arctan(2) \cdot \ln(3)", math.sin(1) + math.atan(2) * math.log(3)),
        (r"2\left(\frac{1}{3}\right)^{2}", 2 / 9),
        ("3*(4+5)/2", 13.5),
        ("sqrt(16)", 4.0),
    ],
)
def test_expressions_work_out_to_their_value(text: str, value: float) -> None:
    assert number_of(text) == pytest.approx(value, rel=1e-12)


def test_expressions_are_equal_when_algebra_says_so() -> None:
    """Against SymPy's own expansion of random products."""
    import sympy

    x, y = sympy.symbols("x y")
    factors = [x + 1, x - y, 2 * x + 3, y**2 - x, x * y + 1]
    for i, one in enumerate(factors):
        for other in factors[i:]:
            product, expanded = one * other, sympy.expand(one * other)
            assert equivalent(sympy.latex(product), sympy.latex(expanded))
            assert not equivalent(sympy.latex(product), sympy.latex(expanded + x))


def test_whatever_math_verify_takes_to_be_equal_is_right() -> None:
    """It reads fewer spellings and knows no tolerance, but what it accepts, a careful reader accepts too."""
    import math_verify

    def parsed(text: str) -> Any:
        return math_verify.parse(text if re.search(r"\$|\\[\[(]|boxed", text) else f"${text}$", parsing_timeout=None)

    groups = ("LaTeX", "fractions", "scientific notation", "whole numbers", "thousands")
    rows = [row for group in groups for row in REPLIES[group]]
    taken = [row for row in rows if math_verify.verify(parsed(row[1]), parsed(row[0]), timeout_seconds=None)]
    assert len(taken) > 50
    assert [row for row in taken if row[2] != "+"] == []


HARMFUL = [
    "10^{10^{10}}", "10**10**10", "9^9^9^9", "2^{3}^{4}^{5}", "9^{99999999999}", "(((9^{99})^{99})^{99})^{99}",
    "99999999!", "9!!!!", "9^170!", "2^{3}!", r"\binom{999999999}{499999999}", r"\exp(\exp(\exp(99)))", "x" * 200,
    r"\sum_{n=1}^{\infty} n", r"\int_0^1 x dx", r"\prod_{i=1}^{99} i", r"\lim_{x \to 0} x", r"10^{\binom{99}{50}}",
    "(" * 20 + "1" + ")" * 20, r"\input{/etc/passwd}", r"9^{1/0.0000001}", r"2^{\exp(99)}", "9^(9^(9^9))",
    "123456789 " * 15 + "^{" + "123456789 " * 3 + "!}",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMFUL)
def test_what_would_take_long_is_not_evaluated(text: str) -> None:
    start = time.monotonic()
    assert not admitted(to_latex(text))
    assert number_of(text) is None and not equivalent(text, text + "+1")
    assert judge(text, "5") == "wrong"
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "text",
    ["(x+y+z+n+a+b)^{12}", "(9^{99})^{4}", r"\sqrt{x+\sqrt{y+\sqrt{z}}}", r"\sin(\cos(\tan(x^{12})))", "170! + 170!",
     r"\log(\log(\log(x+y^{12})))", "((((((x+1))))))", r"\frac{1}{x+\frac{1}{y+\frac{1}{z}}}", "x^{400}",
     r"\{x^{2},y^{2},z^{2},1,2,3\}", r"\exp(9^{399})", r"\tan(\exp(\frac{e^{99}\cdot 2}{\sin(2)}))",
     r"\{\tan(\exp(e^{99})), 1\}", r"\cos(10^{400})", r"x + \tan(\exp(x e^{99}))"],
)  # fmt: skip
def test_what_is_evaluated_is_short(text: str) -> None:
    """The worst that gets through. The bound is generous, since machines differ: without the rules it is hours.

    SymPy's `evalf` never ends on the tangents: it computes pi to as many digits as the argument has.
    """
    start = time.monotonic()
    number_of(text)
    equivalent(text + "+1", text)
    assert time.monotonic() - start < 10


LONG = 100_000


@pytest.mark.parametrize(
    "text",
    ["9" * LONG, "." * LONG + "x", "(" * LONG, " " * LONG + "5", "1,234," * (LONG // 6), "<answer>" * (LONG // 8),
     "answer: " * (LONG // 8), r"\boxed{" * (LONG // 7), "$" * LONG, "- " * (LONG // 2), "####" * (LONG // 4),
     "the answer is " * (LONG // 14), r"\frac{1}{" * (LONG // 9), "word. " * (LONG // 6),
     "<answer>" + "1/2 " * (LONG // 4)],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_long_completions_are_judged_in_time_that_grows_with_their_length(text: str) -> None:
    start = time.monotonic()
    for name in ("correctness", "format", "reasoning"):
        score(text, name, columns={"answer": "5"})
    score(text, "correctness", columns={"answer": r"\frac{1}{3}"}, last_number=True)
    assert time.monotonic() - start < 3


def test_latex_is_judged_in_any_thread() -> None:
    """math-verify's own time limit raises outside the main thread."""
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(judge(r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["correct"] * 4


# --- extraction ------------------------------------------------------------------------------------------------------


def test_completions_may_be_strings_or_conversations() -> None:
    assistant = {"role": "assistant", "content": "one"}
    completions = [
        "zero",
        [assistant],
        [assistant, {"role": "tool", "content": "x"}, {"role": "assistant", "content": "two"}],
        [{"content": "no role"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "pa"}, {"type": "text", "text": "rts"}]}],
        [{"role": "assistant", "content": None}],
        [],
    ]
    assert texts(completions) == ["zero", "one", "two", "no role", "parts", "", ""]
    with pytest.raises(TrainingError, match=r"'format' raised TypeError: a completion is a string or a list"):
        build(spec(name="format"))(prompts=["p"], completions=[7])


@given(st.text(alphabet="ab<>/answer\n: #{}\\boxed7", max_size=60))
def test_the_answer_in_the_last_tags_wins_whatever_stands_before(before: str) -> None:
    assert final_answer(f"{before}<answer>42 km</answer>") == "42 km"


# --- format ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("<reasoning>a</reasoning><answer>b</answer>", 1.25),
        ("<reasoning>\na\n</reasoning>\n\n<answer>\nb\n</answer>\n", 1.25),
        ("<reasoning>a</reasoning><answer>b</answer> more", 0.75),  # end: 0.25 -> -0.25
        ("<reasoning></reasoning><answer>b</answer>", 1.0),  # content: 0.25 -> 0
        ("<reasoning> </reasoning><answer>\n</answer>", 1.0),
        ("<answer>b</answer><reasoning>a</reasoning>", 0.5),  # order 0, end -0.25
        ("<answer>b</answer>", 0.25),  # reasoning -0.25, answer 0.25, end 0.25
        ("<reasoning>a</reasoning>", -0.25),
        ("<reasoning>a", -0.75),
        ("<reasoning>a</reasoning><answer>b", -0.25),
        ("<reasoning>a<answer>b</answer></reasoning>", 0.5),  # nested: content, but neither order nor end
        ("<reasoning>a</reasoning><answer>b</answer><answer>c</answer>", -0.25),
        ("<reasoning>a</reasoning>" * 2 + "<answer>b</answer>", 0.25),
        ("</reasoning>a<reasoning></answer>b<answer>", -0.75),
        ("", -0.75),
        ("The answer is 5.", -0.75),
    ],
)
def test_format_is_the_sum_of_its_parts(text: str, points: float) -> None:
    assert score(text, "format") == pytest.approx(points)
    assert score([{"role": "assistant", "content": text}], "format") == pytest.approx(points)


@given(st.lists(st.sampled_from(["<reasoning>", "</reasoning>", "<answer>", "</answer>", "a", " ", "\n"]), max_size=14))
def test_format_stays_in_the_papers_range_and_is_full_only_for_the_format(pieces: list[str]) -> None:
    text = "".join(pieces)
    points = score(text, "format")
    assert -0.75 <= points <= 1.25
    right = r"[^<]*<reasoning>[^<]*[^<\s][^<]*</reasoning>[^<]*<answer>[^<]*[^<\s][^<]*</answer>\s*"
    assert (points == 1.25) == bool(re.fullmatch(right, text))


# --- reasoning -------------------------------------------------------------------------------------------------------

WORKED = """<reasoning>First we find the sample mean, because the interval is centered on it.
The standard error is the standard deviation divided by the square root of the number of observations.
Since the population variance is unknown, we then use a t distribution with nine degrees of freedom.
Therefore the margin is the critical value times the standard error of our estimate.
The confidence level says how often such intervals cover the parameter.</reasoning><answer>(1, 2)</answer>"""


def test_reasoning_is_the_sum_of_its_parts() -> None:
    # more than 40 different words; first, since, therefore (a sentence counts one); two terms of a sentence, at most 5
    assert reasoning.parts(WORKED) == pytest.approx(
        {"start": -0.5, "length": 1.0, "connectives": 3 * 0.075, "terms": 5 * 0.06}
    )
    assert score(WORKED, "reasoning") == pytest.approx(1.025)
    assert score("", "reasoning") == -0.5
    assert score("<answer>5</answer>", "reasoning") == -0.5
    ten = "<reasoning>one two three four five six seven eight nine ten</reasoning>"
    assert score(ten, "reasoning") == pytest.approx(-0.5 + 10 / 40)
    assert score(ten, "reasoning", words=10) == pytest.approx(0.5)
    assert score("a b c d e <answer>f g h</answer>", "reasoning", words=10) == pytest.approx(0.0)


def test_the_best_reasoning_earns_what_the_paper_allows() -> None:
    more = WORKED.replace("</reasoning>", "\nHence a larger sample would shrink it.</reasoning>")
    assert score(more, "reasoning") == pytest.approx(1.1)


@given(st.text(alphabet="abc mean so. \nbias if", max_size=120), st.integers(2, 6))
def test_reasoning_gains_nothing_by_repetition(text: str, times: int) -> None:
    once, often = (score(f"<reasoning>{'. '.join([text] * n)}</reasoning>", "reasoning") for n in (1, times))
    assert -0.5 <= often <= once + 1e-9 <= 1.1 + 1e-9


def test_reasoning_said_many_times_or_as_keywords_earns_less() -> None:
    inner = WORKED.partition("</reasoning>")[0]
    assert score(inner + (inner.removeprefix("<reasoning>") * 4), "reasoning") < score(WORKED, "reasoning") - 0.5
    terms, connectives = " ".join(sorted(reasoning.TERMS)), " ".join(sorted(reasoning.CONNECTIVES))
    listed = reasoning.parts(f"<reasoning>{terms} {connectives}</reasoning>")
    assert listed["terms"] == pytest.approx(2 * 0.06) and listed["connectives"] == pytest.approx(0.075)
    lines = reasoning.parts("<reasoning>" + "\n".join(sorted(reasoning.TERMS)) + "</reasoning>")
    assert lines["terms"] == 0.0
    assert score("<reasoning>" + "because " * 200 + "</reasoning>", "reasoning") < -0.4


# --- length ----------------------------------------------------------------------------------------------------------


def test_length_falls_evenly_beyond_the_target() -> None:
    ids = [[0] * n for n in (0, 99, 100, 110, 120, 140, 900)]
    reward = build(spec(name="length", target=100, over=40, penalty=2.0))
    said = reward(prompts=["p"] * 7, completions=["x"] * 7, completion_ids=ids)
    assert said == pytest.approx([0, 0, 0, -0.5, -1.0, -2.0, -2.0])
    assert score("a b c d e f", "length", target=4, unit="words") == pytest.approx(-0.5)
    with pytest.raises(TrainingError, match="completion_ids"):
        score("a", "length", target=4)


# --- specs -----------------------------------------------------------------------------------------------------------


def test_a_recipe_says_rewards_by_name() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[AnyReward, ...])
    said = [{"name": "correctness", "weight": 1, "rtol": 0.01}, {"name": "format"}, {"name": "reasoning"},
            {"name": "length", "target": 200}, {"name": "local", "function": "mine:f"}]  # fmt: skip
    made = adapter.validate_python(said, strict=False)
    assert [r.name for r in made] == ["correctness", "format", "reasoning", "length", "local"]
    assert sorted(r.name for r in made) == rewards.reward_names()
    assert [type(r) for r in made] == [correctness.Spec, format.Spec, reasoning.Spec, length.Spec, local.Spec]
    assert [required_columns(r) for r in made] == [("answer",), (), (), (), ()]
    assert [build(r).__name__ for r in made[:4]] == ["correctness", "format", "reasoning", "length"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "corectness"}, "corectness"),
        ({"name": "correctness", "weight": -1.0}, "greater than or equal to 0"),
        ({"name": "correctness", "weight": math.inf}, "finite"),
        ({"name": "correctness", "rtol": math.nan}, "finite"),
        ({"name": "correctness", "correct": -2.0}, "must be above `wrong`"),
        ({"name": "correctness", "fuzzy": 0.0}, "greater than 0"),
        ({"name": "length"}, "Field required"),
        ({"name": "length", "target": 0}, "greater than or equal to 1"),
        ({"name": "length", "target": 5, "unit": "letters"}, "'tokens' or 'words'"),
        ({"name": "format", "target": 5}, "Extra inputs"),
        ({"name": "local", "function": "no colon"}, "pattern"),
    ],
)
def test_wrong_options_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**fields)


def test_specs_and_simple_rewards_load_neither_torch_nor_sympy() -> None:
    code = (
        "import sys; from statllama.rewards import build, correctness; "
        "r = build(correctness.Spec(name='correctness')); "
        "assert r(prompts=['p'], completions=['Answer: 5'], answer=['5']) == [2.0]; "
        "sys.exit(bool({'torch', 'sympy', 'math_verify', 'trl'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0


# --- what a reward returns -------------------------------------------------------------------------------------------


def call(returned: Any, rows: int = 3) -> list[float | None]:
    return checked(lambda **_: returned, "mine")(prompts=["p"] * rows, completions=["zero", "one", "two"][:rows])


def test_sound_results_become_floats() -> None:
    import numpy as np
    import torch

    assert call([1, 2.5, None]) == [1.0, 2.5, None]
    assert call((True, False, -0.0)) == [1.0, 0.0, 0.0]
    assert call(np.array([1.0, 2.0, 3.0], dtype=np.float32)) == [1.0, 2.0, 3.0]
    assert call(torch.tensor([1.0, 2.0, 3.0])) == [1.0, 2.0, 3.0]
    assert all(type(v) is float for v in call(torch.tensor([1.0, 2.0, 3.0])))


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ([1.0, 2.0], r"'mine' returned 2 values for 3 completions: \[1.0, 2.0\]"),
        ([1.0] * 4, "returned 4 values for 3"),
        ([], "returned 0 values for 3"),
        (None, r"returned None \(NoneType\) for 3 completions"),
        (1.0, r"returned 1.0 \(float\)"),
        ("abc", r"returned 'abc' \(str\)"),
        ({0: 1.0}, "dict"),
        ([1.0, math.nan, 2.0], "returned nan in row 2, for the completion 'one'"),
        ([1.0, 2.0, math.inf], "returned inf in row 3, for the completion 'two'"),
        ([1.0, "2", 3.0], "returned '2' in row 2"),
        ([[1.0], 2.0, 3.0], r"returned \[1.0\] in row 1, for the completion 'zero'"),
        ([1.0, 2.0, 1j], "returned 1j in row 3"),
        ([10**400, 2.0, 1.0], "in row 1"),
    ],
)
def test_unsound_results_are_named(returned: Any, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        call(returned)


def test_a_reward_that_raises_is_named_with_its_row() -> None:
    def mine(prompts: Any, completions: Any, answer: list[str], **columns: Any) -> list[float]:
        return [1 / (float(a) - len(c)) for c, a in zip(completions, answer, strict=True)]

    with pytest.raises(TrainingError, match=r"'mine' raised ZeroDivisionError: .*; in row 2, for the completion 'abc'"):
        checked(mine, "mine")(prompts=["p"] * 3, completions=["a", "abc", "b"], answer=["3", "3", "3"], log_extra=None)

    def whole(prompts: Any, completions: Any, **columns: Any) -> list[float]:
        assert len(completions) < 2, "only alone"
        return [0.0] * len(completions)

    with pytest.raises(TrainingError, match="'whole' raised AssertionError: only alone"):
        checked(whole, "whole")(prompts=["p"] * 2, completions=["a", "b"])


def test_a_missing_or_empty_answer_is_named() -> None:
    extras = {"completion_ids": [[1]], "trainer_state": None, "log_extra": None, "log_metric": None}
    reward = build(spec(name="correctness"))
    with pytest.raises(TrainingError, match="needs the column `answer`; the data has `solution`, `topic`") as caught:
        reward(prompts=["p"], completions=["c"], solution=["5"], topic=["t"], **extras)
    assert "columns: {answer: NAME}" in str(caught.value)
    with pytest.raises(TrainingError, match="the data has none"):
        reward(prompts=["p"], completions=["c"], **extras)
    for empty in ("", "  ", None):
        with pytest.raises(TrainingError, match="row 2 of the batch has no `answer`"):
            reward(prompts=["p"] * 2, completions=["c"] * 2, answer=["5", empty])
    assert reward(prompts=["p"] * 2, completions=["Answer: 5"] * 2, answer=[5, 5.0]) == [2.0, 2.0]


# --- a user's own ----------------------------------------------------------------------------------------------------

OWN = """
from dataclasses import dataclass
(__import__("pathlib").Path(__file__).parent / "ran").touch()

@dataclass(frozen=True)
class Scale:
    factor: float = 1.0

def brevity(prompts, completions, factor=1.0, **columns):
    return [-Scale(factor).factor * len(c) for c in completions]

def strict(prompts, completions, answer):
    return [0.0] * len(completions)

async def later(prompts, completions, **columns):
    return [0.0]

number = 5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe's folder with a user's rewards."""
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep.py").write_text("def f(prompts, completions, **c): return [7.0] * len(completions)\n")
    (tmp_path / "broken.py").write_text("import no_such_module_here\n")
    return tmp_path


def own(folder: Path, function: str, trusted: bool = True, **options: Any) -> Callable[..., Any]:
    return build(spec(name="local", function=function, options=options), folder, trusted)


def test_own_rewards_run_when_trusted(folder: Path) -> None:
    reward = own(folder, "own:brevity", factor=2.0)
    assert reward(prompts=["p"] * 2, completions=["a", "abc"], answer=["1", "2"]) == [-2.0, -6.0]
    assert reward.__name__ == "brevity"
    assert own(folder, "sub.deep:f")(prompts=["p"], completions=["a"]) == [7.0]
    before = local.fingerprint("own:brevity", folder)
    (folder / "own.py").write_text(OWN.replace("-Scale", "Scale"), encoding="utf-8")
    assert local.fingerprint("own:brevity", folder) != before
    assert own(folder, "own:brevity")(prompts=["p"], completions=["abc"]) == [3.0]  # as the file is now


def test_untrusted_code_does_not_run(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"'own:brevity' is code in [\s\S]* with `--trust-local-code`") as caught:
        own(folder, "own:brevity", trusted=False)
    assert caught.value.exit_code == 2
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("owm:brevity", r"there is no .*owm\.py[\s\S]*did you mean 'own'"),
        ("nowhere.own:f", r"there is no .*nowhere/own\.py"),
        ("own:brevty", "has no 'brevty'[\\s\\S]*did you mean 'brevity'"),
        ("own:number", "is not a plain function"),
        ("own:later", "is not a plain function"),
        ("own:Scale", "is not a plain function"),
        ("own:strict", "cannot be called as TRL calls rewards"),
        ("broken:f", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_own_rewards_that_cannot_be_used_are_explained(folder: Path, function: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        own(folder, function)


def test_own_rewards_stay_below_the_recipes_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "evil.py"
    outside.write_text(OWN, encoding="utf-8")
    (folder / "evil.py").symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of the recipe's folder"):
        own(folder, "evil:brevity")
    for function in ("../evil:f", "/etc/passwd:f", "own:__import__('os')", "own"):
        with pytest.raises(UsageError, match="is not a reward function"):
            local.source(function, folder)
    with pytest.raises(UsageError, match="cannot be called"):
        own(folder, "sub.deep:f", prompts=1)


# --- documentation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["statllama.rewards", *MODULES])
def test_the_examples_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0
    if module.rpartition(".")[2] in rewards.reward_names():
        assert found.attempted >= 2


def test_every_reward_and_option_is_in_the_table_of_the_docstring() -> None:
    table = rewards.__doc__ or ""
    for name in rewards.reward_names():
        fields = importlib.import_module(f"statllama.rewards.{name}").Spec.model_fields
        line = next(line for line in table.splitlines() if line.startswith(f"| `{name}`"))
        assert all(f"`{field}`" in line for field in fields if field not in ("name", "weight")), name


def test_math_verify_is_a_declared_dependency() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any("math-verify" in wanted for wanted in project["dependencies"])


def test_quantities_refuse_what_says_two_things() -> None:
    for text in ("5 or 6", "5 and 6 or 7", "5 (6)", "x = 5, y = 6", "not 5", "5 because of 6", "1 to 2 to 3"):
        assert read_quantity(text) is None, text


def test_a_local_reward_is_the_text_that_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after an edit within the same second that leaves the file's size: Python's kept bytecode would be older."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file, found = tmp_path / "grader.py", []
    for number in (5, 7):
        file.write_text(f"def pay(completions, **columns):\n    return [float({number}) for c in completions]\n")
        os.utime(file, ns=(10**18, 10**18))
        reward = build(local.Spec(name="local", function="grader:pay"), tmp_path, trusted=True)
        found += reward(prompts=["p"], completions=["c"])
    assert found == [5.0, 7.0]
