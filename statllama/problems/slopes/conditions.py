"""The conditions for inference about a slope."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import words
from .._settings import RELATIONS
from .._siblings import Sibling, Siblings, four
from .._wording import wordings

# fmt: off


_STEM_CONDITIONS_FOR_SLOPE = wordings("""
    train: A t test for the slope of a line that predicts {r.y} from {r.x} is planned, with data on {n} {r.cases}.
    train: For {n} {r.cases}, {r.y} is regressed on {r.x}, and a confidence interval for the true slope is to be
        computed.
    train: Data on the {r.x} and the {r.y} of {n} {r.cases} are collected. Before inference about the slope, a student
        checks the conditions.
    train: A researcher wants to use a t procedure for the slope in the regression of {r.y} on {r.x}. The data are {n}
        {r.cases}.
    test: Is the linear model for {r.y} in terms of {r.x} good enough for inference? A class looks at the data, n =
        {n} {r.cases}, and at the residuals.
    test: An inspector goes through the assumptions behind a P-value for the coefficient of {r.x}, from a line for
        {r.y} that was fitted to {n} {r.cases}.
    test: Beta, the rate at which {r.y} changes with {r.x}, will be estimated from {n} {r.cases}, if plots and study
        design allow it.
""")
_ASK_CONDITIONS_FOR_SLOPE = wordings("""
    train/good linear: Which fact supports the condition that the true relation is linear?
    train/good linear: Which observation suggests that a straight line describes the relation?
    train/good spread: Which fact supports the condition of equal standard deviations?
    train/good spread: Which observation suggests that responses vary equally about the line, whatever the value of x?
    train/good normal: Which fact supports the condition of normality?
    train/good normal: Which observation suggests that responses are approximately normal about the line?
    train/good random: Which fact supports the condition of randomness?
    train/good random: Which observation suggests that results can be generalized to a population?
    train/bad linear: Which fact casts doubt on the condition that the true relation is linear?
    train/bad linear: Which observation suggests that no straight line describes the relation?
    train/bad spread: Which fact casts doubt on the condition of equal standard deviations?
    train/bad spread: Which observation suggests that responses vary more about the line at some values of x than at
        others?
    train/bad normal: Which fact casts doubt on the condition of normality?
    train/bad normal: Which observation suggests that responses are far from normal about the line?
    train/bad random: Which fact casts doubt on the condition of randomness?
    train/bad random: Which observation suggests that results cannot be generalized to a population?
    test/good linear: What speaks for a mean response that lies on a straight line?
    test/good linear: Choose the finding in favor of linearity.
    test/good spread: What speaks for a standard deviation sigma that is the same at every x?
    test/good spread: Choose the finding in favor of constant variability.
    test/good normal: What speaks for errors with an approximately normal distribution?
    test/good normal: Choose the finding in favor of normal errors.
    test/good random: What speaks for conclusions about more than the cases at hand?
    test/good random: Choose the finding in favor of a representative sample.
    test/bad linear: What speaks against a mean response that lies on a straight line?
    test/bad linear: Choose the finding that makes linearity questionable.
    test/bad spread: What speaks against a standard deviation sigma that is the same at every x?
    test/bad spread: Choose the finding that makes constant variability questionable.
    test/bad normal: What speaks against errors with an approximately normal distribution?
    test/bad normal: Choose the finding that makes normal errors questionable.
    test/bad random: What speaks against conclusions about more than the cases at hand?
    test/bad random: Choose the finding that makes a representative sample questionable.
""")
_CHECKS = {
    "linear": "A residual plot without a pattern supports linearity, and a curved one speaks against it.",
    "spread": "An even band of residuals supports equal standard deviations, and a widening one speaks against it.",
    "normal": "A histogram of residuals without strong skew or outliers supports normality.",
    "random": "Random selection allows results to be generalized to the population, and a convenient choice does not.",
}


@kind(1, ap="9.2")
def conditions_for_slope(draw: Draw) -> Siblings:
    """Which fact about residuals or sampling supports, or casts doubt on, which condition for a slope."""
    r, n, good = draw.setting(RELATIONS), draw.integer(10, 45), draw.choice((True, False))
    facts = {
        "linear": "The residual plot shows no curved pattern." if good else "The residual plot shows a curved pattern.",
        "spread": f"Residuals have a similar spread for all values of {r.x}." if good else
                  f"Residuals have a larger spread for larger values of {r.x}.",
        "normal": "A histogram of the residuals is symmetric with one peak." if good else
                  "A histogram of the residuals is skewed and has outliers.",
        "random": f"The {n} {r.cases} were selected at random." if good else
                  f"The {n} {r.cases} were the easiest ones to get.",
    }
    stem = draw.ask(_STEM_CONDITIONS_FOR_SLOPE, r=r, n=n)

    def make(label: str) -> Sibling:
        idea = _CHECKS[label]
        ask = draw.ask(_ASK_CONDITIONS_FOR_SLOPE, f"{'good' if good else 'bad'} {label}")
        steps = [
            "[Inference about a slope needs // A t procedure for a slope has four conditions:] a linear relation, "
            "equal standard deviations, normality and random data.",
            recalled(idea),
            f"[The fact that {'supports' if good else 'casts doubt on'} this condition is // For {r.y} and {r.x}, what "
            f"{'supports' if good else 'casts doubt on'} this condition is]: {facts[label]}",
        ]
        return Sibling(label, f"{stem} {ask}", steps, words(facts[label]), idea)

    slips = [f"named a fact about {name}" for name in ("linearity", "equal spread", "normality", "random selection")]
    return four([make(label) for label in _CHECKS], slips, {"n": n, "good": good})
