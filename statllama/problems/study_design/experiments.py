"""Experimental designs, blocks and the scope of conclusions."""

from __future__ import annotations

from .._draw import Draw, kind
from .._problem import (
    Draft,
    Wrong,
    article,
    count,
    words,
)
from .._settings import VERSUS
from .._stories import FACTORIALS
from .._wording import wordings

# fmt: off


_DESIGNS = {
    "completely randomized": "A completely randomized experiment: chance alone decides who gets which "
                             "treatment.",
    "blocked": "A randomized block experiment: chance decides separately within groups of similar units.",
    "matched pairs": "A matched pairs experiment: both treatments are compared within each pair or unit.",
    "observational": "An observational study: nobody assigns the treatments.",
}
_NOT_A_DESIGN = "A stratified random sample: some units are drawn at random from every group."


_ASK_EXPERIMENTAL_DESIGN = wordings("""
    train/completely randomized: All {n} {v.units} are numbered, and a computer picks {half} at random for
        {v.a}; the rest get {v.b}. Then the {v.y} is compared. What design is this?
    train/completely randomized: A study assigns {n} {v.units} to two treatments, {v.a} and {v.b}, by drawing
        lots over all of them at once. Then the {v.y} is compared. Name the design of this study.
    train/blocked: The {n} {v.units} come from two {v.blocks} that are known to differ. Among the {half} from
        each, half are picked at random for {v.a} and half for {v.b}. Then the {v.y} is compared. What design is
        this?
    train/blocked: A study takes {half} {v.units} from each of two {v.blocks}. Lots are drawn for each of the
        two separately, so that half of its {v.units} get {v.a} and half {v.b}. Then the {v.y} is compared. Name
        the design of this study.
    train/matched pairs: The {n} {v.units} are put into {half} pairs that are as alike as possible. In each pair
        a coin decides which one gets {v.a} and which gets {v.b}. Then the {v.y} is compared. What design is
        this?
    train/matched pairs: A study puts {n} {v.units} into pairs of look-alikes and draws lots within each pair
        for {v.a} and {v.b}. Then the {v.y} is compared. Name the design of this study.
    train/observational: Records are found for {n} {v.units}: {half} had {v.a} and {half} had {v.b}, as
        {v.chooser} had decided. Then the {v.y} is compared. What design is this?
    train/observational: A study collects data on {n} {v.units}. Earlier on, {v.chooser} had chosen {v.a} for
        {half} of them and {v.b} for the rest. Then the {v.y} is compared. Name the design of this study.
    test/completely randomized: Slips for all {n} {v.units} go into one hat. The first {half} drawn receive
        {v.a}, the rest receive {v.b}, and in the end {v.y} is set side by side. By which plan was the
        comparison made?
    test/blocked: Since {v.y} depends on which of two {v.blocks} the {v.units} come from, there are two hats,
        one for each. Half of the slips drawn from either hat stand for {v.a}, half for {v.b}; {n} {v.units}
        take part. By which plan was the comparison made?
    test/matched pairs: A consultant ranks {n} {v.units} by a trait that bears on {v.y}, ties each to its
        nearest neighbor in rank, and tosses a coin within every couple: heads the upper one receives {v.a},
        tails the lower, with {v.b} for the other. By which plan was the comparison made?
    test/observational: It was left to {v.chooser} whether to use {v.a} or {v.b}. Years later a planner looks up
        {v.y} for {half} {v.units} of either sort. By which plan was the comparison made?
""")


@kind(1)
def experimental_design(draw: Draw) -> Draft:
    """Name the design of a comparison."""
    v = draw.setting(VERSUS)
    design, n = draw.choice(tuple(_DESIGNS)), 4 * draw.integer(8, 30)
    clue = {"completely randomized": "One random assignment is made over all units together.",
            "blocked": "Units are grouped by a variable that matters, and each group is randomized by "
                       "itself.",
            "matched pairs": "Each pair of like units is split by chance between the treatments.",
            "observational": "The treatments were not assigned by the researchers."}
    misread = {"completely randomized": "It is a matter of chance which unit has which treatment.",
               "blocked": "The units fall into groups, and a design with groups is a blocked one.",
               "matched pairs": "There are two treatments, and two treatments make pairs.",
               "observational": "What happens to the units is only observed, and then compared."}
    sampling = Wrong(words(_NOT_A_DESIGN), "took the assignment of treatments for the choice of a sample",
                     ["Some of the units are selected, and a selection from groups is a stratified sample.",
                      "So that is what was done here."])
    # pairs are blocks of two, so a block design would not be wrong for them
    others = [name for name in _DESIGNS if name != design and (design, name) != ("matched pairs", "blocked")]
    return Draft(
        draw.ask(_ASK_EXPERIMENTAL_DESIGN, design, v=v, n=n, half=n // 2),
        [clue[design], f"This is the mark of {article(design)} design."],
        words(_DESIGNS[design]),
        [*(Wrong(words(_DESIGNS[name]), f"took {article(design)} design for {article(name)} one",
                 [misread[name], f"This is the mark of {article(name)} design."]) for name in others), sampling],
        "Designs differ in where chance decides: over all units, within blocks, within pairs, or not at all.",
        {"design": design, "n": n},
    )


_ASK_BLOCKING = wordings("""
    train: An experiment compares {v.a} with {v.b} on {n} {v.units} from two {v.blocks}, which are known to
        differ in {v.y}. How should blocks be formed, and what for?
    train: A researcher has {n} {v.units} from two {v.blocks} and expects the {v.y} to depend on which of them a
        unit comes from. {v.a!c} is to be compared with {v.b}. Describe a sensible choice of blocks and its
        purpose.
    test: Past data tell that {v.y} is higher for {v.units} from one of two {v.blocks} than from the other. With
        {n} {v.units} from the two at hand, {v.a} is to be tried against {v.b}. What would a good plan use as
        blocks, and with which benefit?
    test: Two {v.blocks} supply the {n} {v.units} for a trial of {v.a} against {v.b}, and {v.y} is apt to vary
        between these suppliers. Advise on blocks: along which lines, and why?
""")


@kind(2)
def blocking_variable(draw: Draw) -> Draft:
    """How blocks should be formed in an experiment, and why."""
    v = draw.setting(VERSUS)
    n = 4 * draw.integer(6, 30)
    texts = {
        "source": f"One block for each of the two {v.blocks}, so that the difference between them does not blur the "
                  "comparison.",
        "treatment": "One block for each of the two treatments, so that all units within a block are treated in the "
                     "same way.",
        "response": f"One block for high and one for low {v.y} at the end of the study, so that like results are "
                    "compared.",
        "chance": f"Two blocks drawn at random from all {n} {v.units}, so that the blocks are as much alike as "
                  "possible.",
    }
    reasons = {
        "source": ("A blocking variable is known beforehand and is related to the response.",
                   "Treatments are then assigned at random within each block and compared there."),
        "treatment": ("A block is a set of units that belong together.",
                      "Units with the same treatment belong together, so each treatment makes a block."),
        "response": ("A block is a set of units that are alike in the response.",
                     "The response tells which units are alike, so it makes the blocks."),
        "chance": ("Chance makes groups alike on average.", "So the blocks are drawn at random like the groups."),
    }
    slips = {"treatment": "took blocks for treatment groups",
             "response": "formed blocks by the response, which is known only afterward",
             "chance": "drew the blocks at random, which removes no variation"}
    return Draft(
        draw.ask(_ASK_BLOCKING, v=v, n=n),
        reasons["source"],
        words(texts["source"]),
        [Wrong(words(texts[name]), slip, reasons[name]) for name, slip in slips.items()],
        "Blocks group units that are alike in something known beforehand that affects the response.",
        {"blocks": v.blocks, "n": n},
    )


_ASK_FACTORIAL_UNITS = wordings("""
    train: An experiment on the {f.y} crosses {a} {f.first} with {b} {f.second} and uses {k} {f.units} for each
        combination. How many {f.units} are needed?
    train: To study the {f.y}, every one of {a} {f.first} is combined with every one of {b} {f.second}, with {k}
        {f.units} for each treatment. Find the number of {f.units}.
    test: A trial has two factors, {f.first} ({a} levels) and {f.second} ({b} levels), fully crossed. Each
        treatment is to be given to {k} {f.units}, whose {f.y} is noted. What number of {f.units} must be at
        hand?
    test: Suppose {k} {f.units} are assigned to each way of pairing one of {a} {f.first} with one of {b}
        {f.second}. How large is the whole trial, counted in {f.units}, before the {f.y} is measured?
""")


@kind(1)
def factorial_units(draw: Draw) -> Draft:
    """The number of units in an experiment with two crossed factors."""
    f = draw.setting(FACTORIALS)
    a, b, k = draw.integer(2, 5), draw.integer(2, 6), draw.integer(3, 15)
    right = a * b * k
    return Draft(
        draw.ask(_ASK_FACTORIAL_UNITS, f=f, a=a, b=b, k=k),
        [f"There are {a} * {b} = {a * b} treatments, one for each combination of levels.",
         f"With {k} units for each, {a * b} * {k} = {right} are needed."],
        count(right, f.units),
        [
            Wrong(count((a + b) * k, f.units), "added the numbers of levels instead of multiplying them",
                  [f"There are {a} + {b} = {a + b} levels.",
                   f"With {k} units for each, {a + b} * {k} = {(a + b) * k} are needed."]),
            Wrong(count(a * b, f.units), "gave the number of treatments and left out how many units each gets",
                  [f"There are {a} levels of one factor and {b} of the other.",
                   f"Every combination occurs, so {a} * {b} = {a * b} are needed."]),
            Wrong(count(a * b + k, f.units), "added the units per treatment instead of multiplying",
                  [f"There are {a} * {b} = {a * b} treatments.",
                   f"Another {k} units make {a * b} + {k} = {a * b + k}."]),
            Wrong(count(2 * right, f.units), "counted every combination twice, once for each order of the factors",
                  [f"There are 2 * {a} * {b} = {2 * a * b} treatments, since either factor can come first.",
                   f"With {k} units for each, {2 * a * b} * {k} = {2 * right} are needed."]),
            Wrong(count(2 * k, f.units), "counted the two factors as the two treatments",
                  ["The experiment has two factors.", f"With {k} units for each, 2 * {k} = {2 * k} are needed."]),
            Wrong(count(b * k, f.units), "left out the levels of one factor"),
        ],
        "Crossed factors have as many treatments as the product of their numbers of levels.",
        {"a": a, "b": b, "k": k},
    )


_SCOPE_NAMES = {(True, True): "sampled assigned", (True, False): "sampled", (False, True): "assigned",
                (False, False): "neither"}


_SCOPE = {
    (True, True): "A causal conclusion that extends to the population sampled.",
    (False, True): "A causal conclusion, but only for individuals like those in the study.",
    (True, False): "An association that extends to the population sampled, but no causal conclusion.",
    (False, False): "An association among the individuals studied, with no causal conclusion.",
}


_ASK_SCOPE_OF_INFERENCE = wordings("""
    train/sampled assigned: A random sample of {n} {v.units} from a large population takes part in a study.
        Chance decides which half gets {v.a} and which gets {v.b}. The mean {v.y} differs significantly between
        the two groups. What can be concluded?
    train/sampled assigned: A study draws {n} {v.units} at random from a large population and assigns half of
        them at random to {v.a}, the others to {v.b}. The difference in mean {v.y} is significant. What
        conclusion does the design support?
    train/sampled: A random sample of {n} {v.units} from a large population takes part in a study. The
        researchers did not assign the treatments: some of the {v.units} already had {v.a}, the others {v.b}.
        The mean {v.y} differs significantly between the two groups. What can be concluded?
    train/sampled: A study draws {n} {v.units} at random from a large population and notes which of them already
        have {v.a} and which {v.b}. The difference in mean {v.y} is significant. What conclusion does the design
        support?
    train/assigned: A study uses {n} {v.units} that were at hand. Chance decides which half gets {v.a} and which
        gets {v.b}. The mean {v.y} differs significantly between the two groups. What can be concluded?
    train/assigned: A study takes the {n} {v.units} that are easiest to get and assigns half of them at random
        to {v.a}, the others to {v.b}. The difference in mean {v.y} is significant. What conclusion does the
        design support?
    train/neither: A study uses {n} {v.units} that were at hand. The researchers did not assign the treatments:
        some of the {v.units} already had {v.a}, the others {v.b}. The mean {v.y} differs significantly between
        the two groups. What can be concluded?
    train/neither: A study takes the {n} {v.units} that are easiest to get and notes which of them already have
        {v.a} and which {v.b}. The difference in mean {v.y} is significant. What conclusion does the design
        support?
    test/sampled assigned: First {n} {v.units} are picked by lot out of a big population; then coin tosses
        settle who receives {v.a} and who {v.b}. In the end the groups are too far apart in {v.y} for chance.
        How far does the finding reach, and is it about cause?
    test/sampled: By lot, {n} {v.units} are picked out of a big population. Whether each had {v.a} or {v.b} was
        up to {v.chooser}. In the end the groups are too far apart in {v.y} for chance. How far does the finding
        reach, and is it about cause?
    test/assigned: A student works with the nearest {n} {v.units} to be had and lets coin tosses settle who
        receives {v.a} and who {v.b}. In the end the groups are too far apart in {v.y} for chance. How far does
        the finding reach, and is it about cause?
    test/neither: An analyst works with the nearest {n} {v.units} to be had. Whether each had {v.a} or {v.b} was
        up to {v.chooser}. In the end the groups are too far apart in {v.y} for chance. How far does the finding
        reach, and is it about cause?
""")


@kind(2)
def scope_of_inference(draw: Draw) -> Draft:
    """What random sampling and random assignment allow."""
    v = draw.setting(VERSUS)
    sampled, assigned = draw.choice((True, False)), draw.choice((True, False))
    n = 2 * draw.integer(15, 90)
    reach = "Selection was not random, so the result stays with those studied."
    cause = "Treatments were not assigned at random, so other differences may explain the result."
    if sampled:
        reach = "Selection was random, so the result extends to the population."
    if assigned:
        cause = "Treatments were assigned at random, so the groups differ by chance and treatment only."

    def slip(of: tuple[bool, bool]) -> Wrong:
        notes = []
        if of[1] != assigned:
            notes.append("drew a causal conclusion without random assignment" if of[1] else
            "denied a causal conclusion that random assignment allows")
        if of[0] != sampled:
            notes.append("extended the result to a population that was not sampled at random" if of[0] else
            "refused to extend a result from a random sample")
        wide = "The number studied is large enough to extend the result to others."
        narrow = "A single study tells only about the individuals studied."
        causal = "The difference is significant, and that rules out other explanations."
        loose = "A difference of means is an association, and association is not causation."
        false = [reach if of[0] == sampled else wide if of[0] else narrow,
                 cause if of[1] == assigned else causal if of[1] else loose]
        return Wrong(words(_SCOPE[of]), " and ".join(notes), false if len(notes) == 1 else ())

    return Draft(
        draw.ask(_ASK_SCOPE_OF_INFERENCE, _SCOPE_NAMES[sampled, assigned], v=v, n=n),
        [reach, cause], words(_SCOPE[sampled, assigned]),
        [slip(of) for of in _SCOPE if of != (sampled, assigned)],
        "Random sampling supports generalizing; random assignment supports cause and effect.",
        {"sampled": sampled, "assigned": assigned, "n": n},
    )
