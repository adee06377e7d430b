"""Settings for proportions: of one population, of two, and behind a decision; train and test share no setting."""

from __future__ import annotations

from dataclasses import dataclass

from ._settings import Share


@dataclass(frozen=True)
class Contrast:
    """Two groups compared on one yes-or-no trait: "{a} {rel} {does}"; `p` is the range of both proportions."""

    key: str
    a: str
    b: str
    rel: str
    does: str
    p: tuple[float, float]


@dataclass(frozen=True)
class Decision:
    """An action that waits for evidence that the proportion of `who` that `does` is above or below a value.

    `up` says which way; `act` and `pause` complete "the {agent} ...": what follows with the evidence and without it.
    """

    key: str
    agent: str
    who: str
    rel: str
    does: str
    up: bool
    act: str
    pause: str
    p: tuple[float, float]


# fmt: off
SHARES = {
    "train": (
        Share("transit", "registered voters in the county", "voters", "voter", "who", "support a new bus line",
              (0.4, 0.65)),
        Share("dog", "households in the town", "households", "household", "that", "own a dog", (0.3, 0.5)),
        Share("phones", "smartphones of this model", "phones", "phone", "that", "need a repair in the first year",
              (0.08, 0.22)),
        Share("returns", "orders placed with the online store", "orders", "order", "that", "are returned", (0.1, 0.3)),
        Share("jobs", "students at the university", "students", "student", "who", "have a part-time job", (0.35, 0.6)),
        Share("bruised", "pears in the shipment", "pears", "pear", "that", "are bruised", (0.08, 0.25)),
        Share("flights", "flights out of the airport", "flights", "flight", "that", "leave on time", (0.65, 0.88)),
        Share("seeds", "seeds from this supplier", "seeds", "seed", "that", "germinate", (0.65, 0.9)),
        Share("glasses", "adults in the city", "adults", "adult", "who", "wear glasses", (0.5, 0.7)),
        Share("library", "books lent by the library", "books", "book", "that", "come back late", (0.12, 0.35)),
        Share("newsletter", "subscribers to the newsletter", "subscribers", "subscriber", "who",
              "open the weekly message", (0.2, 0.45)),
        Share("breakfast", "teenagers in the school district", "teenagers", "teenager", "who", "skip breakfast",
              (0.2, 0.45)),
        Share("solar", "homeowners in the suburb", "homeowners", "homeowner", "who", "plan to install solar panels",
              (0.1, 0.35)),
    ),
    "test": (
        Share("museum", "visitors to the museum", "visitors", "visitor", "who", "buy a guidebook", (0.12, 0.35)),
        Share("helmet", "cyclists in the capital", "cyclists", "cyclist", "who", "wear a helmet", (0.45, 0.75)),
        Share("dessert", "guests of the restaurant chain", "guests", "guest", "who", "order dessert", (0.25, 0.5)),
        Share("oaks", "oak trees in the national forest", "oaks", "oak", "that", "show signs of disease", (0.1, 0.3)),
        Share("nurses", "nurses in the hospital network", "nurses", "nurse", "who", "prefer twelve-hour shifts",
              (0.4, 0.65)),
        Share("modems", "modems returned to the supplier", "modems", "modem", "that", "pass the bench test",
              (0.55, 0.85)),
    ),
}

CONTRASTS = {
    "train": (
        Contrast("dogs", "rural households", "urban households", "that", "own a dog", (0.25, 0.6)),
        Contrast("jobs", "first-year students", "final-year students", "who", "have a part-time job", (0.3, 0.65)),
        Contrast("returns", "online orders", "store orders", "that", "are returned", (0.12, 0.35)),
        Contrast("flights", "morning flights", "evening flights", "that", "leave late", (0.12, 0.4)),
        Contrast("sleep", "day-shift workers", "night-shift workers", "who", "sleep less than seven hours", (0.3, 0.7)),
        Contrast("bond", "younger voters", "older voters", "who", "support the school bond", (0.35, 0.7)),
        Contrast("mail", "new subscribers", "long-term subscribers", "who", "open the weekly message", (0.2, 0.5)),
        Contrast("phones", "budget phones", "premium phones", "that", "need a repair in the first year", (0.1, 0.3)),
        Contrast("seeds", "seeds stored dry", "seeds stored damp", "that", "germinate", (0.5, 0.85)),
    ),
    "test": (
        Contrast("helmet", "city cyclists", "country cyclists", "who", "wear a helmet", (0.4, 0.75)),
        Contrast("oaks", "lowland oaks", "upland oaks", "that", "show signs of disease", (0.12, 0.4)),
        Contrast("guidebook", "weekday visitors", "weekend visitors", "who", "buy a guidebook", (0.15, 0.4)),
        Contrast("dessert", "lunch guests", "dinner guests", "who", "order dessert", (0.25, 0.6)),
        Contrast("overtime", "hospital nurses", "clinic nurses", "who", "work overtime", (0.3, 0.65)),
    ),
}

DECISIONS = {
    "train": (
        Decision("bus", "county", "registered voters", "who", "support a new bus line", True,
                 "builds the new bus line", "leaves the bus network unchanged", (0.45, 0.6)),
        Decision("pears", "grocer", "pears in the shipment", "that", "are bruised", True,
                 "sends the shipment back", "accepts the shipment", (0.06, 0.15)),
        Decision("late", "airline", "flights", "that", "leave on time", False,
                 "hires more ground staff", "keeps its ground staff as it is", (0.75, 0.9)),
        Decision("seeds", "farmer", "seeds from the supplier", "that", "germinate", False,
                 "changes to another supplier", "stays with the supplier", (0.7, 0.9)),
        Decision("repairs", "company", "smartphones", "that", "need a repair in the first year", True,
                 "recalls the smartphones", "continues to sell the smartphones", (0.05, 0.15)),
        Decision("lunch", "district", "students", "who", "skip breakfast", True,
                 "opens a breakfast room", "spends nothing on breakfast", (0.2, 0.4)),
    ),
    "test": (
        Decision("helmets", "city", "cyclists", "who", "wear a helmet", False,
                 "starts a helmet campaign", "plans no helmet campaign", (0.5, 0.75)),
        Decision("oaks", "park", "oak trees", "that", "show signs of disease", True,
                 "closes the forest trails", "leaves the trails open", (0.1, 0.25)),
        Decision("nurses", "hospital", "nurses", "who", "prefer twelve-hour shifts", True,
                 "introduces twelve-hour shifts", "stays with eight-hour shifts", (0.45, 0.65)),
        Decision("modems", "supplier", "returned modems", "that", "pass the bench test", False,
                 "scraps all returned modems", "goes on testing returned modems", (0.5, 0.8)),
    ),
}
# fmt: on
