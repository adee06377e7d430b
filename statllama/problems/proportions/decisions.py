"""Errors of a test for a proportion, in words and by their consequences."""

from __future__ import annotations

from .._draw import Draw, kind
from .._phrases import hypotheses, recalled
from .._problem import words
from .._settings_proportions import DECISIONS, SHARES
from .._siblings import Sibling, Siblings, four
from .._wording import wordings

# fmt: off

_MEANING = {
    "I": "A Type I error is rejecting a null hypothesis that is true.",
    "II": "A Type II error is failing to reject a null hypothesis that is false.",
    "power": "The power is the probability of rejecting a null hypothesis that is false.",
    "kept": "When the null hypothesis is true, the correct decision is not to reject it.",
}
_SLIPS = ("described a Type I error", "described a Type II error", "described a correct rejection of H0",
          "described a correct failure to reject H0")


_STEM_ERROR_TYPE = wordings("""
    train: A researcher takes a random sample of {n} to test whether {more} than {null100:g}% of all {s.who} {s.does};
        the null hypothesis is that the proportion is {null}.
    train: The hypotheses H0: p = {null} and Ha: p {sign} {null} are tested with a random sample of {n}, where p is the
        proportion of all {s.who} {s.rel} {s.does}.
    train: Do {more} than {null100:g}% of all {s.who} {s.does}? To find out, H0: p = {null} is tested with a random
        sample of {n}.
    train: A report claims that {null100:g}% of all {s.who} {s.does}. A student suspects that the proportion is {side}
        {null} and carries out a z test with a random sample of {n}.
    test: With {n} randomly selected {s.many}, an inspector puts H0: p = {null} to the test against Ha: p {sign} {null};
        p is the proportion {s.rel} {s.does} among {s.who}.
    test: Suspecting that the proportion {s.rel} {s.does} is {side} {null} among {s.who}, a reporter plans a
        significance test for {n} of them, to be selected at random.
    test: "{s.who!c}: H0 p = {null}, Ha p {sign} {null}, n = {n}" heads the plan of a significance test, in which a
        simple random sample is used and p means the proportion {s.rel} {s.does}.
""")
_ASK_ERROR_TYPE = wordings("""
    train/I: Which of these is a Type I error?
    train/I: What would a Type I error be in this setting?
    train/II: Which of these is a Type II error?
    train/II: What would a Type II error be in this setting?
    train/power: Which of these has the power of the test as its probability?
    train/power: The power of the test is the probability of which outcome?
    train/kept: Which of these is a correct decision when H0 is true?
    train/kept: What would be the correct decision in this setting if H0 is true?
    test/I: Describe a Type I error in context.
    test/I: Which outcome counts as a Type I error?
    test/II: Describe a Type II error in context.
    test/II: Which outcome counts as a Type II error?
    test/power: Describe in context the outcome whose probability is the power.
    test/power: Which outcome counts as a correct rejection?
    test/kept: Describe in context the correct outcome for a true null hypothesis.
    test/kept: Which outcome counts as a correct failure to reject?
""")


@kind(2, ap="6.7")
def error_type(draw: Draw) -> Siblings:
    """The two errors and the two correct decisions of a test, in context."""
    s = draw.setting(SHARES)
    null, up, n = draw.decimal(*s.p, 2), draw.choice((True, False)), 10 * draw.integer(10, 60)
    side, higher = ("above", "higher") if up else ("below", "lower")
    stem = draw.ask(_STEM_ERROR_TYPE, s=s, n=n, null=null, null100=null * 100, more="more" if up else "less", side=side,
                    sign=">" if up else "<")
    found = f"Concluding that the proportion is {side} {null}"
    missed = f"Not concluding that the proportion is {side} {null}"
    texts = {
        "I": f"{found} when it is actually equal to {null}.",
        "II": f"{missed} when it is actually {higher} than {null}.",
        "power": f"{found} when it is actually {higher} than {null}.",
        "kept": f"{missed} when it is actually equal to {null}.",
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_ERROR_TYPE, asked)}",
                [f"[H0 says // The null hypothesis states] that the proportion of all {s.who} {s.rel} {s.does} is "
                 f"{null}; [Ha says // the alternative states] that it is {side} {null}.",
                 recalled(_MEANING[asked]),
                 f"H0 is [true if // true only when] the proportion is {null}, and [false if // false when] it is "
                 f"{higher} than that."],
                words(text), _MEANING[asked])
        for asked, text in texts.items()
    ]
    return four(of, _SLIPS, {"null": null, "n": n, "up": up})


_STEM_ERROR_CONSEQUENCE = wordings("""
    train: {d.agent!A} will test, with a random sample of {n} and alpha = {level}, whether {more} than {null100:g}% of
        the {d.who} {d.does}. With convincing evidence that this is so, it {d.act}; otherwise, it {d.pause}.
    train: Let p be the proportion of the {d.who} {d.rel} {d.does}. If a random sample of {n} leads to the rejection of
        H0: p = {null} in favor of Ha: p {sign} {null} at alpha = {level}, the {d.agent} {d.act}. If not, it {d.pause}.
    train: Depending on a z test with alpha = {level}, {d.agent!a} either {d.act} or {d.pause}. The first is done only
        if a random sample of {n} gives convincing evidence that {more} than {null100:g}% of the {d.who} {d.does}.
    train: {d.agent!A} {d.act} if a test at the {level} level, with a random sample of {n}, finds convincing evidence
        that {more} than {null100:g}% of the {d.who} {d.does}. Without such evidence it {d.pause}.
    test: Suppose {d.agent!a} bases its decision on {n} randomly selected {d.who}: when a significance test (level
        {level}) shows that {more} than {null100:g}% {d.does}, the {d.agent} {d.act}, and when it does not, the
        {d.agent} {d.pause}.
    test: H0: p = {null}. Ha: p {sign} {null}. Here p is the proportion of the {d.who} {d.rel} {d.does}. Rejecting H0
        (random sample of {n}, significance level {level}) means that the {d.agent} {d.act}; failing to reject it, that
        it {d.pause}.
    test: What {d.agent!a} does next depends on a significance test ({level} level, {n} {d.who} selected at random). It
        {d.act} when the sample shows convincingly that {more} than {null100:g}% {d.does}; in any other case it
        {d.pause}.
""")
_ASK_ERROR_CONSEQUENCE = wordings("""
    train/I: Which outcome would follow from a Type I error?
    train/I: Which outcome becomes more likely if H0 is true and a larger alpha is used?
    train/II: Which outcome would follow from a Type II error?
    train/II: Which outcome becomes more likely if Ha is true and a smaller alpha is used?
    train/power: Which outcome would follow from a correct rejection of H0?
    train/power: Which outcome becomes more likely if Ha is true and a larger sample is used?
    train/kept: Which outcome would follow from a correct failure to reject H0?
    train/kept: Which outcome becomes more likely if H0 is true and a smaller alpha is used?
    test/I: Identify the consequence of a Type I error.
    test/I: Raising the significance level while H0 is true would make which outcome more probable?
    test/II: Identify the consequence of a Type II error.
    test/II: Lowering the significance level while Ha is true would make which outcome more probable?
    test/power: Identify the consequence of rejecting H0 correctly.
    test/power: Taking a larger sample while Ha is true would make which outcome more probable?
    test/kept: Identify the consequence of correctly not rejecting H0.
    test/kept: Lowering the significance level while H0 is true would make which outcome more probable?
""")


@kind(2, ap="6.7")
def error_consequence(draw: Draw) -> Siblings:
    """What follows in practice from each error and each correct decision of a test."""
    d = draw.setting(DECISIONS)
    null, n, alpha = draw.decimal(*d.p, 2), 10 * draw.integer(20, 80), draw.choice((0.05, 0.02, 0.04))
    more, sign = "more" if d.up else "less", f"p {'>' if d.up else '<'} {null}"
    stem = draw.ask(_STEM_ERROR_CONSEQUENCE, d=d, n=n, level=f"{alpha:.2f}", null=null, null100=null * 100, more=more,
                    sign=">" if d.up else "<")
    outcomes = {
        "I": (d.act, "exactly", "rejected although it is true"),
        "II": (d.pause, f"{more} than", "not rejected although it is false"),
        "power": (d.act, f"{more} than", "rejected, and it is false"),
        "kept": (d.pause, "exactly", "not rejected, and it is true"),
    }
    of = [
        Sibling(asked, f"{stem} {draw.ask(_ASK_ERROR_CONSEQUENCE, asked)}",
                [f"{hypotheses(f'p = {null}', sign)}, where p is the proportion of the {d.who} {d.rel} {d.does}.",
                 recalled(_MEANING[asked]), f"[So here // In this case,] H0 is {what}.",
                 f"[{nots[0]}ejecting H0 means that the {d.agent} {does} // If H0 is {nots[1]}rejected, the {d.agent} "
                 f"{does}]."],
                words(f"The {d.agent} {does}, and in fact {share} {null * 100:g}% of the {d.who} {d.does}."),
                _MEANING[asked])
        for asked, (does, share, what) in outcomes.items()
        for nots in (("Not r", "not ") if what.startswith("not") else ("R", ""),)
    ]
    return four(of, _SLIPS, {"null": null, "n": n, "alpha": alpha, "up": d.up, "act": d.act, "pause": d.pause})
