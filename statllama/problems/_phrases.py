"""Stock sentences of an examiner's solution, each with the ways to say it in brackets (`_solution.py` draws one)."""

from __future__ import annotations

import re

THAT = "[, that is // , here // , which is // . Substituting gives // . With the numbers, this is]"
"""Between a formula and the same formula with its numbers."""

AS = "[as // since // because]"
SO = "[So // Therefore, // Hence // Thus]"
MET = "[The conditions are met // The conditions for inference are satisfied // All conditions hold]"

_RARE, _COMMON = 0.05, 0.1


def parameter(symbol: str, what: str) -> str:
    """Return what a symbol stands for, without a full stop."""
    return f"[The parameter is {symbol}, // Let {symbol} be // The parameter of interest is {symbol},] {what}"


def hypotheses(null: str, alternative: str) -> str:
    """Return both hypotheses in symbols, without a full stop."""
    return (
        f"[The hypotheses are `H0: {null}` and `Ha: {alternative}` // We test `H0: {null}` against "
        f"`Ha: {alternative}` // In symbols, `H0: {null}` and `Ha: {alternative}`]"
    )


def tenth(n: int, many: str) -> str:
    """Return what a sample of n without replacement asks of its population."""
    return (
        f"[Independence asks for // The 10% condition requires // Sampling without replacement requires] "
        f"[a population of at least {10 * n} {many} // at least {10 * n} {many} in the population]."
    )


def degrees_of_freedom(n: int, lost: int) -> str:
    """Return "n - 2 = 30 - 2 = 28" as a formula with its words, for the middle of a sentence."""
    return f"[`n - {lost} = {n} - {lost} = {n - lost}` degrees of freedom // `df = {n} - {lost} = {n - lost}`]"


def confident(level: int, low: str, high: str, what: str, unit: str = "") -> str:
    """Return the interpretation of an interval in context."""
    return (
        f"[We are {level}% confident that the interval from {low} to {high} {unit} captures {what.rstrip(',')} // "
        f"We are {level}% confident that {what} is between {low} and {high} {unit} // "
        f"With {level}% confidence, {what} is between {low} and {high} {unit}]."
    )


def recalled(idea: str) -> str:
    """Return a principle or a definition, with or without a word that calls it one."""
    return f"[ // Recall: // The principle: // ] {idea}"


def chance(subject: str, value: object, event: str, p: str) -> str:
    """Return what a p-value says: how probable the `event` is if the null hypothesis, `subject` is `value`, is true."""
    return (
        f"[If {subject} were {value}, {event} would have probability {p} // "
        f"Assuming that {subject} is {value}, {event} has probability {p} // "
        f"When {subject} is {value}, {event} occurs with probability {p}]."
    )


def extreme(statistic: object, way: str) -> str:
    """Return the event of a p-value: a statistic at least as extreme in the direction of the alternative."""
    return {
        "greater": f"a statistic of {statistic} or more",
        "less": f"a statistic of {statistic} or less",
        "different": f"a statistic at least as far from 0 as {statistic}",
    }[way]


def decision(p: float, claim: str, digits: int = 4) -> str:
    """Return the decision at the usual level with its reason, and the conclusion: evidence for the `claim` or not.

    The level is 0.05, or 0.10 where p rounds to 0.05.
    """
    shown = f"{p:.{digits}f}"
    alpha = "0.05" if abs(p - 0.05) > 10.0**-digits else "0.10"
    low = p < float(alpha)
    return (
        f"[At alpha = {alpha}, // At the level alpha = {alpha},] H0 "
        f"{'[is // would be]' if low else '[is not // would not be]'} rejected, {AS} "
        f"`{shown} {'<' if low else '>'} {alpha}`: "
        f"[there is // the data give] {'' if low else 'no'} convincing evidence that {claim}."
    )


def decides(step: str) -> bool:
    """Return whether a step of a solution is a `decision`."""
    return re.match("At (the level )?`?alpha", step) is not None


def rarity(p: float, value: str) -> str:
    """Return how unusual a statistic is if H0 is true, by its two-sided p-value."""
    if p < _RARE:
        says = "[would be unusual // would rarely occur]"
    elif p > _COMMON:
        says = "[would not be unusual // could well occur by chance]"
    else:
        says = "[would be somewhat unusual // would not occur often]"
    return f"[If H0 is true, a value like {value} {says} // A value like {value} {says} if H0 is true]."
