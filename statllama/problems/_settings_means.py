"""Settings for the topic of means: tests on which something is decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stake:
    """A test for a mean with a consequence: `act` when H0 is rejected, `keep` when it is not.

    `null` is the range of the value under H0 in `unit`, `way` the alternative: "greater", "less" or "different".
    """

    key: str
    who: str
    thing: str
    unit: str
    null: tuple[int, int]
    way: str
    act: str
    keep: str


# fmt: off
STAKES = {
    "train": (
        Stake("cereal", "boxes of cereal", "fill weight", "grams", (340, 520), "less",
            "the filling machine is stopped", "the filling machine keeps running"),
        Stake("lake", "water samples from a lake", "lead concentration", "micrograms per liter", (9, 16), "greater",
            "the beach is closed", "the beach stays open"),
        Stake("ropes", "ropes from one production run", "breaking load", "kilonewtons", (18, 26), "less",
            "the run is scrapped", "the run is sold"),
        Stake("tablets", "tablets from one lot", "content of the drug", "milligrams", (190, 510), "different",
            "the lot is destroyed", "the lot is released"),
        Stake("clinic", "patients of a clinic", "waiting time", "minutes", (20, 36), "greater",
            "another nurse is hired", "the staff is left as it is"),
        Stake("dust", "readings near a factory", "dust level", "micrograms per cubic meter", (38, 62), "greater",
            "the factory is fined", "the factory is not fined"),
        Stake("cells", "batteries of a new type", "running time", "hours", (18, 42), "greater",
            "the new type is produced", "the old type is produced"),
        Stake("layers", "eggs of hens on a new feed", "weight", "grams", (55, 65), "greater",
            "the farm buys the new feed", "the farm buys the old feed"),
        Stake("bolts", "bolts from a lathe", "diameter", "millimeters", (8, 30), "different",
            "the lathe is adjusted", "the lathe is left alone"),
    ),
    "test": (
        Stake("cables", "elevator cables of one age", "breaking load", "kilonewtons", (58, 92), "less",
            "the cables are replaced", "the cables stay in use"),
        Stake("milk", "cartons of milk in a delivery", "volume", "milliliters", (480, 1010), "less",
            "the delivery is sent back", "the delivery is accepted"),
        Stake("airport", "nights near an airport", "noise level", "decibels", (48, 61), "greater",
            "night flights are banned", "night flights are allowed"),
        Stake("pilot", "pupils in a pilot course", "test score", "points", (58, 78), "greater",
            "the course is offered to all", "the course is given up"),
        Stake("lenses", "lenses ground by a robot", "thickness", "micrometers", (1800, 2600), "different",
            "the robot is recalibrated", "the robot goes on as before"),
    ),
}
# fmt: on
