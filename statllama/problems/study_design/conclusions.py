"""What a study allows to conclude, and what else may explain an association."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import words
from .._settings import VERSUS
from .._settings_study_design import CLAIMS
from .._siblings import Sibling, Siblings, square
from .._wording import capital, wordings
from ._shared import in_words

# fmt: off

_STEM_SCOPE = wordings("""
    train: A study of {n} {v.units} finds that the mean {v.y} differs significantly between {v.a} and {v.b}.
    train: For {n} {v.units}, the difference in mean {v.y} between {v.a} and {v.b} is statistically significant.
    train: In a study, {n} {v.units} show a significant difference in mean {v.y}: it is not the same with {v.a} as with
        {v.b}.
    train: A significance test compares the mean {v.y} of {v.units} with {v.a} and with {v.b}. There are {n} in the
        study, and the P-value is very small.
    test: Between {v.a} and {v.b}, {n} {v.units} are too far apart in {v.y} for this to be chance.
    test: The average {v.y} of {n} {v.units} turns out to differ between {v.a} and {v.b}, with a tiny P-value.
    test: Chance alone would hardly make {v.y} so different in two groups of {half} {v.units}, one with {v.a} and one
        with {v.b}.
""")
_ASK_SCOPE = wordings("""
    train/both: The {v.units} were selected at random from a large population, and {v.a} and {v.b} were assigned at
        random. What can be concluded?
    train/both: Selection from the population was random, and so was the assignment of {v.a} and {v.b}. Which conclusion
        does the design support?
    train/sampled: The {v.units} were selected at random from a large population; {v.chooser} had chosen between {v.a}
        and {v.b}. What can be concluded?
    train/sampled: Selection from the population was random, but {v.chooser} decided about {v.a} and {v.b}. Which
        conclusion does the design support?
    train/assigned: The {v.units} were those easiest to get, and {v.a} and {v.b} were assigned at random. What can be
        concluded?
    train/assigned: The sample was one of convenience, but the assignment of {v.a} and {v.b} was random. Which
        conclusion does the design support?
    train/neither: The {v.units} were those easiest to get, and {v.chooser} had chosen between {v.a} and {v.b}. What can
        be concluded?
    train/neither: The sample was one of convenience, and {v.chooser} decided about {v.a} and {v.b}. Which conclusion
        does the design support?
    test/both: A lottery had selected the {v.units} from a large population, and another had decided which of them got
        {v.a}. How far does the result extend, and is it about cause?
    test/both: Random numbers were used to pick the {v.units} from the whole population and again to assign the
        treatments. State what follows.
    test/sampled: A lottery had selected the {v.units} from a large population; {v.chooser} then decided for or against
        {v.a}. How far does the result extend, and is it about cause?
    test/sampled: Random numbers were used to pick the {v.units} from the whole population, while the treatments were
        left to {v.chooser}. State what follows.
    test/assigned: The {v.units} at hand were used, and a lottery had decided which of them got {v.a}. How far does the
        result extend, and is it about cause?
    test/assigned: The nearest {v.units} were taken, and random numbers were used to assign the treatments. State what
        follows.
    test/neither: The {v.units} at hand were used, and {v.chooser} had decided for or against {v.a}. How far does the
        result extend, and is it about cause?
    test/neither: The nearest {v.units} were taken, while the treatments were left to {v.chooser}. State what follows.
""")
_SCOPE = {
    (1, 1): ("both", "A causal conclusion that extends to the population sampled."),
    (0, 1): ("assigned", "A causal conclusion that applies only to units like those studied."),
    (1, 0): ("sampled", "An association that extends to the population sampled."),
    (0, 0): ("neither", "An association that applies only to units like those studied."),
}


@kind(2, ap="3.2, 3.7")
def scope_of_inference(draw: Draw) -> Siblings:
    """What random sampling and random assignment allow."""
    v = draw.setting(VERSUS)
    n = 2 * draw.integer(15, 90)
    fields = {"v": v, "n": n, "half": n // 2}
    stem = draw.ask(_STEM_SCOPE, **fields)

    def make(sampled: int, assigned: int) -> Sibling:
        asked, text = _SCOPE[sampled, assigned]
        return Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_SCOPE, asked, **fields)}",
            [
                "[ // Selection and assignment answer two separate questions. // Two uses of chance have to be told "
                "apart.]",
                ((f"The {v.units} were not selected at random, so the result [holds for // is limited to] units like "
                  "these.",
                  f"The {v.units} were selected at random, so the result extends to [their population // all {v.units} "
                  "in the population sampled].")[sampled],
                 (f"The treatments were not assigned at random, so other variables may explain the difference [ // in "
                  f"{v.y}].",
                  f"The treatments were assigned at random, so the difference [ // in {v.y}] is an effect of the "
                  "treatment.")[assigned]),
            ],
            words(text),
            "Random selection supports generalizing to the population; random assignment supports cause and effect.",
        )

    return square(
        make,
        ("extended the result to a population that was not sampled at random",
         "did not extend the result although the sample is random"),
        ("drew a causal conclusion without random assignment",
         "drew no causal conclusion although assignment was random"),
        {"n": n},
    )


_STEM_CONFOUNDING = wordings("""
    train: In an observational study of {n} {k.who}, those who {k.x} also {k.y}.
    train: A survey of {n} {k.who} finds an association: those who {k.x} also {k.y}.
    train: A newspaper reports on {n} {k.who}. "Those who {k.x}," it says, "{k.y}."
    train: Researchers compare {n} {k.who}. On average, those who {k.x} also {k.y}.
    test: "If you {k.x}, you {k.y}," a magazine concludes from data on {n} {k.who}.
    test: From data on {n} {k.who}, a blog claims: "They {k.y} because they {k.x}."
    test: Of {n} {k.who} who filled in a form, some {k.x}, and these are the ones who {k.y}.
""")
_ASK_CONFOUNDING = wordings("""
    train/confounding: Which statement explains this by confounding?
    train/confounding: Which statement names a confounding variable?
    train/reverse: Which statement explains this by an effect in the opposite direction?
    train/reverse: Which statement says that cause and effect may be the other way round?
    train/chance: Which statement explains this by sampling variability?
    train/chance: Which statement says that there may be no association in the population?
    train/sample: Which statement says that the people studied may not represent all {k.who}?
    train/sample: Which statement is a reason not to generalize the result?
    test/confounding: Choose the objection that a third variable lies behind the result.
    test/confounding: One reader suspects a variable that is mixed up with the supposed cause. What does this reader
        write?
    test/reverse: Choose the objection that the supposed effect could be the cause.
    test/reverse: One reader suspects that the outcome leads to the habit. What does this reader write?
    test/chance: Choose the objection that a significance test could answer.
    test/chance: One reader suspects mere luck in who happened to be studied. What does this reader write?
    test/sample: Choose the objection that the people studied may not be typical.
    test/sample: One reader suspects that the result cannot be extended to other {k.who}. What does this reader write?
""")


@kind(2, ap="3.2")
def confounding(draw: Draw) -> Siblings:
    """Confounding, reversed cause, chance and selection as four explanations of an association."""
    k = draw.setting(CLAIMS)
    n = draw.integer(24, 180)
    fields = {"k": k, "n": n}
    who = capital(k.who)
    options = {
        "confounding": f"{who} who {k.x} may also {k.z}, which itself {k.effect}.",
        "reverse": f"{who} who {k.y} may for this reason be the ones to {k.turn}.",
        "chance": f"With only {n} {k.who}, a difference of this size may arise by chance.",
        "sample": f"The {n} {k.who} were volunteers, and others may be different from them.",
    }
    about = {
        "confounding": ("A confounding variable is related to the explanatory variable and affects the response.",
                        f"Here, to {k.z} may come with the habit and affect the outcome."),
        "reverse": ("In an observational study, what is taken for the response may be the cause.",
                    f"Here {k.who} who {k.y} may be led to {k.turn}."),
        "chance": ("Statistics vary from sample to sample, even without an association in the population.",
                   f"Here {n} {k.who} were studied, and another sample would differ."),
        "sample": ("Volunteers are no random sample, so the result need not extend to the population.",
                   f"Here the {n} {k.who} chose to take part."),
    }
    names = {"confounding": "confounding", "reverse": "a reversed direction of cause", "chance": "chance variation",
             "sample": "the selection of the sample"}
    start = "[Nothing was assigned at random // No treatment was assigned], so the study is an observational one."
    return in_words(
        draw, draw.ask(_STEM_CONFOUNDING, **fields), _ASK_CONFOUNDING, fields, options,
        {name: [start, recalled(idea), here, f"[The reason to name is {names[name]} // So it is a matter of "
                f"{names[name]}]."] for name, (idea, here) in about.items()},
        {name: f"chose the statement about {text}" for name, text in names.items()},
        "A confounding variable goes with the explanatory variable and affects the response itself.",
        {"n": n},
    )
