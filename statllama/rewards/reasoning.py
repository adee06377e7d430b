"""Reward `reasoning`: is there a worked explanation, with connectives and statistical terms?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from statllama.config.spec import Count
from statllama.rewards.completions import texts
from statllama.rewards.spec import Reward, RewardSpec

CONNECTIVES = frozenset({
    "because", "since", "therefore", "thus", "hence", "so", "consequently", "then", "first", "second", "next",
    "finally", "if", "given", "however", "although", "while", "whereas", "follows", "implies", "means", "otherwise",
})  # fmt: skip
TERMS = frozenset({
    "alpha", "alternative", "anova", "association", "average", "bayes", "bias", "bimodal", "binomial", "block",
    "blocking", "categorical", "causal", "chi", "cluster", "coefficient", "conditional", "confidence", "confounding",
    "control", "correlation", "critical", "data", "degrees", "density", "dependent", "deviation", "distribution",
    "error", "estimate", "estimator", "event", "expected", "experiment", "exponential", "extrapolation", "frequency",
    "geometric", "histogram", "hypothesis", "independent", "inference", "intercept", "interquartile", "interval",
    "least", "likelihood", "linear", "margin", "mean", "median", "mode", "normal", "null", "observation", "observed",
    "outcome", "outlier", "parameter", "percentile", "placebo", "poisson", "population", "posterior", "power",
    "predicted", "prior", "probability", "proportion", "quantile", "quantitative", "quartile", "random", "range",
    "regression", "residual", "response", "sample", "sampling", "scatterplot", "score", "significance", "significant",
    "simulation", "skewed", "slope", "spread", "squares", "standard", "statistic", "stratified", "survey", "symmetric",
    "tail", "test", "treatment", "uniform", "variable", "variance", "variation",
})  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_MOST_CONNECTIVES, _PER_CONNECTIVE = 4, 0.075
_MOST_TERMS, _PER_TERM = 5, 0.06
_WORDS_OF_A_SENTENCE, _TERMS_OF_A_SENTENCE = 5, 2
_VARIED = 0.7  # share of different word triples from which a text counts as not repeating itself


class Spec(RewardSpec):
    """The parts have the paper's range, -0.5 to 1.1."""

    name: Literal["reasoning"]
    words: Count = 40
    """Different words of the reasoning that earn the whole part for length."""


def make(spec: Spec) -> Reward:
    """Return the reward function.

    >>> reward = make(Spec(name="reasoning"))
    >>> reward(prompts=["p"], completions=["<answer>4</answer>"])
    [-0.5]
    """

    def reasoning(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return [round(sum(parts(text, spec.words).values()), 6) for text in texts(completions)]

    return reasoning


def parts(text: str, enough: int = 40) -> dict[str, float]:
    """Return the points that each part of a completion's reasoning earns.

    The reasoning is what stands in `<reasoning>` tags, or before `<answer>` where there are none.

    | part | earned |
    |---|---|
    | start | -0.5 |
    | length | different words / `enough`, at most 1 |
    | connectives | 0.075 for each different one (because, therefore, then, ...), at most 4 |
    | terms | 0.06 for each different statistical term, at most 5 |

    Repetition earns nothing: every part counts different words, and all of it shrinks with the share of different
    word triples when that is below 0.7, so a text said twice is worth no more, and said many times less. Nor do lists
    of keywords: a sentence counts at least 5 words, at most one connective and two terms.
    """
    sentences = [_WORD.findall(s.lower()) for s in re.split(r"[.!?;\n]+", _reasoning(text))]
    words = [word for sentence in sentences for word in sentence]
    connectives: set[str] = set()
    terms: set[str] = set()
    for sentence in sentences:
        if len(sentence) >= _WORDS_OF_A_SENTENCE:  # its first ones, so saying it again adds none
            connectives.update([word for word in sentence if word in CONNECTIVES][:1])
            terms.update([*dict.fromkeys(term for word in sentence if (term := _term(word)))][:_TERMS_OF_A_SENTENCE])
    varied = _varied(words)
    return {
        "start": -0.5,
        "length": varied * min(1.0, len(set(words)) / enough),
        "connectives": varied * _PER_CONNECTIVE * min(len(connectives), _MOST_CONNECTIVES),
        "terms": varied * _PER_TERM * min(len(terms), _MOST_TERMS),
    }


def _reasoning(text: str) -> str:
    tagged = re.search(r"<reasoning>(.*?)(?:</reasoning>|<answer>|\Z)", text, re.DOTALL)
    return tagged[1] if tagged else text.partition("<answer>")[0]


def _term(word: str) -> str:
    """Return a statistical term in the singular, or nothing."""
    short = word.removesuffix("s")
    return word if word in TERMS else short if short in TERMS else ""


def _varied(words: list[str]) -> float:
    """Return 1 for text that does not repeat itself, else the share of different word triples over `_VARIED`."""
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return min(1.0, len(set(triples)) / len(triples) / _VARIED) if triples else 1.0
