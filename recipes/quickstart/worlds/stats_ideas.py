"""Concepts of reading data and results: variables, correlation, parameters, errors."""

from __future__ import annotations

from worlds.concepts import Concept
from worlds.stats_scenes import TEST_VARIABLES, TRAIN_VARIABLES

# A variable is told in one of these ways.
TELLING = (
    "The variable is the {}.",
    "Someone records the {}.",
    "A study looks at the {}.",
    "We write down the {}.",
)
VARIABLES = {
    kind: tuple(way.format(name) for name in names for way in TELLING) for kind, names in TRAIN_VARIABLES.items()
}

VARIABLE_TYPE = Concept(
    topic="variable_type",
    cues=VARIABLES,
    test_cues=TEST_VARIABLES,
    what=(
        "the type of this variable",
        "the kind of variable",
        "the scale of this variable",
    ),
    test_frames=(
        "How do we classify the variable that gives the {cue}?",
        "One column of a table holds the {cue}. Which type has this variable?",
    ),
    define={
        "Continuous": ("A continuous variable is a thing that we measure.",),
        "Discrete": ("A discrete variable is a thing that we count in whole numbers.",),
        "Nominal": ("A nominal variable is a thing that we name, and its values have no order.",),
        "Ordinal": ("An ordinal variable is a thing that we rank, and its values have an order.",),
    },
    reason={
        "Continuous": "We measure it.",
        "Discrete": "We count it.",
        "Nominal": "We only name it.",
        "Ordinal": "We rank it.",
    },
    state="{cue} This variable is {answer}.",
)

PARAMETER = Concept(
    topic="parameter",
    cues={
        "Parameter": (
            "The mean {x} of all {people} in the population is a fixed number.",
            "Every one of the {people} in the country was counted, and the share with {outcome} is known.",
            "The true mean {y} of the whole population of {people} is meant.",
            "The number tells the mean {x} of all {people} without exception.",
        ),
        "Statistic": (
            "The mean {x} was computed from a sample of 50 {people}.",
            "In a sample of {people}, the share with {outcome} was computed.",
            "From 80 {people} who were drawn, the mean {y} was computed.",
            "The number tells the mean {x} of the {people} in our sample.",
        ),
    },
    test_cues={
        "Parameter": (
            "We mean the true share of all {people} in the population who have {outcome}.",
            "The mean {x} of the whole population of {people}, all of them, is given.",
        ),
        "Statistic": (
            "We computed the share with {outcome} in a sample of {people}.",
            "The mean {x} of 70 {people} in a sample is given.",
        ),
    },
    what=(
        "the right word (parameter or statistic)",
        "the term for such a number",
    ),
    test_frames=(
        "{cue} Do we call such a number a parameter or a statistic?",
        "Tell a parameter from a statistic. {cue}",
    ),
    define={
        "Parameter": ("A parameter describes the whole population.",),
        "Statistic": ("A statistic is computed from a sample.",),
    },
    reason={
        "Parameter": "It describes the whole population.",
        "Statistic": "It is computed from a sample.",
    },
    state="{cue} Such a number is called a {answer}.",
)

CORRELATION = Concept(
    topic="correlation",
    cues={
        "Positive": (
            "As {x} rises, {y} rises too.",
            "{People} with a larger {x} have a larger {y}.",
            "A small {x} goes together with a small {y}, and a large one with a large one.",
        ),
        "Negative": (
            "As {x} rises, {y} falls.",
            "{People} with a larger {x} have a smaller {y}.",
            "A small {x} goes together with a large {y}, and a large one with a small one.",
        ),
        "Near zero": (
            "As {x} rises, {y} neither rises nor falls.",
            "{People} with a larger {x} have the same {y} as the others.",
            "The points of {x} and {y} form a round cloud without direction.",
        ),
    },
    test_cues={
        "Positive": ("When {x} grows among {people}, {y} rises too.",),
        "Negative": ("When {x} grows among {people}, {y} falls.",),
        "Near zero": ("When {x} grows among {people}, {y} neither rises nor falls.",),
    },
    what=(
        "the sign of the correlation",
        "the correlation (positive, negative or near zero)",
    ),
    test_frames=("{cue} Which sign has the correlation here?", "How are the two variables correlated? {cue}"),
    define={
        "Positive": ("A correlation is positive when both variables rise together.",),
        "Negative": ("A correlation is negative when one variable rises while the other falls.",),
        "Near zero": ("A correlation is near zero when there is no common direction.",),
    },
    reason={
        "Positive": "Both rise together.",
        "Negative": "One rises while the other falls.",
        "Near zero": "There is no common direction.",
    },
    state="{cue} The correlation is {answer}.",
)

ERROR_TYPE = Concept(
    topic="error_type",
    cues={
        "Type I error": (
            "In truth {exposure} has no effect, but the test rejects the null hypothesis.",
            "The null hypothesis is true, but it is rejected.",
            "The test finds an effect of {exposure} on {outcome} that is not there.",
            "The test gives a false alarm: there is no effect of {exposure}, yet it reports one.",
        ),
        "Type II error": (
            "In truth {exposure} has an effect, but the test does not reject the null hypothesis.",
            "The null hypothesis is false, but it is not rejected.",
            "The test misses an effect of {exposure} on {outcome} that is there.",
            "The effect of {exposure} is real, yet the test overlooks it.",
        ),
        "No error": (
            "In truth {exposure} has an effect, and the test rejects the null hypothesis.",
            "The null hypothesis is true, and it is not rejected.",
            "The test finds an effect of {exposure} on {outcome} that is there.",
            "In truth {exposure} has no effect, and the test does not reject the null hypothesis.",
        ),
    },
    test_cues={
        "Type I error": (
            "There is no effect of {exposure} on {people}, but the null hypothesis is rejected.",
            "With {people}, the test finds an effect of {exposure} that is not there.",
        ),
        "Type II error": (
            "There is an effect of {exposure} on {people}, but the null hypothesis is not rejected.",
            "With {people}, the test misses an effect of {exposure} that is there.",
        ),
        "No error": (
            "There is an effect of {exposure} on {people}, and the null hypothesis is rejected.",
            "With {people}, the test finds an effect of {exposure} that is there.",
        ),
    },
    what=(
        "the type of error",
        "the error (if there is one)",
    ),
    test_frames=("{cue} Which error was made, if any?", "Name the error, or say that there is none. {cue}"),
    define={
        "Type I error": ("A type I error rejects a true null hypothesis: a false alarm.",),
        "Type II error": ("A type II error keeps a false null hypothesis: a missed effect.",),
        "No error": ("The decision agrees with the truth, so there is no error.",),
    },
    state="{cue} The right name is: {answer}.",
)

IDEAS = (VARIABLE_TYPE, PARAMETER, CORRELATION, ERROR_TYPE)
