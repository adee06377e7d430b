"""The parts of an experiment, the number of its units, and random assignment by numbers."""

from __future__ import annotations

from collections.abc import Sequence

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import count, words
from .._settings import VERSUS
from .._settings_study_design import ROLES
from .._siblings import Sibling, Siblings, four, square
from .._stories import FACTORIALS
from .._wording import wordings
from ._shared import in_words

# fmt: off

_STEM_VOCABULARY = wordings("""
    train: In an experiment, {n} {r.units} are randomly assigned to {r.levels}. The {r.y} is then recorded.
    train: A researcher assigns {n} {r.units} at random to one of three conditions, {r.levels}, and measures the {r.y}.
    train: An experiment is carried out on how the {r.factor} affects the {r.y}. For this, {n} {r.units} are assigned at
        random to {r.levels}.
    train: Chance divides {n} {r.units} into three groups. They get {r.levels}, and their {r.y} is compared.
    test: A student gives each of {n} {r.units} one of three conditions at random ({r.levels}) and later determines the
        {r.y}.
    test: Does the {r.factor} matter for the {r.y}? To find out, {n} {r.units} are divided at random into groups with
        {r.levels}.
    test: Each of {n} {r.units} is given one of the following at random: {r.levels}. Afterward the groups are compared
        by their {r.y}.
""")
_ASK_VOCABULARY = wordings("""
    train/units: What are the experimental units?
    train/units: To what are the treatments applied?
    train/factor: What is the explanatory variable?
    train/factor: What is the factor of this experiment?
    train/treatments: What are the treatments?
    train/treatments: What are the levels of the factor?
    train/response: What is the response variable?
    train/response: Which variable measures the outcome?
    test/units: Name the units of this experiment.
    test/units: Which of these are assigned to conditions?
    test/factor: Name the variable that the experimenter manipulates.
    test/factor: Which of these is the variable that the design sets?
    test/treatments: Name the conditions that are imposed.
    test/treatments: Which of these are the levels?
    test/response: Name the variable that is observed at the end.
    test/response: Which of these is the outcome?
""")


@kind(1, ap="3.5")
def experiment_vocabulary(draw: Draw) -> Siblings:
    """The units, the factor, the treatments and the response of an experiment."""
    r = draw.setting(ROLES)
    n = 3 * draw.integer(5, 45)
    fields = {"r": r, "n": n}
    options = {"units": f"The {r.units} in the experiment", "factor": f"The {r.factor}",
               "treatments": f"{r.levels[0].upper()}{r.levels[1:]}", "response": f"The {r.y}"}
    about = {
        "units": ("Experimental units are what the treatments are applied to.",
                  f"Here one of three conditions is applied to each of {n} {r.units}."),
        "factor": ("The factor, or explanatory variable, is what the experimenter varies on purpose.",
                   f"Here the three conditions differ in the {r.factor}."),
        "treatments": ("With one factor, its levels are the treatments: the conditions assigned to the units.",
                       f"Here the three conditions are {r.levels}."),
        "response": ("The response variable is the outcome measured on each unit.",
                     f"Here this outcome is the {r.y}."),
    }
    names = {"units": "experimental units", "factor": "factor", "treatments": "treatments",
             "response": "response variable"}
    return in_words(
        draw, draw.ask(_STEM_VOCABULARY, **fields), _ASK_VOCABULARY, fields, options,
        {name: [f"[In the experiment, {n} {r.units} are assigned at random to three conditions // The experiment uses "
                f"{n} {r.units}].",
                recalled(idea), here] for name, (idea, here) in about.items()},
        {name: f"named the {text} instead" for name, text in names.items()},
        "Treatments are the levels of a factor; they are applied to units, on which the response is measured.",
        {"n": n},
    )


_STEM_FACTORIAL = wordings("""
    train: An experiment on the {f.y} crosses {a} {f.first} with {b} {f.second}. For each combination, {k} {f.units} are
        used.
    train: To study the {f.y}, every one of {a} {f.first} is combined with every one of {b} {f.second}. Each combination
        is assigned to {k} {f.units}.
    train: A researcher uses {a} {f.first} and {b} {f.second} in all combinations, with {k} {f.units} for each, and
        measures the {f.y}.
    train: In an experiment with two factors, {f.first} ({a} levels) and {f.second} ({b} levels), {k} {f.units} get each
        treatment. The response is the {f.y}.
    test: Suppose {k} {f.units} are assigned to each way of pairing one of {a} {f.first} with one of {b} {f.second};
        then the {f.y} is noted.
    test: A trial studies two influences on the {f.y}: {a} {f.first} and {b} {f.second}, fully crossed, with {k}
        {f.units} in each cell.
    test: What affects the {f.y}? In a table of {a} rows ({f.first}) and {b} columns ({f.second}), each cell stands for
        {k} {f.units}.
""")
_ASK_FACTORIAL = wordings("""
    train/treatments: How many treatments are there?
    train/treatments: Find the number of treatments in this experiment.
    train/units: How many {f.units} are needed in all?
    train/units: Find the total number of {f.units} in this experiment.
    train/first: How many {f.units} are there for each one of the {f.first}?
    train/first: Find the number of {f.units} used with each one of the {a} {f.first}.
    train/second: How many {f.units} are there for each one of the {f.second}?
    train/second: Find the number of {f.units} used with each one of the {b} {f.second}.
    test/treatments: Into how many groups must the {f.units} be divided?
    test/treatments: State how many different treatments the plan compares.
    test/units: What number of {f.units} must be at hand before the trial begins?
    test/units: State how many {f.units} the whole plan takes.
    test/first: What number of {f.units} is used for a particular one of the {a} {f.first}?
    test/first: State how many {f.units} each level of the factor with {a} levels gets.
    test/second: What number of {f.units} is used for a particular one of the {b} {f.second}?
    test/second: State how many {f.units} each level of the factor with {b} levels gets.
""")


@kind(1, ap="3.5")
def factorial_units(draw: Draw) -> Siblings:
    """The treatments and the units of an experiment with two crossed factors."""
    f = draw.setting(FACTORIALS)
    a, b, k = draw.integer(2, 6), draw.integer(2, 6), draw.integer(3, 15)
    draw.need(a != b)
    fields = {"f": f, "a": a, "b": b, "k": k}
    stem = draw.ask(_STEM_FACTORIAL, **fields)
    crossed = (f"[Crossed factors have a treatment for each combination of levels, // Each of {a} levels is combined "
               f"with each of {b}, so the treatments are] `{a} * {b} = {a * b}` in all.")
    plans = {
        "treatments": ([f"Each combination is one treatment, [whatever the {k} units that get it // and it is given to "
                        f"{k} units]."], a * b,
                       "gave the number of treatments"),
        "units": ([f"[With {k} units each, the total is // Each treatment gets {k} units, so the units number] "
                   f"`{a * b} * {k} = {a * b * k}`."], a * b * k,
                  "gave the number of units in all"),
        "first": ([f"One level of the first factor [occurs in {b} treatments // is combined with {b} others], with "
                   f"`{b} * {k} = {b * k}` units."], b * k,
                  "gave the number of units for one level of the first factor"),
        "second": ([f"One level of the second factor [occurs in {a} treatments // is combined with {a} others], with "
                    f"`{a} * {k} = {a * k}` units."], a * k, "gave the number of units for one level of the second "
                    "factor"),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_FACTORIAL, asked, **fields)}", [crossed, *last], count(value),
                "Crossed factors have as many treatments as the product of their numbers of levels.")
        for asked, (last, value, _) in plans.items()
    ]
    return four(of, [slip for _, _, slip in plans.values()], {"a": a, "b": b, "k": k})


_STEM_ASSIGNMENT = wordings("""
    train: Eight {v.units} are labeled 1 to 8; labels 1 to 4 come from one of two {v.blocks}, labels 5 to 8 from the
        other. Each label gets a random number, in order: {listing}.
    train: An experiment compares {v.a} with {v.b} on eight {v.units}. Numbers 1 to 4 come from the first of two
        {v.blocks}, numbers 5 to 8 from the second. Random numbers, from 1 to 8: {listing}.
    train: To assign eight {v.units} to {v.a} or {v.b}, a computer gives them random numbers. Labels 1 to 8 get
        {listing}; the first four are from one of two {v.blocks}, the rest from the other.
    train: A researcher labels four {v.units} from one of two {v.blocks} 1 to 4 and four from the other 5 to 8. The
        random numbers for labels 1 to 8 are {listing}.
    test: Two {v.blocks} send four {v.units} each, labels 1-4 and 5-8. For the choice between {v.a} and {v.b}, software
        gives labels 1 to 8 the random numbers {listing}.
    test: In a trial of {v.a} against {v.b}, labels 1-4 are {v.units} from one of two {v.blocks}, 5-8 those from the
        other. Random numbers, in order: {listing}.
    test: Labels 1-4 are {v.units} from one of two {v.blocks}, labels 5-8 {v.units} from the other. Their random numbers
        are {listing}, in this order.
""")
_ASK_ASSIGNMENT = wordings("""
    train/all smallest: In a completely randomized design, the four with the smallest random numbers get {v.a}. Which
        labels are these?
    train/all smallest: The design is completely randomized: the four smallest random numbers mean {v.a}. Which labels
        get it?
    train/all largest: In a completely randomized design, the four with the largest random numbers get {v.a}. Which
        labels are these?
    train/all largest: The design is completely randomized: the four largest random numbers mean {v.a}. Which labels get
        it?
    train/block smallest: In a randomized block design, the two with the smallest random numbers in each block get
        {v.a}. Which labels are these?
    train/block smallest: The two {v.blocks} are used as blocks: in each, the two smallest random numbers mean {v.a}.
        Which labels get it?
    train/block largest: In a randomized block design, the two with the largest random numbers in each block get {v.a}.
        Which labels are these?
    train/block largest: The two {v.blocks} are used as blocks: in each, the two largest random numbers mean {v.a}.
        Which labels get it?
    test/all smallest: No blocks are formed, and {v.a} is for the four lower numbers. Give the labels of these
        {v.units}.
    test/all smallest: Treating the {v.units} as one group, list the four labels that receive {v.a} if low numbers do.
    test/all largest: No blocks are formed, and {v.a} is for the four higher numbers. Give the labels of these
        {v.units}.
    test/all largest: Treating the {v.units} as one group, list the four labels that receive {v.a} if high numbers do.
    test/block smallest: The {v.blocks} are blocks, and {v.a} is for the two lower numbers in each. Give the labels of
        these {v.units}.
    test/block smallest: Treating the {v.blocks} as blocks, list the labels that receive {v.a} if the two low numbers in
        each do.
    test/block largest: The {v.blocks} are blocks, and {v.a} is for the two higher numbers in each. Give the labels of
        these {v.units}.
    test/block largest: Treating the {v.blocks} as blocks, list the labels that receive {v.a} if the two high numbers in
        each do.
""")


def _picked(numbers: Sequence[int], labels: Sequence[int], largest: int) -> list[int]:
    """Return the half of the labels with the smallest or the largest random numbers, in the order of the labels."""
    ranked = sorted(labels, key=lambda label: numbers[label - 1], reverse=bool(largest))
    return sorted(ranked[: len(labels) // 2])


@kind(2, ap="3.5")
def random_assignment(draw: Draw) -> Siblings:
    """Which units a list of random numbers assigns to a treatment, with and without blocks."""
    v = draw.setting(VERSUS)
    numbers = draw.rng.sample(range(10, 100), 8)
    listing = f"{', '.join(map(str, numbers[:7]))} and {numbers[7]}"
    fields = {"v": v, "listing": listing}
    stem = draw.ask(_STEM_ASSIGNMENT, **fields)

    def make(blocks: int, largest: int) -> Sibling:
        groups = (range(1, 5), range(5, 9)) if blocks else (range(1, 9),)
        picked = [label for group in groups for label in _picked(numbers, group, largest)]
        size = ("smallest", "largest")[largest]
        asked = f"{('all', 'block')[blocks]} {size}"
        values = ", ".join(str(numbers[label - 1]) for label in picked)
        text = f"{', '.join(map(str, picked[:3]))} and {picked[3]}"
        return Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_ASSIGNMENT, asked, **fields)}",
            [
                ("[Without blocks, the random numbers of all eight are ranked together // There are no blocks, so all "
                 "eight random numbers are put in order].",
                 "[With blocks, the random numbers are ranked within labels 1 to 4 and within labels 5 to 8 // Each "
                 "block is ranked by itself: labels 1 to 4, and labels 5 to 8].")[blocks],
                (f"The four {size} are {values}.", f"The two {size} of each block are {values}.")[blocks],
                f"[They belong to // These numbers stand at] labels {text}[. // , who get {v.a}.]"
                .replace("who", "which"),
            ],
            words(f"Labels {text}"),
            "A completely randomized design ranks all units together, a block design within each block.",
        )

    return square(
        make,
        ("ranked within blocks although the design has none", "ranked all eight together in spite of the blocks"),
        ("took the largest numbers instead of the smallest", "took the smallest numbers instead of the largest"),
        {"numbers": numbers},
    )
