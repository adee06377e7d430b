"""Settings of probability and sampling distributions: two traits of one individual, and offices that take samples."""

from __future__ import annotations

from dataclasses import dataclass

from ._scenarios import PARTS, TALLIES, Parts, Tally
from ._settings import MEASURES, SKEWED, Measure, Skewed


@dataclass(frozen=True)
class Traits:
    """Two yes-or-no traits; `a` and `b` complete "the {one} ...", `all_a` and `all_b` complete "the {many} ..."."""

    key: str
    who: str
    many: str
    one: str
    a: str
    b: str
    all_a: str
    all_b: str


# fmt: off
TRAITS = {
    "train": (
        Traits("language", "students at a college", "students", "student", "studies a foreign language",
            "plays a team sport", "study a foreign language", "play a team sport"),
        Traits("pets", "households in a suburb", "households", "household", "has a cat", "has a garden",
            "have a cat", "have a garden"),
        Traits("travel", "customers of a travel agency", "customers", "customer", "books a hotel", "rents a car",
            "book a hotel", "rent a car"),
        Traits("media", "adults in a city", "adults", "adult", "reads a newspaper", "listens to podcasts",
            "read a newspaper", "listen to podcasts"),
        Traits("store", "shoppers at a supermarket", "shoppers", "shopper", "buys bread", "buys milk", "buy bread",
            "buy milk"),
        Traits("cars", "cars at an inspection", "cars", "car", "has worn brakes", "has a faulty light",
            "have worn brakes", "have a faulty light"),
        Traits("gym", "members of a gym", "members", "member", "takes a yoga class", "uses the pool",
            "take a yoga class", "use the pool"),
        Traits("staff", "employees of a bank", "employees", "employee", "speaks Spanish", "works on Saturdays",
            "speak Spanish", "work on Saturdays"),
    ),
    "test": (
        Traits("concert", "visitors to a music festival", "visitors", "visitor", "camps on the site",
            "buys a program", "camp on the site", "buy a program"),
        Traits("farm", "farms in a valley", "farms", "farm", "keeps goats", "grows olives", "keep goats",
            "grow olives"),
        Traits("clinic", "patients of an eye clinic", "patients", "patient", "wears contact lenses",
            "has dry eyes", "wear contact lenses", "have dry eyes"),
        Traits("hostel", "guests of a mountain hostel", "guests", "guest", "brings skis",
            "orders a packed lunch", "bring skis", "order a packed lunch"),
        Traits("chess", "players in a chess league", "players", "player", "owns a chess clock",
            "takes private lessons", "own a chess clock", "take private lessons"),
    ),
}

SMALL_COUNTS = {
    "train": TALLIES["train"],
    "test": (
        Tally("owls", "the number of owl chicks that rangers find", "nest box", "chicks"),
        Tally("ferry", "the number of bicycles carried by a harbor ferry", "crossing", "bicycles"),
        Tally("cakes", "the number of wedding cakes that a baker delivers", "weekend", "cakes"),
        Tally("alarms", "the number of false alarms at a fire station", "night shift", "alarms"),
    ),
}
PIECES = {
    "train": PARTS["train"],
    "test": (
        Parts("dough", "the kneading time for a dough", "the baking time for the bread", "the working time", "minutes",
            (14, 40), (1.2, 4.5)),
        Parts("freight", "the weight of a machine", "the weight of its packaging", "the shipping weight", "kilograms",
            (5, 18), (0.5, 2.2)),
        Parts("canoe", "a canoeist's time upstream", "the same canoeist's time downstream", "the round-trip time",
            "seconds", (92, 150), (3, 9)),
        Parts("dam", "the morning inflow of a reservoir", "the evening inflow", "the inflow of the day", "liters",
            (40, 90), (2, 7)),
    ),
}
_ADDED_UP = (
    "weight", "net weight", "birth weight", "lifetime", "duration", "fill volume", "commute time", "battery life",
)
ADDITIVE = {
    "train": tuple(measure for measure in MEASURES["train"] if measure.thing in _ADDED_UP),
    "test": (
        *(measure for measure in MEASURES["test"] if measure.thing in _ADDED_UP),
        Measure("salmon", "salmon from a fish farm", "salmon", "salmon", "weight", "kilograms", (3.2, 5.6),
            (0.4, 0.9), 1),
        Measure("episodes", "episodes of a radio series", "episodes", "episode", "running time", "minutes", (24, 48),
            (2, 6), 1),
    ),
}
"""Quantities of which a sum makes sense."""
LOPSIDED = {
    "train": SKEWED["train"],
    "test": (
        Skewed("hail", "amounts claimed from a farm insurer after hailstorms", "dollars", (2100, 4800), (700, 2000),
            True),
        Skewed("choir", "numbers of rehearsals attended by choir members in a season of 30", "rehearsals", (25, 28),
            (2, 5), False),
        Skewed("bank", "times that callers to a telephone bank spend on hold", "seconds", (45, 110), (15, 50), True),
        Skewed("songs", "numbers of plays per song on a small music site", "plays", (120, 300), (60, 160), True),
    ),
}
# fmt: on


def negated(does: str) -> str:
    """Return a plural predicate negated: "own a dog" -> "do not own a dog", "are bruised" -> "are not bruised"."""
    return does.replace("are ", "are not ", 1) if does.startswith("are ") else f"do not {does}"
