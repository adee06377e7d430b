"""Numbers of a sample: steps on a list, shares of strata, random digits and the chance to be selected."""

from __future__ import annotations

from .._answer import Answer
from .._draw import Draw, kind
from .._problem import count, fixed, number, ordinal, plain
from .._scenarios import CENSUSES
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import short

# fmt: off

_STEM_SYSTEMATIC_SELECTION = wordings("""
    train: A systematic sample is taken from a list of {total} {c.many}. The random start is number {start}.
    train: The {total} {c.many} are numbered from 1 to {total}. A systematic sample starts at number {start}, chosen at
        random.
    train: For a systematic sample of the {total} {c.many}, numbered in order, the random start is number {start}.
    train: Number {start} is the random start of a systematic sample from a numbered list of {total} {c.many}.
    test: In {c.listing}, {total} {c.many} are numbered in order; a systematic sample begins at number {start}, as
        chance decided.
    test: A systematic sample of {c.many} uses {c.listing}, with entries 1 to {total}. By chance, entry {start} is the
        first.
    test: By chance, number {start} begins a systematic sample of {c.many}; {c.listing} goes up to number {total}.
""")
_ASK_SYSTEMATIC_SELECTION = wordings("""
    train/size counted: The sample size is {n}. What is the {jth} number in the sample, if the start counts as the
        first?
    train/size counted: In all, {n} are to be selected. Counting the start, which number is selected {jth}?
    train/size after: The sample size is {n}. What is the {jth} number selected after the start?
    train/size after: In all, {n} are to be selected. Not counting the start, which number is selected {jth}?
    train/step counted: Every {nth} {c.one} is selected. What is the {jth} number in the sample, if the start counts as
        the first?
    train/step counted: The interval between selections is {n}. Counting the start, which number is selected {jth}?
    train/step after: Every {nth} {c.one} is selected. What is the {jth} number selected after the start?
    train/step after: The interval between selections is {n}. Not counting the start, which number is selected {jth}?
    test/size counted: If {n} {short} are needed, which {c.one} is member {j} of the sample, with the start as member 1?
        Give its number.
    test/size counted: The sample is to have {n} {short}. Which number comes {jth} when the start comes first?
    test/size after: If {n} {short} are needed, which {c.one} lies {j} selections beyond the start? Give its number.
    test/size after: The sample is to have {n} {short}. Which number comes {jth} after the start?
    test/step counted: If one {c.one} in {n} is taken, which {c.one} is member {j} of the sample, with the start as
        member 1? Give its number.
    test/step counted: Between two {short}, the step is {n}. Which number comes {jth} when the start comes first?
    test/step after: If one {c.one} in {n} is taken, which {c.one} lies {j} selections beyond the start? Give its
        number.
    test/step after: Between two {short}, the step is {n}. Which number comes {jth} after the start?
""")


@kind(1, ap="3.3")
def systematic_selection(draw: Draw) -> Siblings:
    """The j-th number of a systematic sample, by its size or its step."""
    c = draw.setting(CENSUSES)
    step, n = draw.integer(12, 40), draw.integer(12, 40)
    start, j = draw.integer(2, min(step, n)), draw.integer(4, 10)
    total = step * n
    fields = {"c": c, "short": short(c), "n": n, "nth": ordinal(n), "total": total, "start": start, "j": j,
              "jth": ordinal(j)}
    stem = draw.ask(_STEM_SYSTEMATIC_SELECTION, **fields)

    def make(by_step: int, after: int) -> Sibling:
        k, moves = (step, n)[by_step], (j - 1, j)[after]
        asked = f"{('size', 'step')[by_step]} {('counted', 'after')[after]}"
        return Sibling(
            asked,
            f"{stem} {draw.ask(_ASK_SYSTEMATIC_SELECTION, asked, **fields)}",
            [
                (f"[The interval is // The step is] `k = N / n = {total} / {n} = {step}`, population size over sample "
                 "size.",
                 f"[The interval is the step between two selections, // The step is given,] `k = {n}`, whatever the "
                 "sample size.")[by_step],
                (f"With the start as the first, the {ordinal(j)} selection lies `{j} - 1 = {j - 1}` steps from it.",
                 f"The {ordinal(j)} selection after the start lies {j} steps from it.")[after],
                f"[Its number is // So its number is // Counting on from {start}, this is number] `{start} + {moves} * "
                f"{k} = {start + moves * k}`.",
            ],
            count(start + moves * k),
            "A systematic sample goes on from its random start in steps of k, where `k = N / n` for a sample of n.",
        )

    return square(
        make,
        ("took the sample size for the interval", "took the interval for the sample size"),
        ("did not count the start as the first", "counted the start as the first"),
        {"population": total, "n": n, "start": start, "j": j},
    )


_STEM_STRATIFIED_ALLOCATION = wordings("""
    train: The {total} {c.many} fall into three {c.strata} of sizes {listing}.
    train: Three {c.strata} divide the {total} {c.many} into strata of {listing}.
    train: Of the {total} {c.many}, the numbers in three {c.strata} are {listing}, in that order.
    train: A survey uses three {c.strata} as strata. They contain {listing} of the {total} {c.many}.
    test: By {c.stratum}, {total} {c.many} form three groups of {listing}.
    test: Among {total} {c.many} there are three {c.strata}, of sizes {listing}.
    test: The {c.strata} of {total} {c.many} define three groups: {listing}.
""")
_ASK_STRATIFIED_ALLOCATION = wordings("""
    train/inside: A stratified random sample of {n} is allocated in proportion to size. How many come from the {place}
        stratum?
    train/inside: For a stratified sample of {n} with proportional allocation, how many are selected from the {place}
        stratum?
    train/outside: A stratified random sample of {n} is allocated in proportion to size. How many come from the two
        strata other than the {place}?
    train/outside: For a stratified sample of {n} with proportional allocation, how many are selected from outside the
        {place} stratum?
    test/inside: A sample of {n} {short} gives each {c.stratum} its proportional share. How many {short} of the {place}
        group are in it?
    test/inside: If {n} places are shared out by {c.stratum} in proportion, how many {short} come from the {place}
        group?
    test/outside: A sample of {n} {short} gives each {c.stratum} its proportional share. How many {short} outside the
        {place} group are in it?
    test/outside: If {n} places are shared out by {c.stratum} in proportion, how many {short} do not come from the
        {place} group?
""")
_PLACES = ("first", "second", "third")
_SHARES = ((45, 35, 20), (40, 35, 25), (55, 30, 15), (20, 45, 35), (30, 55, 15), (15, 25, 60), (35, 25, 40))


@kind(1, ap="3.3")
def stratified_allocation(draw: Draw) -> Siblings:
    """The number drawn from one stratum, or from the others, under proportional allocation."""
    c = draw.setting(CENSUSES)
    shares, scale, n = draw.choice(_SHARES), draw.integer(4, 16), 20 * draw.integer(2, 9)
    sizes = [scale * share for share in shares]
    total, pair = sum(sizes), draw.rng.sample(range(3), 2)
    draw.need(total > 2 * n)
    fields = {"c": c, "short": short(c), "n": n, "total": total, "listing": f"{sizes[0]}, {sizes[1]} and {sizes[2]}"}
    stem = draw.ask(_STEM_STRATIFIED_ALLOCATION, **fields)

    def make(which: int, outside: int) -> Sibling:
        i, place = pair[which], _PLACES[pair[which]]
        size = total - sizes[i] if outside else sizes[i]
        taken = n * size // total
        asked = ("inside", "outside")[outside]
        return Sibling(
            f"{asked} the {place}",
            f"{stem} {draw.ask(_ASK_STRATIFIED_ALLOCATION, asked, place=place, **fields)}",
            [
                "[Under proportional allocation, a stratum has the same share of the sample as of the population // "
                "Proportional allocation keeps the shares: in the sample they are as in the population].",
                (f"The {place} stratum has {size} of {total}, a share of `{size} / {total} = {plain(size / total)}`.",
                 f"The other two strata have {size} of {total}, a share of `{size} / {total} = {plain(size / total)}`.",
                 )[outside],
                f"[The number selected is // Of the {n} selected, this makes] `{n} * {plain(size / total)} = "
                f"{taken}`[. // {short(c)}.]",
            ],
            count(taken),
            "Proportional allocation gives each stratum the same share of the sample as it has of the population.",
        )

    wrong_place = (f"used the {_PLACES[pair[1]]} stratum instead of the {_PLACES[pair[0]]}",
                   f"used the {_PLACES[pair[0]]} stratum instead of the {_PLACES[pair[1]]}")
    return square(
        make, wrong_place,
        ("gave the number from the other strata", "gave the number from the stratum itself"),
        {"sizes": sizes, "strata": pair, "n": n},
    )


_STEM_RANDOM_DIGITS = wordings("""
    test: A table of random digits serves to sample {c.many}, labeled 01 to {total} in {c.listing} and read in pairs.
        Line 1 is {first}, line 2 is {second}.
    test: In {c.listing}, {c.many} are labeled 01 to {total}. Pairs are read from random digits, line 1 ({first}) or
        line 2 ({second}).
    test: To sample some of {total} {c.many}, labels 01 to {total} are assigned, and random digits are read in pairs.
        Line 1: {first}. Line 2: {second}.
""")
_ASK_RANDOM_DIGITS = wordings("""
    test/without: Using line {line}, which {c.one} is the {jth} selected, if no {c.one} can be selected twice? Give the
        label.
    test/without: Sampling {short} without replacement from line {line}, find the {jth} label.
    test/with: Using line {line}, which {c.one} is the {jth} selected, if each {c.one} can be selected again? Give the
        label.
    test/with: Sampling {short} with replacement from line {line}, find the {jth} label.
""")


def _labels(pairs: list[int], total: int, repeats: bool) -> list[int]:
    """Return the labels that the pairs select, in order."""
    known = [pair for pair in pairs if 1 <= pair <= total]
    return known if repeats else list(dict.fromkeys(known))


def _line(draw: Draw, total: int, j: int) -> list[int]:
    """Return ten pairs of digits in which a repeat comes before the j-th label, and some pair has no label."""
    pairs = [draw.integer(0, 99) for _ in range(10)]
    pairs[draw.integer(2, 3)] = pairs[draw.integer(0, 1)]
    known = _labels(pairs, total, True)[:j]
    draw.need(len(set(known)) == j - 1 and len(_labels(pairs, total, False)) > j)
    draw.need(any(not 1 <= pair <= total for pair in pairs[:5]))
    return pairs


@kind(2, held_out=True, ap="3.3")
def random_digits(draw: Draw) -> Siblings:
    """The j-th label that a line of random digits selects, with or without replacement."""
    c = draw.setting(CENSUSES)
    total, j = draw.integer(40, 85), draw.integer(4, 5)
    lines = [_line(draw, total, j) for _ in range(2)]
    texts = ["".join(f"{pair:02d}" for pair in pairs) for pairs in lines]
    rows = [" ".join(text[i : i + 5] for i in range(0, 20, 5)) for text in texts]
    fields = {"c": c, "short": short(c), "total": total, "first": rows[0], "second": rows[1]}
    stem = draw.ask(_STEM_RANDOM_DIGITS, **fields)

    def make(line: int, repeats: int) -> Sibling:
        labels = _labels(lines[line], total, bool(repeats))[:j]
        asked = ("without", "with")[repeats]
        listed = ", ".join(f"{label:02d}" for label in labels)
        return Sibling(
            f"{asked} replacement, line {line + 1}",
            f"{stem} {draw.ask(_ASK_RANDOM_DIGITS, asked, c=c, short=short(c), line=line + 1, jth=ordinal(j))}",
            [
                f"[The pairs in line {line + 1} are // Line {line + 1} gives the pairs] "
                f"{', '.join(f'{pair:02d}' for pair in lines[line])}.",
                (f"[Pairs without a label, 00 and those above {total}, are skipped // 00 and pairs above {total} "
                 "have no "
                 f"label, so they are passed over].",
                 ("[Without replacement, // As nothing is selected twice,] a label that comes up again is skipped as "
                  "well.",
                  "[With replacement, // As labels may be selected twice,] a label that comes up again is selected "
                  "again.")[repeats]),
                f"[The labels selected are // This gives the labels] {listed}.",
            ],
            Answer(f"{labels[-1]:02d}", (float(labels[-1]),), 0.0),
            "Pairs of random digits select labels; pairs without a label are skipped.",
        )

    return square(
        make,
        ("read the second line instead of the first", "read the first line instead of the second"),
        ("counted a repeated label again", "skipped a repeated label although sampling is with replacement"),
        {"lines": lines, "total": total, "j": j},
    )


_STEM_JOINT_SELECTION = wordings("""
    train: The {total} {c.many} are spread over {groups} {c.clusters}, with {size} in each.
    train: There are {groups} {c.clusters} with {size} each of the {total} {c.many}.
    train: The {total} {c.many} belong to {groups} {c.clusters} of {size} each.
    train: Each of the {groups} {c.clusters} has {size} of the {total} {c.many}.
    test: A total of {total} {c.many} make up {groups} {c.clusters} of equal size, {size}.
    test: All {total} {c.many} are distributed evenly over {groups} {c.clusters}, {size} in each.
    test: There are {total} {c.many}; every one of the {groups} {c.clusters} holds {size} of them.
""")
_ASK_JOINT_SELECTION = wordings("""
    train/simple: A simple random sample of {n} is selected from all of them. What is the probability that two given
        {short} are both selected?
    train/simple: If {n} are selected from all of them by simple random sampling, find the probability that the sample
        contains two given {short}.
    train/same: A random sample of {m} is selected from each of the {c.clusters}. What is the probability that two given
        {short} from the same group are both selected?
    train/same: If {m} are selected at random from each of the {c.clusters}, find the probability that the sample
        contains two given {short} of the same group.
    train/different: A random sample of {m} is selected from each of the {c.clusters}. What is the probability that two
        given {short} from different groups are both selected?
    train/different: If {m} are selected at random from each of the {c.clusters}, find the probability that the sample
        contains two given {short} of different groups.
    train/cluster: A random sample of {few} {c.clusters} is selected and included as a whole. What is the probability
        that two given {short} from the same group are both selected?
    train/cluster: If {few} of the {c.clusters} are selected at random and included as a whole, find the probability
        that the sample contains two given {short} of the same group.
    test/simple: A computer selects {n} {short} at random, regardless of {c.clusters}. How likely is it that two
        particular {short} are both selected?
    test/simple: If {n} labels are drawn from all {short} together, find the chance that two given {short} are both
        drawn.
    test/same: A computer selects {m} {short} at random in each of the {c.clusters}. How likely is it that two
        particular {short} from one group are both selected?
    test/same: If {m} {short} are drawn from each group separately, find the chance that two given {short}, from one
        group, are both drawn.
    test/different: A computer selects {m} {short} at random in each of the {c.clusters}. How likely is it that two
        particular {short} from different groups are both selected?
    test/different: If {m} {short} are drawn from each group separately, find the chance that two given {short}, from
        different groups, are both drawn.
    test/cluster: A computer selects {few} {c.clusters} at random as a whole. How likely is it that two particular
        {short} from one group are both selected?
    test/cluster: If {few} {c.clusters} are drawn and taken as a whole, find the chance that two given {short}, from one
        group, are both included.
""")


@kind(2, ap="3.3, 4.5")
def joint_selection(draw: Draw) -> Siblings:
    """The probability that two given individuals are both selected, under four plans."""
    c = draw.setting(CENSUSES)
    groups, size, m, few = draw.integer(4, 12), draw.integer(6, 15), draw.integer(2, 7), draw.integer(2, 6)
    total, n = groups * size, groups * m
    draw.need(m < size - 1 and few < groups - 1)
    fields = {"c": c, "short": short(c), "total": total, "groups": groups, "size": size, "m": m, "n": n, "few": few}
    stem = draw.ask(_STEM_JOINT_SELECTION, **fields)
    plans = {
        "simple": ("In a simple random sample of n from N, `P(both selected) = (n / N) * ((n - 1) / (N - 1))`.",
                   f"({n} / {total}) * ({n - 1} / {total - 1})", n * (n - 1) / (total * (total - 1))),
        "same": ("Within a group of size M, m are selected: `P(both selected) = (m / M) * ((m - 1) / (M - 1))`.",
                 f"({m} / {size}) * ({m - 1} / {size - 1})", m * (m - 1) / (size * (size - 1))),
        "different": ("Selections in different groups are independent: `P(both selected) = (m / M) * (m / M)`.",
                      f"({m} / {size}) * ({m} / {size})", (m / size) ** 2),
        "cluster": ("With k of K whole groups, two of one group are selected together: `P(both selected) = k / K`.",
                    f"{few} / {groups}", few / groups),
    }
    of = [
        Sibling(
            plan,
            f"{stem} {draw.ask(_ASK_JOINT_SELECTION, plan, **fields)}",
            [f"[There are {total} {short(c)} in {groups} groups of {size} // The population: {groups} groups of {size} "
             f"{short(c)}].", why,
             f"[So // With the numbers, // Here] `P(both selected) = {formula} = {fixed(value, 4)}`."],
            number(value, 4, tolerance=0.0005),
            "Two individuals are selected together with a probability that depends on the sampling method.",
        )
        for plan, (why, formula, value) in plans.items()
    ]
    return four(
        of,
        ["worked with a simple random sample", "took both from one stratum", "took them from different strata",
         "worked with a cluster sample"],
        {"groups": groups, "size": size, "m": m, "few": few},
    )
