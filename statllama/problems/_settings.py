"""Settings shared by several topics: who is studied and what is measured, with ranges that make sense.

Every catalogue has a list for train and one for test, with no setting in both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A quantity measured on individuals; `mean` and `sd` are ranges in `unit`, `digits` its recorded
    decimals."""

    key: str
    who: str
    many: str
    one: str
    thing: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    digits: int = 0


@dataclass(frozen=True)
class Share:
    """A yes-or-no trait: `does` completes "the {many} who ...", `p` is the range of its proportion."""

    key: str
    who: str
    many: str
    one: str
    rel: str
    does: str
    p: tuple[float, float]


@dataclass(frozen=True)
class Versus:
    """Two treatments compared on one response; `mean`, `sd` and `gain` are ranges in `unit`.

    The units come from two `blocks` that differ; outside an experiment, `chooser` decides on the treatment.
    """

    key: str
    units: str
    a: str
    b: str
    y: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    gain: tuple[float, float]
    blocks: str
    chooser: str
    digits: int = 1


@dataclass(frozen=True)
class Relation:
    """Two quantities with a straight-line relation y = intercept + slope x; `noise` is the residual sd
    range."""

    key: str
    cases: str
    one: str
    x: str
    x_unit: str
    y: str
    y_unit: str
    xs: tuple[float, float]
    slope: tuple[float, float]
    intercept: tuple[float, float]
    noise: tuple[float, float]
    digits: int = 1


@dataclass(frozen=True)
class Skewed:
    """A skewed quantity: `middle` is the range of its median, `gap` of the distance from median to mean.

    `high` is true when the long tail is on the right.
    """

    key: str
    what: str
    unit: str
    middle: tuple[int, int]
    gap: tuple[int, int]
    high: bool


# fmt: off
MEASURES = {
    "train": (
        Measure("loaves", "loaves of bread from one bakery", "loaves", "loaf", "weight", "grams", (480, 820),
            (8, 20)),
        Measure("commute", "workers in one large city", "workers", "worker", "commute time", "minutes",
            (26, 48), (4, 9)),
        Measure("bulbs", "light bulbs of one brand", "bulbs", "bulb", "lifetime", "hours", (850, 1500),
            (50, 130)),
        Measure("pulse", "office workers at rest", "workers", "worker", "heart rate", "beats per minute",
            (66, 78), (6, 11)),
        Measure("trout", "trout in one lake", "trout", "trout", "length", "centimeters", (30, 44), (3, 6), 1),
        Measure("calls", "calls to one help desk", "calls", "call", "duration", "seconds", (210, 420),
            (25, 60)),
        Measure("apples", "apples from one orchard", "apples", "apple", "weight", "grams", (135, 220),
            (12, 28)),
        Measure("women", "adult women in one region", "women", "woman", "height", "centimeters", (158, 170),
            (5.5, 8), 1),
        Measure("race", "runners in one 10-kilometer race", "runners", "runner", "finishing time", "minutes",
            (48, 66), (5, 10), 1),
        Measure("calves", "newborn calves on one ranch", "calves", "calf", "birth weight", "kilograms",
            (32, 44), (3, 6), 1),
        Measure("bottles", "bottles filled by one machine", "bottles", "bottle", "fill volume", "milliliters",
            (500, 760), (3, 9), 1),
        Measure("coffee", "bags of coffee from one roaster", "bags", "bag", "net weight", "grams", (340, 510),
            (4, 12), 1),
        Measure("reaction", "drivers in a simulator", "drivers", "driver", "reaction time", "milliseconds",
            (230, 420), (22, 50)),
        Measure("rods", "steel rods cut by one mill", "rods", "rod", "length", "millimeters", (240, 620),
            (1.2, 4), 1),
        Measure("admission", "students who sat a placement test", "students", "student", "score", "points",
            (480, 560), (70, 110)),
    ),
    "test": (
        Measure("turtles", "adult sea turtles on one nesting beach", "turtles", "turtle", "shell length",
            "centimeters", (82, 108), (4, 9), 1),
        Measure("laptops", "laptops of one model", "laptops", "laptop", "battery life", "minutes", (380, 640),
            (25, 60)),
        Measure("hens", "eggs from one poultry farm", "eggs", "egg", "weight", "grams", (52, 66), (3, 6), 1),
        Measure("typing", "trained typists", "typists", "typist", "typing speed", "words per minute",
            (58, 84), (7, 13)),
        Measure("concrete", "concrete blocks from one plant", "blocks", "block", "breaking strength",
            "megapascals", (28, 45), (2, 5), 1),
        Measure("tomato", "greenhouse tomato plants", "plants", "plant", "height", "centimeters", (95, 160),
            (8, 18)),
        Measure("ferry", "crossings of one harbor ferry", "crossings", "crossing", "duration", "minutes",
            (35, 62), (3, 7), 1),
    ),
}

SHARES = {
    "train": (
        Share("transit", "registered voters in a county", "voters", "voter", "who", "support a new bus line",
            (0.4, 0.65)),
        Share("dog", "households in a town", "households", "household", "that", "own a dog", (0.3, 0.5)),
        Share("phones", "smartphones of one model", "phones", "phone", "that",
            "need a repair in the first year", (0.08, 0.22)),
        Share("returns", "orders placed with an online store", "orders", "order", "that", "are returned",
            (0.1, 0.3)),
        Share("jobs", "students at a university", "students", "student", "who", "have a part-time job",
            (0.35, 0.6)),
        Share("bruised", "pears in a large shipment", "pears", "pear", "that", "are bruised", (0.08, 0.25)),
        Share("flights", "flights out of an airport", "flights", "flight", "that", "leave on time",
            (0.65, 0.88)),
        Share("seeds", "seeds from one supplier", "seeds", "seed", "that", "germinate", (0.65, 0.9)),
        Share("glasses", "adults in a city", "adults", "adult", "who", "wear glasses", (0.5, 0.7)),
        Share("library", "books lent by a library", "books", "book", "that", "come back late", (0.12, 0.35)),
        Share("newsletter", "subscribers to a newsletter", "subscribers", "subscriber", "who",
            "open the weekly message", (0.2, 0.45)),
        Share("breakfast", "teenagers in a school district", "teenagers", "teenager", "who", "skip breakfast",
            (0.2, 0.45)),
        Share("solar", "homeowners in a suburb", "homeowners", "homeowner", "who",
            "plan to install solar panels", (0.1, 0.35)),
    ),
    "test": (
        Share("museum", "visitors to a museum", "visitors", "visitor", "who", "buy a guidebook",
            (0.12, 0.35)),
        Share("helmet", "cyclists in a capital city", "cyclists", "cyclist", "who", "wear a helmet",
            (0.45, 0.75)),
        Share("dessert", "diners at a restaurant chain", "diners", "diner", "who", "order dessert",
            (0.25, 0.5)),
        Share("oaks", "oak trees in a national forest", "oaks", "oak", "that", "show signs of disease",
            (0.1, 0.3)),
        Share("nurses", "nurses in a hospital network", "nurses", "nurse", "who", "prefer twelve-hour shifts",
            (0.4, 0.65)),
        Share("modems", "modems returned to a supplier", "modems", "modem", "that", "pass the bench test",
            (0.55, 0.85)),
    ),
}

VERSUS = {
    "train": (
        Versus("chicks", "chicks", "a new feed", "the usual feed", "weight gain", "grams", (260, 380),
            (25, 45), (8, 30), "hatcheries", "the farmers", 0),
        Versus("tires", "tires", "a new rubber compound", "the old compound", "tread life",
            "thousand kilometers", (48, 66), (3, 7), (1, 5), "factories", "the drivers"),
        Versus("reading", "pupils", "a phonics program", "the regular lessons", "reading score", "points",
            (62, 78), (7, 12), (2, 7), "schools", "their teachers"),
        Versus("paint", "wood panels", "a two-coat finish", "a one-coat finish", "drying time", "minutes",
            (85, 140), (8, 16), (4, 14), "sawmills", "the carpenters"),
        Versus("pain", "patients", "a new tablet", "the standard tablet", "time to relief", "minutes",
            (34, 52), (6, 11), (2, 8), "clinics", "their doctors"),
        Versus("wheat", "field plots", "a nitrogen fertilizer", "a compost treatment", "wheat yield",
            "kilograms", (52, 80), (5, 10), (2, 7), "farms", "the farmers"),
        Versus("ads", "shoppers", "a video advertisement", "a printed advertisement", "time on the site",
            "seconds", (90, 170), (18, 35), (6, 20), "countries", "the shoppers themselves", 0),
        Versus("sleep", "volunteers", "a dark bedroom", "a dimly lit bedroom", "sleep time", "minutes",
            (395, 450), (28, 50), (8, 25), "towns", "the volunteers themselves", 0),
    ),
    "test": (
        Versus("cuttings", "rose cuttings", "a rooting powder", "plain soil", "root length", "millimeters",
            (38, 62), (6, 11), (3, 9), "nurseries", "the gardeners"),
        Versus("cement", "test cubes", "a fly-ash mix", "an ordinary mix", "crushing load", "kilonewtons",
            (310, 480), (20, 42), (8, 28), "quarries", "the builders", 0),
        Versus("memory", "adults", "a spaced review schedule", "a massed review schedule", "recall score", "points",
            (54, 72), (7, 12), (2, 8), "colleges", "the adults themselves"),
        Versus("glue", "wooden joints", "a resin glue", "a hide glue", "breaking load", "newtons", (210, 320),
            (18, 36), (8, 26), "workshops", "the joiners", 0),
    ),
}

RELATIONS = {
    "train": (
        Relation("rent", "apartments in a city", "apartment", "floor area", "square meters", "monthly rent",
            "dollars", (35, 110), (9, 16), (220, 420), (60, 130), 0),
        Relation("study", "students in a course", "student", "study time", "hours", "exam score", "points",
            (2, 14), (1.8, 3.4), (46, 58), (3, 7)),
        Relation("cars", "used cars of one model", "car", "age", "years", "asking price", "thousand dollars",
            (1, 9), (-1.9, -1.2), (22, 29), (0.8, 1.8)),
        Relation("north", "weather stations of one continent", "station", "latitude", "degrees",
            "April temperature", "degrees Celsius", (30, 58), (-0.75, -0.5), (43, 49), (1.2, 2.6)),
        Relation("icecream", "days at a beach stand", "day", "noon temperature", "degrees Celsius",
            "cone sales", "cones", (18, 35), (9, 15), (-140, -60), (14, 30), 0),
        Relation("marathon", "runners in a city marathon", "runner", "weekly training distance", "kilometers",
            "finishing time", "minutes", (20, 85), (-1.1, -0.6), (270, 300), (8, 18)),
        Relation("pines", "pine trees in a stand", "tree", "trunk diameter", "centimeters", "height",
            "meters", (12, 48), (0.3, 0.48), (4, 7.5), (1, 2.4)),
        Relation("delivery", "deliveries by a courier", "delivery", "distance", "kilometers", "delivery time",
            "minutes", (2, 18), (2.1, 3.6), (7, 13), (2.5, 5.5)),
        Relation("heating", "winter weeks in one house", "week", "mean outdoor temperature",
            "degrees Celsius", "gas use", "cubic meters", (-6, 14), (-3.6, -2.2), (58, 74), (3, 7)),
    ),
    "test": (
        Relation("pike", "pike caught in a river", "pike", "length", "centimeters", "weight", "grams",
            (45, 85), (55, 85), (-2000, -1400), (150, 340), 0),
        Relation("panels", "days at a solar farm", "day", "sunshine", "hours", "energy output",
            "megawatt hours", (2, 13), (3.2, 5.2), (4, 9), (2.4, 5)),
        Relation("piano", "piano pupils", "pupil", "weekly practice", "hours",
            "error count in a test piece", "errors", (1, 11), (-3.2, -1.9), (38, 48), (2.4, 5)),
        Relation("glacier", "summers at a glacier", "summer", "mean temperature", "degrees Celsius",
            "retreat of the ice", "meters", (4, 13), (2.4, 4.2), (3, 8), (2, 4.5)),
        Relation("kiln", "batches fired in a kiln", "batch", "moisture content", "percent", "drying time",
            "hours", (8, 26), (0.8, 1.5), (3, 8), (1.2, 2.8)),
    ),
}

SKEWED = {
    "train": (
        Skewed("houses", "sale prices of houses in a town", "thousand dollars", (260, 420), (25, 80), True),
        Skewed("waits", "waiting times in an emergency room", "minutes", (28, 60), (8, 25), True),
        Skewed("incomes", "yearly household incomes in a city", "thousand dollars", (52, 78), (9, 24), True),
        Skewed("easy", "scores on an easy quiz out of 100", "points", (86, 94), (4, 11), False),
        Skewed("retire", "retirement ages of a company's staff", "years", (62, 66), (2, 4), False),
    ),
    "test": (
        Skewed("claims", "sizes of insurance claims", "dollars", (2100, 4800), (700, 2000), True),
        Skewed("attendance", "attendance counts of students over 30 lectures", "lectures", (25, 28),
            (2, 5), False),
        Skewed("hold", "hold times of a telephone bank", "seconds", (45, 110), (15, 50), True),
    ),
}
# fmt: on
