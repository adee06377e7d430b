"""Formulas in plain notation as LaTeX: a table read by hand, and what holds for any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.problems import generate
from statllama.problems._formulas import formula, latex, plain

TABLE = [
    ("x_bar +/- t* (s / sqrt(n))", r"\bar{x} \pm t^{*} \frac{s}{\sqrt{n}}"),
    ("28.2 +/- 3.055 * 8.1 / sqrt(13)", r"28.2 \pm \frac{3.055 \cdot 8.1}{\sqrt{13}}"),
    ("p_hat", r"\hat{p}"),
    ("p_hat_1 - p_hat_2", r"\hat{p}_{1} - \hat{p}_{2}"),
    ("p1_hat - p2_hat", r"\hat{p}_{1} - \hat{p}_{2}"),
    ("Ha: beta < 0", r"H_{a}\colon \beta < 0"),
    ("mu_0", r"\mu_{0}"),
    ("mu_x_bar = mu", r"\mu_{\bar{x}} = \mu"),
    ("chi^2", r"\chi^{2}"),
    ("chi^2 = sum((O - E)^2 / E)", r"\chi^{2} = \sum \frac{(O - E)^{2}}{E}"),
    ("P(X >= 3)", r"P(X \geq 3)"),
    ("P(A | B) = P(A and B) / P(B)", r"P(A \mid B) = \frac{P(A \text{ and } B)}{P(B)}"),
    ("n p <= 10", r"n p \leq 10"),
    ("H_0: mu = 5", r"H_{0}\colon \mu = 5"),
    ("H_a: p_1 != p_2", r"H_{a}\colon p_{1} \neq p_{2}"),
    ("a +/- b", r"a \pm b"),
    ("z = (x - mu) / sigma = (71 - 65.5) / 2.5 = 2.2", r"z = \frac{x - \mu}{\sigma} = \frac{71 - 65.5}{2.5} = 2.2"),
    ("sqrt(s1^2 / n1 + s2^2 / n2)", r"\sqrt{\frac{s_{1}^{2}}{n_{1}} + \frac{s_{2}^{2}}{n_{2}}}"),
    ("C(10, 3) * 0.4^3 * 0.6^7", r"\binom{10}{3} \cdot 0.4^{3} \cdot 0.6^{7}"),
    ("(z* sigma / m)^2", r"\left( \frac{z^{*} \sigma}{m} \right)^{2}"),
    ("y_hat = 3.5 - 0.25 x", r"\hat{y} = 3.5 - 0.25 x"),
    ("t = (b - 0) / SE_b", r"t = \frac{b - 0}{\text{SE}_{b}}"),
    ("(1.25, 3.5)", "(1.25, 3.5)"),
    ("|x - mu| < 2 sigma", r"\left| x - \mu \right| < 2 \sigma"),
    ("1 - 0.95 = 5%", r"1 - 0.95 = 5\%"),
    ("12 * $1,250 = $15,000", r"12 \cdot \$ 1{,}250 = \$ 15{,}000"),
    ("t*^2", r"{t^{*}}^{2}"),
    ("2 * -3 = -6", r"2 \cdot -3 = -6"),
    ("a^(1 / 3)", r"a^{\frac{1}{3}}"),
    ("observed - expected", r"\text{observed} - \text{expected}"),
    ("Q1 - 1.5 * IQR", r"Q_{1} - 1.5 \cdot \text{IQR}"),
    ("(4 + 5", "( 4 + 5"),
    ("P-value = 2 * 0.013", r"\text{P-value} = 2 \cdot 0.013"),
    ("3 of 12 units", r"3 \text{ of } 12\ \text{units}"),
    (
        "row total * column total / grand total",
        r"\frac{\text{row total} \cdot \text{column total}}{\text{grand total}}",
    ),
    (
        "predicted retreat of the ice = 6.54 + 4.03 * (time)",
        r"\text{predicted retreat of the ice} = 6.54 + 4.03 \cdot (\text{time})",
    ),
    ("P(C and positive)", r"P(C \text{ and } \text{positive})"),
    ("chi-square = 1.91", r"\text{chi-square} = 1.91"),
    ("SE_b = s / (sx sqrt(n - 1))", r"\text{SE}_{b} = \frac{s}{s_{x} \sqrt{n - 1}}"),
    ("SD = SE sqrt(n)", r"\text{SD} = \text{SE}\ \sqrt{n}"),
    ("a of 3 for b", r"a \text{ of } 3 \text{ for } b"),
    ("r * sy / sx", r"\frac{r \cdot s_{y}}{s_{x}}"),
    ("first minus second", r"\text{first minus second}"),
]


@pytest.mark.parametrize(("source", "written"), TABLE)
def test_table(source: str, written: str) -> None:
    assert formula(source) == written
    assert latex(f"Here `{source}`.") == f"Here ${written}$."


@pytest.mark.parametrize("source", [source for source, _ in TABLE])
def test_another_reader_of_latex_takes_it(source: str) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    mathtext.MathTextParser("path").parse(f"${formula(source)}$")


def test_text_around_formulas() -> None:
    assert latex("It costs $5, 20% less.") == "It costs $5, 20% less."
    assert latex("It costs $5: `n = 3`, 20% less.") == r"It costs \$5: $n = 3$, 20% less."
    assert plain("It costs $5: `n = 3`.") == "It costs $5: n = 3."
    assert latex("One ` alone.") == plain("One ` alone.") == "One  alone."


_NUMBERS = re.compile(r"[0-9]+")
_PIECES = [
    *("x_bar", "p_hat", "mu_0", "t*", "z*", "chi^2", "sqrt(", "sum(", "P(", "C(", "(", ")", "[", "]", "|", "+/-", "<="),
    *(">=", "!=", "=", "<", "->", "+", "-", "*", "/", "^", ",", ":", ";", "%", "$", "{", "}", "\\", "_", "#", "&", "~"),
    *("H_0", "n1", "SE_b", "and", "successes", " ", "  ", "3", "12.50", "0.05", ".5", "1,250", "é", "!", "'", '"'),
]
_formulas = st.one_of(
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=40).map("".join),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=40).map(" ".join),
    st.text(st.characters(exclude_characters="`\n", exclude_categories=["Cs"]), min_size=1, max_size=40),
)


def _balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return depth == 0


@given(_formulas)
def test_any_formula_is_balanced_and_keeps_its_numbers(source: str) -> None:
    written = formula(source)
    assert _balanced(written)
    assert _NUMBERS.findall(written) == _NUMBERS.findall(source)
    assert len(re.findall(r"\\left(?![a-z])", written)) == len(re.findall(r"\\right(?![a-z])", written))
    assert "$" not in written.replace(r"\$", "")


@given(st.lists(st.sampled_from([piece for piece in _PIECES if piece != "."]), min_size=1, max_size=40))
def test_decimals_stay_whole(pieces: list[str]) -> None:
    decimals = re.compile(r"[0-9]*\.?[0-9]+")
    source = " ".join(pieces)
    assert decimals.findall(formula(source).replace("{,}", ",")) == decimals.findall(source)


@given(st.text(max_size=60))
def test_any_text_is_written(text: str) -> None:
    assert _NUMBERS.findall(latex(text)) == _NUMBERS.findall(text)


@pytest.mark.parametrize("depth", [1, 2, 6, 12, 13, 40, 3000])
def test_deep_formulas_are_written(depth: int) -> None:
    for opening, closing in (("(", ")"), ("sqrt(", ")"), ("|", "|"), ("2^", ""), ("2^-", ""), ("-", ""), ("2 * -", "")):
        written = formula(opening * depth + "7" + closing * depth)
        assert _balanced(written)
        assert _NUMBERS.findall(written)[-1] == "7"


def test_formulas_of_generated_steps() -> None:
    """Every formula of many problems is read, not only spelled out, and an outcome stays as it was."""
    for problem in generate(300, seed=21):
        for source in re.findall(r"`([^`\n]+)`", "\n".join(problem.steps)):
            written = formula(source)
            assert _balanced(written), source
            assert _NUMBERS.findall(written) == _NUMBERS.findall(source)
