"""Which inference procedure a study calls for."""

from __future__ import annotations

from .._draw import Draw, kind
from .._settings import VERSUS
from .._settings_study_design import RECORDS
from .._siblings import Siblings, Step
from .._wording import wordings
from ._shared import in_words

# fmt: off

_OF_A_SAMPLE = {
    "mean": "A one-sample t test for a mean",
    "proportion": "A one-sample z test for a proportion",
    "counts": "A chi-square test for independence",
    "slope": "A t test for a regression slope",
}

_STEM_PROCEDURE_OF_SAMPLE = wordings("""
    train: For a random sample of {n} {r.who}, several variables are recorded. The conditions for inference are met.
    train: A study collects data on {n} {r.who}, selected at random. Assume that all conditions for inference hold.
    train: Data come from a random sample of {n} {r.who}; the conditions for inference have been checked.
    train: From all {r.who}, {n} are selected at random. Plots and counts show that the conditions for inference are
        met.
    test: A data file describes a random sample of {n} {r.who} and meets the usual conditions.
    test: Suppose {n} {r.who} are picked at random and every condition of the usual procedures is satisfied.
    test: To answer questions about {r.who}, a simple random sample of {n} is taken. Its size and shape permit the usual
        procedures.
""")
_ASK_PROCEDURE_OF_SAMPLE = wordings("""
    train/mean: Is the mean {r.y} in the population greater than {value} {r.unit}? Which test is appropriate?
    train/mean: Is there convincing evidence that the mean {r.y} in the population differs from {value} {r.unit}? Name
        the test to use.
    train/proportion: Do more than {percent}% of all {r.who} {r.does}? Which test is appropriate?
    train/proportion: Is there convincing evidence that the true percentage of those that {r.does} differs from
        {percent}%? Name the test to use.
    train/counts: Is there an association between {r.first} and {r.second} in the population? Which test is appropriate?
    train/counts: Is there convincing evidence that {r.first} and {r.second} are not independent? Name the test to use.
    train/slope: Is there a linear relationship between {r.x} and {r.y} in the population? Which test is appropriate?
    train/slope: Is there convincing evidence that {r.y} tends to change as {r.x} increases, on a straight line? Name
        the test to use.
    test/mean: An official claims that {r.y} averages {value} {r.unit}. How should the claim be tested?
    test/mean: Someone doubts that {value} {r.unit} is the average {r.y}. Choose a procedure.
    test/proportion: An official claims that {percent}% of them {r.does}. How should the claim be tested?
    test/proportion: Someone doubts that {percent}% of them {r.does}. Choose a procedure.
    test/counts: An official claims that {r.second} has nothing to do with {r.first}. How should the claim be tested?
    test/counts: Someone doubts that the distribution of {r.second} is the same for every {r.first}. Choose a procedure.
    test/slope: An official claims that {r.x} is no use for predicting {r.y} by a line. How should the claim be tested?
    test/slope: Someone doubts that {r.y} is higher, on a straight line, where {r.x} is greater. Choose a procedure.
""")


@kind(2, ap="7.10, 8.7, 9.6")
def procedure_of_sample(draw: Draw) -> Siblings:
    """The test that a question about one random sample calls for."""
    r = draw.setting(RECORDS)
    numbers = {"n": draw.integer(60, 240), "value": draw.integer(*r.mean), "percent": 5 * draw.integer(4, 15)}
    fields = {"r": r, **numbers}
    about = {
        "mean": ("the mean of one quantitative variable", r.y, f"`H0: mu = {numbers['value']}`",
                 "the standard deviation is estimated from the sample"),
        "proportion": ("the proportion of one categorical variable", f"whether they {r.does}",
                       f"`H0: p = {numbers['percent'] / 100:.2f}`", "this hypothesis gives the standard deviation"),
        "counts": ("the counts of two categorical variables", f"{r.first} and {r.second}",
                   "that they are independent", "the counts form a two-way table of one sample"),
        "slope": ("the slope of a line for two quantitative variables", f"{r.x} and {r.y}", "`H0: beta = 0`",
                  "the standard error is estimated from the residuals"),
    }
    steps: dict[str, list[Step]] = {
        name: [f"[The question is about // What is asked concerns] {what}: {where}.",
               (f"[The null hypothesis is // To be tested is] {null}; {why}.",
                f"[The sample is random, and the conditions are met // With {numbers['n']} {r.who} selected at random, "
                "the conditions are met]."),
               f"[So the procedure is // This calls for // The test to use is therefore] "
               f"{_OF_A_SAMPLE[name][0].lower()}{_OF_A_SAMPLE[name][1:]}."]
        for name, (what, where, null, why) in about.items()
    }
    return in_words(
        draw, draw.ask(_STEM_PROCEDURE_OF_SAMPLE, **fields), _ASK_PROCEDURE_OF_SAMPLE, fields,
        _OF_A_SAMPLE, steps,
        {name: f"took the question for one about {what}" for name, (what, *_) in about.items()},
        "The parameter decides: t for means and slopes, z for proportions, chi-square for counts in several cells.",
        numbers,
    )


_OF_AN_EXPERIMENT = {
    "means": "A two-sample t test for a difference of means",
    "pairs": "A paired t test for a mean difference",
    "proportions": "A two-sample z test for proportions",
    "counts": "A chi-square test for homogeneity",
}

_STEM_PROCEDURE_OF_EXPERIMENT = wordings("""
    train: An experiment with {n} {v.units} compares the effect of {v.a} and {v.b} on the {v.y}. The conditions for
        inference are met.
    train: Treatments {v.a} and {v.b} are compared on {n} {v.units}; it is about the {v.y}. Assume that all conditions
        for inference hold.
    train: A researcher has {n} {v.units} to compare {v.a} with {v.b}. The results on {v.y} meet the conditions for
        inference.
    train: Does {v.a} change the {v.y} compared with {v.b}? An experiment with {n} {v.units} is carried out, and all
        conditions for inference are met.
    test: A trial sets {v.a} against {v.b}, with {n} {v.units} and {v.y} as the response; the usual conditions are
        satisfied.
    test: Is {v.y} affected by the choice between {v.a} and {v.b}? A trial uses {n} {v.units}, and its data satisfy the
        usual conditions.
    test: To judge {v.a} by {v.y}, with {v.b} as the standard, {n} {v.units} are used. The usual conditions hold.
""")
_ASK_PROCEDURE_OF_EXPERIMENT = wordings("""
    train/means: Half of the {v.units}, selected at random, get {v.a}, the others {v.b}. Do the two means differ? Which
        test is appropriate?
    train/means: Each treatment is assigned at random to {half} {v.units}, and the {v.y} is measured in {v.unit}. Name
        the test for a difference.
    train/pairs: The {v.units} form {half} pairs, and chance decides which one in a pair gets {v.a}. Do the two means
        differ? Which test is appropriate?
    train/pairs: In {half} pairs of like {v.units}, one gets {v.a} and one {v.b}, at random, and the {v.y} is measured
        in {v.unit}. Name the test for a difference.
    train/proportions: Half of the {v.units}, selected at random, get {v.a}, the others {v.b}. Is the share above
        {value} {v.unit} larger with {v.a}? Which test is appropriate?
    train/proportions: Each treatment is assigned at random to {half} {v.units}, and those above {value} {v.unit} are
        counted. Name the test for a larger share with {v.a}.
    train/counts: Half of the {v.units}, selected at random, get {v.a}, the others {v.b}. Results are counted as low,
        medium or high: are these distributed alike? Which test is appropriate?
    train/counts: Each treatment is assigned at random to {half} {v.units}, and the results are counted as low, medium
        or high. Name the test for a difference.
    test/means: Two groups of {half} are formed at random, and their average results, in {v.unit}, are looked at. How
        should they be compared?
    test/means: Random numbers split them into two groups of {half}, with one measurement in {v.unit} for each member.
        Choose a procedure.
    test/pairs: In {half} pairs matched for likeness, chance assigns the treatments; average results, in {v.unit}, are
        looked at. How should they be compared?
    test/pairs: Random numbers pick one of each two matched {v.units} for {v.a}, which leads to {half} differences in
        {v.unit}. Choose a procedure.
    test/proportions: Two groups of {half} are formed at random; a result above {value} {v.unit} is a success, and {v.a}
        is expected to have more of these. How should they be compared?
    test/proportions: Random numbers split them into two groups of {half}; each member either exceeds {value} {v.unit}
        or not, and {v.a} is expected to be ahead. Choose a procedure.
    test/counts: Two groups of {half} are formed at random, and each result is filed as poor, fair, good or excellent.
        How should they be compared?
    test/counts: Random numbers split them into two groups of {half}, whose members are sorted into four grades of
        success. Choose a procedure.
""")


@kind(2, ap="7.10, 8.7")
def procedure_of_experiment(draw: Draw) -> Siblings:
    """The test that the comparison of two treatments calls for."""
    v = draw.setting(VERSUS)
    n = 2 * draw.integer(30, 90)
    value = draw.integer(round(v.mean[0]), round(v.mean[1]))
    fields = {"v": v, "n": n, "half": n // 2, "value": value}
    about = {
        "means": ("two means of independent groups", f"one value of {v.y} is measured on each unit",
                  "`H0: mu_1 - mu_2 = 0`"),
        "pairs": ("the mean of differences within pairs", f"the values of {v.y} belong together in twos",
                  "`H0: mu_d = 0`"),
        "proportions": ("two proportions of independent groups", f"for each unit, {v.y} is either a success or not",
                        "`H0: p_1 - p_2 = 0`"),
        "counts": ("the distribution of counts over several categories", f"the categories of {v.y} are counted",
                   "that the two distributions are the same"),
    }
    steps: dict[str, list[Step]] = {
        name: [f"[The comparison is about // What is compared is] {what}, since {why}.",
               (f"The null hypothesis is {null}.",
                f"[The treatments are assigned at random, and the conditions are met // {v.a.capitalize()} and {v.b} "
                "are assigned at random, and the conditions are met]."),
               f"[So the procedure is // This calls for // The test to use is therefore] "
               f"{_OF_AN_EXPERIMENT[name][0].lower()}{_OF_AN_EXPERIMENT[name][1:]}."]
        for name, (what, why, null) in about.items()
    }
    return in_words(
        draw, draw.ask(_STEM_PROCEDURE_OF_EXPERIMENT, **fields), _ASK_PROCEDURE_OF_EXPERIMENT, fields,
        _OF_AN_EXPERIMENT, steps,
        {name: f"took the comparison for one of {what}" for name, (what, *_) in about.items()},
        "Independent groups, pairs, proportions and counts in several categories each have a procedure of their own.",
        {"n": n, "value": value},
    )
