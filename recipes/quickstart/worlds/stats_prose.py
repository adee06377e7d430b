"""Prose about statistics: definitions with examples, and short essays."""

from __future__ import annotations

import random

from worlds import concepts
from worlds.concepts import Concept, lower_first
from worlds.items import capital, held_out
from worlds.stats_numbers import Draw

# What each computed quantity is, in several wordings.
TERMS: dict[str, tuple[str, ...]] = {
    "range": (
        "The range is the largest value minus the smallest value.",
        "To get the range, we take the smallest value away from the largest value.",
    ),
    "median": (
        "The median is the middle value when the values stand in order.",
        "To find the median, we put the values in order and take the one in the middle.",
    ),
    "mode": (
        "The mode is the value that occurs most often.",
        "To find the mode, we look for the value that is repeated most.",
    ),
    "mean": (
        "The mean is the sum of the values divided by their number.",
        "To get the mean, we add all values and divide by how many there are.",
    ),
    "outlier": (
        "An outlier is a value that lies far from all the others.",
        "We look for a value that does not belong with the others: the outlier.",
    ),
    "probability": (
        "A probability is the number of fitting cases divided by the number of all cases.",
        "For a draw at random, we divide the fitting pieces by all pieces.",
    ),
    "skew": (
        "When the mean is larger than the median, the distribution is right-skewed. When the mean is smaller, "
        "it is left-skewed. When both are equal, it is symmetric.",
    ),
    "p_value": (
        "We reject the null hypothesis when the p-value is smaller than the level. When the p-value is larger "
        "than the level, we do not reject the null hypothesis.",
    ),
    "frequency": (
        "The absolute frequency of a category is the number of times that it occurs.",
        "To get a frequency, we count how often a value occurs.",
    ),
}

ESSAYS: tuple[str, ...] = (
    (
        "A population is the whole group that we want to know about. A sample is the part of it that we "
        "look at. A number that describes the population is a parameter. A number that is computed from the"
        " sample is a statistic. We use the statistic to estimate the parameter."
    ),
    (
        "There are four types of variables. We name the values of a nominal variable. We rank the values of"
        " an ordinal variable. We count a discrete variable. We measure a continuous variable."
    ),
    (
        "An average tells where the centre of the data lies. The mean uses every value. The median is the "
        "middle value in order. The mode is the most frequent value. Outliers move the mean, but they do "
        "not move the median."
    ),
    (
        "The range and the interquartile range tell how far the data spread. The range uses only the "
        "largest and the smallest value. The interquartile range uses the two quartiles, so outliers do not"
        " move it."
    ),
    (
        "A distribution with a long tail of large values is right-skewed, and its mean is larger than its "
        "median. A distribution with a long tail of small values is left-skewed, and its mean is smaller "
        "than its median."
    ),
    (
        "A test starts with a null hypothesis. The p-value tells how unusual the data would be if it were "
        "true. When the p-value is smaller than the level, we reject the null hypothesis."
    ),
    (
        "Two errors are possible in a test. A type I error rejects a true null hypothesis: it is a false "
        "alarm. A type II error does not reject a false null hypothesis: an effect is missed."
    ),
    (
        "The level of a test is the probability of a type I error when the null hypothesis is true. The "
        "power of a test is the probability to find an effect that is there. A larger sample gives more "
        "power."
    ),
    (
        "A correlation is positive when both variables rise together. It is negative when one rises while "
        "the other falls. It is near zero when there is no common direction. A correlation alone does not "
        "prove a cause."
    ),
    (
        "In an experiment chance decides who gets the treatment, so the groups are alike in all other "
        "things. That is why an experiment can show a cause. A survey, a cohort study and a case-control "
        "study only observe."
    ),
    (
        "A cohort study starts with the exposure and follows people over years. A case-control study starts"
        " with the outcome and looks back in time. For a rare disease the case-control study is cheaper."
    ),
    (
        "A stratified sample draws some members from every group. A cluster sample draws some whole groups "
        "and takes all members in them. A systematic sample takes every tenth name of a list. A convenience"
        " sample takes who is easy to reach."
    ),
    (
        "Every graph has its use. A bar chart shows counts of categories. A histogram shows the "
        "distribution of one continuous variable. A scatter plot shows two numerical variables. A line "
        "graph shows a change over time."
    ),
    (
        "Which test fits depends on the question. A two-sample t test compares two means of independent "
        "groups. A paired t test compares two measurements of the same people. An analysis of variance "
        "compares three or more means. A chi-squared test needs two categorical variables."
    ),
    (
        "A probability lies between zero and one. The probabilities of an event and of its opposite add to "
        "one. When all cases are equally likely, we divide the fitting cases by all cases."
    ),
    (
        "The variance is the mean squared distance from the mean. For a sample we divide by n - 1, which is"
        " the number of degrees of freedom. The standard deviation is the square root of the variance."
    ),
)

EXAMPLE_STARTS = ("For example:", "Here is an example.", "An example:", "Example.")
OPENINGS = ("Remember:", "In statistics we say:", "Note:", "")


def joined(*parts: str) -> str:
    """Sentences in one paragraph, empty ones left out."""
    return " ".join(part for part in parts if part)


def concept_document(rng: random.Random, concept: Concept) -> str:
    """One answer of a concept explained and shown, or two answers contrasted."""
    chosen = rng.sample(concept.answers, rng.choice((1, 2)))
    parts = []
    for answer in chosen:
        item = concepts.draw(rng, concept, answer)
        parts.append(joined(rng.choice(concept.define[answer]), rng.choice(EXAMPLE_STARTS), item.plain))
    if len(chosen) == 2:
        first, second = (lower_first(answer) for answer in chosen)
        parts.append(f"So do not take {first} for {second}.")
    return joined(rng.choice(OPENINGS), *parts)


def number_document(rng: random.Random, draw: Draw) -> str:
    """The rule for a computed quantity and one or two worked examples."""
    items = []
    while len(items) < rng.choice((1, 2)):
        item = draw(rng, False)
        if not held_out(item.key):
            items.append(item)
    rule = rng.choice(TERMS[items[0].topic])
    return joined(rng.choice(OPENINGS), rule, *(joined(rng.choice(EXAMPLE_STARTS), i.plain) for i in items))


def essay(rng: random.Random) -> str:
    """An essay with its sentences, started by a title now and then."""
    text = rng.choice(ESSAYS)
    return text if rng.random() < 0.5 else f"{capital(rng.choice(('a short note', 'in brief', 'summary')))}. {text}"
