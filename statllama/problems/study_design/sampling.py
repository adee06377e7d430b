"""Sampling methods: what they are called, and what each is good for."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import recalled
from .._problem import ordinal
from .._scenarios import CENSUSES
from .._siblings import Siblings
from .._wording import wordings
from ._shared import in_words, short

# fmt: off

_METHODS = {
    "simple random": "A simple random sample",
    "stratified": "A stratified random sample",
    "cluster": "A cluster sample",
    "systematic": "A systematic sample",
}
_DEFINED = {
    "simple random": "In a simple random sample, every group of individuals of the given size is equally likely.",
    "stratified": "In a stratified random sample, a random sample is drawn from every group of like individuals.",
    "cluster": "In a cluster sample, whole groups are drawn at random, and every individual in them is included.",
    "systematic": "In a systematic sample, individuals at equal steps on a list follow after a random start.",
}
_IDEA = "Sampling methods differ in what chance picks: individuals, some from every group, whole groups, or a start."


def _numbers(draw: Draw, population: tuple[int, int]) -> dict[str, int]:
    """Return the numbers of four plans for one population."""
    step, few, group = draw.integer(8, 25), draw.integer(3, 9), 5 * draw.integer(2, 9)
    return {"total": 10 * draw.integer(population[0] // 10, population[1] // 10), "n": 5 * draw.integer(6, 24),
            "step": step, "few": few, "group": group}


_STEM_SAMPLING_METHOD = wordings("""
    train: A researcher wants a sample of the {total} {c.many}.
    train: A survey is to include only some of the {total} {c.many}.
    train: There are {total} {c.many}, too many to study them all.
    train: A sample is to represent the {total} {c.many}.
    test: A census of {total} {c.many} would cost too much.
    test: An analyst looks at some of {total} {c.many}.
    test: Of {total} {c.many}, some are checked by an auditor.
""")
_ASK_SAMPLING_METHOD = wordings("""
    train/simple random: All are numbered, and a computer draws {n} different numbers at random. Which sampling method
        is this?
    train/simple random: From the complete list, {n} are selected so that every set of {n} is equally likely. What kind
        of sample is this?
    train/stratified: For each {c.stratum}, {group} are selected at random. Which sampling method is this?
    train/stratified: They are divided by {c.stratum}, and {group} are selected at random from every {c.stratum}. What
        kind of sample is this?
    train/cluster: A computer selects {few} of the {c.clusters} at random, and every {c.one} in these is included. Which
        sampling method is this?
    train/cluster: First {few} of the {c.clusters} are drawn at random; then every {c.one} there is included. What kind
        of sample is this?
    train/systematic: After a random start among the first {step}, every {stepth} {c.one} on {c.listing} is selected.
        Which sampling method is this?
    train/systematic: A random start is drawn among the first {step} entries of {c.listing}, and every {stepth} {c.one}
        from there on is included. What kind of sample is this?
    test/simple random: Slips for all of the {short} are mixed, and {n} slips are drawn. Name the method.
    test/simple random: Random numbers determine {n} {short} out of {c.listing} as a whole. What is this procedure
        called?
    test/stratified: From the list of each {c.stratum}, {group} {short} are drawn at random. Name the method.
    test/stratified: Random numbers determine {group} {short} within the first {c.stratum}, {group} within the second,
        and so on for all of them. What is this procedure called?
    test/cluster: Chance picks {few} of the {c.clusters}, and each {c.one} found in them is studied. Name the method.
    test/cluster: Random numbers determine {few} {c.clusters}, and each {c.one} there enters the sample. What is this
        procedure called?
    test/systematic: Along {c.listing}, one {c.one} in {step} is marked, and a random number tells where to begin. Name
        the method.
    test/systematic: A random number up to {step} gives the first entry of {c.listing}; the others follow at a distance
        of {step} {short} each. What is this procedure called?
""")


@kind(1, ap="3.3")
def sampling_method(draw: Draw) -> Siblings:
    """Name the sampling method that a description follows."""
    c = draw.setting(CENSUSES)
    numbers = _numbers(draw, c.size)
    fields = {"c": c, "short": short(c), "stepth": ordinal(numbers["step"]), **numbers}
    seen = {
        "simple random": f"Here chance picks single labels out of all {numbers['total']} at once.",
        "stratified": f"Here chance picks some from every {c.stratum}.",
        "cluster": f"Here chance picks {c.clusters}, and all in them belong to the sample.",
        "systematic": f"Here chance picks the start, and steps of {numbers['step']} on {c.listing} do the rest.",
    }
    return in_words(
        draw, draw.ask(_STEM_SAMPLING_METHOD, **fields), _ASK_SAMPLING_METHOD, fields, _METHODS,
        {name: [recalled(_DEFINED[name]), seen[name],
                f"[So this is // The method is therefore // This makes it] {_METHODS[name].lower()}[. // of the "
                f"{short(c)}.]"] for name in _METHODS},
        {name: f"took the method for {_METHODS[name].lower()}" for name in _METHODS},
        _IDEA, numbers,
    )


_STEM_SAMPLING_ADVANTAGE = wordings("""
    train: The {total} {c.many} can be sampled in several ways.
    train: A team discusses how to sample the {total} {c.many}.
    train: Four plans are proposed for a sample of the {total} {c.many}.
    train: A student plans a sample of the {total} {c.many}.
    test: What is the best way to choose from {total} {c.many}?
    test: Out of {total} {c.many}, only a part can be visited.
    test: A committee weighs up designs for a study of {total} {c.many}.
""")
_ASK_SAMPLING_ADVANTAGE = wordings("""
    train/simple random: One plan is to number all of them and to draw {n} of the numbers at random. Which is an
        advantage of this plan?
    train/simple random: Which is an advantage of a simple random sample of {n}?
    train/stratified: One plan is to draw {group} at random from every {c.stratum}. Which is an advantage of this plan?
    train/stratified: Which is an advantage of a stratified sample with {group} from every {c.stratum}?
    train/cluster: One plan is to draw {few} {c.clusters} at random and to include every {c.one} there. Which is an
        advantage of this plan?
    train/cluster: Which is an advantage of a cluster sample that consists of {few} whole {c.clusters}?
    train/systematic: One plan is to take every {stepth} {c.one} on {c.listing} after a random start. Which is an
        advantage of this plan?
    train/systematic: Which is an advantage of a systematic sample of every {stepth} {c.one} on {c.listing}?
    test/simple random: What speaks for drawing {n} labels at random from all of them at once?
    test/simple random: Suppose chance picks {n} of them, without regard to groups or order. Why might someone prefer
        this?
    test/stratified: What speaks for separate random draws, {group} from each {c.stratum}?
    test/stratified: Suppose chance picks {group} from the first {c.stratum}, {group} from the next, and so on. Why
        might someone prefer this?
    test/cluster: What speaks for a random choice of {few} {c.clusters}, each of them studied completely?
    test/cluster: Suppose chance picks {few} of the {c.clusters} and each {c.one} in them is taken. Why might someone
        prefer this?
    test/systematic: What speaks for a random first entry of {c.listing} and steps of {step} from there on?
    test/systematic: Suppose chance picks a starting point, and then one {c.one} in {step} along {c.listing} is taken.
        Why might someone prefer this?
""")


@kind(1, ap="3.3")
def sampling_advantage(draw: Draw) -> Siblings:
    """What each of four sampling methods is good for."""
    c = draw.setting(CENSUSES)
    numbers = _numbers(draw, c.size)
    fields = {"c": c, "short": short(c), "stepth": ordinal(numbers["step"]), **numbers}
    options = {
        "simple random": f"Every group of {short(c)} of the given size is equally likely to be selected.",
        "stratified": f"Each {c.stratum} is certain to be represented by a number fixed in advance.",
        "cluster": f"Only a few of the {c.clusters} have to be dealt with, which saves time and expense.",
        "systematic": f"The selections are certain to be spread evenly over {c.listing} from end to end.",
    }
    return in_words(
        draw, draw.ask(_STEM_SAMPLING_ADVANTAGE, **fields), _ASK_SAMPLING_ADVANTAGE, fields, options,
        {name: [recalled(_DEFINED[name]),
                f"[The population has {numbers['total']} {short(c)} // There are {numbers['total']} {short(c)} to "
                f"choose from].",
                f"[So this is what {_METHODS[name].lower()} of {short(c)} has to offer // From this follows the "
                f"advantage of {_METHODS[name].lower()}]."]
         for name in _METHODS},
        {name: f"gave the advantage of {_METHODS[name].lower()}" for name in _METHODS},
        "Strata ensure that every group is represented, clusters save work, and a systematic sample is evenly spread.",
        numbers,
    )
