"""Collecting data: sampling methods, bias, experiments and the scope of conclusions."""

from __future__ import annotations

from ._draw import Draw, kind
from ._problem import Draft, Wrong, count, ordinal, sig, words
from ._scenarios import CENSUSES, SURVEYS
from ._settings import VERSUS

# fmt: off

_METHODS = {
    "simple random": "A simple random sample: every group of that size is equally likely to be chosen.",
    "stratified": "A stratified random sample: some individuals are drawn from every group.",
    "cluster": "A cluster sample: whole groups are drawn, and everyone in them is included.",
    "systematic": "A systematic sample: after a random start, every k-th individual on a list is taken.",
    "convenience": "A convenience sample: those who are easiest to reach are taken.",
}
_CLUES = {
    "simple random": "Numbers are drawn at random from the whole population, with no grouping.",
    "stratified": "The population is split into groups and a random draw is made inside each of them.",
    "cluster": "The random draw picks groups, and all members of the groups picked are included.",
    "systematic": "The list is followed at a fixed step from a random starting place.",
    "convenience": "No random draw takes place; whoever is at hand is included.",
}
_LOOKALIKES = {
    "simple random": ("systematic", "stratified"), "stratified": ("cluster", "simple random"),
    "cluster": ("stratified", "convenience"), "systematic": ("simple random", "cluster"),
    "convenience": ("simple random", "systematic"),
}


@kind(1)
def sampling_method(draw: Draw) -> Draft:
    """Name the sampling method that a description follows."""
    c = draw.setting(CENSUSES)
    method = draw.choice(tuple(_METHODS))
    step, few = draw.integer(8, 25), draw.integer(4, 9)
    n = 5 * draw.integer(6, 24)
    story = {
        "simple random": f"A researcher numbers all the {c.many} and lets a computer draw {n} different "
                         "numbers at random",
        "stratified": f"A researcher divides the {c.many} by {c.stratum} and draws {few * 3} of them at "
                      f"random in each {c.stratum}",
        "cluster": f"A researcher draws {few} of the {c.clusters} at random and includes every {c.one} in "
                   "them",
        "systematic": f"A researcher picks a random start among the first {step} entries of {c.listing} and "
                      f"takes every {ordinal(step)} {c.one} from there on",
        "convenience": f"A researcher takes the first {n} {c.many} found {c.handy}",
    }[method]
    confusions = [
        Wrong(words(text), f"confused a {method} sample with a {name} sample",
              [f"The sample described fits a {name} plan.",
               _CLUES[name]] if name in _LOOKALIKES[method] else ())
        for name, text in _METHODS.items() if name != method
    ]
    size = few if method == "cluster" else step if method == "systematic" else n
    return Draft(
        f"{story}. " + draw.wording("What kind of sample is this?", "Which sampling method was used?",
            "Name the sampling method."),
        [_CLUES[method], f"This is what defines a {method} sample."],
        words(_METHODS[method]), confusions,
        "Sampling methods differ in what is drawn at random: individuals, a few from every group, or whole "
        "groups.",
        {"method": method, "size": size},
    )


_SCOPE = {
    (True, True): "A causal conclusion that extends to the population sampled.",
    (False, True): "A causal conclusion, but only for individuals like those in the study.",
    (True, False): "An association that extends to the population sampled, but no causal conclusion.",
    (False, False): "An association among the individuals studied, with no causal conclusion.",
}


@kind(2)
def scope_of_inference(draw: Draw) -> Draft:
    """What random sampling and random assignment allow."""
    v = draw.setting(VERSUS)
    sampled, assigned = draw.choice((True, False)), draw.choice((True, False))
    n = 2 * draw.integer(15, 90)
    how = f"The study uses {n} {v.units} that were at hand"
    split = (f"The researchers did not assign the treatments: some of the {v.units} already had {v.a}, the "
             f"others {v.b}")
    reach = "Selection was not random, so the result stays with those studied."
    cause = "Treatments were not assigned at random, so other differences may explain the result."
    if sampled:
        how = f"A random sample of {n} {v.units} from a large population takes part"
        reach = "Selection was random, so the result extends to the population."
    if assigned:
        split = f"Chance decides which half gets {v.a} and which gets {v.b}"
        cause = "Treatments were assigned at random, so the groups differ by chance and treatment only."

    def slip(of: tuple[bool, bool]) -> Wrong:
        notes = []
        if of[1] != assigned:
            notes.append("drew a causal conclusion without random assignment" if of[1] else
            "denied a causal conclusion that random assignment allows")
        if of[0] != sampled:
            notes.append("extended the result to a population that was not sampled at random" if of[0] else
            "refused to extend a result from a random sample")
        false = ["Selection was done well enough to extend the result." if of[0] else
            "The result stays with the individuals studied.",
                 "A clear difference between the treatments shows cause and effect." if of[1] else
            "A difference of this sort only shows an association."]
        return Wrong(words(_SCOPE[of]), " and ".join(notes), false)

    return Draft(
        f"{how}. {split}. The mean {v.y} differs significantly between the two groups. " + draw.wording(
            "What can be concluded?", "Which conclusion does the design support?"),
        [reach, cause], words(_SCOPE[sampled, assigned]),
        [slip(of) for of in _SCOPE if of != (sampled, assigned)],
        "Random sampling supports generalizing; random assignment supports cause and effect.",
        {"sampled": sampled, "assigned": assigned, "n": n},
    )


@kind(1)
def source_of_bias(draw: Draw) -> Draft:
    """Name the bias that a survey suffers from."""
    s = draw.setting(SURVEYS)
    n, percent = 10 * draw.integer(15, 90), draw.integer(9, 27)
    reasons = {
        "undercoverage": f"Undercoverage: {s.missing} had no chance of being chosen.",
        "nonresponse": "Nonresponse bias: most of those chosen did not answer, and they may think "
                       "differently.",
        "voluntary": "Voluntary response bias: people chose themselves, and strong opinions reply most.",
        "wording": "Response bias from wording: the question pushes toward one answer.",
    }
    kind_of = draw.choice(tuple(reasons))
    story = {
        "undercoverage": f"To learn what {s.who} think about {s.topic}, {n} people are drawn at random from "
                         f"{s.frame}, and all of them answer a neutral question",
        "nonresponse": f"To learn what {s.who} think about {s.topic}, a neutral question is sent to {n} of "
                       f"them drawn at random from a complete list; {percent}% reply",
        "voluntary": f"To learn what {s.who} think about {s.topic}, no sample is drawn. {s.open_call}, and "
                     f"{n} replies come in",
        "wording": f'To learn what {s.who} think about {s.topic}, {n} of them are drawn at random from a '
                   f'complete list, and all of them answer the question "{s.leading}"',
    }[kind_of]
    names = {"undercoverage": "undercoverage", "nonresponse": "nonresponse", "voluntary":
            "voluntary response", "wording": "leading wording"}
    clue = {"undercoverage": "The list used for the draw leaves out a part of the population.",
            "nonresponse": "The sample was drawn well, but few of those drawn replied.",
            "voluntary": "No sample was drawn: whoever wanted to could answer.",
            "wording": "The sample was drawn well and everyone answered, but the question is loaded."}
    parameters: dict[str, object] = {"bias": kind_of, "n": n}
    if kind_of == "nonresponse":
        parameters["percent"] = percent
    return Draft(
        f"{story}. " + draw.wording("What is the main source of bias?",
                                    "Which bias is the most serious here?"),
        [clue[kind_of], f"That is {names[kind_of]}."],
        words(reasons[kind_of]),
        [Wrong(words(text), f"took {names[kind_of]} for {names[name]}", [clue[name],
            f"That is {names[name]}."]) for name, text in reasons.items() if name != kind_of],
        "Bias is named after the step that goes wrong: the list, the replies, who chooses, or the question.",
        parameters,
    )


@kind(1)
def systematic_selection(draw: Draw) -> Draft:
    """The j-th number of a systematic sample."""
    c = draw.setting(CENSUSES)
    step, n = draw.integer(8, 40), draw.integer(20, 60)
    start, j = draw.integer(2, step), draw.integer(4, 15)
    right = start + (j - 1) * step
    every = f"The step is {step * n} / {n} = {step}."
    return Draft(
        draw.wording(
            f"A systematic sample of {n} is taken from a list of {step * n} {c.many}. The random start is "
            f"number {start}. What is the number of the {j}th {c.one} selected?",
            f"From a numbered list of {step * n} {c.many}, {n} are chosen by systematic sampling, beginning "
            f"with number {start}. Which number is chosen {j}th?",
        ),
        [every, f"The {j}th selection is {j - 1} steps after the first: {start} + {j - 1} * {step} = "
                f"{right}."],
        count(right),
        [
            Wrong(count(start + j * step), "took one step too many",
                  [every, f"The {j}th selection is {start} + {j} * {step} = {start + j * step}."]),
            Wrong(count(j * step), "ignored the random start",
                  [every, f"The {j}th selection is {j} * {step} = {j * step}."]),
            Wrong(count(start + (j - 1) * n), "used the sample size as the step",
                  [f"The step is the sample size, {n}.",
                   f"The {j}th selection is {start} + {j - 1} * {n} = {start + (j - 1) * n}."]),
            Wrong(count(start + (j - 2) * step), "took one step too few"),
        ],
        "A systematic sample goes on from its random start in steps of N / n.",
        {"population": step * n, "n": n, "start": start, "j": j},
    )


@kind(1)
def stratified_allocation(draw: Draw) -> Draft:
    """The number drawn from one stratum under proportional allocation."""
    c = draw.setting(CENSUSES)
    shares = draw.choice(((50, 30, 20), (45, 35, 20), (60, 25, 15), (40, 35, 25), (55, 30, 15)))
    scale, n = draw.integer(4, 16), 20 * draw.integer(2, 9)
    sizes = [scale * share for share in shares]
    total, i = sum(sizes), draw.integer(0, 2)
    draw.need(total > 2 * n)
    right = n * shares[i] // 100
    listing = f"{sizes[0]}, {sizes[1]} and {sizes[2]}"
    split = f"The stratum is {sizes[i]} of {total}, a share of {sig(sizes[i] / total)}."
    place = ("first", "second", "third")[i]
    return Draft(
        draw.wording(
            f"The {total} {c.many} fall into three {c.strata} of sizes {listing}. A stratified sample of {n} "
            f"is allocated in proportion to size. How many come from the {place} group?",
            f"A stratified random sample of {n} of {total} {c.many} uses {c.strata} as strata, of sizes "
            f"{listing}. With proportional allocation, how many are drawn from the {place} stratum?",
        ),
        [split, f"Its part of the sample is {n} * {sizes[i]} / {total} = {right}."],
        count(right),
        [
            Wrong(count(round(n / 3)), "took equal numbers from all strata",
                  ["There are three strata.", f"Each gives {n} / 3, about {round(n / 3)}."]),
            Wrong(count(n * shares[(i + 1) % 3] // 100), "used the size of another stratum"),
            Wrong(count(n - right), "gave the number drawn from the other strata together",
                  [split, f"That leaves {n} - {right} = {n - right}."]),
            Wrong(count(shares[i]), "gave the percentage instead of the number",
                  [split, f"So {shares[i]} come from this stratum."]),
            Wrong(count(n * shares[(i + 2) % 3] // 100), "used the size of another stratum"),
        ],
        "Proportional allocation gives each stratum the same share of the sample as it has of the "
        "population.",
        {"sizes": sizes, "stratum": i, "n": n},
    )


_DESIGNS = {
    "completely randomized": "A completely randomized experiment: chance alone decides who gets which "
                             "treatment.",
    "blocked": "A randomized block experiment: chance decides separately within groups of similar units.",
    "matched pairs": "A matched pairs experiment: both treatments are compared within each pair or unit.",
    "observational": "An observational study: nobody assigns the treatments.",
}


@kind(1)
def experimental_design(draw: Draw) -> Draft:
    """Name the design of a comparison."""
    v = draw.setting(VERSUS)
    design, n = draw.choice(tuple(_DESIGNS)), 4 * draw.integer(8, 30)
    story = {
        "completely randomized": f"All {n} {v.units} are numbered, and a computer picks {n // 2} at random "
                                 f"for {v.a}; the rest get {v.b}",
        "blocked": f"The {n} {v.units} come from two suppliers that are known to differ. Within each "
                   f"supplier's {n // 2} {v.units}, half are picked at random for {v.a} and half for {v.b}",
        "matched pairs": f"The {n} {v.units} are put into {n // 2} pairs that are as alike as possible. In "
                         f"each pair a coin decides which one gets {v.a} and which gets {v.b}",
        "observational": f"Records are found for {n} {v.units}: {n // 2} had {v.a} and {n // 2} had {v.b}, "
                         "by their owners' choice",
    }[design]
    if v.units in ("patients", "pupils", "shoppers", "volunteers", "adults"):
        story = story.replace("two suppliers", "two towns").replace("supplier's", "town's").replace(
            "their owners'", "their own")
    clue = {"completely randomized": "One random assignment is made over all units together.",
            "blocked": "Units are grouped by a variable that matters, and each group is randomized by "
                       "itself.",
            "matched pairs": "Each pair of like units is split by chance between the treatments.",
            "observational": "The treatments were not assigned by the researchers."}
    return Draft(
        f"{story}. Then the {v.y} is compared. " + draw.wording("What design is this?",
            "Name the design of this study."),
        [clue[design], f"This is the mark of {'an' if design[0] == 'o' else 'a'} {design} design."],
        words(_DESIGNS[design]),
        [Wrong(words(text), f"took {'an' if design[0] == 'o' else 'a'} {design} design for "
                            f"{'an' if name[0] == 'o' else 'a'} {name} one", [clue[name],
            "So the comparison follows that plan."]) for name, text in _DESIGNS.items() if name != design],
        "Designs differ in where chance decides: over all units, within blocks, within pairs, or not at all.",
        {"design": design, "n": n},
    )
