"""Categorical data: answers computed from printed test questions alone, by regular expressions and scipy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

Expected = float | tuple[float, float] | str | re.Pattern[str]


def _lines(question: str) -> tuple[list[list[str]], str]:
    """The cells of the printed lines, and what is asked below them."""
    _, printed, ask = question.split("\n\n")
    return [line.split(" | ") for line in printed.splitlines()], ask


def _table(question: str) -> tuple[list[str], list[str], np.ndarray, str]:
    """Names of rows and columns, the counts without the totals, and what is asked."""
    lines, ask = _lines(question)
    counts = np.array([[int(x) for x in line[1:-1]] for line in lines[1:-1]])
    assert [int(x) for x in lines[-1][1:]] == [*counts.sum(0), counts.sum()], question
    return [line[0] for line in lines[1:-1]], lines[0][1:-1], counts, ask


def two_way_percentage(question: str) -> Expected:
    rows, columns, counts, ask = _table(question)
    ask = ask.replace("how large is", "what is")  # large is also the name of a row
    base = ask.rpartition(", ")[0]
    named = {
        name: [i for i, one in enumerate(names) if re.search(rf"\b{one}\b", ask)]
        for name, names in (("row", rows), ("column", columns))
    }
    row, column = (max(named[name], default=None) for name in ("row", "column"))
    if row is None or column is None:
        part = counts[row].sum() if column is None else counts[:, column].sum()
        return 100 * float(part / counts.sum())
    hits = counts[row, column]
    if "whole sample" in base or base.startswith("Among all"):
        return 100 * float(hits / counts.sum())
    given_row = re.search(rf"\b{rows[row]}\b", base) is not None
    return 100 * float(hits / (counts[row].sum() if given_row else counts[:, column].sum()))


def _cell(question: str) -> tuple[np.ndarray, tuple[int, int]]:
    rows, columns, counts, ask = _table(question)
    names = re.findall(r"\(([^)]*)\)", ask)[-1].split(", ")
    return counts, (rows.index(names[0]), columns.index(names[1]))


def expected_count(question: str) -> Expected:
    counts, place = _cell(question)
    return float(stats.contingency.expected_freq(counts)[place])


def cell_contribution(question: str) -> Expected:
    counts, place = _cell(question)
    expected = stats.contingency.expected_freq(counts)
    return float(((counts - expected) ** 2 / expected)[place])


def two_way_statistic(question: str) -> Expected:
    rows, _, counts, ask = _table(question)
    even = "equally frequent" in ask or "the same in all" in ask
    expected = np.full(counts.shape, counts.mean()) if even else stats.contingency.expected_freq(counts)
    terms = (counts - expected) ** 2 / expected
    row = re.search(rf"the row ({'|'.join(rows)})\b", ask)
    return float(terms[rows.index(row.group(1))].sum() if row else terms.sum())


def _pairs(text: str, unit: str) -> dict[str, int]:
    """A list such as "lake 50%, ridge 30%"."""
    return {name: int(value) for name, value in re.findall(rf"([a-z]+) (\d+){unit}(?:,|$)", text)}


def _fit(question: str) -> tuple[dict[str, int], np.ndarray, np.ndarray, str]:
    """Counts by name, claimed proportions, expected counts, and what is asked."""
    lists = re.findall(r"((?:[a-z]+ \d+%(?:, )?)+)", question)
    seen = re.search(r"((?:[a-z]+ \d+, )+[a-z]+ \d+)(?!\d|%)", re.sub(r"[a-z]+ \d+%(, )?", "", question))
    assert len(lists) == 2, question
    assert seen, question
    counts = _pairs(seen.group(1), "")
    ask = re.split(r"(?=Take claim|How far are|How far is|Judge claim|With claim|Suppose that)", question)[-2:]
    claim = re.findall(r"claim ([AB])", "".join(ask))[-1]
    claims = _pairs(lists["AB".index(claim)].rstrip(", "), "%")
    share = np.array([claims[name] for name in counts]) / 100
    observed = np.array(list(counts.values()))
    return counts, observed, share * observed.sum(), "".join(ask)


def goodness_of_fit_statistic(question: str) -> Expected:
    counts, observed, expected, ask = _fit(question)
    terms = (observed - expected) ** 2 / expected
    one = re.search(r"due to ([a-z]+)|count of ([a-z]+) from", ask)
    return float(terms[list(counts).index(one.group(1) or one.group(2))] if one else terms.sum())


def goodness_of_fit_p_value(question: str) -> Expected:
    _, observed, expected, ask = _fit(question)
    times = 2 if "doubled" in ask or "twice" in ask else 1
    return float(stats.chisquare(times * observed, times * expected).pvalue)


def chi_square_degrees_of_freedom(question: str) -> Expected:
    found = re.search(
        r"about (?P<row>.+?) \((?P<r>\d+) possible answers\) and (?P<column>.+?) \((?P<c>\d+)"
        r"|With (?P<r2>\d+) levels of (?P<row2>.+?) down the side and (?P<c2>\d+) levels of (?P<column2>.+?) across"
        r"|^(?P<row3>.+?) has (?P<r3>\d+) levels and (?P<column3>.+?) has (?P<c3>\d+)\.",
        question,
    )
    assert found, question
    row, r, column, c = (
        next(filter(None, (found[f"{name}{i}"] for i in ("", "2", "3")))) for name in ("row", "r", "column", "c")
    )
    ask = re.split(r"(?=Which df|For the hypothesis)", question)[-1]
    if "cells" in ask or "combinations" in ask:
        return float(int(r) * int(c) - 1)
    if column in ask:
        return float(int(c) - 1)
    return float(int(r) - 1) if row.lower() in ask else float((int(r) - 1) * (int(c) - 1))


def chi_square_p_value(question: str) -> Expected:
    ask = re.split(r"(?=Turn the value|Suppose that)", question)[-1]
    stem = question.removesuffix(ask)
    r, c = (
        int(x)
        for x in re.findall(r"into (\d+) rows|into (\d+) columns|\((\d+) (?:answers|levels)\)", stem)
        for x in x
        if x
    )
    values = dict(re.findall(r"(\d{4}): chi-square = (\d+(?:\.\d+)?)", stem))
    values |= {y: x for x, y in re.findall(r"(\d+(?:\.\d+)?) (?:in |\()(\d{4})", stem)}
    year = re.findall(r"\d{4}", ask)[-1]
    df = r * c - 1 if "cells" in ask else (r - 1) * (c - 1)
    return float(stats.chi2.sf(float(values[year]), df))


def choose_chi_square_test(question: str) -> Expected:
    ask = re.split(r"(?=Name the procedure|There is one simple)", question)[-1]
    if "category" in ask:
        return "A chi-square test of homogeneity"
    if "%" in ask:
        return "A one-sample z test"
    related = "association" in ask or "depend on" in ask
    return "A chi-square test of independence" if related else "A chi-square test of goodness of fit"


def chi_square_hypotheses(question: str) -> Expected:
    null, alone = "H0" in question, "uniform" in question
    if alone:
        return re.compile(f"The categories of .* are {'all' if null else 'not all'} equally common")
    return f"There is {'no' if null else 'an'} association"


def chi_square_conclusion(question: str) -> Expected:
    ask = re.split(r"(?=State the conclusion|If \d)", question)[-1]
    stem = question.removesuffix(ask)
    values = dict(re.findall(r"(\d{4}): (?:chi-square )?[\d.]+(?:,| \()? ?P = (\d\.\d+)", stem))
    values |= {y: p for p, y in re.findall(r"P = (\d\.\d+) for the year (\d{4})", stem)}
    year, alpha = re.findall(r"\d{4}", ask)[-1], float(re.findall(r"0\.\d\d\b", ask)[-1])
    decision = "Reject H0: there is" if float(values[year]) < alpha else "Fail to reject H0: there is not"
    return re.compile(rf"{decision} convincing.* in {year}\.$")


def chi_square_output(question: str) -> Expected:
    lines, ask = _lines(question)
    names = [line[0] for line in lines[1:-1]]
    seen, expected, part = np.array([[float(x) for x in line[1:]] for line in lines[1:-1]]).T
    if "owes the most" in ask or "squared deviation" in ask:
        return names[int(part.argmax())]
    if "violating" in ask or "lowest count" in ask:
        return names[int(expected.argmin())]
    return names[int((seen - expected).argmin() if "deficit" in ask or "overestimate" in ask else seen.argmax())]


def chi_square_output_meaning(question: str) -> Expected:
    lines, ask = _lines(question)
    x, df, p = re.findall(r"= ([\d.]+)", lines[-1][0])
    if "Chi-Sq" in ask:
        return re.compile(rf"The sum of .* is {x}\.$")
    if "DF" in ask:
        return re.compile(rf"The distribution .* {df} degrees of freedom\.$")
    if "P-Value" in ask:
        return re.compile(rf"The probability of a statistic of {x} or more.* is {p}\.$")
    line = next(line for line in lines[1:-1] if line[0] in ask)
    return re.compile(rf"The part .* the cell {line[0]} is {line[3]}\.$")


READ: Mapping[str, Callable[[str], Expected]] = {
    of.__name__: of
    for of in (
        two_way_percentage,
        expected_count,
        cell_contribution,
        two_way_statistic,
        goodness_of_fit_statistic,
        goodness_of_fit_p_value,
        chi_square_degrees_of_freedom,
        chi_square_p_value,
        choose_chi_square_test,
        chi_square_hypotheses,
        chi_square_conclusion,
        chi_square_output,
        chi_square_output_meaning,
    )
}
