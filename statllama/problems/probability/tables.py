"""Probabilities from counts: two-way tables, Venn diagrams, screening tests and small lots."""

from __future__ import annotations

import math

from .._draw import Draw, kind
from .._problem import plain, probability
from .._scenarios import SCREENINGS, TABLES
from .._settings_probability import TRAITS
from .._siblings import Sibling, Siblings, four, square
from .._stories import LOTS
from .._wording import wordings

# fmt: off


_STEM_UNION_FROM_TABLE = wordings("""
    train: A survey of {t.who} recorded {t.row} and {t.column}, with these counts. {shown}. One of them is chosen at
        random.
    train: The {t.who} of a survey are counted by {t.row} and {t.column}: {shown}. One of them is chosen at random.
    train: A two-way table of {t.row} by {t.column} for {total} {t.who} has these rows. {shown}. One of the {total} is
        chosen at random.
    train: For {total} {t.who}, {t.row} and {t.column} are known. {shown}. Choose one of them at random.
    test: {shown}. These are the numbers of {t.who} by {t.row} and {t.column}, {total} in all.
    test: How are {t.row} and {t.column} distributed among {total} {t.who}? The counts are as follows. {shown}.
    test: Each of {total} {t.who} is listed once below, by {t.row}, then by {t.column}. {shown}.
""")
_ASK_UNION_FROM_TABLE = wordings("""
    train/or: What is the probability of choosing one of those {t.rel} {row} or {column}, or both?
    train/or: Find the probability that the choice falls on one of those {t.rel} {row} or {column}.
    train/neither: What is the probability of choosing one of those {t.rel} neither {row} nor {column}?
    train/neither: Find the probability that the choice falls neither on one of those {t.rel} {row} nor on one of those
        {t.rel} {column}.
    test/or: What proportion of these {total} {row}, {column}, or both?
    test/or: If one is selected at random, compute the probability of getting one of those {t.rel} {row} or {column}.
    test/neither: What proportion of these {total} neither {row} nor {column}?
    test/neither: If one is selected at random, compute the probability of getting one of those {t.rel} neither {row}
        nor {column}.
""")


@kind(2, ap="4.6")
def union_from_table(draw: Draw) -> Siblings:
    """P(row or column), or P(neither), for one of two columns of a two-way table."""
    t = draw.setting(TABLES)
    sizes = [draw.choice(((6, 20), (20, 70))) for _ in t.rows]  # in a small row, "or" is less likely than "neither"
    table = [[draw.integer(*size) for _ in t.columns] for size in sizes]
    i, (first, second) = draw.integer(0, len(t.rows) - 1), draw.rng.sample(range(len(t.columns)), 2)
    total = sum(map(sum, table))
    shown = ". ".join(f"{name.capitalize()}: " + ", ".join(f"{c} {k}" for c, k in zip(t.columns, line, strict=True))
                      for name, line in zip(t.rows, table, strict=True))
    stem = draw.ask(_STEM_UNION_FROM_TABLE, t=t, shown=shown, total=total)
    row = sum(table[i])

    def make(neither: int, b: int) -> Sibling:
        j = (first, second)[b]
        column, cell = sum(line[j] for line in table), table[i][j]
        either = row + column - cell
        does = {"row": t.in_row(i), "column": t.in_column(j)}
        last = (f"The rest are `{total} - {either} = {total - either}`, so the probability is `{total - either} / "
                f"{total} = {(total - either) / total:.4f}`." if neither
                else f"So the probability is `{either} / {total} = {either / total:.4f}`.")
        steps = [
            f"[Of {total} in all, // Among {total},] {row} {does['row']} and {column} {does['column']}; {cell} are in "
            "both groups.",
            f"[Those in at least one of the groups number // At least one of the groups includes] `{row} + {column} - "
            f"{cell} = {either}`[. // , as those in both must not be counted twice.]",
            last,
        ]
        ask = draw.ask(_ASK_UNION_FROM_TABLE, ("or", "neither")[neither], t=t, total=total, **does)
        return Sibling(f"{('or', 'neither')[neither]}, column {j}", f"{stem} {ask}", steps,
                       probability((total - either if neither else either) / total),
                       "A or B counts everything in A or in B once: add the margins and take away the cell.")

    return square(
        make,
        ("gave the probability of neither", "gave the probability of one or the other"),
        ("used the wrong column of the table",) * 2,
        {"table": table, "row": i, "columns": [first, second]},
    )


_STEM_VENN_COUNTS = wordings("""
    train: Of {total} {e.who}, {na} {e.all_a}, {nb} {e.all_b}, and {both} do both.
    train: A Venn diagram for {total} {e.who} has two circles. The circle for those that {e.all_a} holds {na} in all,
        the circle for those that {e.all_b} holds {nb} in all, and {both} are in the overlap.
    train: In a survey of {total} {e.who}, {only_a} only {e.all_a}, {only_b} only {e.all_b}, {both} do both, and
        {neither} do neither.
    train: Records of {total} {e.who} show {both} that {e.all_a} and {e.all_b}, {only_a} with only the first and
        {only_b} with only the second of these two, and {neither} with neither.
    test: A Venn diagram describes {total} {e.who}: {only_a} in the part for "{e.all_a}" alone, {only_b} in the part
        for "{e.all_b}" alone, {both} in the overlap, {neither} outside.
    test: Out of {total} {e.many}, there are {na} {who} {e.all_a} and {nb} {who} {e.all_b}; these two numbers include
        {both} {who} do both. The data come from {e.who}.
    test: To describe {total} {e.who}, a student sorts them into four groups: {both} {e.all_a} and also {e.all_b},
        {only_a} do just the first, {only_b} do just the second, and {neither} do neither.
""")
_ASK_VENN_COUNTS = wordings("""
    train/or: One of them is chosen at random. What is the probability that the {e.one} {e.a} or {e.b}, or both?
    train/or: Find the probability that a randomly chosen one of them {e.a}, {e.b}, or does both.
    train/and: One of them is chosen at random. What is the probability that the {e.one} {e.a} and {e.b}?
    train/and: Find the probability that a randomly chosen one of them both {e.a} and {e.b}.
    train/a: One of them is chosen at random and {e.b}. What is the probability that the {e.one} also {e.a}?
    train/a: Given that a randomly chosen one of them {e.b}, find the probability that the {e.one} {e.a}.
    train/b: One of them is chosen at random and {e.a}. What is the probability that the {e.one} also {e.b}?
    train/b: Given that a randomly chosen one of them {e.a}, find the probability that the {e.one} {e.b}.
    test/or: What proportion of all {total} {e.all_a} or {e.all_b}, or do both?
    test/or: Compute P(A or B) for {e.one!a} selected at random, where A is "{e.a}" and B is "{e.b}".
    test/and: What proportion of all {total} both {e.all_a} and {e.all_b}?
    test/and: Compute P(A and B) for {e.one!a} selected at random, where A is "{e.a}" and B is "{e.b}".
    test/a: Of the {e.many} {who} {e.all_b}, what proportion also {e.all_a}?
    test/a: Compute P(A | B) for {e.one!a} selected at random, where A is "{e.a}" and B is "{e.b}".
    test/b: Of the {e.many} {who} {e.all_a}, what proportion also {e.all_b}?
    test/b: Compute P(B | A) for {e.one!a} selected at random, where A is "{e.a}" and B is "{e.b}".
""")


@kind(1, ap="4.5, 4.6")
def venn_counts(draw: Draw) -> Siblings:
    """Union, intersection and both conditional probabilities from counts."""
    e = draw.setting(TRAITS)
    only_a, only_b, both, neither = (draw.integer(8, 60) for _ in range(4))
    na, nb, total = only_a + both, only_b + both, only_a + only_b + both + neither
    draw.need(abs(na - nb) > 3)
    who = "that" if e.many in ("farms", "cars", "households") else "who"
    stem = draw.ask(_STEM_VENN_COUNTS, e=e, total=total, na=na, nb=nb, only_a=only_a, only_b=only_b, both=both,
                    neither=neither, who=who)
    parts = {
        "or": (na + nb - both, total, "P(A or B)", f"at least one of the two, `{na} + {nb} - {both} = "
                                                   f"{na + nb - both}`, of all {total}"),
        "and": (both, total, "P(A and B)", f"both of the two, {both}, of all {total}"),
        "a": (both, nb, "P(A | B)", f"both of the two, {both}, of the {nb} with B"),
        "b": (both, na, "P(B | A)", f"both of the two, {both}, of the {na} with A"),
    }

    def make(asked: str) -> Sibling:
        part, whole, name, which = parts[asked]
        steps = [
            f"Let A be that the {e.one} {e.a} and B that the {e.one} {e.b}. [In all, // From the counts,] {na} have A, "
            f"{nb} have B and {both} have both.",
            f"{name} [counts // is the share of] those with {which}.",
            f"[So // Hence // ] `{name} = {part} / {whole} = {part / whole:.4f}`.",
        ]
        ask = draw.ask(_ASK_VENN_COUNTS, asked, e=e, total=total, who=who)
        return Sibling(name, f"{stem} {ask}", steps, probability(part / whole),
                       "A condition shrinks the denominator to those who meet it.")

    return four([make(asked) for asked in parts], [f"computed {name}" for _, _, name, _ in parts.values()],
                {"only_a": only_a, "only_b": only_b, "both": both, "neither": neither})


_STEM_POSITIVE_PREDICTIVE_VALUE = wordings("""
    train: Among {s.who}, {prior100:g}% have {s.condition}. {s.test!c} is positive for {sens100:g}% of those with it
        and negative for {spec100:g}% of those without it.
    train: Suppose that {prior100:g}% of {s.who} have {s.condition}. When {s.test} is used, the result is positive for
        {sens100:g}% of those that have it and for {alarm100:g}% of those that do not.
    train: {s.test!c} for {s.condition} misses {miss100:g}% of all true cases and gives a false alarm for {alarm100:g}%
        of the others. Of {s.who}, {prior100:g}% have {s.condition}.
    train: The probability that one of the {s.who} has {s.condition} is {prior:g}. With it, {s.test} is positive with
        probability {sens:g}; without it, {s.test} is negative with probability {spec:g}.
    test: {s.test!c} for {s.condition} has sensitivity {sens:g} and specificity {spec:g}. It is used on {s.who}, and a
        proportion of {prior:g} of these have {s.condition}.
    test: Let C be the event that one of the {s.who}, selected at random, has {s.condition}. P(C) = {prior:g}, and
        {s.test} is positive for {s.one!a} with C at a rate of {sens:g} and for {s.one!a} without C at a rate of
        {alarm:g}.
    test: How far can {s.test} be trusted? Of {s.who}, {prior100:g}% have {s.condition}. With it, {sens100:g}% test
        positive; without it, {alarm100:g}% do.
""")
_ASK_POSITIVE_PREDICTIVE_VALUE = wordings("""
    train/has: One {s.one} tests {result}. What is the probability that this {s.one} has {s.condition}?
    train/has: Find the probability that {s.one!a} with a {result} result has {s.condition}.
    train/not: One {s.one} tests {result}. What is the probability that this {s.one} does not have {s.condition}?
    train/not: Find the probability that {s.one!a} with a {result} result does not have {s.condition}.
    test/has: Given a {result} result, how likely is {s.condition}?
    test/has: Of all that test {result}, what proportion have {s.condition}?
    test/not: Given a {result} result, how likely is the absence of {s.condition}?
    test/not: Of all that test {result}, what proportion are without {s.condition}?
""")


@kind(3, ap="4.5")
def positive_predictive_value(draw: Draw) -> Siblings:
    """P(condition or not | result) by Bayes' rule, for a positive or a negative result."""
    s = draw.setting(SCREENINGS)
    prior = draw.integer(*s.prevalence) / 1000
    sens, spec = draw.integer(80, 96) / 100, draw.integer(80, 96) / 100
    stem = draw.ask(_STEM_POSITIVE_PREDICTIVE_VALUE, s=s, prior=prior, sens=sens, spec=spec, alarm=round(1 - spec, 2),
                    prior100=100 * prior, sens100=100 * sens, spec100=100 * spec, alarm100=round(100 * (1 - spec)),
                    miss100=round(100 * (1 - sens)))

    def make(negative: int, absent: int) -> Sibling:
        result, sign = ("positive", "negative")[negative], "+-"[negative]
        given = (round(1 - sens, 2), spec) if negative else (sens, round(1 - spec, 2))
        with_it, without = prior * given[0], (1 - prior) * given[1]
        wanted, name = ((with_it, "C"), (without, "not C"))[absent]
        value = wanted / (with_it + without)
        steps = [
            f"Let C be that the {s.one} has {s.condition}. P({result} | C) = {given[0]:g} and P({result} | not C) = "
            f"{given[1]:g}.",
            f"[Multiplying along the branches, // By the multiplication rule, // ] `P(C and {result}) = {prior:g} * "
            f"{given[0]:g} = {plain(with_it)}` and `P(not C and {result}) = {1 - prior:g} * {given[1]:g} = "
            f"{plain(without)}`.",
            f"[Adding both, // In all, // ] `P({result}) = {plain(with_it)} + {plain(without)} = "
            f"{plain(with_it + without)}`.",
            f"[Therefore, // Given the result, // ] `P({name} | {result}) = {plain(wanted)} / "
            f"{plain(with_it + without)} = {value:.4f}`.",
        ]
        ask = draw.ask(_ASK_POSITIVE_PREDICTIVE_VALUE, ("has", "not")[absent], s=s, result=result)
        return Sibling(f"P({name} | {sign})", f"{stem} {ask}", steps, probability(value),
                       "A result must be weighed against all ways to get it, with and without the condition.")

    return square(
        make,
        ("worked with a negative result", "worked with a positive result"),
        ("gave the probability that the condition is absent", "gave the probability that the condition is present"),
        {"prevalence": prior, "sensitivity": sens, "specificity": spec},
    )


_STEM_WITHOUT_REPLACEMENT = wordings("""
    test: In {l.place} there are {total} {l.many}, of which {bad} are {l.bad} and {good} are {l.good}. A worker takes
        out {k} at random, one after another.
    test: Of {total} {l.many} in {l.place}, {bad} are {l.bad} and the rest are {l.good}. Someone picks {k} {l.many} at
        random.
    test: How often are all {l.many} in a small draw of the same sort? From {l.place} with {good} {l.good} and {bad}
        {l.bad} ones, {k} are drawn at random.
    test: {l.place!c} holds {good} {l.many} that are {l.good} and {bad} that are {l.bad}; {k} are to be drawn blindly.
""")
_ASK_WITHOUT_REPLACEMENT = wordings("""
    test/without: The draws are made without replacement. What is the probability that {every} {l.many} drawn are
        {sort}?
    test/without: Not one of the {l.many} is put back. How likely are {sort} {l.many} only?
    test/with: The draws are made with replacement. What is the probability that {every} {l.many} drawn are {sort}?
    test/with: Each of the {l.many} is put back at once. How likely are {sort} {l.many} only?
""")


@kind(2, held_out=True, ap="4.5")
def without_replacement(draw: Draw) -> Siblings:
    """P(all of k are of one sort) when drawing with or without replacement."""
    lot = draw.setting({"train": LOTS["test"], **LOTS})
    total, k = draw.integer(10, 24), draw.choice((2, 3))
    bad = draw.integer(4, total - 4)
    draw.need(abs(total - 2 * bad) > 1)
    stem = draw.ask(_STEM_WITHOUT_REPLACEMENT, l=lot, total=total, bad=bad, good=total - bad, k=k)
    every = "both" if k == 2 else f"all {k}"

    def make(back: int, b: int) -> Sibling:
        sort, size = ((lot.good, total - bad), (lot.bad, bad))[b]
        factors = [(size, total) if back else (size - i, total - i) for i in range(k)]
        value = math.prod(x / y for x, y in factors)
        steps = [
            f"The first is {sort} with probability `{size} / {total}`.",
            "With replacement, the draws are independent and every draw has the same probability." if back else
            "Without replacement, each draw leaves one fewer of this sort and one fewer in all.",
            f"[Multiplying, // So // ] `P({every} are {sort}) = {' * '.join(f'({x} / {y})' for x, y in factors)} = "
            f"{value:.4f}`.",
        ]
        ask = draw.ask(_ASK_WITHOUT_REPLACEMENT, ("without", "with")[back], l=lot, every=every, sort=sort)
        return Sibling(f"{('without', 'with')[back]} replacement, {sort}", f"{stem} {ask}", steps,
                       probability(value, 4, 0.0005),
                       "Without replacement both the favorable and the total number go down by one after each draw.")

    return square(
        make,
        ("multiplied as if each were put back", "multiplied as if none were put back"),
        ("exchanged the two sorts",) * 2,
        {"total": total, "bad": bad, "k": k},
    )
