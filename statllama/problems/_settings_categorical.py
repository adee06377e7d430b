"""Settings for chi-square: two-way tables and claimed distributions; train and test lists share no setting."""

from __future__ import annotations

from dataclasses import dataclass

from ._scenarios import TwoWay


@dataclass(frozen=True)
class Claims:
    """One categorical variable of `who` and two claims about its distribution, in percent."""

    key: str
    who: str
    variable: str
    names: tuple[str, ...]
    claims: tuple[tuple[int, ...], tuple[int, ...]]


# fmt: off
TABLES = {
    "train": (
        TwoWay("shift", "hospital employees", "shift", ("day", "night"), "way to work", ("car", "bus", "bicycle"),
               "work the {} shift", "come to work by {}"),
        TwoWay("snack", "moviegoers", "age group", ("under 30", "30 or older"), "snack bought",
               ("popcorn", "candy", "nachos"), "are {}", "buy {}"),
        TwoWay("plan", "phone customers", "contract", ("prepaid", "monthly"), "reason for calling",
               ("billing", "coverage", "upgrades"), "have a {} contract", "call about {}"),
        TwoWay("grade", "high school students", "grade", ("9th", "10th", "11th"), "favorite subject",
               ("science", "art", "history"), "are in {} grade", "like {} best"),
        TwoWay("visit", "zoo visitors", "season", ("spring", "summer", "fall"), "type of ticket", ("single", "family"),
               "come in {}", "buy a {} ticket"),
        TwoWay("loan", "bank clients", "age group", ("under 40", "40 or older"), "loan status",
               ("paid off", "current", "overdue"), "are {}", "have a loan that is {}"),
        TwoWay("hand", "tennis players", "level", ("club", "regional", "national"), "hand used", ("left", "right"),
               "play at {} level", "play with the {} hand"),
        TwoWay("meal", "train passengers", "class", ("first class", "second class"), "drink ordered",
               ("coffee", "tea", "water"), "travel {}", "order {}"),
        TwoWay("pets", "pet owners", "type of area", ("city", "suburbs"), "kind of pet", ("dog", "cat", "bird"),
               "live in the {}", "own a {}"),
    ),
    "test": (
        TwoWay("crew", "cruise guests", "cabin", ("upper deck", "lower deck"), "evening activity",
               ("theater", "music", "reading"), "sleep on the {}", "choose {}"),
        TwoWay("bean", "coffee drinkers", "preferred roast", ("light", "medium", "dark"), "time of first cup",
               ("before breakfast", "after breakfast"), "prefer a {} roast", "have their first cup {}"),
        TwoWay("kennel", "shelter dogs", "size", ("small", "medium", "large"), "outcome", ("adopted", "waiting"),
               "are {}", "are {}", "that"),
        TwoWay("rink", "skating students", "skill level", ("beginner", "advanced"), "lesson time",
               ("morning", "afternoon", "evening"), "skate at {} level", "take {} lessons"),
        TwoWay("garden", "gardeners", "soil type", ("clay", "sand"), "main crop", ("beans", "squash", "tomatoes"),
               "have {} soil", "grow mainly {}"),
    ),
}

CLAIMS = {
    "train": (
        Claims("calls", "emergency calls", "part of the day", ("morning", "afternoon", "evening", "night"),
               ((25, 25, 25, 25), (20, 25, 35, 20))),
        Claims("candy", "candies of one brand", "color", ("red", "green", "yellow", "blue"),
               ((30, 25, 25, 20), (40, 20, 20, 20))),
        Claims("shirts", "shirts sold by a store", "size", ("small", "medium", "large", "extra large"),
               ((20, 35, 30, 15), (15, 40, 25, 20))),
        Claims("exits", "cars on a highway", "exit", ("north", "east", "south"), ((40, 35, 25), (50, 25, 25))),
        Claims("books", "books lent by a library", "genre", ("fiction", "history", "science", "travel"),
               ((40, 20, 25, 15), (45, 25, 15, 15))),
        Claims("cones", "ice cream cones", "flavor", ("vanilla", "chocolate", "strawberry"),
               ((40, 35, 25), (45, 40, 15))),
        Claims("falls", "bicycle accidents", "season", ("winter", "spring", "summer", "fall"),
               ((15, 25, 35, 25), (20, 20, 40, 20))),
    ),
    "test": (
        Claims("birds", "birds banded at a station", "group", ("finches", "thrushes", "warblers", "wrens"),
               ((35, 25, 25, 15), (30, 30, 20, 20))),
        Claims("routes", "hikers at a trailhead", "route", ("lake", "ridge", "waterfall"),
               ((50, 30, 20), (40, 40, 20))),
        Claims("tea", "cups of tea sold at a cafe", "type", ("black", "green", "herbal", "white"),
               ((40, 30, 20, 10), (50, 20, 15, 15))),
        Claims("parcels", "parcels at a depot", "destination", ("city", "region", "country", "abroad"),
               ((30, 30, 25, 15), (25, 35, 30, 10))),
    ),
}
# fmt: on
