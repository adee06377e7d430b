"""Simulation, and what holds in the long run."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import SO
from .._problem import fixed, plain, probability, words
from .._settings import SHARES
from .._settings_probability import negated
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings

# fmt: off


_STEM_SIMULATION_TRIAL = wordings("""
    train: Suppose {p100}% of {s.who} {s.does}. Each week, {n} {s.many} are selected at random and checked one after
        another. A simulation with two-digit random numbers, 00 to 99, is planned.
    train: Of {s.who}, {p100}% {s.does}. A student wants to simulate random samples of {n} {s.many}, checked one by
        one, with a table of two-digit random numbers from 00 to 99.
    train: A computer draws two-digit random numbers from 00 to 99. They are to imitate a random sample of {n}
        {s.many}, checked one at a time, from {s.who}, of which {p100}% {s.does}.
    train: Random samples of {n} {s.many} are to be simulated. Among {s.who}, {p100}% {s.does}. The numbers 00 to 99
        come up with equal probability.
    test: A teacher simulates samples of {n} {s.many}, selected one by one. From 00 to 99, random numbers stand for
        {s.who}; in reality, {p100}% {s.does}.
    test: With random numbers from 00 to 99, a class imitates what happens when {n} {s.many} are selected one at a time
        from {s.who}, where {p100}% {s.does}.
    test: How can {n} {s.many} be selected in a simulation? Random numbers from 00 to 99 stand for {s.who}, of which
        {p100}% {s.does}.
""")
_ASK_SIMULATION_TRIAL = wordings("""
    train/count: Which is one trial, if the quantity of interest is the number of {s.many} in a sample {s.rel} {does}?
    train/count: Describe one trial that shows how many {s.many} in the sample {does}.
    train/wait: Which is one trial, if the quantity of interest is the number of {s.many} checked up to the first of
        those {s.rel} {does}?
    train/wait: Describe one trial that shows how many {s.many} are checked up to the first of those {s.rel} {does}.
    test/count: What does one trial consist of, when the question is how many of the {s.many} {does}?
    test/count: Choose a trial that gives the count of {s.many} {s.rel} {does}.
    test/wait: What does one trial consist of, when the question is how many {s.many} it takes to get one of those
        {s.rel} {does}?
    test/wait: Choose a trial that gives the number of {s.many} it takes to get one of those {s.rel} {does}.
""")


@kind(1, ap="4.2")
def simulation_trial(draw: Draw) -> Siblings:
    """One trial of a simulation: a count or a waiting time, for those with a trait or without it."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), draw.integer(6, 20)
    draw.need(abs(p - 0.5) > 0.03)
    stem = draw.ask(_STEM_SIMULATION_TRIAL, s=s, n=n, p=p, p100=round(100 * p))
    last = round(100 * p) - 1

    def make(wait: int, without: int) -> Sibling:
        does = (s.does, negated(s.does))[without]
        share = round(100 * (1 - p if without else p))
        span = f"from {last + 1:02d} to 99" if without else f"from 00 to {last:02d}"
        trial = (f"Read random numbers until one is {span}, and record how many numbers were read." if wait
                 else f"Read {n} random numbers in turn, and record how many of the numbers are {span}.")
        steps = [
            f"{share} of the 100 numbers [must stand for // are assigned to] {s.many} {s.rel} {does}: the numbers "
            f"{span}.",
            f"[The quantity of interest is // What is recorded is] a waiting time, so a trial goes on up to the first "
            f"number {span}." if wait
            else f"[The quantity of interest is // What is recorded is] a count in a sample, so a trial consists of "
            f"{n} numbers.",
            "[Numbers may be repeated, as each selection has the same probability // Repeated numbers are used again, "
            "since the probability stays the same // ].",
        ]
        ask = draw.ask(_ASK_SIMULATION_TRIAL, ("count", "wait")[wait], s=s, does=does)
        return Sibling(f"{('count', 'wait')[wait]} {('with', 'without')[without]}", f"{stem} {ask}", steps,
                       words(trial),
                       "Numbers are assigned in proportion to the probability, and a trial imitates what is counted.")

    return square(
        make,
        ("simulated a waiting time instead of a count", "simulated a count instead of a waiting time"),
        ("assigned the numbers of the opposite outcome",) * 2,
        {"p": p, "n": n},
    )


_STEM_SIMULATION_ESTIMATE = wordings("""
    train: To study random samples of {n} {s.many}, a student simulates {trials} of them, assuming that {p100}% of
        {s.who} {s.does}. A dotplot of the number {s.rel} {s.does} in each sample has {dots}.
    train: A computer simulates {trials} random samples of {n} {s.many}, with probability {p} for those {s.rel}
        {s.does}. The dotplot of the simulated counts has {dots}. The population consists of {s.who}.
    train: Assume that {p100}% of {s.who} {s.does}. In each of {trials} simulated random samples of {n}, the number
        {s.rel} {s.does} is recorded. The results are {table}.
    train: The results of {trials} trials of a simulation are {table}. Each trial gives the number {s.rel} {s.does} in
        a random sample of {n} {s.many} from {s.who}.
    test: A class simulates {trials} samples of {n} {s.who}, with p = {p} for the proportion {s.rel} {s.does}. The
        counts of those {s.rel} {s.does}: {table}.
    test: {table}: these counts, of {s.who} {s.rel} {s.does}, came up in {trials} simulated samples of {n} {s.many}.
    test: Of {n} {s.many}, how many {s.does}? A dotplot for {trials} simulated samples of {s.who} has {dots}.
""")
_ASK_SIMULATION_ESTIMATE = wordings("""
    train: Based on the simulation, what is the estimated probability that {words} {k} of the {n} {s.does}?
    train: Use the simulation to estimate the probability that the number {s.rel} {s.does} is {words} {k}.
    test: According to the trials, how likely is a sample with {words} {k} {s.many} {s.rel} {s.does}?
    test: Estimate from this the probability of {words} {k} {s.many} {s.rel} {s.does}.
""")


@kind(1, ap="4.2")
def simulation_estimate(draw: Draw) -> Siblings:
    """An estimated probability from simulated results: exactly, at least, at most, more than."""
    s = draw.setting(SHARES)
    p, n, trials = draw.decimal(*s.p, 2), draw.integer(8, 15), draw.choice((100, 200))
    results = [sum(draw.rng.random() < p for _ in range(n)) for _ in range(trials)]
    tally = {x: results.count(x) for x in sorted(set(results))}
    k = draw.choice(list(tally))
    draw.need(k != 1 and min(tally) < k < max(tally) and tally[k] > 3 and 4 < len(tally) < 11)
    stem = draw.ask(_STEM_SIMULATION_ESTIMATE, s=s, n=n, p=p, p100=round(100 * p), trials=trials,
                    dots=", ".join(f"{c} dot{'s' * (c > 1)} at {x}" for x, c in tally.items()),
                    table=", ".join(f"{x} ({c} time{'s' * (c > 1)})" for x, c in tally.items()))
    cases = {
        "exactly": [x for x in tally if x == k],
        "at least": [x for x in tally if x >= k],
        "at most": [x for x in tally if x <= k],
        "more than": [x for x in tally if x > k],
    }

    def make(asked: str) -> Sibling:
        values = cases[asked]
        hits = sum(tally[x] for x in values)
        added = f"`{' + '.join(str(tally[x]) for x in values)} = {hits}`" if len(values) > 1 else str(hits)
        steps = [
            "[The probability is estimated by // As an estimate of the probability, take] the proportion of the trials "
            "in which the event occurred.",
            f"[The results that are {asked} {k} make up {added} of the {trials} trials // Counting the results that "
            f"are {asked} {k} gives {added}, of {trials} trials].",
            f"[The // {SO} the] estimated probability that {asked} {k} of the {n} {s.many} {s.does} is `{hits} / "
            f"{trials} = {hits / trials:.3f}`.",
        ]
        ask = draw.ask(_ASK_SIMULATION_ESTIMATE, s=s, n=n, k=k, words=asked)
        return Sibling(asked, f"{stem} {ask}", steps, probability(hits / trials, 3, 0.0),
                       "A simulated probability is the number of trials with the event over the number of trials.")

    return four([make(asked) for asked in cases],
                [f"counted the trials with {asked} k" for asked in cases],
                {"p": p, "n": n, "k": k, "counts": list(tally.values()), "values": list(tally)})


_STEM_LONG_RUN = wordings("""
    train: Suppose {p100}% of {s.who} {s.does}. Of the first {n} {s.many} selected at random, {x} {s.does}.
    train: {s.many!c} are selected at random, one after another, from {s.who}, of which {p100}% {s.does}. Of the first
        {n}, {x} {s.does}.
    train: In a large population of {s.who}, the proportion {s.rel} {s.does} is {p}. A random sample of {n} happens to
        have {x} {s.many} {s.rel} {s.does}.
    train: A researcher selects {s.many} at random, one by one. So far, {x} of {n} {s.does}, although the proportion of
        all {s.who} {s.rel} {s.does} is {p}.
    test: It is known that {p100}% of {s.who} {s.does}. Yet in a random sample, just taken, this is true of {x} out of
        {n} {s.many}.
    test: A class draws {s.who} at random, one at a time. After {n} draws, {x} of the {s.many} are among those {s.rel}
        {s.does}; the true proportion is {p}.
    test: Out of {n} {s.many}, selected at random, {x} {s.does}. The population consists of {s.who}, and {p100}% of
        them {s.does}.
""")
_ASK_LONG_RUN = wordings("""
    train/law: Someone asks what happens to this after thousands of {s.many}. Which answer is correct?
    train/law: Which statement is the law of large numbers for these {s.many}?
    train/next: Someone says that the results so far change the chances from now on. Which reply is correct?
    train/next: Which statement says that the selections are independent?
    train/spread: Someone wonders how far from {p} the results of such samples usually are. Which answer is correct?
    train/spread: Which statement describes sampling variability?
    train/mean: Someone asks what to expect of another {n} {s.many}. Which answer is correct?
    train/mean: Which statement gives an expected value?
    test/law: What does the law of large numbers promise here?
    test/law: What should be expected as more and more {s.many} are drawn?
    test/next: What does independence imply for these {s.many}?
    test/next: Which fact refutes the belief that the {s.many} drawn so far influence those drawn later?
    test/spread: How much variation is usual from one sample of {s.many} to another of this size?
    test/spread: How far off is a single sample of {n} {s.many} usually?
    test/mean: What does the binomial mean say about {s.many} drawn in this way?
    test/mean: How many {s.many} of this sort should be expected in a new sample of this size?
""")


@kind(1, ap="4.2, 4.3")
def long_run(draw: Draw) -> Siblings:
    """The law of large numbers, independence, sampling variability and the expected count, in words."""
    s = draw.setting(SHARES)
    p, n = draw.decimal(*s.p, 2), 10 * draw.integer(2, 9)
    sd = (p * (1 - p) / n) ** 0.5
    x = round(n * p + draw.choice((-1, 1)) * draw.decimal(1.2, 2.2, 1) * n * sd)
    draw.need(0 < x < n)
    mean = n * p
    stem = draw.ask(_STEM_LONG_RUN, s=s, p=p, p100=round(100 * p), n=n, x=x)
    says = {
        "law": ("The law of large numbers is about the proportion after very many trials; it does not balance a short "
                "run.",
                f"The proportion {s.rel} {s.does} settles down near {p} if the selection goes on and on."),
        "next": ("Random selections from a large population are independent; earlier results do not matter.",
                 f"The next {s.one} is one of those {s.rel} {s.does} with probability {p}, whatever came before."),
        "spread": (f"A sample proportion has standard deviation `sqrt({p} * {plain(1 - p)} / {n}) = {fixed(sd, 3)}`.",
                   f"In samples of {n}, the proportion {s.rel} {s.does} typically misses {p} by about "
                   f"{fixed(sd, 3)}."),
        "mean": (f"A binomial count has mean `{n} * {p} = {fixed(mean, 1)}`.",
                 f"In samples of {n}, the number {s.rel} {s.does} is about {fixed(mean, 1)} on average over many "
                 "samples."),
    }

    def make(asked: str) -> Sibling:
        idea, statement = says[asked]
        steps = [f"[The {s.many} are selected at random, and the probability is {p} each time; {x} of {n} is one short "
                 f"run // Of {n} random selections, {x} came out this way, a short run with probability {p} each "
                 f"time // Each selection is random with the same probability, {p}, and {x} of {n} is what came up "
                 "in one short run].",
                 idea, statement]
        ask = draw.ask(_ASK_LONG_RUN, asked, s=s, p=p, n=n)
        return Sibling(asked, f"{stem} {ask}", steps, words(statement),
                       "In the long run a proportion settles near the probability; no single result has to make up "
                       "for earlier ones.")

    names = ("the law of large numbers", "independence", "the spread of sample proportions", "the expected count")
    return four([make(asked) for asked in says], [f"answered with {name}" for name in names], {"p": p, "n": n, "x": x})
