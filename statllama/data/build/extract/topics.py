"""Topics of statistics that a text is about, by the words that it uses.

The topics are those of `statllama.problems`; each has terms that texts about other topics seldom use. Plurals are found
with their singular.
"""

from __future__ import annotations

import re
from collections import Counter

PER_THOUSAND = 1.0
"""Terms of a topic in a thousand words, from which on a text is about it."""
LEAST = 2
"""Terms that there are at least."""

TERMS: dict[str, tuple[str, ...]] = {
    "one_variable": (
        "histogram", "boxplot", "box plot", "stemplot", "dotplot", "five-number summary", "quartile", "percentile",
        "interquartile range", "IQR", "standard deviation", "median", "skewed", "skewness", "kurtosis", "outlier",
        "bimodal", "unimodal", "z-score", "normal curve", "empirical rule", "density curve",
    ),
    "two_variable": (
        "scatterplot", "scatter plot", "correlation coefficient", "correlation", "least squares", "regression line",
        "residual", "residual plot", "coefficient of determination", "explanatory variable", "response variable",
        "extrapolation", "leverage", "influential point", "linear regression", "two-way table", "line of best fit",
    ),
    "study_design": (
        "random sample", "simple random sample", "stratified", "cluster sample", "cluster sampling",
        "systematic sample", "convenience sample", "selection bias", "nonresponse", "undercoverage", "response bias",
        "observational study", "randomized experiment", "randomised experiment", "random assignment", "placebo",
        "double-blind", "blinding", "confounding", "confounder", "control group", "treatment group", "blocking",
        "matched pair", "experimental unit", "sampling frame", "census", "survey",
    ),
    "probability": (
        "probability", "conditional probability", "Bayes' theorem", "Bayes' rule", "independent event",
        "mutually exclusive", "sample space", "random variable", "expected value", "binomial distribution",
        "binomial", "geometric distribution", "Poisson", "complement", "permutation", "tree diagram", "Venn diagram",
        "probability distribution", "law of large numbers", "cumulative distribution", "density function",
    ),
    "sampling_distributions": (
        "sampling distribution", "central limit theorem", "standard error", "unbiased estimator", "sample mean",
        "sample proportion", "asymptotic normality", "asymptotically normal", "bootstrap distribution", "bootstrap",
        "sampling variability",
    ),
    "proportions": (
        "proportion", "sample proportion", "population proportion", "two-proportion", "one-proportion",
        "difference in proportions", "difference of proportions", "success-failure condition", "odds ratio",
        "relative risk", "Wilson interval", "margin of error",
    ),
    "means": (
        "t-test", "t test", "t-interval", "Student's t", "t distribution", "t-distribution", "degrees of freedom",
        "population mean", "difference of means", "difference in means", "paired t", "two-sample t", "one-sample t",
        "Welch", "ANOVA", "analysis of variance", "mean difference",
    ),
    "categorical": (
        "chi-square", "chi-squared", "χ2", "χ²", "goodness of fit", "goodness-of-fit", "test of independence",
        "test of homogeneity", "contingency table", "expected count", "expected frequency", "observed count",
        "Fisher's exact test", "categorical variable", "McNemar",
    ),
    "slopes": (
        "population slope", "sample slope", "slope of the regression", "inference for regression", "t-test for slope",
        "regression slope", "standard error of the slope", "regression coefficient", "linear model",
        "simple linear regression", "confidence interval for the slope",
    ),
}  # fmt: skip


def _pattern() -> re.Pattern[str]:
    """Return one pattern for all terms: a hyphen may be a space, a plural's end may follow, quotes may be curly."""
    terms = sorted({term for terms in TERMS.values() for term in terms}, key=lambda term: (-len(term), term))
    shapes = (re.escape(term).replace(r"\-", "[- ]").replace(r"\ ", r"[- \n]").replace("'", "['’]") for term in terms)
    return re.compile(rf"(?<!\w)(?:{'|'.join(shapes)})(?=(?:e?s)?(?!\w))", re.IGNORECASE)


def _plain(term: str) -> str:
    return re.sub(r"[- \n]+", " ", term).replace("’", "'").lower()


_TERMS = _pattern()
_TOPICS = {
    term: tuple(topic for topic, terms in TERMS.items() if term in map(_plain, terms))
    for term in {_plain(term) for terms in TERMS.values() for term in terms}
}


def topics_of(text: str) -> list[str]:
    """Return the topics that a text is about, the one with most terms first."""
    counts: Counter[str] = Counter()
    for match in _TERMS.finditer(text):
        counts.update(_TOPICS[_plain(match[0])])
    least = max(LEAST, PER_THOUSAND * text.count(" ") / 1000)
    return sorted((topic for topic, count in counts.items() if count >= least), key=lambda t: (-counts[t], t))
