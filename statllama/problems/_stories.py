"""Settings for contests, growth, wagers, lots and factorial experiments; train and test lists share none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contest:
    """Two results of one participant, in one unit and better the higher; `mean` and `sd` are ranges."""

    key: str
    who: str
    first: str
    second: str
    unit: str
    mean: tuple[int, int]
    sd: tuple[int, int]


@dataclass(frozen=True)
class Growth:
    """A quantity that grows by a constant factor: log10 y = a + b x; `a`, `b` and `xs` are ranges."""

    key: str
    y: str
    unit: str
    x: str
    x_unit: str
    a: tuple[float, float]
    b: tuple[float, float]
    xs: tuple[int, int]


@dataclass(frozen=True)
class Wager:
    """An offer that pays the buyer one of two amounts; ranges of price and pay in dollars, chances in percent.

    `gainer` is who the expected gain is asked for; `sells` is true when that is the seller.
    """

    key: str
    offer: str
    big: str
    small: str
    gainer: str
    per: str
    sells: bool
    price: tuple[int, int]
    pay: tuple[int, int]
    less: tuple[int, int]
    percent: tuple[int, int]


@dataclass(frozen=True)
class Lot:
    """A small lot from which some are drawn without replacement; `good` completes "are ..."."""

    key: str
    many: str
    place: str
    good: str
    bad: str


@dataclass(frozen=True)
class Factorial:
    """An experiment with two factors crossed on like units."""

    key: str
    units: str
    first: str
    second: str
    y: str


# fmt: off
CONTESTS = {
    "train": (
        Contest("exams", "A student", "the history exam", "the biology exam", "points", (55, 75), (5, 14)),
        Contest("trade", "An apprentice", "the practical test", "the written test", "points", (60, 80), (4, 12)),
        Contest("dogs", "A dog", "the agility trial", "the obedience trial", "points", (110, 150), (8, 24)),
        Contest("wine", "A wine", "the spring tasting", "the autumn tasting", "points", (200, 240), (8, 24)),
        Contest("skaters", "A skater", "the short program", "the free program", "points", (52, 90), (5, 15)),
    ),
    "test": (
        Contest("divers", "A diver", "the springboard event", "the platform event", "points", (240, 330), (18, 50)),
        Contest("schools", "A school", "the reading survey", "the science survey", "points", (460, 530), (25, 70)),
        Contest("cooks", "A cook", "the pastry round", "the fish round", "marks", (40, 60), (4, 12)),
    ),
}

GROWTHS = {
    "train": (
        Growth("yeast", "yeast cell count", "cells", "time", "hours", (2.1, 3.0), (0.06, 0.16), (4, 12)),
        Growth("users", "user count of an app", "users", "time since launch", "weeks", (2.3, 3.1),
            (0.04, 0.11), (5, 16)),
        Growth("algae", "algae density", "cells per milliliter", "age of the culture", "days", (2.2, 2.9),
            (0.08, 0.19), (3, 10)),
        Growth("rabbits", "rabbit population of an island", "rabbits", "time since their arrival", "years",
            (1.2, 1.8), (0.1, 0.2), (4, 12)),
    ),
    "test": (
        Growth("duckweed", "area covered by duckweed", "square centimeters", "time since planting", "days",
            (1.7, 2.4), (0.05, 0.12), (6, 18)),
        Growth("storage", "archive size", "gigabytes", "time since the founding", "years", (2.0, 2.6),
            (0.09, 0.18), (4, 11)),
        Growth("beetles", "bark beetle catch of a trap", "beetles", "time since the storm", "weeks", (1.5, 2.2),
            (0.09, 0.17), (5, 12)),
    ),
}

WAGERS = {
    "train": (
        Wager("phone", "An insurer sells cover for a mobile phone", "a lost phone", "a broken screen",
            "the insurer", "policy", True, (45, 90), (380, 720), (90, 180), (1, 7)),
        Wager("wheel", "A fair lets visitors spin a wheel", "the gold field", "the silver field", "a visitor",
            "spin", False, (3, 8), (25, 60), (8, 15), (2, 12)),
        Wager("raffle", "A club sells raffle tickets", "the first prize", "a consolation prize", "a buyer",
            "ticket", False, (4, 10), (120, 300), (15, 40), (1, 5)),
        Wager("washer", "A store sells a service plan for washing machines", "a new motor", "a small repair",
            "the store", "plan", True, (60, 120), (300, 520), (80, 160), (3, 14)),
    ),
    "test": (
        Wager("luggage", "An airline sells cover for suitcases", "a lost suitcase", "a late suitcase",
            "the airline", "suitcase", True, (18, 40), (600, 1200), (100, 200), (1, 3)),
        Wager("cards", "A street game is played with marked cards", "the gold star", "a blue star", "the player",
            "round", False, (4, 9), (30, 70), (10, 18), (2, 14)),
        Wager("frost", "A cooperative sells frost cover for orchards", "a lost harvest", "a damaged harvest",
            "the cooperative", "orchard", True, (400, 900), (4000, 8000), (1200, 2400), (3, 8)),
    ),
}

LOTS = {
    "test": (
        Lot("bulbs", "tulip bulbs", "a sack", "sound", "rotten"),
        Lot("fuses", "fuses", "a drawer", "intact", "blown"),
        Lot("tickets", "raffle tickets", "an urn", "blank", "marked"),
        Lot("eggs", "eggs", "a crate", "whole", "cracked"),
    ),
}

FACTORIALS = {
    "train": (
        Factorial("cake", "cakes", "oven temperatures", "baking times", "height of the cake"),
        Factorial("tomatoes", "tomato plants", "amounts of water", "brands of fertilizer", "yield"),
        Factorial("steel", "steel samples", "alloys", "cooling rates", "hardness"),
        Factorial("posters", "volunteers", "poster colors", "poster sizes", "recall of the message"),
        Factorial("mice", "mice", "diets", "light cycles", "weight gain"),
    ),
    "test": (
        Factorial("cheese", "cheeses", "cellar temperatures", "rind treatments", "taste score"),
        Factorial("glue", "glued boards", "pressures", "drying times", "strength of the joint"),
        Factorial("bees", "bee colonies", "kinds of sugar syrup", "hive sizes", "honey yield"),
    ),
}
# fmt: on
