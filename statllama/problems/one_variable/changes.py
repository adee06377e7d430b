"""What a change of some or all values does to center and spread."""

from __future__ import annotations

from .._draw import Draw, Given, kind
from .._problem import number, plain, words
from .._settings import MEASURES
from .._settings_one_variable import TARIFFS
from .._siblings import Sibling, Siblings, four, square
from .._wording import wordings
from ._shared import center_and_spread

# fmt: off


_STEM_LINEAR_CHANGE = wordings("""
    train: A set of {t.quantity} has {center} {c} and {spread} {s} {t.unit}. For {t.result} in {t.new_unit}, {t.first}
        multiplies each value by {b1} and adds {a1}; {t.second} multiplies by {b2} and adds {a2}.
    train: The {center} of some {t.quantity} is {c} {t.unit} and the {spread} is {s} {t.unit}. They are turned into
        {t.result} ({t.new_unit}) by `new = {a1} + {b1} * old` at {t.first} and by `new = {a2} + {b2} * old` at
        {t.second}.
    train: From {t.quantity} in {t.unit}, with {center} {c} and {spread} {s}, {t.first} computes {t.result} in
        {t.new_unit} as {a1} plus {b1} times the value, and {t.second} as {a2} plus {b2} times the value.
    train: Two rules turn {t.quantity} x ({t.unit}) into {t.result} y ({t.new_unit}): `y = {a1} + {b1} * x` with
        {t.first}, `y = {a2} + {b2} * x` with {t.second}. The values of x have {center} {c} and {spread} {s}.
    test: Some {t.quantity} are on file; their {center} comes to {c} {t.unit} and their {spread} to {s} {t.unit}. With
        {t.first}, each entry x becomes {a1} + {b1} x {t.new_unit}; with {t.second}, {a2} + {b2} x {t.new_unit}. The
        results are {t.result}.
    test: With x for the {t.quantity} in {t.unit}, the {t.result} in {t.new_unit} are {a1} + {b1} x with {t.first} and
        {a2} + {b2} x with {t.second}. A list of values of x has {spread} {s} and {center} {c}.
    test: A basic amount of {a1} plus {b1} for every unit ({t.first}), or {a2} plus {b2} for every unit ({t.second}):
        that is how {t.quantity} ({t.unit}) lead to {t.result} ({t.new_unit}). On a list with {center} {c} and {spread}
        {s}, both rules are tried.
""")
_ASK_LINEAR_CHANGE = wordings("""
    train: What is the {measure} of the {t.result} with {name}?
    train: Find the {measure} of the {t.result}, in {t.new_unit}, that {name} arrives at.
    test: What {measure} do the {t.result} have under the rule of {name}?
    test: State the {measure} of the list of {t.result} that results with {name}.
""")


@kind(2, ap="1.7")
def linear_change(draw: Draw) -> Siblings:
    """A measure of center or of spread after one of two linear changes new = a + b old."""
    t = draw.setting(TARIFFS)
    c, s = draw.decimal(*t.center, 1), draw.decimal(*t.spread, 1)
    a, b = [draw.decimal(*t.a, 0) for _ in "ab"], [draw.decimal(*t.b, 1) for _ in "ab"]
    draw.need(a[0] != a[1] and b[0] != b[1])
    names = (draw.choice(("mean", "median")), draw.choice(("standard deviation", "interquartile range")))
    rules = {"a1": a[0], "b1": b[0], "a2": a[1], "b2": b[1]}
    stem = draw.ask(_STEM_LINEAR_CHANGE, t=t, center=names[0], spread=names[1], c=c, s=s, **rules)

    def make(spread: int, k: int) -> Sibling:
        old, measure, who = (c, s)[spread], names[spread], (t.first, t.second)[k]
        right = b[k] * old + (0 if spread else a[k])
        shown = f"{b[k]} * {old}" if spread else f"{a[k]} + {b[k]} * {old}"
        steps = [
            (f"The {measure} is a measure of center: it is multiplied and shifted like each value.",
             f"The {measure} is a measure of spread: it is multiplied, and a constant does not change it.")[spread],
            f"[With {who}, // By the rule of {who},] the new {measure} is `{shown} = {right:.2f}` {t.new_unit}.",
            "[ // Adding a constant moves all values alike, so it matters for center and not for spread.]",
        ]
        return Sibling(
            f"{measure}, {who}",
            f"{stem} {draw.ask(_ASK_LINEAR_CHANGE, t=t, measure=measure, name=who)}",
            steps,
            number(right, 2, t.new_unit),
            "Center follows both shift and scale; spread follows the scale alone.",
        )

    return square(
        make,
        (f"gave the {names[1]} instead of the {names[0]}", f"gave the {names[0]} instead of the {names[1]}"),
        (f"used the rule of {t.second}", f"used the rule of {t.first}"),
        {"center": c, "spread": s, "a": a, "b": b, "names": names, "rules": (t.first, t.second)},
    )


_STEM_MEAN_AFTER_CORRECTION = wordings("""
    test: The mean {m.thing} of {n} {m.who} was reported as {mean} {m.unit}.
    test: Before a check, {n} {m.who} were thought to average {mean} {m.unit} in {m.thing}.
    test: A note on {n} {m.who} gives {mean} {m.unit} as their average {m.thing}.
""")
_ASK_MEAN_AFTER_CORRECTION = wordings("""
    test/forward: A value entered as {a} {m.unit} should have been {b}. What is the mean after the correction?
    test/forward: One entry of {a} {m.unit} was a typing error for {b}. What is the corrected mean?
    test/backward: A value entered as {b} {m.unit} should have been {a}. What is the mean after the correction?
    test/backward: One entry of {b} {m.unit} was a typing error for {a}. What is the corrected mean?
    test/removed: A value of {a} {m.unit} turned out not to belong to the data. What is the mean of the other {fewer}?
    test/removed: One entry of {a} {m.unit} is invalid and is deleted. What is the mean of the {fewer} that remain?
    test/added: A value of {b} {m.unit} had been overlooked and is added. What is the mean of all {more}?
    test/added: One more {m.one}, with {b} {m.unit}, joins the list. What is the mean of the {more} values?
""")


@kind(2, held_out=True, ap="1.7")
def mean_after_correction(draw: Draw) -> Siblings:
    """The mean after one value is corrected, removed or added."""
    m = draw.setting(MEASURES)
    n, mean = draw.integer(8, 40), draw.decimal(*m.mean, 1)
    b = draw.decimal(mean - 2 * m.sd[1], mean + 2 * m.sd[1], m.digits)
    a = Given(round(b + draw.choice((-1, 1)) * draw.decimal(2 * m.sd[0], 5 * m.sd[1], m.digits), m.digits))
    draw.need(min(a, b) > 0 and abs(a - b) / n > 0.05)
    stem = draw.ask(_STEM_MEAN_AFTER_CORRECTION, m=m, n=n, mean=mean)
    changes = {"forward": (b - a, n, f"- {a} + {b}"), "backward": (a - b, n, f"- {b} + {a}"),
               "removed": (-a, n - 1, f"- {a}"), "added": (b, n + 1, f"+ {b}")}

    def make(name: str) -> Sibling:
        change, size, shown = changes[name]
        total = n * mean + change
        steps = [
            f"[The reported sum is // From the reported mean, the sum is] `n * mean = {n} * {mean} = "
            f"{plain(n * mean)}`.",
            f"[The new sum is // After the change, the sum is] `{plain(n * mean)} {shown} = {plain(total)}`, over "
            f"{size} values.",
            f"[The new mean is // Dividing, the mean becomes] `{plain(total)} / {size} = {total / size:.2f}` {m.unit}.",
        ]
        ask = draw.ask(_ASK_MEAN_AFTER_CORRECTION, name, m=m, a=a, b=b, fewer=n - 1, more=n + 1)
        return Sibling(name, f"{stem} {ask}", steps, number(total / size, 2, m.unit, tolerance=0.02),
                       "A mean is the sum over the number of values; a change enters through both.")

    return four(
        [make(name) for name in changes],
        [f"replaced {a} by {b}", f"replaced {b} by {a}", f"left out {a}", f"added {b} as a further value"],
        {"n": n, "mean": mean, "values": (a, b)},
    )


_STEM_EFFECT_OF_A_VALUE = wordings("""
    train: The {m.thing} of {n} {m.who} has mean {mean} {m.unit} and standard deviation {sd} {m.unit}.
    train: For {n} {m.who}, the mean {m.thing} is {mean} {m.unit}, with a standard deviation of {sd} {m.unit}.
    train: A list of {n} values of {m.thing}, for {m.who}, has a mean of {mean} and a standard deviation of {sd}
        {m.unit}.
    train: In a study of {m.who}, {n} values of {m.thing} were recorded; their mean is {mean} {m.unit} and their
        standard deviation {sd} {m.unit}.
    test: {n} {m.who} average {mean} {m.unit} in {m.thing}, and the SD of these data is {sd}.
    test: x-bar = {mean} and s = {sd} ({m.unit}) describe how {m.thing} varies among {n} {m.who}.
    test: A file on {m.who} holds {n} values of {m.thing}. Their average is {mean} {m.unit}, their SD {sd} {m.unit}.
""")
_ASK_EFFECT_OF_A_VALUE = wordings("""
    train/add: Another {m.one}, with {m.thing!a} of {x} {m.unit}, is added. How do the two summaries change?
    train/add: What happens to mean and standard deviation when a further value, {x} {m.unit}, is included?
    train/remove: One {m.one}, with {m.thing!a} of {x} {m.unit}, is removed. How do the two summaries change?
    train/remove: What happens to mean and standard deviation when one of the values, {x} {m.unit}, is excluded?
    test/add: Then a new entry, {x} {m.unit}, comes in. What is its effect?
    test/add: Suppose the next {m.one} measured, with {x} {m.unit}, joins the data. Which effect does this have?
    test/remove: Then one of the entries, {x} {m.unit}, is taken out. What is its effect?
    test/remove: Suppose one {m.one} of the group, with {x} {m.unit}, leaves the data. Which effect does this have?
""")
_CHANGED = {1: "increases", 0: "stays the same", -1: "decreases"}


@kind(2, ap="1.7")
def effect_of_a_value(draw: Draw) -> Siblings:
    """What adding or removing one value does to the mean and the standard deviation."""
    m = draw.setting(MEASURES)
    mean, sd = center_and_spread(draw, m)
    n = draw.integer(20, 60)
    far = [Given(round(mean + way * draw.decimal(2.2, 3.2, 2) * sd, m.digits)) for way in (1, -1)]
    draw.need(min(far) > 0)
    events = [("add", far[0]), ("add", far[1]), ("remove", far[0]), ("remove", far[1]), ("add", mean)]
    left_out = draw.integer(0, 4)
    events = [event for i, event in enumerate(events) if i != left_out]
    stem = draw.ask(_STEM_EFFECT_OF_A_VALUE, m=m, n=n, mean=mean, sd=sd)

    def make(how: str, x: Given) -> Sibling:
        way = 1 if how == "add" else -1
        side = (x > mean) - (x < mean)
        spread = way if side else -way
        place = {1: f"far above the mean of {mean}", -1: f"far below the mean of {mean}", 0: "equal to the mean"}[side]
        steps = [
            f"The value {x} is {place}, so {('removing', 'adding')[how == 'add']} it [means that the mean // has the "
            f"effect that the mean] {_CHANGED[way * side]}.",
            f"[It is // The value is] "
            f"{'more than two standard deviations' if side else '0 standard deviations'} from the mean, so the spread "
            f"about the mean {_CHANGED[spread]}.",
        ]
        return Sibling(
            f"{how} {x}",
            f"{stem} {draw.ask(_ASK_EFFECT_OF_A_VALUE, how, m=m, x=x)}",
            steps,
            words(f"The mean {_CHANGED[way * side]}, and the standard deviation {_CHANGED[spread]}."),
            "A value moves the mean toward itself, and one far from the mean adds to the standard deviation.",
        )

    of = [make(*event) for event in events]
    return four(
        of,
        [f"answered for {('removing', 'adding')[how == 'add']} the value {x}" for how, x in events],
        {"n": n, "mean": mean, "sd": sd, "far": far},
    )
