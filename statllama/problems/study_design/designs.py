"""Designs of a comparison: their names, their principles, blocks and blinding."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import words
from .._settings import VERSUS
from .._settings_study_design import TRIALS
from .._siblings import Sibling, Siblings, square
from .._wording import wordings
from ._shared import in_words

# fmt: off

_DESIGNS = {
    "completely randomized": "A completely randomized experiment",
    "blocked": "A randomized block experiment",
    "matched pairs": "A matched pairs experiment",
    "observational": "An observational study",
}
_DEFINED = {
    "completely randomized": "In a completely randomized design, chance assigns the treatments over all units at once.",
    "blocked": "In a randomized block design, chance assigns the treatments separately within groups of like units.",
    "matched pairs": "In a matched pairs design, both treatments are compared within pairs of like units.",
    "observational": "In an observational study, the researchers record the treatments but do not assign them.",
}

_STEM_EXPERIMENTAL_DESIGN = wordings("""
    train: A study of {n} {v.units} compares {v.a} with {v.b}. The response is the {v.y}.
    train: The {v.y} of {n} {v.units} is recorded to compare {v.a} with {v.b}.
    train: Does {v.a} lead to a different {v.y} than {v.b}? A study of {n} {v.units} is to tell.
    train: A report compares the {v.y} under {v.a} and under {v.b} for {n} {v.units}.
    test: The question is whether {v.y} depends on the choice between {v.a} and {v.b}; data on {n} {v.units} are at
        hand.
    test: Is {v.a} better than {v.b}? A team looks at {v.y} in {n} {v.units}.
    test: Figures on {v.y}, from {n} {v.units}, set {v.a} against {v.b}.
""")
_ASK_EXPERIMENTAL_DESIGN = wordings("""
    train/completely randomized: A computer selects {half} of all the {v.units} at random for {v.a}; the others get
        {v.b}. What type of study is this?
    train/completely randomized: All the {v.units} are numbered, and the {half} numbers drawn at random get {v.a}, the
        rest {v.b}. Which design was used?
    train/blocked: The {v.units} come from two {v.blocks}. In each of the two, half of the {v.units} are selected at
        random for {v.a}; the others get {v.b}. What type of study is this?
    train/blocked: The {v.units} are divided by which of two {v.blocks} they come from, and in each part chance assigns
        half to {v.a} and half to {v.b}. Which design was used?
    train/matched pairs: The {v.units} form {half} pairs that are as alike as possible. In each pair, a coin decides
        which one gets {v.a}; the other gets {v.b}. What type of study is this?
    train/matched pairs: Two similar {v.units} at a time are put together, and chance assigns one of the two to {v.a},
        the other to {v.b}. Which design was used?
    train/observational: The records show that {half} of the {v.units} had {v.a} and {half} had {v.b}, as {v.chooser}
        had decided. What type of study is this?
    train/observational: It was up to {v.chooser} whether to choose {v.a} or {v.b}; the researchers note the choice.
        Which design was used?
    test/completely randomized: Slips for all of them are mixed in one hat; the first {half} drawn get {v.a}, the rest
        {v.b}. Classify the study.
    test/completely randomized: A random number generator picks {half} of them for {v.a}, with no grouping beforehand;
        {v.b} is for the remaining ones. What kind of plan is this?
    test/blocked: Slips are mixed in two hats, one for each of the two {v.blocks} involved. From each hat, half are
        drawn for {v.a}, and the rest get {v.b}. Classify the study.
    test/blocked: A random number generator picks half of the {v.units} from one of two {v.blocks} for {v.a}, and then
        half of those from the other; {v.b} is for the remaining ones. What kind of plan is this?
    test/matched pairs: Ranked by a variable related to {v.y}, neighbors are paired, and a coin toss gives {v.a} to one
        and {v.b} to the other. Classify the study.
    test/matched pairs: A random number generator picks one of each two closely similar {v.units} for {v.a}; {v.b} is
        for its partner. What kind of plan is this?
    test/observational: Years ago, {v.chooser} opted for {v.a} in {half} cases and for {v.b} in the others; the data are
        taken from files. Classify the study.
    test/observational: The choice between {v.a} and {v.b} was left to {v.chooser}, and a team analyzes the outcomes.
        What kind of plan is this?
""")


@kind(1, ap="3.5, 3.6")
def experimental_design(draw: Draw) -> Siblings:
    """Name the design of a comparison."""
    v = draw.setting(VERSUS)
    n = 4 * draw.integer(8, 40)
    fields = {"v": v, "n": n, "half": n // 2}
    seen = {
        "completely randomized": f"Here a single random assignment covers all {n} {v.units}.",
        "blocked": f"Here the two {v.blocks} are the groups, and each is randomized by itself.",
        "matched pairs": f"Here chance decides within each pair of {v.units}.",
        "observational": f"Here {v.chooser} made the choice, and the researchers looked at the result.",
    }
    return in_words(
        draw, draw.ask(_STEM_EXPERIMENTAL_DESIGN, **fields), _ASK_EXPERIMENTAL_DESIGN, fields, _DESIGNS,
        {name: [recalled(_DEFINED[name]), seen[name],
                f"[So this is // Therefore the design is // This makes it] {_DESIGNS[name][0].lower()}"
                f"{_DESIGNS[name][1:]}[. // , with {v.y} as the response.]"] for name in _DESIGNS},
        {name: f"took the study for {_DESIGNS[name][0].lower()}{_DESIGNS[name][1:]}" for name in _DESIGNS},
        "Designs differ in where chance decides: over all units, within blocks, within pairs, or not at all.",
        {"n": n},
    )


_STEM_BLOCKING = wordings("""
    train: An experiment compares {v.a} with {v.b} on {n} {v.units} from two {v.blocks}, which are known to differ in
        {v.y}.
    train: A researcher has {n} {v.units} from two {v.blocks} and wants to compare {v.a} with {v.b}. The {v.y} depends
        on the source.
    train: The effects of {v.a} and {v.b} on {v.y} are compared with {n} {v.units}. Half of them come from each of two
        {v.blocks} that differ.
    train: Two {v.blocks}, one with a higher {v.y} than the other, supply {n} {v.units} to compare {v.a} with {v.b}.
    test: Past data tell that {v.y} is not the same for {v.units} from two {v.blocks}. With {n} of them, {v.a} is to be
        tried against {v.b}.
    test: For a trial of {v.a} against {v.b}, {n} {v.units} are delivered by two {v.blocks}; {v.y} varies from one to
        the other.
    test: Half of {n} {v.units} come from one of two {v.blocks}, half from the other, where {v.y} tends to be different.
        They are to receive {v.a} or {v.b}.
""")
_ASK_BLOCKING = wordings("""
    train/blocked: Which plan is a randomized block design with the two {v.blocks} as blocks?
    train/blocked: Which plan removes the difference between the {v.blocks} from the comparison and leaves the treatment
        to chance?
    train/completely randomized: Which plan is a completely randomized design?
    train/completely randomized: Under which plan may the larger part of one of the {v.blocks} get the same treatment by
        chance alone?
    train/confounded: Under which plan are the treatment and the two {v.blocks} confounded?
    train/confounded: Under which plan can the effect of the treatment not be separated from that of the {v.blocks}?
    train/matched pairs: Which plan is a matched pairs design?
    train/matched pairs: Under which plan is each result compared with that of a single partner?
    test/blocked: How can the two {v.blocks} be used as blocks?
    test/blocked: Which procedure gives two randomized comparisons, one for each source?
    test/completely randomized: How can the treatments be randomized without any grouping?
    test/completely randomized: Which procedure makes every group of {half} {v.units} equally likely to get {v.a}?
    test/confounded: What would make it impossible to tell the effect of the treatment from that of the source?
    test/confounded: Which procedure leaves open whether a difference is due to the source or to {v.a}?
    test/matched pairs: How can single {v.units} be matched for the comparison?
    test/matched pairs: Which procedure leads to {half} differences between two like {v.units}?
""")


@kind(2, ap="3.5, 3.6")
def blocking_variable(draw: Draw) -> Siblings:
    """Which of four plans for an experiment is blocked, and what the others are."""
    v = draw.setting(VERSUS)
    n = 4 * draw.integer(6, 40)
    fields = {"v": v, "n": n, "half": n // 2}
    options = {
        "blocked": f"Draw lots for {v.a} and {v.b} within each of the two {v.blocks} separately.",
        "completely randomized": f"Draw lots for {v.a} and {v.b} once over all {n} {v.units} together.",
        "confounded": f"Give {v.a} to all from one of the two {v.blocks} and {v.b} to the others.",
        "matched pairs": f"Form pairs of like {v.units} and toss a coin for {v.a} within each pair.",
    }
    steps = {
        "blocked": ("Blocks are groups of like units, and treatments are assigned at random within each block.",
                    f"Lots within each of the two {v.blocks} make these the blocks."),
        "completely randomized": ("Without groups, chance assigns the treatments over all units at once.",
                                  f"Lots over all {n} {v.units} let them fall in any way, whatever their source."),
        "confounded": ("Two variables are confounded when they change together.",
                       f"If each of the two {v.blocks} has its own treatment, treatment and source go together."),
        "matched pairs": ("In matched pairs, two like units get the two treatments in random order.",
                          f"A coin within each pair decides between {v.a} and {v.b}."),
    }
    names = {"blocked": "a block design", "completely randomized": "a completely randomized design",
             "confounded": "a plan with confounding", "matched pairs": "a matched pairs design"}
    return in_words(
        draw, draw.ask(_STEM_BLOCKING, **fields), _ASK_BLOCKING, fields, options,
        {name: [recalled(idea), here, f"[So the plan is // The plan is therefore] {names[name]}."]
         for name, (idea, here) in steps.items()},
        {name: f"chose {text}" for name, text in names.items()},
        "Blocks are groups of units that are alike in something known beforehand that affects the response.",
        {"n": n},
    )


_STEM_DESIGN_PRINCIPLES = wordings("""
    train: An experiment on {n} {v.units} from two {v.blocks} studies the effect of {v.a} on the {v.y}.
    train: The effect of {v.a} on {v.y} is tested with {n} {v.units} from two {v.blocks}.
    train: A team plans an experiment with {n} {v.units} from two {v.blocks}. The treatments are {v.a} and {v.b}; the
        response is the {v.y}.
    train: To find out whether {v.a} affects {v.y}, {n} {v.units} are obtained from two {v.blocks}.
    test: Two {v.blocks} provide {n} {v.units} for a trial of {v.a}, with {v.y} as the response.
    test: What does {v.a} do to {v.y}? For the trial there are {n} {v.units} from two {v.blocks}.
    test: In a trial of {v.a}, judged by {v.y}, two {v.blocks} contribute {half} {v.units} each.
""")
_ASK_DESIGN_PRINCIPLES = wordings("""
    train/randomization: Which feature balances all other variables, known or not, between the groups on average?
    train/randomization: Which feature prevents the researchers' preferences from deciding who gets which treatment?
    train/replication: Which feature makes the mean of each group vary less by chance?
    train/replication: Which feature is an example of replication?
    train/blocking: Which feature takes the variation between the two {v.blocks} out of the comparison?
    train/blocking: Which feature is an example of blocking?
    train/control: Which feature shows what the {v.y} would have been without {v.a}?
    train/control: Which feature provides a group as a baseline?
    test/randomization: How are unknown influences kept from favoring one of the treatments?
    test/randomization: Identify the feature that makes the groups comparable in variables nobody thought of.
    test/replication: How is the influence of single {v.units} on the result kept small?
    test/replication: Identify the feature that lowers the standard error through the number of {v.units}.
    test/blocking: How is the difference between the two {v.blocks} kept out of the estimated effect?
    test/blocking: Identify the feature that uses a variable known beforehand to be related to {v.y}.
    test/control: How can an effect of {v.a} be told from a change that would have come about anyway?
    test/control: Identify the feature that supplies a standard of comparison.
""")


@kind(1, ap="3.5")
def design_principles(draw: Draw) -> Siblings:
    """What randomization, replication, blocking and a control group are for."""
    v = draw.setting(VERSUS)
    n = 4 * draw.integer(8, 40)
    fields = {"v": v, "n": n, "half": n // 2}
    options = {
        "randomization": f"Chance decides which of the {v.units} are to get {v.a}.",
        "replication": f"As many as {n // 2} {v.units} are used for each treatment.",
        "blocking": f"Treatments are assigned within each of the two {v.blocks}.",
        "control": f"Some of the {v.units} get {v.b} for comparison.",
    }
    about = {
        "randomization": "Random assignment makes the groups alike on average in all variables but the treatment.",
        "replication": "Replication, many units for each treatment, makes chance variation of the means small.",
        "blocking": "Blocking compares the treatments among like units, so differences between blocks drop out.",
        "control": "A control group shows the response that would have come about without the treatment.",
    }
    names = {"randomization": "random assignment", "replication": "replication", "blocking": "blocking",
             "control": "comparison with a control group"}
    return in_words(
        draw, draw.ask(_STEM_DESIGN_PRINCIPLES, **fields), _ASK_DESIGN_PRINCIPLES, fields, options,
        {name: [recalled(about[name]),
                f"[In this study of {v.y}, the feature to name is {names[name]} // The feature asked for is "
                f"{names[name]}, here with {n} {v.units} // With {v.a} and {v.b}, we look for {names[name]}]."]
         for name in options},
        {name: f"chose the feature that stands for {names[name]}" for name in options},
        "Experiments rest on comparison, random assignment, replication and, where units differ, blocking.",
        {"n": n},
    )


_STEM_BLINDING = wordings("""
    train: In an experiment with {n} {t.subjects}, half are randomly assigned to {t.active}.
    train: Chance assigns {half} of {n} {t.subjects} to {t.active}.
    train: The effect of {t.active} is tested with {n} {t.subjects}; a random half of them get it.
    train: A clinical experiment gives {t.active} to {half} of {n} {t.subjects}, selected at random.
    test: At random, {half} of {n} {t.subjects} are chosen to receive {t.active}.
    test: Does {t.active} help {t.subjects}? Of {n} volunteers, {half} try it, as decided at random.
    test: A trial of {t.active} has {n} volunteers, all of them {t.subjects}. Random numbers determine the {half} who
        receive it.
""")
_ASK_BLINDING = wordings("""
    train/neither: The others get {t.none}. At the end, a {t.judge} who has the list of the groups rates the {t.y}. Who
        is blind to the treatment?
    train/neither: The control group gets {t.none}, and the {t.judge} who rates the {t.y} knows the groups. Who is
        blinded?
    train/subjects: The others get {t.same}. At the end, a {t.judge} who has the list of the groups rates the {t.y}. Who
        is blind to the treatment?
    train/subjects: The control group gets {t.same}, and the {t.judge} who rates the {t.y} knows the groups. Who is
        blinded?
    train/evaluators: The others get {t.none}. At the end, a {t.judge} who is not told the groups rates the {t.y}. Who
        is blind to the treatment?
    train/evaluators: The control group gets {t.none}, and the {t.judge} who rates the {t.y} does not know the groups.
        Who is blinded?
    train/both: The others get {t.same}. At the end, a {t.judge} who is not told the groups rates the {t.y}. Who is
        blind to the treatment?
    train/both: The control group gets {t.same}, and the {t.judge} who rates the {t.y} does not know the groups. Who is
        blinded?
    test/neither: For comparison, the rest have {t.none}. The {t.y} is judged by {t.judge!a} who holds a list of the
        treated. Identify who is blind.
    test/neither: The rest have {t.none}. The {t.judge} who assesses the {t.y} has seen the assignment. Who remains
        unaware of the treatments?
    test/subjects: For comparison, the rest have {t.same}. The {t.y} is judged by {t.judge!a} who holds a list of the
        treated. Identify who is blind.
    test/subjects: The rest have {t.same}. The {t.judge} who assesses the {t.y} has seen the assignment. Who remains
        unaware of the treatments?
    test/evaluators: For comparison, the rest have {t.none}. The {t.y} is judged by {t.judge!a} from whom the list of
        the treated is kept. Identify who is blind.
    test/evaluators: The rest have {t.none}. The {t.judge} who assesses the {t.y} has not seen the assignment. Who
        remains unaware of the treatments?
    test/both: For comparison, the rest have {t.same}. The {t.y} is judged by {t.judge!a} from whom the list of the
        treated is kept. Identify who is blind.
    test/both: The rest have {t.same}. The {t.judge} who assesses the {t.y} has not seen the assignment. Who remains
        unaware of the treatments?
""")
_BLIND = {
    (0, 0): ("neither", "Neither the subjects nor the evaluator"),
    (1, 0): ("subjects", "The subjects, but not the evaluator"),
    (0, 1): ("evaluators", "The evaluator, but not the subjects"),
    (1, 1): ("both", "The subjects as well as the evaluator"),
}


@kind(1, ap="3.5")
def blinding(draw: Draw) -> Siblings:
    """Who is blind in an experiment: the subjects, the evaluator, both or neither."""
    t = draw.setting(TRIALS)
    n = 2 * draw.integer(15, 95)
    fields = {"t": t, "n": n, "half": n // 2}
    stem = draw.ask(_STEM_BLINDING, **fields)

    def make(subjects: int, judge: int) -> Sibling:
        asked, text = _BLIND[subjects, judge]
        return Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_BLINDING, asked, **fields)}",
            [
                "[Blind means not to know which treatment was given // Those who do not know which treatment was given "
                "are blind].",
                ((f"Those who get {t.none} know that they are not treated[. // , so the subjects are not blind.]",
                  f"With a placebo, {t.same}, nobody can tell the treatment[. // , so the subjects are blind.]"
                  )[subjects],
                 (f"The {t.judge} knows who got {t.active}[. // , so the evaluator is not blind.]",
                  f"The {t.judge} does not know who got {t.active}[. // , so the evaluator is blind.]")[judge]),
            ],
            words(f"{text}."),
            "A placebo keeps subjects blind; evaluators are blind when they are not told who got which treatment.",
        )

    return square(
        make,
        ("took the subjects for blind, though they can tell the treatment",
         "took the subjects for informed, though they get a placebo"),
        ("took the evaluator for blind", "took the evaluator for informed"),
        {"n": n},
    )
