"""Settings of study design: polls that go wrong, experiments and their parts, associations, and surveys of records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Poll:
    """A poll on the share of `who` that `does` something, and what makes its estimate too high or too low.

    `high_frame`, `low_frame`: lists with too many and too few that do. `high_loss`, `low_loss`: those who seldom reply,
    which raises or lowers the estimate.
    """

    key: str
    who: str
    many: str
    does: str
    high_frame: str
    low_frame: str
    high_loss: str
    low_loss: str


@dataclass(frozen=True)
class Claim:
    """An association: `who` who do `x` also do `y`. `z` goes with `x` and has an `effect` on `y`; `turn` is what those
    who do `y` may begin to do."""

    key: str
    who: str
    x: str
    y: str
    z: str
    effect: str
    turn: str


@dataclass(frozen=True)
class Trial:
    """A trial with subjects; `same` is a placebo, `judge` rates `y` at the end."""

    key: str
    subjects: str
    active: str
    same: str
    none: str
    judge: str
    y: str


@dataclass(frozen=True)
class Role:
    """An experiment with one factor of three `levels`, on `units`, with the response `y`."""

    key: str
    units: str
    factor: str
    levels: str
    y: str


@dataclass(frozen=True)
class Record:
    """A sample with several variables: `y` (mean in the range `mean`) and `x` are quantitative, `first` and `second`
    categorical, and some of `who` `does` something."""

    key: str
    who: str
    y: str
    unit: str
    mean: tuple[int, int]
    x: str
    does: str
    first: str
    second: str


# fmt: off
POLLS = {
    "train": (
        Poll("commute", "workers in a city", "workers", "drive to work", "a list of downtown parking permits",
            "a list of monthly bus passes", "workers without a car", "workers with a long drive"),
        Poll("books", "adults in a county", "adults", "read every day", "the library's list of borrowers",
            "a list of cable television customers", "adults who dislike reading", "adults absorbed in their books"),
        Poll("sports", "students of a college", "students", "play a sport", "the users of the campus gym",
            "the members of a video game club", "students with no interest in sports", "students away at sports meets"),
        Poll("solar", "homeowners of a state", "homeowners", "have solar panels",
            "the subscribers of a green-energy magazine", "the customers of a coal dealer",
            "homeowners with no interest in energy", "owners of new solar homes"),
        Poll("breakfast", "pupils of a school", "pupils", "eat breakfast", "the members of a breakfast club",
            "the buyers of early-morning snacks", "pupils who skip breakfast", "pupils who are at breakfast"),
        Poll("dogs", "families in a town", "families", "own a dog", "the customers of a pet store",
            "the tenants of buildings that ban pets", "families without animals", "families out with their dogs"),
    ),
    "test": (
        Poll("bikes", "residents of a port city", "residents", "cycle every week", "the members of a cycling club",
            "the buyers of yearly tram tickets", "residents without a bicycle", "residents away on bicycle tours"),
        Poll("organic", "shoppers in a market hall", "shoppers", "buy organic food",
            "the regulars of a health-food stand", "the collectors of discount coupons",
            "shoppers in search of low prices", "shoppers who queue at the organic stands"),
        Poll("choir", "teachers in a province", "teachers", "sing in a choir", "the guests of a choir festival",
            "the players of a chess league that meets on choir nights", "teachers with no ear for music",
            "teachers on tour with their choirs"),
        Poll("pumps", "farmers of a valley", "farmers", "irrigate their land", "the customers of a pump dealer",
            "the owners of marshy fields", "farmers who rely on rain", "farmers busy with their sprinklers"),
    ),
}

CLAIMS = {
    "train": (
        Claim("coffee", "office workers", "drink coffee every day", "sleep less", "work longer hours",
            "shortens their sleep", "turn to coffee"),
        Claim("morning", "students", "eat breakfast", "get better grades", "go to bed earlier",
            "improves their grades", "find time for breakfast"),
        Claim("garden", "retired people", "work in a garden", "are in better health", "be wealthier",
            "improves their health", "take up gardening"),
        Claim("app", "runners", "use a training app", "run faster", "train more often", "makes them faster",
            "install such an app"),
        Claim("games", "teenagers", "play video games daily", "feel lonelier", "live far from friends",
            "makes them lonely", "start to play"),
        Claim("stairs", "employees", "take the stairs", "weigh less", "eat more vegetables", "lowers their weight",
            "prefer the stairs"),
    ),
    "test": (
        Claim("tea", "nurses", "drink green tea", "have lower blood pressure", "exercise more",
            "lowers their blood pressure", "develop a taste for tea"),
        Claim("company", "widowers", "keep a dog", "are more cheerful", "live near their children",
            "lifts their spirits", "get a dog"),
        Claim("violin", "schoolchildren", "learn an instrument", "do better in mathematics", "get more help at home",
            "raises their marks", "ask for music lessons"),
        Claim("helmet", "cyclists", "wear a helmet", "ride longer distances", "own lighter bicycles",
            "makes long rides easier", "buy a helmet"),
    ),
}

TRIALS = {
    "train": (
        Trial("migraine", "adults with migraine", "a new tablet", "a sugar tablet that looks and tastes the same",
            "no tablet", "nurse", "severity of the pain"),
        Trial("rash", "patients with a rash", "a new cream", "a plain cream with the same look and smell", "no cream",
            "dermatologist", "state of the skin"),
        Trial("cough", "children with a cough", "an herbal syrup", "a sweet syrup with the same taste", "no syrup",
            "pediatrician", "strength of the cough"),
        Trial("energy", "cyclists on a long ride", "an energy drink", "flavored water with the same taste", "no drink",
            "coach", "degree of fatigue"),
        Trial("anxiety", "students before an exam", "a calming capsule", "a starch capsule that looks the same",
            "no capsule", "psychologist", "level of anxiety"),
    ),
    "test": (
        Trial("throat", "singers with a sore throat", "a sage lozenge", "a candy of the same shape and flavor",
            "no lozenge", "voice teacher", "clarity of the voice"),
        Trial("knees", "dancers with stiff knees", "a warming ointment", "an inert ointment of the same scent",
            "no ointment", "physiotherapist", "mobility of the knee"),
        Trial("nights", "night guards", "a bedtime tea", "an inert tea of the same flavor", "no tea",
            "sleep researcher", "depth of sleep"),
        Trial("pollen", "gardeners with hay fever", "a nasal spray", "a saline spray from the same kind of bottle",
            "no spray", "allergist", "swelling of the eyes"),
    ),
}

ROLES = {
    "train": (
        Role("water", "tomato plants", "amount of water", "1, 2 or 3 liters of water a day", "weight of the harvest"),
        Role("oven", "cakes", "oven temperature", "baking at 150, 170 or 190 degrees", "height of the cake"),
        Role("light", "mice", "length of daylight", "8, 12 or 16 hours of light a day", "gain in weight"),
        Role("varnish", "wooden beams", "type of varnish", "an oil, acrylic or wax varnish", "depth of the cracks"),
        Role("music", "volunteers", "volume of the music", "silence, soft or loud music", "number of words recalled"),
        Role("cement", "batches of concrete", "share of cement", "10, 15 or 20 percent cement", "breaking strength"),
    ),
    "test": (
        Role("syrup", "bee colonies", "kind of syrup", "cane, beet or corn syrup", "yield of honey"),
        Role("breaks", "apprentices", "length of the breaks", "breaks of 5, 10 or 20 minutes",
            "number of parts finished"),
        Role("cellar", "cheeses", "cellar temperature", "storage at 8, 11 or 14 degrees", "taste score"),
        Role("mulch", "saplings", "type of mulch", "bark, straw or leaf mulch", "growth in height"),
    ),
}

RECORDS = {
    "train": (
        Record("campus", "students of a university", "weekly study time", "hours", (9, 22), "commuting time",
            "have a job", "field of study", "favorite sport"),
        Record("houses", "houses in a county", "monthly heating cost", "dollars", (90, 210), "floor area",
            "have a garage", "type of roof", "type of heating"),
        Record("patients", "patients of a clinic", "resting pulse", "beats per minute", (62, 81), "age", "smoke",
            "blood type", "region of birth"),
        Record("trees", "trees in a park", "trunk diameter", "centimeters", (24, 55), "height",
            "show signs of disease", "species", "type of soil"),
        Record("tables", "restaurants in a city", "waiting time", "minutes", (12, 30), "number of seats",
            "accept reservations", "type of cuisine", "part of the city"),
    ),
    "test": (
        Record("boats", "fishing boats on a coast", "weekly catch", "tonnes", (11, 29), "engine power", "carry radar",
            "home port", "type of net"),
        Record("museums", "museums of a country", "number of daily visitors", "people", (120, 480), "floor space",
            "close on Mondays", "type of collection", "form of ownership"),
        Record("bands", "musicians of a region", "weekly practice time", "hours", (7, 24), "years of experience",
            "teach pupils", "main instrument", "style of music"),
        Record("wells", "wells in a desert province", "water depth", "meters", (18, 70), "distance from the river",
            "have an electric pump", "type of casing", "district"),
    ),
}
# fmt: on
