"""Equalities in text: what is read, what is certainly wrong, what rounding excuses. Truth: Python's own arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.check.arithmetic import NoExpression, leaf, parse, tokens, written
from statllama.data.build.check.equalities import equalities, numbers
from statllama.problems import generate


def verdicts(text: str, known: set[float] | None = None) -> list[tuple[str, str]]:
    return [(found.text, found.verdict) for found in equalities(text, known or set())]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("(182 - 190)^2 / 190 = 0.34", "right"),
        (r"$\frac{(182-190)^2}{190} \approx 0.34$", "right"),
        (r"$\sqrt{\frac{0.3 \times 0.7}{84}} = 0.05$", "right"),
        ("(182 - 190)^2 / 190 = 0.43", "wrong"),
        ("1/3 = 0.34", "wrong"),
        ("2/3 = 0.66", "right"),  # cut off
        ("2/3 ≈ 0.66", "right"),
        ("35 * 34 ≈ 1,200", "right"),
        ("35 * 34 = 1,200", "wrong"),
        ("25% of 144 = 36", "right"),
        ("25% of 144 = 35", "wrong"),
        ("1/16 = 6.25%", "right"),
        ("0.0625 * 100 = 6.25%", "right"),
        ("-3^2 = 9", "right"),
        ("-3^2 = -9", "right"),
        ("-3^2 = 8", "wrong"),
        ("5! = 120!", "right"),
        ("5! = 110!", "unclear"),
        ("48/2 = <<48/2=24>>24 clips", "right"),
        ("1.96^2 * 0.25 / 0.03^2 = 1068", "right"),  # a sample size is rounded up
        ("C(5, 2) * 0.5^5 = 0.3125", "right"),
        ("C(5, 2) * 0.5^5 = 0.3215", "wrong"),
        ("10-12 = 3", "unclear"),  # pages
        ("6/2(1+2) = 1", "unclear"),
        ("2/ 1/5 = 10", "unclear"),
        ("400 - 20% = 320", "unclear"),
        ("1600 / 200 = 8 * 100", "unclear"),  # a running calculation
        ("1,250 + 3,000 = 4,251", "wrong"),
        ("$4.50 + $5.50 = $10.00", "right"),
        ("- 2 + 3 = 5", "right"),  # a list
        ("So we get **3 × 4 = 13**.", "wrong"),
        ("The interval is 194.8 +/- 1.960 * 20.5 / sqrt(9) = 194.8 +/- 13.39.", "right"),
        ("The interval is 194.8 ± 1.960 * 20.5 / sqrt(9) = 194.8 ± 31.39.", "wrong"),
        ("9^9^9^9 = 1", None),
        ("1/0 = 3", None),
        ("x + 3 * 4 = 13", None),
        ("mean - 3 + 5 = 9", None),
        ("the mean (3 + 4) = 3.5", None),
        ("2 log 3 * 4 = 5", None),
        ("3 * 4 = 12x", None),
        ("3 * 4 = 2 million", None),
        ("10 / 3 = 3 remainder 1", None),
        ("12 students / 40 students = 0.4", None),
        ("group 1 = 30", None),
        ("P(X > 3) = 0.5", None),
        ("3 * 4 = 13:30", None),
        ("3 + 4 >= 8", None),
    ],
)
def test_one_equality(text: str, verdict: str | None) -> None:
    assert [v for _, v in verdicts(text)] == ([] if verdict is None else [verdict])


def test_a_chain_is_judged_link_by_link() -> None:
    assert verdicts("df = 3 + 4 = 8 - 1 = 6 and 7 / 2 = 3.5.") == [
        ("3 + 4 = 8 - 1", "right"),
        ("8 - 1 = 6", "wrong"),
        ("7 / 2 = 3.5", "right"),
    ]


def test_a_number_that_the_question_gives_is_exact() -> None:
    text = "0.345 * 1000 = 345.4"
    assert verdicts(text) == [(text, "right")]  # 0.345 may be 0.3454
    assert verdicts(text, {0.345}) == [(text, "wrong")]


@given(st.integers(-999, 999), st.integers(-999, 999), st.integers(1, 99), st.sampled_from("+-*/"), st.integers(0, 4))
def test_what_python_computes_is_right_and_another_digit_is_wrong(
    a: int, b: int, c: int, sign: str, digits: int
) -> None:
    expression = f"({a} {sign} {c}) * ({b} - {c})"
    value = (a + c if sign == "+" else a - c if sign == "-" else a * c if sign == "*" else a / c) * (b - c)
    printed = f"{value:.{digits}f}"
    assert verdicts(f"This gives {expression} = {printed}.") == [(f"{expression} = {printed}", "right")]
    off = f"{float(printed) + 3 * 10.0**-digits:.{digits}f}"
    assert verdicts(f"This gives {expression} = {off}.") == [(f"{expression} = {off}", "wrong")]


@given(st.text(alphabet="0123456789+-*/^()=.,%! xabC≈±\n$\\{}", max_size=60))
def test_any_text_is_read(text: str) -> None:
    for found in equalities(text):
        assert math.isfinite(found.left) and math.isfinite(found.right)
    numbers(text)


@given(st.recursive(
    st.integers(0, 50).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=8,
))  # fmt: skip
def test_expressions_have_pythons_value(text: str) -> None:
    try:
        expected = eval(text)  # digits and operators alone
    except ZeroDivisionError:
        with pytest.raises(ArithmeticError):
            parse(tokens(text)).value()
        return
    assert parse(tokens(text)).value() == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "3 +", "(3", "3)", "x", "sqrt 3", "3 4", "__import__('os')", "3 ** 4" * 100])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(NoExpression):
        parse(tokens(written(text)))


def test_digits_as_printed() -> None:
    assert [leaf(text).decimals for text in ("12", "0.50", "1,250.5", "2.5e-3", "3e2")] == [0, 2, 1, 4, -2]
    assert numbers("from -3.5 to 1,250 and 12%") == [(3.5, False, "3.5"), (1250.0, False, "1,250"), (12.0, True, "12")]


def test_solutions_of_generated_problems_hold() -> None:
    judged = 0
    for problem in generate(120, seed=21):
        for text in (problem.solution, *("\n".join(steps) for steps in problem.solutions)):
            found = equalities(text, {value for value, _, _ in numbers(problem.question)})
            assert [e for e in found if e.verdict == "wrong"] == [], problem.kind
            judged += len(found)
    assert judged > 200
