"""What a sampling distribution is, what its spread says, and how it judges an estimator."""

from __future__ import annotations

import itertools
import math

from .._draw import Draw, Given, kind
from .._problem import fixed, plain, words
from .._settings import MEASURES
from .._siblings import Sibling, Siblings, Step, four, square
from .._wording import wordings

# fmt: off


_STEM_WHICH_DISTRIBUTION = wordings("""
    train: The {m.thing} of {m.who} is studied by random samples of {n} {m.many}. The population has {total} members.
    train: A class studies the {m.thing} of {total} {m.who} and takes random samples of {n} {m.many}.
    train: There are {total} {m.who}, and their mean {m.thing} is to be estimated from {n} {m.many} selected at random.
    train: For a lesson on random samples, {m.thing} is recorded for {total} {m.who}. Samples have {n} {m.many}.
    test: To learn about the {m.thing} of {total} {m.who}, students draw samples of {n} {m.many} at random.
    test: What is the average {m.thing} of {total} {m.who}? Random samples of {n} {m.many} are used to find out.
    test: From {total} {m.who}, {n} {m.many} at a time are drawn at random to estimate the average {m.thing}.
""")
_ASK_WHICH_DISTRIBUTION = wordings("""
    train/population: A histogram shows {m.thing} for every one of the {total}. What is this distribution?
    train/population: A graph is made of the {total} values of {m.thing}. Which distribution does it show?
    train/sample: A histogram shows {m.thing} for each of the {n} selected first. What is this distribution?
    train/sample: A graph is made of the {n} values of {m.thing} that one selection gave. Which distribution does it
        show?
    train/exact: A histogram shows the mean {m.thing} for every possible selection of {n}. What is this distribution?
    train/exact: A graph is made of the mean {m.thing} of all selections of {n} that could be made. Which distribution
        does it show?
    train/simulated: A histogram shows the mean {m.thing} for {trials} selections of {n} made by a computer. What is
        this distribution?
    train/simulated: A graph is made of the mean {m.thing} of {trials} computer selections of {n}. Which distribution
        does it show?
    test/population: A dotplot has one dot for the {m.thing} of each of the {total} {m.many}. What does it display?
    test/population: Every one of the {total} {m.many} adds its own {m.thing} to a plot. Name the distribution.
    test/sample: A dotplot has one dot for the {m.thing} of each of the {n} {m.many} drawn by one student. What does it
        display?
    test/sample: Every one of the {n} {m.many} drawn on Monday adds its own {m.thing} to a plot. Name the distribution.
    test/exact: A dotplot has one dot for the average of each set of {n} {m.many} that can be drawn. What does it
        display?
    test/exact: Every set of {n} {m.many} that might ever be drawn adds its average to a plot. Name the distribution.
    test/simulated: A dotplot has one dot for the average of each of {trials} sets of {n} {m.many}, drawn by software.
        What does it display?
    test/simulated: Software draws {n} {m.many} again and again, and each of {trials} runs adds its average to a plot.
        Name the distribution.
""")


@kind(1, ap="5.1, 5.7")
def which_distribution(draw: Draw) -> Siblings:
    """The distribution of a population, of a sample, of all sample means, or of simulated ones."""
    m = draw.setting(MEASURES)
    total, n, trials = 10 * draw.integer(60, 950), draw.integer(10, 60), 100 * draw.integer(2, 10)
    draw.need(total != trials)
    stem = draw.ask(_STEM_WHICH_DISTRIBUTION, m=m, total=total, n=n)
    says = {
        "population": (f"There is one value for each of the {total} {m.many}, and these are all there are.",
                       "The distribution of the variable in the whole population."),
        "sample": (f"There is one value for each of {n} {m.many}, and these are a part of all {total}.",
                   "The distribution of the variable in a single random sample."),
        "exact": (f"There is one mean for each set of {n} {m.many} that could be drawn, so none is left out.",
                  "The exact sampling distribution of the sample mean."),
        "simulated": (f"There is one mean for each of {trials} sets of {n} {m.many}, out of very many possible sets.",
                      "A simulated sampling distribution of the sample mean."),
    }

    def make(asked: str) -> Sibling:
        counted, name = says[asked]
        what = "means of samples" if asked in ("exact", "simulated") else f"single values of {m.thing}"
        steps = [f"[The values shown // The values in this distribution] are {what}.",
                 counted,
                 f"[With single values it is the distribution of a variable, with means a sampling distribution // A "
                 f"distribution of the variable has one value for each of the {m.many}, a sampling distribution one "
                 "for each sample // ]."]
        ask = draw.ask(_ASK_WHICH_DISTRIBUTION, asked, m=m, total=total, n=n, trials=trials)
        return Sibling(asked, f"{stem} {ask}", steps, words(name),
                       "A sampling distribution is made of statistics, one for each sample, not of single values.")

    names = ("the population", "one sample", "all possible samples", "a simulation")
    return four([make(asked) for asked in says], [f"took it for the distribution of {name}" for name in names],
                {"total": total, "n": n, "trials": trials})


_STEM_INTERPRET_SAMPLING_SPREAD = wordings("""
    train: The {m.thing} of {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}. A random sample of
        {n} {m.many} has mean {xbar} {m.unit} and standard deviation {s} {m.unit}.
    train: For {m.who}, mu = {mean} and sigma = {sd} {m.unit} in {m.thing}. In one random sample of {n} {m.many}, x_bar
        = {xbar} and s = {s} {m.unit}.
    train: A random sample of {n} {m.many} is taken from {m.who}, whose {m.thing} has mean {mean} and standard
        deviation {sd} {m.unit}. The sample has mean {xbar} and standard deviation {s} {m.unit}.
    train: It is known that the {m.thing} of {m.who} has a mean of {mean} {m.unit} with a standard deviation of {sd}
        {m.unit}. In a class project, {n} {m.many} selected at random have a mean of {xbar} {m.unit} with a standard
        deviation of {s} {m.unit}.
    test: Population of {m.who}: mean {m.thing} {mean} {m.unit}, SD {sd}. Sample of {n} {m.many}, drawn at random: mean
        {m.thing} {xbar} {m.unit}, SD {s}.
    test: In {m.unit}, {n} {m.many} drawn at random have an average {m.thing} of {xbar} (SD {s}), where the population
        of {m.who} has an average of {mean} (SD {sd}).
    test: Is a sample of {n} {m.many}, drawn at random, like all {m.who}? Its {m.thing} averages {xbar} {m.unit} (SD
        {s}), against {mean} {m.unit} (SD {sd}) in the population.
""")
_ASK_INTERPRET_SAMPLING_SPREAD = wordings("""
    train/population: Which statement interprets the population standard deviation?
    train/population: Which sentence says what sigma means?
    train/sample: Which statement interprets the sample standard deviation?
    train/sample: Which sentence says what s means?
    train/mean: Which statement interprets the standard deviation of the sampling distribution of x_bar?
    train/mean: Which sentence says what sigma / sqrt(n) means?
    train/error: Which statement gives the sampling error of this study?
    train/error: Which sentence says what the difference between x_bar and mu means?
    test/population: For the {m.thing} of {m.many}, how should the population SD be read?
    test/population: What does sigma say about the {m.thing} of {m.many}?
    test/sample: For the {m.thing} of {m.many}, how should the SD of the sample data be read?
    test/sample: What does s say about the {m.thing} of {m.many}?
    test/mean: For the {m.thing} of {m.many}, how should the SD of the sampling distribution of the average be read?
    test/mean: What does sigma / sqrt(n) say about the {m.thing} of {m.many}?
    test/error: For the {m.thing} of {m.many}, how should the difference between the two averages be read?
    test/error: What does x-bar minus mu say about the {m.thing} of {m.many}?
""")


@kind(1, ap="5.7")
def interpret_sampling_spread(draw: Draw) -> Siblings:
    """What the standard deviations of a population, a sample and a sampling distribution say, and a sampling error."""
    m = draw.setting(MEASURES)
    mean, sd, n = draw.decimal(*m.mean, 1), draw.decimal(*m.sd, 1), draw.choice((16, 25, 36, 49, 64, 81, 100))
    se = sd / math.sqrt(n)
    xbar = Given(round(mean + draw.choice((-1, 1)) * draw.integer(6, 20) / 10 * se, 1))
    s = Given(round(sd * draw.integer(85, 116) / 100, 1))
    error = abs(xbar - mean)
    draw.need(error >= 0.1 and abs(error - 1) > 0.01 and len({fixed(x, 2) for x in (sd, s, se, error)}) == 4)
    stem = draw.ask(_STEM_INTERPRET_SAMPLING_SPREAD, m=m, mean=mean, sd=sd, n=n, xbar=xbar, s=s)
    says = {
        "population": ("sigma describes single members of the population.",
                       f"The {m.thing} of a single {m.one} typically differs from {mean} {m.unit} by about {sd} "
                       f"{m.unit}."),
        "sample": ("s describes the values in this one sample.",
                   f"The {m.thing} of one of these {n} {m.many} typically differs from {xbar} {m.unit} by about {s} "
                   f"{m.unit}."),
        "mean": (f"x_bar has standard deviation `sigma / sqrt(n) = {sd} / sqrt({n}) = {fixed(se, 2)}`; it describes "
                 "means over many samples.",
                 f"The mean {m.thing} of {n} randomly selected {m.many} typically differs from {mean} {m.unit} by "
                 f"about {fixed(se, 2)} {m.unit}."),
        "error": (f"The sampling error compares this one estimate with the parameter: `{xbar} - {mean} = "
                  f"{plain(xbar - mean)}`.",
                  f"The mean {m.thing} of these {n} {m.many} in the sample differs from {mean} {m.unit} by "
                  f"{plain(error)} {m.unit}."),
    }

    def make(asked: str) -> Sibling:
        idea, statement = says[asked]
        steps = [f"[The parameter is mu = {mean}, with sigma = {sd}; the statistics are x_bar = {xbar} and s = {s}, "
                 f"from n = {n}, all in {m.unit} // For the population, mu = {mean} and sigma = {sd}; for the sample "
                 f"of {n}, x_bar = {xbar} and s = {s} (in {m.unit})].", idea,
                 f"[In context, the variable is the {m.thing} // What varies is the {m.thing} of {m.who} // ]."]
        return Sibling(asked, f"{stem} {draw.ask(_ASK_INTERPRET_SAMPLING_SPREAD, asked, m=m)}", steps, words(statement),
                       "A standard deviation says how far its own distribution typically strays from its mean: of "
                       "single values or of sample means.")

    names = ("population standard deviation", "sample standard deviation", "standard deviation of the sample mean",
             "sampling error")
    return four([make(asked) for asked in says], [f"interpreted the {name} instead" for name in names],
                {"mean": mean, "sd": sd, "n": n, "xbar": xbar, "s": s})


_STEM_ESTIMATOR_QUALITY = wordings("""
    train: Four statistics are tried as estimators of the mean {m.thing} of {m.who}, which is {mean} {m.unit}. Over
        {trials} random samples, the estimates have these centers (and ranges). {dots}.
    train: The mean {m.thing} of {m.who} is {mean} {m.unit}. From each of {trials} random samples, four estimates of it
        are computed. In dotplots, their centers (and ranges) are as follows. {dots}.
    train: To compare four statistics as estimators, each is computed for {trials} random samples of {m.who}, whose
        true mean {m.thing} is {mean} {m.unit}. Center and, in parentheses, range of the results: {dots}.
    train: A simulation draws {trials} random samples of {m.who} and estimates the mean {m.thing} in four ways. The
        true mean is {mean} {m.unit}. The dotplots have the centers (and ranges) {dots}.
    test: {dots}: these centers (and ranges) result from {trials} samples of {m.who} and four estimates of the average
        {m.thing}, in truth {mean} {m.unit}.
    test: Among {m.who}, the true average {m.thing} is {mean} {m.unit}. Software estimates it in four ways from
        {trials} samples of {m.many}. Centers (ranges): {dots}.
    test: Software draws {trials} samples of {m.who}. Four statistics estimate the average {m.thing} ({mean} {m.unit})
        with these centers (and ranges): {dots}.
""")
_ASK_ESTIMATOR_QUALITY = wordings("""
    train: Which statistic appears to be {bias}, with {spread} variability?
    train: Which of the four has {spread} variability and is {bias}?
    test: Choose the estimator of {m.thing} that looks {bias} and has {spread} variability.
    test: Which statistic for these {m.many} combines {spread} variability with being {bias}?
""")


@kind(1, ap="5.4")
def estimator_quality(draw: Draw) -> Siblings:
    """The statistic that is unbiased or biased, with low or high variability, from four dotplots in words."""
    m = draw.setting(MEASURES)
    mean, trials = draw.decimal(*m.mean, 1), 100 * draw.integer(2, 10)
    unit = draw.decimal(m.sd[0] / 3, m.sd[1] / 3, 1)
    names = draw.rng.sample("WXYZ", 4)
    places = list(itertools.product((0, 1), repeat=2))  # (biased, widely spread)
    shift = {place: draw.choice((-1, 1)) * draw.integer(8, 14) / 10 * unit if place[0] else 0.0 for place in places}
    reach = {place: unit * draw.integer(*((15, 20) if place[1] else (4, 7))) / 10 for place in places}
    draw.need(unit >= 0.5 and mean > 4 * unit)
    center = {place: round(mean + shift[place], 1) for place in places}
    span = {place: (round(center[place] - reach[place], 1), round(center[place] + reach[place], 1)) for place in places}
    name_of = dict(zip(places, names, strict=True))
    told = sorted((name_of[q], f"{plain(span[q][0])} to {plain(span[q][1])}", plain(center[q])) for q in places)
    dots = ", ".join(f"{name} {at} ({wide})" for name, wide, at in told)
    stem = draw.ask(_STEM_ESTIMATOR_QUALITY, m=m, mean=mean, trials=trials, dots=dots)

    def make(biased: int, wide: int) -> Sibling:
        place = (biased, wide)
        bias, spread, (low, high) = ("unbiased", "biased")[biased], ("low", "high")[wide], span[place]
        steps: list[Step] = [
            f"[A statistic is unbiased if // Unbiased means that] its sampling distribution is centered at the "
            f"parameter, here {mean} {m.unit}; its variability is the spread of that distribution.",
            (f"Statistic {name_of[place]} is centered at {plain(center[place])}, which is "
             f"{'away from' if biased else 'equal to'} {mean}[. // , so it is {bias}.]",
             f"[Its estimates spread over // The range of its estimates is] `{plain(high)} - {plain(low)} = "
             f"{plain(high - low)}` {m.unit}, {'wide' if wide else 'narrow'} compared with the other statistics."),
        ]
        ask = draw.ask(_ASK_ESTIMATOR_QUALITY, m=m, bias=bias, spread=spread)
        return Sibling(f"{bias}, {spread} variability", f"{stem} {ask}", steps, words(f"Statistic {name_of[place]}"),
                       "Bias is about the center of the sampling distribution, variability about its spread.")

    return square(
        make,
        ("chose a biased statistic", "chose an unbiased statistic"),
        ("chose a statistic with high variability", "chose a statistic with low variability"),
        {"mean": mean, "centers": [center[q] for q in places], "spans": [span[q] for q in places], "names": names},
    )
