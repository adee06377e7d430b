"""Settings for surveys, experiments, tables and chance; train and test lists share no setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Census:
    """A population that can be sampled in several ways; `handy` is a convenience sample's whereabouts."""

    key: str
    many: str
    one: str
    strata: str
    stratum: str
    clusters: str
    listing: str
    handy: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Survey:
    """A survey that can go wrong; `frame` is a list that leaves out `missing`, `leading` a loaded
    question."""

    key: str
    who: str
    many: str
    topic: str
    frame: str
    missing: str
    open_call: str
    leading: str


@dataclass(frozen=True)
class TwoWay:
    """Two categorical variables of one group; `who` is plural.

    `row_does` and `column_does` say what belonging to a row or a column means: "work the {} shift".
    """

    key: str
    who: str
    row: str
    rows: tuple[str, ...]
    column: str
    columns: tuple[str, ...]
    row_does: str = ""
    column_does: str = ""
    rel: str = "who"

    def in_row(self, i: int) -> str:
        """Return what those in row i do: "work the day shift"."""
        return self.row_does.format(self.rows[i])

    def in_column(self, j: int) -> str:
        """Return what those in column j do: "come to work by bus"."""
        return self.column_does.format(self.columns[j])


@dataclass(frozen=True)
class Screening:
    """A test for a condition, with ranges of prevalence in tenths of a percent."""

    key: str
    who: str
    one: str
    condition: str
    test: str
    prevalence: tuple[int, int]


@dataclass(frozen=True)
class Tally:
    """A small count variable."""

    key: str
    what: str
    each: str
    unit: str


@dataclass(frozen=True)
class Parts:
    """Two independent amounts that are added or compared; mean and sd ranges share one unit."""

    key: str
    first: str
    second: str
    total: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]


@dataclass(frozen=True)
class Before:
    """A quantity measured twice on each individual; `change` is the range of the mean difference."""

    key: str
    who: str
    one: str
    y: str
    unit: str
    event: str
    level: tuple[int, int]
    change: tuple[int, int]


# fmt: off
CENSUSES = {
    "train": (
        Census("school", "students of a high school", "student", "grade levels", "grade", "homerooms",
            "the school register", "in the cafeteria at noon", (800, 2400)),
        Census("clinic", "nurses of a hospital", "nurse", "departments", "department", "wards", "the payroll",
            "at the main entrance on Monday", (400, 1600)),
        Census("farms", "farms of a district", "farm", "crop types", "crop type", "villages",
            "the land register", "along the main road", (600, 2000)),
        Census("flats", "apartments of a housing company", "apartment", "building ages", "age class",
            "buildings", "the address list", "nearest to the office", (500, 3000)),
        Census("players", "members of a sports league", "member", "age groups", "age group", "teams",
            "the membership list", "at the season opening", (600, 2200)),
        Census("shops", "shops of a retail chain", "shop", "regions", "region", "towns",
            "the chain's directory", "in the head office's own town", (300, 1200)),
    ),
    "test": (
        Census("trains", "passengers of a night train", "passenger", "ticket classes", "class", "carriages",
            "the reservation list", "in the dining car", (400, 900)),
        Census("hives", "beehives of a honey cooperative", "hive", "altitude zones", "zone", "apiaries",
            "the cooperative's inventory", "beside the processing plant", (500, 1500)),
        Census("authors", "articles of an online encyclopedia", "article", "subject areas", "area",
            "weekly batches", "the index", "on the front page", (900, 3000)),
    ),
}

SURVEYS = {
    "train": (
        Survey("parking", "residents of a town", "residents", "parking fees", "the list of car owners",
            "residents without a car", "The town posts the question on its website",
            "Should our overcharged drivers have to pay still more for parking?"),
        Survey("lunch", "pupils of a school", "pupils", "the lunch menu",
            "the list of pupils who pay for lunch by card", "pupils who bring lunch from home",
            "The kitchen puts a suggestion box by the door",
            "Would you rather keep our healthy menu than go back to greasy food?"),
        Survey("gym", "members of a gym", "members", "the opening hours", "the check-in log of the early morning",
            "members who come later in the day", "The gym invites comments on its page",
            "Do you agree that early hours, which all serious athletes want, should stay?"),
        Survey("radio", "adults in a state", "adults", "a lottery tax", "landline telephone numbers",
            "adults with only a mobile phone", "A radio host asks listeners to call in",
            "Do you support the tax that will finally rescue our failing schools?"),
        Survey("staff", "employees of a company", "employees", "working from home",
            "the list of full-time employees", "part-time employees",
            "A form is left on the intranet for anyone who cares to answer",
            "Do you want to lose the flexibility that you now enjoy?"),
    ),
    "test": (
        Survey("harbor", "boat owners of a harbor", "owners", "a new breakwater",
            "the list of owners who rent a berth all year", "owners who rent by the week",
            "The harbor office invites opinions on a notice board",
            "Do you want the breakwater that will protect your family from storms?"),
        Survey("orchestra", "subscribers of an orchestra", "subscribers", "the program",
            "the list of subscribers with an e-mail address", "subscribers without an e-mail address",
            "The orchestra prints a reply card in its magazine",
            "Would you give up the great masterpieces for noisy modern works?"),
        Survey("trail", "hikers in a national park", "hikers", "a trail fee", "permits for overnight trips",
            "hikers on day trips", "The park puts a tablet for comments in the lodge",
            "Should hikers pay for trails that their taxes have paid for already?"),
    ),
}

TABLES = {
    "train": (
        TwoWay("shift", "hospital staff", "shift", ("day", "night"), "way to work",
            ("car", "bus", "bicycle"), "work the {} shift", "come to work by {}"),
        TwoWay("snack", "cinema visitors", "age group", ("under 30", "30 or older"), "snack",
            ("popcorn", "ice cream", "chips"), "are {}", "buy {}"),
        TwoWay("plan", "phone customers", "contract", ("prepaid", "monthly"), "reason for calling",
            ("billing", "coverage", "an upgrade"), "have a {} contract", "call about {}"),
        TwoWay("grade", "students", "grade", ("9th", "10th", "11th"), "favorite subject", ("science", "art"),
            "are in {} grade", "like {} best"),
        TwoWay("visit", "zoo visitors", "season", ("spring", "summer", "autumn"), "ticket",
            ("single", "family"), "come in {}", "buy a {} ticket"),
        TwoWay("loan", "bank clients", "age group", ("under 40", "40 or older"), "loan status",
            ("paid off", "overdue"), "are {}", "have a loan that is {}"),
        TwoWay("hand", "tennis players", "level", ("club", "national"), "hand used", ("left", "right"),
            "play at {} level", "play with the {} hand"),
        TwoWay("meal", "train passengers", "class", ("first class", "second class"), "drink ordered",
            ("coffee", "tea", "water"), "travel {}", "order {}"),
    ),
    "test": (
        TwoWay("crew", "ship guests", "cabin", ("upper deck", "lower deck"), "evening activity",
            ("theater", "music", "reading"), "sleep on the {}", "choose {}"),
        TwoWay("bean", "coffee drinkers", "preferred roast", ("light", "medium", "dark"), "time of first cup",
            ("before breakfast", "after breakfast"), "prefer a {} roast", "have their first cup {}"),
        TwoWay("kennel", "shelter dogs", "size", ("small", "large"), "outcome", ("adopted", "still waiting"),
            "are {}", "are {}", "that"),
        TwoWay("rink", "skating pupils", "skill level", ("beginner", "advanced"), "lesson time",
            ("morning", "afternoon", "evening"), "skate at {} level", "take {} lessons"),
    ),
}

BROAD_TABLES = {
    "train": (
        TwoWay("income", "households", "income bracket", (), "region", ()),
        TwoWay("brands", "shoppers", "age group", (), "brand bought", ()),
        TwoWay("teachers", "teachers", "subject taught", (), "opinion on homework", ()),
        TwoWay("trains", "train riders", "line used", (), "purpose of the trip", ()),
        TwoWay("fields", "graduates", "field of study", (), "first employer", ()),
    ),
    "test": (
        TwoWay("gardens", "garden owners", "soil type", (), "main crop", ()),
        TwoWay("readers", "library readers", "age group", (), "favorite genre", ()),
        TwoWay("harbors", "fishing boats", "home port", (), "type of catch", ()),
    ),
}

SCREENINGS = {
    "train": (
        Screening("allergy", "children in a region", "child", "a nut allergy", "a skin test", (15, 60)),
        Screening("ledger", "bookkeeping entries of a firm", "entry", "an error", "an automatic check",
                  (4, 20)),
        Screening("anemia", "adults at a health fair", "adult", "anemia", "a finger-prick test", (40, 120)),
        Screening("welds", "welds on a pipeline", "weld", "a crack", "an ultrasound scan", (10, 60)),
    ),
    "test": (
        Screening("rot", "potato plants in a field", "plant", "a virus", "a leaf strip test", (20, 90)),
        Screening("olives", "bottles of olive oil at a customs office", "bottle", "a false label",
            "an infrared test", (30, 110)),
        Screening("chips", "circuit boards from a plant", "board", "a hidden short circuit", "a voltage test",
            (8, 40)),
    ),
}

TALLIES = {
    "train": (
        Tally("repairs", "the number of repair jobs a workshop gets", "day", "jobs"),
        Tally("goals", "the number of goals a hockey team scores", "game", "goals"),
        Tally("rings", "the number of calls a plumber receives", "hour", "calls"),
        Tally("faults", "the number of flaws in a cloth", "roll", "flaws"),
        Tally("rooms", "the number of guests in a boat cabin", "trip", "guests"),
    ),
    "test": (
        Tally("owls", "the number of owl chicks", "nest box", "chicks"),
        Tally("lifts", "the number of passengers entering an elevator", "stop", "passengers"),
        Tally("orders", "the number of cakes a baker sells to a cafe", "morning", "cakes"),
    ),
}

PARTS = {
    "train": (
        Parts("swim", "the swimming time", "the running time", "the total time", "minutes", (22, 48), (2, 6)),
        Parts("boxes", "the weight of a crate", "the weight of its contents", "the total weight", "kilograms",
            (6, 30), (0.4, 2.5)),
        Parts("queue", "the waiting time", "the service time", "the total time", "minutes", (4, 12),
            (1, 3.5)),
        Parts("pipes", "the length of the first pipe", "the length of the second pipe", "the total length",
            "centimeters", (60, 140), (0.4, 1.8)),
    ),
    "test": (
        Parts("bread", "the kneading time", "the baking time", "the total time", "minutes", (14, 40),
            (1.2, 4.5)),
        Parts("mail", "the weight of the first parcel", "the weight of the second parcel",
            "the combined weight", "kilograms", (5, 18), (0.5, 2.2)),
        Parts("rowing", "the time of the first lap", "the time of the second lap", "the total time",
            "seconds", (92, 150), (3, 9)),
    ),
}

PAIRINGS = {
    "train": (
        Before("pulse", "volunteers", "volunteer", "resting heart rate", "beats per minute",
            "a ten-week walking program", (66, 84), (-8, -3)),
        Before("typing", "office clerks", "clerk", "typing speed", "words per minute", "a typing course",
            (42, 60), (3, 9)),
        Before("vocab", "language learners", "learner", "vocabulary score", "points",
            "a month of flash cards", (48, 66), (4, 10)),
        Before("grip", "climbers", "climber", "grip strength", "kilograms", "eight weeks of training",
            (34, 50), (2, 6)),
        Before("pressure", "patients", "patient", "systolic blood pressure", "millimeters of mercury",
            "a low-salt diet", (132, 150), (-12, -4)),
    ),
    "test": (
        Before("sleepers", "shift workers", "worker", "time to fall asleep", "minutes",
            "a course in relaxation", (28, 44), (-9, -3)),
        Before("jump", "volleyball players", "player", "vertical jump", "centimeters",
            "six weeks of jump training", (44, 58), (2, 6)),
        Before("noise", "wind turbines", "turbine", "noise level", "decibels", "a change of blade coating",
            (48, 60), (-5, -2)),
    ),
}
# fmt: on
