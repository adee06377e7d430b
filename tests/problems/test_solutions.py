"""Worked solutions: how many ways to write there are, the parts an examiner asks for, and their numbers."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence

import pytest
from scipy import stats

from statllama.problems import Problem, generate, kinds, make_problem, to_messages, topics
from statllama.problems._problem import words
from statllama.problems._siblings import Sibling
from statllama.problems._solution import marked, said, solutions

from .skeletons import settings, skeleton

_MATHS = ("plain", "latex")


@pytest.fixture(scope="module")
def every_kind() -> list[Problem]:
    """Eight problems of each kind, of the train split where it has the kind."""
    return [
        make_problem(topic, kind, seed, "train" if kind in kinds(topic, "train") else "test")
        for topic in topics()
        for kind in kinds(topic)
        for seed in range(8)
    ]


def text(problem: Problem, math: str = "plain") -> str:
    """The reply of the SFT row of a problem."""
    return str(to_messages(problem, math)["messages"][-1]["content"])


def skeletons(problems: list[Problem], math: str) -> set[str]:
    return {skeleton(text(problem, math), problem.setting) for problem in problems}


def test_six_hundred_rows_have_540_skeletons() -> None:
    """Version 4 of the problems had 430, and 1,352 in 20,000 rows."""
    problems = list(generate(600, seed=1))
    for math in _MATHS:
        assert len(skeletons(problems, math)) >= 540


@pytest.mark.slow
def test_twenty_thousand_rows_have_ten_thousand_skeletons() -> None:
    problems = list(generate(20_000, seed=1))
    for math in _MATHS:
        assert len(skeletons(problems, math)) >= 10_000


def test_the_mask_leaves_no_number_and_no_setting() -> None:
    problem = make_problem("means", "one_mean_interval", 1)
    left = skeleton(text(problem), problem.setting)
    assert not re.search(r"\d", left)
    names = sorted((name for name in settings()[problem.setting] if len(name) > 2), key=len)
    assert names
    assert not any(name in left for name in names)
    assert skeleton(f"The 3rd of 5, 7 and 9 kilos of {names[0]}.", problem.setting) == "The #th of # kilos of @ ."


def test_every_kind_varies(every_kind: list[Problem]) -> None:
    """Of eight solutions of a kind at least five are written differently."""
    found = collections.defaultdict(set)
    for problem in every_kind:
        found[problem.topic, problem.kind].add(skeleton(text(problem), problem.setting))
    assert not {kind: len(ways) for kind, ways in found.items() if len(ways) < 5}


def test_choices_between_wordings() -> None:
    step = "[The parameter is p, // Let p be] the share [ // of [red // blue] cars]."
    ways = {said(step, (a, b, c)) for a in (0.0, 0.9) for b in (0.0, 0.9) for c in (0.0, 0.9)}
    assert ways == {
        f"{start} the share{end}."
        for start in ("The parameter is p,", "Let p be")
        for end in ("", " of red cars", " of blue cars")
    }
    assert said("As it is.", (0.5,)) == "As it is."
    with pytest.raises(ValueError, match="brackets do not match in the step"):
        said("[One // two", (0.5,))


def test_siblings_are_written_alike() -> None:
    """The same draws for all four, so that a pair of solutions differs in its statistics alone."""
    steps = (("[A // B // C] one.", "[D // E // F] two."), "[G // H // I // J] three.")
    of = [Sibling(name, f"{name}?", steps, words(name), "[K // L] idea.") for name in "wxyz"]
    for seed in range(30):
        assert len(set(solutions(of, range(4), str(seed)))) == 1
    assert len({solutions(of, [0], str(seed))[0] for seed in range(400)}) > 60


def test_a_wording_moves_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> list[tuple[object, ...]]:
        return [(p.question, p.answer, p.distractors, p.error) for p in generate(60, seed=2)]

    before = asked()
    monkeypatch.setattr("statllama.problems._draw.solutions", lambda of, places, stream: [("So.",) for _ in places])
    assert asked() == before
    assert {p.steps for p in generate(9)} == {("So.",)}


def test_a_step_that_repeats_the_answer_is_left_out() -> None:
    of = [Sibling(name, f"{name}?", ["Because.", f"It is {name}."], words(f"It is {name}."), "It.") for name in "wxyz"]
    assert [steps[-1] for steps in solutions(of, range(4), "1")] == ["Because."] * 4


MARKED = [
    ("H0: p = 0.3; Ha: p < 0.3", "`H0`: `p = 0.3`; `Ha`: `p < 0.3`"),
    ("so z* = 1.96 and mu_0 is known", "so `z* = 1.96` and `mu_0` is known"),
    ("P(A | B) counts 3 of P(B) = 0.25", "`P(A | B)` counts 3 of `P(B) = 0.25`"),
    ("a t interval with n - 1, where s estimates sigma", "a t interval with `n - 1`, where `s` estimates `sigma`"),
    ("p1 - p2 and 2 Var(X), with X >= 3", "`p1 - p2` and `2 Var(X)`, with `X >= 3`"),
    ("the p-value is a student's, with 4 - 1 = 3 degrees", "the p-value is a student's, with `4 - 1 = 3` degrees"),
    ("`mu = 5` stays, and so does sample A", "`mu = 5` stays, and so does sample A"),
]


@pytest.mark.parametrize(("source", "written"), MARKED)
def test_mathematics_is_marked(source: str, written: str) -> None:
    assert marked(source) == written


_PLAIN = re.compile(
    r"[=<>^*_{}\\]|\+/-|\b(?:sqrt|P\(|Var\(|H_?[0a]|mu|sigma|beta|alpha|p[12]|s[xy]|x_bar|p_hat)\b|\d [-+*/] \d"
    r"|(?<!')\b[npqrsxyk]\b(?!-)|(?<!Statistic )\b\d?[XY]\d?\b"
)
"""Mathematics in plain notation: it has no place outside of $...$."""


def test_latex_rows_hold_no_plain_formula(every_kind: list[Problem]) -> None:
    """In every kind, up to the answer, which is the text that is compared and stays as it is."""
    for problem in every_kind:
        for steps in (problem.steps, problem.rejected_steps):
            assert not re.search(r"[\[\]{}]|//", "\n".join(steps)), steps
        reply = text(problem, "latex")
        worked, answer = reply.rsplit("\nAnswer: ", 1)
        assert answer == problem.answer
        assert "`" not in reply
        written = re.findall(r"(?<!\\)\$(.+?)(?<!\\)\$", worked)
        around = re.sub(r"(?<!\\)\$.+?(?<!\\)\$", " ", worked)
        assert "$" not in around.replace(r"\$", "")
        assert not _PLAIN.search(around), (problem.kind, _PLAIN.search(around), around)
        for formula in written:
            depth = [0]
            for brace in re.findall(r"\\.|[{}]", formula):
                depth.append(depth[-1] + {"{": 1, "}": -1}.get(brace, 0))
            assert min(depth) == 0 == depth[-1], formula


INTERVALS = {
    "means": ("one_mean_interval", "two_mean_interval", "paired_interval"),
    "proportions": ("one_proportion_interval", "two_proportion_interval"),
    "slopes": ("slope_interval",),
}
STATISTICS = {
    "means": ("one_mean_t", "two_sample_t", "paired_t"),
    "proportions": ("two_proportion_z",),
    "slopes": ("slope_t_statistic",),
}
P_VALUES = {
    "means": ("t_p_value", "p_value_from_output"),
    "proportions": ("one_proportion_z", "two_proportion_p_value"),
    "categorical": ("goodness_of_fit_p_value", "chi_square_p_value"),
    "slopes": ("slope_p_value", "one_sided_slope_test"),
}
_CONDITIONS = re.compile(
    r"random.*(?:normal|skew|outlier|at least (?:5|10|30))"
    r"|(?:outliers|conditions)[^.]* (?:appropriate|used|met|hold|satisf)",
    re.IGNORECASE,
)


def of(kinds_by_topic: Mapping[str, Sequence[str]], every_kind: list[Problem]) -> list[Problem]:
    found = [p for p in every_kind if p.kind in kinds_by_topic.get(p.topic, ())]
    assert len(found) == 8 * sum(map(len, kinds_by_topic.values()))
    return found


def formulas(told: str) -> list[str]:
    return re.findall(r"`([^`]+)`", told)


def in_context(problem: Problem, sentence: str) -> bool:
    """The sentence names something of the setting."""
    names = {name for key in problem.setting.split("+") for name in settings()[key] if len(name) > 2}
    return any(name.removeprefix("a ").removeprefix("the ").lower() in sentence.lower() for name in names)


def test_intervals_have_every_part(every_kind: list[Problem]) -> None:
    for problem in of(INTERVALS, every_kind):
        told = "\n".join(problem.steps)
        assert re.search(r"(?i)parameter|\blet\b|we estimate|of interest", told), told
        assert _CONDITIONS.search(told), told
        assert any(re.search(r"[a-z_)] \+/- [tz]\*", formula) for formula in formulas(told)), told
        assert any(re.search(r"[\d)] \+/- \d", formula) for formula in formulas(told)), told
        last = problem.steps[-1]
        level = re.search(r"(\d+)% confiden", last)
        assert level, last
        assert f"{level.group(1)}%" in problem.question
        assert in_context(problem, last), last
        assert set(re.findall(r"-?\d+\.\d+", problem.answer)) <= set(re.findall(r"-?\d+\.\d+", last)), last


def test_statistics_have_every_part(every_kind: list[Problem]) -> None:
    for problem in of(STATISTICS, every_kind):
        told = "\n".join(problem.steps)
        assert "`H0: " in told, told
        assert in_context(problem, told), told
        assert _CONDITIONS.search(told), told
        assert any(re.match(r"[tz] = \([a-z].*\) / ", formula) for formula in formulas(told)), told
        assert any(re.search(r"\d\)* / [\d.]+ = -?[\d.]+$", formula) for formula in formulas(told)), told
        assert re.search(r"(?:occur|unusual).* if `H0` is true|If `H0` is true.*(?:occur|unusual)", problem.steps[-1])


def test_tests_have_every_part_and_the_right_decision(every_kind: list[Problem]) -> None:
    """H0 is rejected exactly when the answer is below the level, and the conclusion says so in context."""
    for problem in of(P_VALUES, every_kind):
        told = "\n".join(problem.steps)
        assert re.search(r"\bH0\b", told), told
        assert re.search(r"\bHa\b", told) or problem.kind == "chi_square_p_value", told
        assert _CONDITIONS.search(told), told
        last = problem.steps[-1]
        found = re.fullmatch(
            r"At (?:the level )?`alpha = (0\.05|0\.10)`, `H0` (is|would be|is not|would not be) rejected, (?:as|since|"
            r"because) `(0\.\d{4}) ([<>]) \1`: (?:there is|the data give) (no )?convincing evidence that .*\.",
            last,
        )
        assert found, last
        alpha, verb, shown, sign, none = found.groups()
        assert shown == problem.answer
        small = float(shown) < float(alpha)
        assert (sign == "<") is small
        assert ("not" not in verb) is small
        assert (none is None) is small
        assert in_context(problem, last), last


def numbers(pattern: str, told: str) -> list[float]:
    found = re.search(pattern, told)
    assert found, (pattern, told)
    return [float(number) for number in found.groups()]


@pytest.mark.parametrize("seed", range(12))
def test_a_mean_interval_follows_from_its_printed_numbers(seed: int) -> None:
    problem = make_problem("means", "one_mean_interval", seed)
    told = "\n".join(problem.steps)
    mean, critical, sd, n = numbers(r"`(-?[\d.]+) \+/- ([\d.]+) \* ([\d.]+) / sqrt\((\d+)\)", told)
    (level,) = numbers(r"(\d+)% confiden", problem.steps[-1])
    curve = stats.norm if problem.asked.startswith("z") else stats.t(n - 1)
    assert critical == pytest.approx(curve.ppf(0.5 + level / 200), abs=5e-4)
    low, high = numbers(r"\((-?[\d.]+), (-?[\d.]+)\)", problem.answer)
    assert (low, high) == pytest.approx((mean - critical * sd / n**0.5, mean + critical * sd / n**0.5), abs=0.02)


@pytest.mark.parametrize("seed", range(12))
def test_a_slope_p_value_follows_from_its_printed_numbers(seed: int) -> None:
    problem = make_problem("slopes", "slope_p_value", seed)
    told = "\n".join(problem.steps)
    estimate, error = numbers(r"`(-?[\d.]+) / ([\d.]+) = -?[\d.]+`", told)
    n, df = numbers(r"`(?:n - 2|df) = (\d+) - 2 = (\d+)`", told)
    assert df == n - 2
    curve, t = stats.t(df), estimate / error
    sign = re.search(r"Ha: \w+ (\S+) 0`", told).group(1)  # type: ignore[union-attr]
    expected = {">": curve.sf(t), "<": curve.cdf(t), "!=": 2 * curve.sf(abs(t))}[sign]
    assert float(problem.answer) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("seed", range(12))
def test_a_proportion_p_value_follows_from_its_printed_numbers(seed: int) -> None:
    problem = make_problem("proportions", "one_proportion_z", seed)
    told = "\n".join(problem.steps)
    share, null, n = numbers(r"`\((0\.\d+) - (0\.\d+)\) / sqrt\(0\.\d+ \* 0\.\d+ / (\d+)\)", told)
    z = (share - null) / (null * (1 - null) / n) ** 0.5
    sign = re.search(r"Ha: p (\S+) 0", told).group(1)  # type: ignore[union-attr]
    expected = {">": stats.norm.sf(z), "<": stats.norm.cdf(z), "!=": 2 * stats.norm.sf(abs(z))}[sign]
    assert float(problem.answer) == pytest.approx(expected, abs=4e-3)
    (shown,) = numbers(r" = (-?\d+\.\d\d)`\.", told)
    assert shown == pytest.approx(z, abs=0.02)


@pytest.mark.parametrize("seed", range(12))
def test_a_goodness_of_fit_p_value_follows_from_its_printed_numbers(seed: int) -> None:
    problem = make_problem("categorical", "goodness_of_fit_p_value", seed)
    told = "\n".join(problem.steps)
    terms = re.search(r"chi-square = ([\d. +]+) = ([\d.]+)`", told)
    assert terms
    parts = [float(part) for part in terms.group(1).split(" + ")]
    assert sum(parts) == pytest.approx(float(terms.group(2)), abs=0.01)
    assert float(problem.answer) == pytest.approx(stats.chi2.sf(sum(parts), len(parts) - 1), abs=2e-3)


@pytest.mark.parametrize("seed", range(8))
def test_how_unusual_a_statistic_is_follows_from_it(seed: int) -> None:
    problem = make_problem("proportions", "two_proportion_z", seed)
    chance, last = 2 * stats.norm.sf(abs(float(problem.answer))), problem.steps[-1]
    rare = re.search("would be unusual|would rarely occur", last)
    usual = re.search("would not be unusual|could well occur", last)
    assert (rare is not None) is bool(chance < 0.05)
    assert (usual is not None) is bool(chance > 0.1)
