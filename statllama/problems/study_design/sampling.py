"""Sampling methods, their bias and the use of random digits."""

from __future__ import annotations

from collections.abc import Sequence

from .._draw import Draw, kind
from .._problem import (
    Answer,
    Draft,
    Wrong,
    count,
    ordinal,
    sig,
    words,
)
from .._scenarios import (
    CENSUSES,
    SURVEYS,
)
from .._wording import wordings

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


_MISREAD = {
    ("simple random", "systematic"): "The population is put on a numbered list, and such a list is what a systematic "
                                     "sample goes by.",
    ("simple random", "stratified"): "Everyone has the same chance, and to ensure that is what strata are for.",
    ("stratified", "cluster"): "The population is divided into groups, and dividing it makes clusters.",
    ("stratified", "simple random"): "Individuals are drawn at random, and any random draw is a simple random sample.",
    ("cluster", "stratified"): "The population is divided into groups, and dividing it makes strata.",
    ("cluster", "convenience"): "Whole groups are taken because that is less work, and less work is convenient.",
    ("systematic", "simple random"): "The start is random, and after a random start every sample is equally likely.",
    ("systematic", "cluster"): "Individuals at the same distance from one another form a cluster.",
    ("convenience", "simple random"): "Nobody picked the individuals on purpose, so chance picked them.",
    ("convenience", "systematic"): "The individuals are taken one after another, in the order in which they come.",
}


_ASK_SAMPLING_METHOD = wordings("""
    train/simple random: A researcher numbers all the {c.many} and lets a computer draw {n} different numbers at
        random. What kind of sample is this?
    train/simple random: All the {c.many} are listed, and a random number generator selects {n} of them, each
        set of {n} being equally likely. Which sampling method was used?
    train/stratified: A researcher divides the {c.many} by {c.stratum} and draws {few3} of them at random in
        each {c.stratum}. What kind of sample is this?
    train/stratified: From every {c.stratum} of the {c.many}, {few3} are selected at random, and the selections
        are put together. Which sampling method was used?
    train/cluster: A researcher draws {few} of the {c.clusters} at random and includes every {c.one} in them.
        The population are the {c.many}. What kind of sample is this?
    train/cluster: To study the {c.many}, {few} of the {c.clusters} are selected at random, and each {c.one}
        there is included. Which sampling method was used?
    train/systematic: A researcher picks a random start among the first {step} entries of {c.listing} and takes
        every {stepth} {c.one} from there on. What kind of sample is this?
    train/systematic: Beginning at a random place among the first {step}, every {stepth} {c.one} on {c.listing}
        is selected. Which sampling method was used?
    train/convenience: A researcher takes the first {n} {c.many} found {c.handy}. What kind of sample is this?
    train/convenience: To save time, a researcher includes the {n} {c.many} that are met first {c.handy}. Which
        sampling method was used?
    test/simple random: Every one of the {c.many} gets a slip in a big drum, the drum is turned well, and {n}
        slips are taken out. Name the plan by which these were sampled.
    test/stratified: A teacher makes a separate list for each {c.stratum}, pulls {few3} entries by lot from
        every list, and so arrives at a sample of {c.many}. Name the plan.
    test/cluster: Since the {c.many} are spread over many {c.clusters}, a consultant chooses {few} of these by
        lot and then studies each {c.one} found there, with nobody left out. Name the plan.
    test/systematic: Going down {c.listing}, a planner marks one {c.one} in {step}: a random number decides
        where to begin, and after that the marks follow at equal distances. Name the plan.
    test/convenience: A clerk in a hurry settles for {n} {c.many} that happen to be {c.handy}. Name the plan by
        which these were sampled.
""")


@kind(1)
def sampling_method(draw: Draw) -> Draft:
    """Name the sampling method that a description follows."""
    c = draw.setting(CENSUSES)
    method = draw.choice(tuple(_METHODS))
    step, few = draw.integer(8, 25), draw.integer(4, 9)
    n = 5 * draw.integer(6, 24)
    confusions = [
        Wrong(words(text), f"confused a {method} sample with a {name} sample",
              [_MISREAD[method, name], f"This is what defines a {name} sample."]
              if (method, name) in _MISREAD else ())
        for name, text in _METHODS.items() if name != method
    ]
    size = few if method == "cluster" else step if method == "systematic" else n
    return Draft(
        draw.ask(_ASK_SAMPLING_METHOD, method, c=c, n=n, few=few, few3=few * 3, step=step, stepth=ordinal(step)),
        [_CLUES[method], f"This is what defines a {method} sample."],
        words(_METHODS[method]), confusions,
        "Sampling methods differ in what is drawn at random: individuals, a few from every group, or whole "
        "groups.",
        {"method": method, "size": size},
    )


_ASK_SOURCE_OF_BIAS = wordings("""
    train/undercoverage: To learn what {s.who} think about {s.topic}, {n} people are drawn at random from
        {s.frame}, and all of them answer a neutral question. What is the main source of bias?
    train/undercoverage: A survey on {s.topic} is meant for the {s.who}. Its {n} participants are selected at
        random from {s.frame}; everyone selected answers, and the question is neutral. Name the most serious
        bias.
    train/nonresponse: To learn what {s.who} think about {s.topic}, a neutral question is sent to {n} of them
        drawn at random from a complete list; {percent}% reply. What is the main source of bias?
    train/nonresponse: A survey on {s.topic} selects {n} {s.who} at random from a complete list and asks them a
        neutral question, but only {percent}% answer. Name the most serious bias.
    train/voluntary: To learn what {s.who} think about {s.topic}, no sample is drawn. {s.open_call}, and {n}
        replies come in. What is the main source of bias?
    train/voluntary: A survey on {s.topic} is meant for the {s.who}. {s.open_call}, and the {n} answers received
        are counted. Name the most serious bias.
    train/wording: To learn what {s.who} think about {s.topic}, {n} of them are drawn at random from a complete
        list, and all of them answer the question "{s.leading}" What is the main source of bias?
    train/wording: A survey on {s.topic} selects {n} {s.who} at random from a complete list. All of them answer
        this question: "{s.leading}" Name the most serious bias.
    test/undercoverage: Opinions on {s.topic} are wanted. Names of {n} {s.many} are pulled by lot from
        {s.frame}, nobody refuses, and the question favors no side. Why may the result still be off for the
        {s.who} as a whole?
    test/nonresponse: With the full list of {s.who} at hand, a reporter pulls {n} names by lot and puts an
        even-handed question on {s.topic} to them. Of these, {percent}% take the trouble to answer. Why may the
        result be off?
    test/voluntary: What do {s.who} want in the matter of {s.topic}? {s.open_call}. Within a month {n} messages
        arrive and are tallied. Why may the tally be off?
    test/wording: Every one of {n} {s.who}, whose names were pulled by lot from the full list, replied when
        asked about {s.topic}: "{s.leading}" Why may the result be off?
""")


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
    names = {"undercoverage": "undercoverage", "nonresponse": "nonresponse",
             "voluntary": "voluntary response", "wording": "leading wording"}
    clue = {"undercoverage": "The list used for the draw leaves out a part of the population.",
            "nonresponse": "The sample was drawn well, but few of those drawn replied.",
            "voluntary": "No sample was drawn: whoever wanted to could answer.",
            "wording": "The sample was drawn well and everyone answered, but the question is loaded."}
    misread = {"undercoverage": "Not everyone is heard, and whoever is not heard is not covered.",
               "nonresponse": "There are people whose opinion is wanted but missing from the answers.",
               "voluntary": "Nobody is forced to answer, so those who answer do so of their own will.",
               "wording": "What people answer depends on how the question is put to them."}
    parameters: dict[str, object] = {"bias": kind_of, "n": n}
    if kind_of == "nonresponse":
        parameters["percent"] = percent
    return Draft(
        draw.ask(_ASK_SOURCE_OF_BIAS, kind_of, s=s, n=n, percent=percent),
        [clue[kind_of], f"That is {names[kind_of]}."],
        words(reasons[kind_of]),
        [Wrong(words(text), f"took {names[kind_of]} for {names[name]}", [misread[name],
            f"That is {names[name]}."]) for name, text in reasons.items() if name != kind_of],
        "Bias is named after the step that goes wrong: the list, the replies, who chooses, or the question.",
        parameters,
    )


_ASK_SYSTEMATIC_SELECTION = wordings("""
    train: A systematic sample of {n} is taken from a list of {total} {c.many}. The random start is number
        {start}. What is the number of the {j}th {c.one} selected?
    train: From a numbered list of {total} {c.many}, {n} are chosen by systematic sampling, beginning with
        number {start}. What number is chosen {j}th?
    test: An inspector needs {n} out of {total} {c.many}, numbered in order, and goes through them at equal
        steps from a starting place picked by lot, {start}. At which number does the {j}th stop fall?
    test: Which number comes {j}th when {total} {c.many} are sampled systematically, {n} of them in all and
        number {start} first?
""")


@kind(1)
def systematic_selection(draw: Draw) -> Draft:
    """The j-th number of a systematic sample."""
    c = draw.setting(CENSUSES)
    step, n = draw.integer(8, 40), draw.integer(20, 60)
    start, j = draw.integer(2, step), draw.integer(4, 15)
    right = start + (j - 1) * step
    every = f"The step is {step * n} / {n} = {step}."
    return Draft(
        draw.ask(_ASK_SYSTEMATIC_SELECTION, c=c, n=n, total=step * n, start=start, j=j),
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


_ASK_STRATIFIED_ALLOCATION = wordings("""
    train: The {total} {c.many} fall into three {c.strata} of sizes {listing}. A stratified sample of {n} is
        allocated in proportion to size. How many come from the {place} group?
    train: A stratified random sample of {n} of {total} {c.many} uses {c.strata} as strata, of sizes {listing}.
        With proportional allocation, how many are drawn from the {place} stratum?
    test: A teacher splits {total} {c.many} into three {c.strata} ({listing}) and wants each to have the same
        weight among the {n} sampled as it has among all. How many must the {place} one supply?
    test: Of {n} places in a sample of {c.many}, how many go to the {place} of three {c.strata} when these count
        {listing} and places are shared out by size?
""")


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
        draw.ask(_ASK_STRATIFIED_ALLOCATION, c=c, n=n, total=total, listing=listing, place=place),
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


_ASK_RANDOM_DIGITS = wordings("""
    test: The {total} {c.many} carry the labels 01 to {total}. To sample some of them, a planner reads two
        digits at a time from this row of random digits and passes over labels that do not exist or have come up
        before: {row}. What is the {place} label sampled?
    test: In the row {row} every pair of digits from the left stands for one of the {total} {c.many}, labeled 01
        to {total}. Pairs without an owner and repeats are skipped. Which label is the {place} to enter the
        sample?
""")


@kind(2, held_out=True)
def random_digits(draw: Draw) -> Draft:
    """The j-th label that a row of random digits selects."""
    c = draw.setting(CENSUSES)
    total, j = draw.integer(40, 85), draw.integer(3, 5)
    pairs = [draw.integer(0, 99) for _ in range(15)]
    chosen: list[int] = []
    skipped: list[int] = []
    repeated: list[int] = []
    read = 0
    for pair in pairs:
        if len(chosen) == j:
            break
        read += 1
        home = skipped if not 1 <= pair <= total else repeated if pair in chosen else chosen
        home.append(pair)
    draw.need(len(chosen) == j and len(skipped) > 0 and len(repeated) == 1 and 4 < read < 13)
    with_repeats = [pair for pair in pairs[:read] if 1 <= pair <= total]
    draw.need(with_repeats[j - 1] != chosen[-1])
    digits = "".join(f"{pair:02d}" for pair in pairs)
    row = " ".join(digits[i : i + 5] for i in range(0, 30, 5))
    place = ("third", "fourth", "fifth")[j - 3]
    start = f"The pairs are {', '.join(f'{pair:02d}' for pair in pairs[:read])}."

    def listed(labels: Sequence[int]) -> str:
        return ", ".join(f"{label:02d}" for label in labels)

    return Draft(
        draw.ask(_ASK_RANDOM_DIGITS, c=c, total=total, row=row, place=place),
        [start, f"No label belongs to {listed(skipped)}, and {listed(repeated)} comes up again.",
         f"The labels sampled are {listed(chosen)}."],
        Answer(f"{chosen[-1]:02d}", (float(chosen[-1]),), 0.0),
        [
            Wrong(Answer(f"{with_repeats[j - 1]:02d}", (float(with_repeats[j - 1]),)), "counted a repeated label twice",
                  [start, f"No label belongs to {listed(skipped)}.",
                   f"The labels sampled are {listed(with_repeats[:j])}."]),
            Wrong(Answer(f"{pairs[j - 1]:02d}", (float(pairs[j - 1]),)), "skipped no pairs at all",
                  [start, f"The labels sampled are the first {j} of them, {listed(pairs[:j])}."]),
            Wrong(Answer(f"{chosen[-2]:02d}", (float(chosen[-2]),)), "stopped one label too early",
                  [start, f"No label belongs to {listed(skipped)}.",
                   f"The labels sampled end with {listed(chosen[:-1])}."]),
            Wrong(Answer(f"{pairs[read]:02d}", (float(pairs[read]),), possible=1 <= pairs[read] <= total),
                  "went one pair too far"),
            Wrong(Answer(f"{chosen[0]:02d}", (float(chosen[0]),)), "gave the first label sampled"),
        ],
        "Pairs of random digits select labels; pairs without a label and repeats are skipped.",
        {"pairs": pairs, "total": total, "j": j},
    )
