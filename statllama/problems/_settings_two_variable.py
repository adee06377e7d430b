"""Settings for two-variable data: amounts to be assigned, and pairs of variables; train and test lists share none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """A variable x that can be assigned to `units` or observed on them; `xs` is its range in `x_unit`."""

    key: str
    units: str
    x: str
    x_unit: str
    y: str
    xs: tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """A response y and an explanatory variable x; `rises` tells whether y goes up with x."""

    key: str
    y: str
    x: str
    rises: bool


# fmt: off
AMOUNTS = {
    "train": (
        Amount("nitrogen", "field plots", "amount of fertilizer", "kilograms", "wheat yield", (20, 120)),
        Amount("salt", "patients", "daily amount of salt", "grams", "blood pressure", (2, 14)),
        Amount("nap", "night nurses", "length of a nap before work", "minutes", "score in an attention test", (10, 90)),
        Amount("heat", "ceramic tiles", "firing temperature", "degrees Celsius", "breaking strength", (900, 1250)),
        Amount("light", "lettuce plants", "daily duration of light", "hours", "leaf weight", (8, 18)),
        Amount("practice", "language learners", "daily practice time", "minutes", "vocabulary score", (10, 60)),
    ),
    "test": (
        Amount("feed", "carp in fish tanks", "daily amount of feed", "grams", "growth in a month", (5, 40)),
        Amount("pressure", "plywood boards", "pressing force", "kilonewtons", "strength of the bond", (20, 90)),
        Amount("caffeine", "adult volunteers", "dose of caffeine", "milligrams", "time to fall asleep", (40, 240)),
        Amount("watering", "potted ferns", "weekly amount of water", "milliliters", "length of new fronds", (100, 600)),
    ),
}

PAIRS = {
    "train": (
        Pair("rent", "monthly rent", "floor area", True), Pair("exam", "exam score", "study time", True),
        Pair("height", "tree height", "trunk diameter", True), Pair("delivery", "delivery time", "distance", True),
        Pair("crop", "crop yield", "rainfall", True), Pair("shoe", "shoe size", "body height", True),
        Pair("car", "asking price", "age of the car", False), Pair("gas", "gas use", "outdoor temperature", False),
        Pair("run", "finishing time", "training distance", False), Pair("air", "air pressure", "altitude", False),
        Pair("fuel", "miles per gallon", "weight of the car", False), Pair("wet", "umbrella sales", "sunshine", False),
    ),
    "test": (
        Pair("pike", "weight", "length of the fish", True), Pair("solar", "energy output", "hours of sun", True),
        Pair("ice", "retreat of the ice", "summer temperature", True), Pair("kiln", "drying time", "moisture", True),
        Pair("wing", "wing span", "age of the chick", True), Pair("oxygen", "dissolved oxygen", "water depth", False),
        Pair("errors", "error count", "weekly practice", False), Pair("coffee", "temperature of coffee", "time", False),
        Pair("birth", "birth rate", "years of schooling", False), Pair("brake", "tread depth", "mileage", False),
    ),
}
# fmt: on
