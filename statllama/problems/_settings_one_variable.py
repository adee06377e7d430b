"""Settings for one-variable data: charges that follow a linear rule; train and test lists share none."""

from __future__ import annotations

from dataclasses import dataclass


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
# fmt: on
