"""Settings for one-variable data: linear rules and long tails; train and test lists share none."""

from __future__ import annotations

from dataclasses import dataclass

from ._settings import SKEWED, Skewed


@dataclass(frozen=True)
class Tariff:
    """Two linear rules, `new = a + b old`, for the same quantity; ranges of its center and spread in `unit`."""

    key: str
    quantity: str
    unit: str
    result: str
    new_unit: str
    first: str
    second: str
    a: tuple[float, float]
    b: tuple[float, float]
    center: tuple[float, float]
    spread: tuple[float, float]


# fmt: off
TARIFFS = {
    "train": (
        Tariff("taxi", "trip lengths", "kilometers", "fares", "dollars", "City Cab", "Metro Taxi", (3, 7), (1.5, 3),
            (6, 14), (1.5, 4)),
        Tariff("parcels", "parcel weights", "kilograms", "shipping costs", "dollars", "the post office", "a courier",
            (4, 12), (1.2, 3.5), (3, 9), (1, 3)),
        Tariff("quiz", "raw quiz scores", "points", "scaled scores", "points", "the first teacher",
            "the second teacher", (8, 25), (1.2, 2), (28, 40), (5, 10)),
        Tariff("power", "daily power uses", "kilowatt hours", "daily bills", "cents", "the day tariff",
            "the flat tariff", (40, 90), (18, 32), (8, 16), (2, 5)),
        Tariff("posters", "poster areas", "square meters", "printing prices", "dollars", "the copy shop",
            "the online printer", (5, 15), (6, 14), (1.5, 4), (0.6, 1.4)),
    ),
    "test": (
        Tariff("rental", "driving distances of rental vans", "miles", "rental charges", "dollars", "the airport office",
            "the downtown office", (25, 60), (0.3, 0.9), (70, 150), (18, 45)),
        Tariff("data", "monthly amounts of mobile data", "gigabytes", "phone bills", "dollars", "the red plan",
            "the green plan", (8, 20), (1.5, 4), (4, 14), (1.5, 4)),
        Tariff("lessons", "lengths of sailing lessons", "minutes", "lesson fees", "dollars", "the lake school",
            "the harbor school", (10, 30), (0.6, 1.4), (45, 80), (8, 16)),
    ),
}

TAILS = {
    "train": (
        *SKEWED["train"],
        Skewed("gestation", "pregnancy lengths at a maternity ward", "days", (276, 281), (3, 8), False),
        Skewed("battery", "charge levels of rental scooters at dawn", "percent", (82, 91), (4, 12), False),
        Skewed("follow", "follower counts of hobby photographers", "followers", (180, 420), (60, 240), True),
    ),
    "test": (
        *SKEWED["test"],
        Skewed("theory", "scores on a theory test for drivers", "points", (42, 47), (2, 6), False),
        Skewed("arrival", "ages of the residents of a care home", "years", (84, 88), (3, 7), False),
        Skewed("strings", "numbers of weeks for which violin strings are used", "weeks", (30, 44), (3, 9), False),
        Skewed("tickets", "prices of resold concert tickets", "dollars", (70, 130), (15, 50), True),
    ),
}
# fmt: on
