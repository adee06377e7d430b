"""Which chi-square test, its hypotheses and its conclusion."""

from __future__ import annotations

from .._draw import Draw, kind
from .._numerics import chi_square_upper_tail
from .._phrases import SO
from .._problem import fixed, words
from .._scenarios import TwoWay
from .._settings_categorical import TABLES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import chi_square_value

# fmt: off

_LEVELS = ((0.01, 0.05), (0.05, 0.10), (0.01, 0.10))


_STEM_CHOOSE_CHI_SQUARE_TEST = wordings("""
    train: A study of {t.who} concerns two variables, {t.row} ({rows}) and {t.column} ({columns}).
    train: Among {t.who}, the variables {t.row} ({rows}) and {t.column} ({columns}) are to be studied.
    train: A researcher is interested in two characteristics of {t.who}: {t.row} ({rows}) and {t.column} ({columns}).
    train: {t.who!c} can be classified by {t.row} ({rows}) and by {t.column} ({columns}).
    test: Research on {t.who} deals with two categorical variables: {t.row} ({rows}), {t.column} ({columns}).
    test: What can be learned about {t.column} ({columns}) among {t.who}? A second variable, {t.row} ({rows}), may
        matter as well.
    test: {t.row!c} ({rows}) and {t.column} ({columns}) can both be observed for {t.who}.
""")
_ASK_CHOOSE_CHI_SQUARE_TEST = wordings("""
    train/independence: One random sample of {n} is taken, and both variables are recorded for each member. Are they
        associated? Which test should be used?
    train/independence: Which test answers whether {t.row} and {t.column} are related, if a single random sample of {n}
        is classified by both?
    train/homogeneity: A separate random sample of {n} is taken from each category of {t.row}. Is the distribution of
        {t.column} the same in all of them? Which test should be used?
    train/homogeneity: Which test compares the distribution of {t.column} across the categories of {t.row}, if a random
        sample of {n} is drawn from each category?
    train/fit: In one random sample of {n}, the {t.column} is recorded. Do the counts agree with the percentages that a
        report gives for {columns}? Which test should be used?
    train/fit: Which test answers whether {columns} are equally common, if one random sample of {n} is classified by
        {t.column}?
    train/one: In one random sample of {n}, those {t.rel} {does} are counted. Are they more than {percent}% of the
        population? Which test should be used?
    train/one: Which test answers whether less than {percent}% of all {t.who} {does}, if a random sample of {n} is
        counted?
    test/independence: Name the procedure for detecting an association when {n} members of one population, selected at
        random, are sorted by both.
    test/independence: There is one simple random sample (n = {n}), sorted into a two-way table. Which procedure shows
        whether the two variables depend on each other?
    test/homogeneity: Name the procedure for finding out whether {t.column} has one and the same distribution
        throughout, when {n} are selected at random within each category of {t.row}.
    test/homogeneity: There is one simple random sample (n = {n}) from each category of {t.row}. Which procedure shows
        whether these populations differ in {t.column}?
    test/fit: Name the procedure for checking a published distribution of {t.column} when {n} members of the population
        are selected at random.
    test/fit: There is one simple random sample (n = {n}) and a claim that {columns} occur equally often. Which
        procedure tests this claim?
    test/one: Name the procedure for checking a claim that {percent}% {does}, when {n} members of the population are
        selected at random.
    test/one: There is one simple random sample (n = {n}) and a suspicion that less than {percent}% {does}. Which
        procedure tests it?
""")


def _three_columns(t: TwoWay) -> TwoWay:
    """Return the table, turned when it has but two columns: for these a z test would do as well as goodness of fit."""
    if len(t.columns) > 2:
        return t
    return TwoWay(t.key, t.who, t.column, t.columns, t.row, t.rows, t.column_does, t.row_does, t.rel)


_TESTS = {
    "independence": ("A chi-square test of independence", "one sample and two categorical variables"),
    "homogeneity": ("A chi-square test of homogeneity", "several samples and one categorical variable"),
    "fit": ("A chi-square test of goodness of fit", "one sample and one variable with a claimed distribution"),
    "one": ("A one-sample z test for a proportion", "one sample and one category with a claimed proportion"),
}


@kind(2, ap="8.7")
def choose_chi_square_test(draw: Draw) -> Siblings:
    """Which test answers a question about categorical data, by its samples and its variables."""
    t = _three_columns(draw.setting(TABLES))
    n, percent, j = 10 * draw.integer(8, 50), 5 * draw.integer(4, 14), draw.integer(0, len(t.columns) - 1)
    rows, columns = (", ".join(names) for names in (t.rows, t.columns))
    stem = draw.ask(_STEM_CHOOSE_CHI_SQUARE_TEST, t=t, rows=rows, columns=columns)
    fields = {"n": n, "columns": f"{', '.join(t.columns[:-1])} and {t.columns[-1]}", "does": t.in_column(j),
              "percent": percent}
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_CHOOSE_CHI_SQUARE_TEST, asked, t=t, **fields)}",
                [f"[The question involves // The design has // What is described is] {design}.",
                 f"[Samples are random, and the data are counts // The data are counts of {t.who} from random "
                 f"sampling].",
                 f"{SO} {test[0].lower()}{test[1:]} [is made for this design // is called for // answers the question]."
                 ], words(test),
                "Count the samples and the variables: they tell the tests for categorical data apart.")
        for asked, (test, design) in _TESTS.items()
    ]
    slips = ["chose a test of independence", "chose a test of homogeneity", "chose a goodness-of-fit test",
             "chose a z test for a single proportion"]
    return four(of, slips, {"n": n, "percent": percent})


_STEM_CHI_SQUARE_HYPOTHESES = wordings("""
    train: A chi-square test concerns {t.row} ({rows}) and {t.column} ({columns}) in a random sample of {n} {t.who}.
    train: A researcher plans a chi-square test about {t.row} ({rows}) and {t.column} ({columns}) with a random sample
        of {n} {t.who}.
    train: For a random sample of {n} {t.who}, {t.row} ({rows}) and {t.column} ({columns}) are recorded, and a
        chi-square test is planned.
    train: With a chi-square test and a random sample of {n}, a student wants to study {t.row} ({rows}) and {t.column}
        ({columns}) among {t.who}.
    test: {t.who!c} differ in {t.row} ({rows}) and in {t.column} ({columns}); {n} of them, a simple random sample, are
        to be studied with chi-square.
    test: A simple random sample, {n} {t.who}, is sorted by {t.row} ({rows}) and by {t.column} ({columns}). Chi-square
        will be computed from the counts.
    test: What can chi-square test when {n} {t.who}, drawn at random, are sorted by {t.row} ({rows}) and {t.column}
        ({columns})?
""")
_ASK_CHI_SQUARE_HYPOTHESES = wordings("""
    train/null both: The question is whether the two variables are related. State the null hypothesis.
    train/null both: What is H0 if {t.column} is believed to depend on {t.row}?
    train/alternative both: The question is whether the two variables are related. State the alternative hypothesis.
    train/alternative both: What is Ha if {t.column} is believed to depend on {t.row}?
    train/null fit: The question is whether {t.column} alone has a uniform distribution. State the null hypothesis.
    train/null fit: What is H0 if some values of {t.column} are believed to be more frequent than others, whatever the
        {t.row}?
    train/alternative fit: The question is whether {t.column} alone has a uniform distribution. State the alternative
        hypothesis.
    train/alternative fit: What is Ha if some values of {t.column} are believed to be more frequent than others,
        whatever the {t.row}?
    test/null both: The aim is to see whether {t.row} tells something about {t.column}. Put H0 into words.
    test/null both: Do the two variables depend on each other? Which statement is H0 of this test?
    test/alternative both: The aim is to see whether {t.row} tells something about {t.column}. Put Ha into words.
    test/alternative both: Do the two variables depend on each other? Which statement is Ha of this test?
    test/null fit: The aim is to see whether {t.column}, on its own, is uniformly distributed. Put H0 into words.
    test/null fit: Leave {t.row} aside: is the distribution of {t.column} uniform? Which statement is H0 of this test?
    test/alternative fit: The aim is to see whether {t.column}, on its own, is uniformly distributed. Put Ha into words.
    test/alternative fit: Leave {t.row} aside: is the distribution of {t.column} uniform? Which statement is Ha of this
        test?
""")


@kind(1, ap="8.5")
def chi_square_hypotheses(draw: Draw) -> Siblings:
    """The null or the alternative hypothesis of a test of independence or of goodness of fit."""
    t = _three_columns(draw.setting(TABLES))
    n = 5 * draw.integer(16, 80)
    rows, columns = (", ".join(names) for names in (t.rows, t.columns))
    stem = draw.ask(_STEM_CHI_SQUARE_HYPOTHESES, t=t, rows=rows, columns=columns, n=n)
    texts = (
        (f"There is no association between {t.row} and {t.column} in the population of {t.who}.",
         f"There is an association between {t.row} and {t.column} in the population of {t.who}."),
        (f"The categories of {t.column} are all equally common in the population of {t.who}.",
         f"The categories of {t.column} are not all equally common in the population of {t.who}."),
    )

    def make(a: int, b: int) -> Sibling:
        label = f"{('null', 'alternative')[b]} {('both', 'fit')[a]}"
        steps = [
            ("A relation of two variables calls for a test of independence, about an association.",
             "The distribution of one variable calls for a test of goodness of fit, about its categories.")[a],
            ("[The null hypothesis states // H0 says] that there is no effect: no association, or equal proportions.",
             "[The alternative states // Ha says] that there is an effect: an association, or unequal proportions.")[b],
            f"[Hypotheses are about populations, not about the sample // The statement is about all {t.who}, not about "
            f"those in the sample // The answer names the population, all {t.who}].",
        ]
        return Sibling(label, f"{stem} {draw.ask(_ASK_CHI_SQUARE_HYPOTHESES, label, t=t)}", steps, words(texts[a][b]),
                       "Two variables: association or none. One variable: equal proportions or not.")

    return square(
        make,
        ("stated a hypothesis of a test of goodness of fit", "stated a hypothesis of a test of independence"),
        ("stated the alternative hypothesis", "stated the null hypothesis"),
        {"n": n},
    )


_STEM_CHI_SQUARE_CONCLUSION = wordings("""
    train: In {y1} and in {y2}, random samples of {t.who} were classified by {t.row} and {t.column}. A chi-square test
        of independence gave {x1} with p-value {p1} in {y1} and {x2} with p-value {p2} in {y2}.
    train: A chi-square test of independence of {t.row} and {t.column} was made with random samples of {t.who} from two
        years: {y1} (chi-square {x1}, p-value {p1}) and {y2} (chi-square {x2}, p-value {p2}).
    train: Are {t.row} and {t.column} of {t.who} associated? For random samples, chi-square tests have the p-value {p1}
        in {y1} (statistic {x1}) and {p2} in {y2} (statistic {x2}).
    train: A researcher tests H0: {t.row} and {t.column} of {t.who} are independent. The random sample of {y1} gives
        chi-square = {x1} and a p-value of {p1}; that of {y2} gives chi-square = {x2} and a p-value of {p2}.
    test: {y1}: chi-square {x1}, P = {p1}. {y2}: chi-square {x2}, P = {p2}. Both lines come from tests of independence
        for {t.row} and {t.column}, with simple random samples of {t.who}.
    test: Surveys of {t.who} by simple random sampling were analyzed twice with chi-square, to see whether {t.row} and
        {t.column} go together. Result in {y1}: {x1} (P = {p1}); result in {y2}: {x2} (P = {p2}).
    test: Software was used to look for an association of {t.row} with {t.column} in simple random samples of {t.who}.
        Its output is {x1} with P = {p1} for the year {y1}, and {x2} with P = {p2} for the year {y2}.
""")
_ASK_CHI_SQUARE_CONCLUSION = wordings("""
    train: What is the conclusion for {y} at the {level} level?
    train: With alpha = {level}, what should be concluded about {y}?
    test: State the conclusion about {y} when the significance level is {level}.
    test: If {level} was fixed as the significance level, which conclusion follows for {y}?
""")


@kind(1, ap="8.6")
def chi_square_conclusion(draw: Draw) -> Siblings:
    """The conclusion for one of two years, at one of two levels between which both p-values lie."""
    t = draw.setting(TABLES)
    df, levels, y1 = (len(t.rows) - 1) * (len(t.columns) - 1), draw.choice(_LEVELS), draw.integer(2008, 2020)
    years = (y1, y1 + draw.integer(2, 5))
    x = [chi_square_value(draw.decimal(levels[0] + 0.002, levels[1] - 0.002, 4), df) for _ in years]
    values = [fixed(chi_square_upper_tail(v, df), 4) for v in x]
    draw.need(x[0] != x[1] and all(levels[0] < float(v) < levels[1] for v in values))
    stem = draw.ask(_STEM_CHI_SQUARE_CONCLUSION, t=t, y1=y1, y2=years[1], x1=x[0], x2=x[1], p1=values[0], p2=values[1])

    def make(a: int, b: int) -> Sibling:
        level, year = fixed(levels[b], 2), years[a]
        claim = f"convincing evidence of an association between {t.row} and {t.column} among all {t.who} in {year}"
        steps = [
            f"[H0: {t.row} and {t.column} were independent among all {t.who} in {year}; Ha: they were associated. // "
            f"We test H0, that {t.row} and {t.column} were independent among all {t.who} in {year}, against Ha, that "
            "they were associated.]",
            f"[The test for {year} has // For {year},] `chi-square = {x[a]}` [ // with {df} degrees of freedom].",
            f"The p-value {values[a]} is {('greater', 'less')[b]} than alpha = {level}, so [we "
            f"{('do not reject', 'reject')[b]} H0 // H0 is {('not rejected', 'rejected')[b]}].",
        ]
        return Sibling(f"{('first', 'second')[a]} year, alpha = {level}",
                       f"{stem} {draw.ask(_ASK_CHI_SQUARE_CONCLUSION, y=year, level=level)}", steps,
                       words((f"Fail to reject H0: there is not {claim}.", f"Reject H0: there is {claim}.")[b]),
                       "H0 is rejected when the p-value is less than alpha, and not rejected otherwise.")

    low, high = (fixed(level, 2) for level in levels)
    return square(
        make,
        (f"drew the conclusion about {years[1]}", f"drew the conclusion about {years[0]}"),
        (f"used the significance level {high} instead of {low}",
         f"used the significance level {low} instead of {high}"),
        {"x": x, "df": df, "levels": list(levels), "years": list(years)},
    )
