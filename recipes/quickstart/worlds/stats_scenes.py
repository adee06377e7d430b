"""Where the statistics questions take place. Test scenes share no noun with training scenes."""

from __future__ import annotations

import random

Scene = dict[str, str]

# The words that may stand in a slot of a wording, for training. `x` and `y` are two different measures.
TRAIN_WORDS: dict[str, tuple[str, ...]] = {
    "people": (
        "nurses", "pupils", "farmers", "drivers", "runners", "patients", "customers", "bakers", "students",
        "tenants", "workers", "clerks", "cooks", "teachers", "cyclists", "soldiers", "guests", "parents",
        "lawyers", "painters", "swimmers", "waiters", "players", "voters",
    ),
    "group": (
        "club", "town", "school", "street", "district", "village", "office", "shop", "class", "college",
        "hospital", "team", "hotel", "region", "suburb", "building",
    ),
    "measure": (
        "sleeping time", "reaction time", "reading speed", "test score", "driving speed", "training time",
        "running speed", "body temperature", "blood pressure", "income", "spending", "study time",
        "exam score", "flat size", "rent", "working time", "hourly wage", "travel time", "coffee intake",
        "stress level", "heart rate", "body weight", "shoe size", "age",
    ),
    "kind": (
        "favourite drink", "favourite subject", "brand of car", "brand of shoe", "blood group",
        "way of payment", "home country", "type of heating", "job title", "kind of chair",
        "type of bicycle", "main language", "eye colour", "marital status",
    ),
    "exposure": (
        "a short nap", "a free lunch", "calm music", "a sports drink", "a new tablet", "a discount card",
        "a dust mask", "a memory course", "an air filter", "ear protection", "a standing desk",
        "a cooling fan", "a voice course", "a bright vest", "a warm bath", "a daily walk", "a new diet",
        "a bright lamp",
    ),
    "outcome": (
        "back pain", "tiredness", "skin rash", "knee pain", "headaches", "coughing", "exam stress", "asthma",
        "fever", "hearing loss", "neck pain", "hoarseness", "dizziness", "insomnia", "anxiety", "toothache",
    ),
}  # fmt: skip

# The same for the test; no entry occurs in training data.
TEST_WORDS: dict[str, tuple[str, ...]] = {
    "people": (
        "sailors", "gardeners", "dancers", "miners", "pianists", "hikers", "beekeepers", "divers",
        "shepherds", "actors", "pilots", "judges",
    ),
    "group": ("harbour", "park", "mine", "orchestra", "valley", "island", "theatre", "castle"),
    "measure": (
        "jump height", "hand span", "walking distance", "lung volume", "leg power", "arm length",
        "monthly savings", "garden area", "holiday length", "commute duration",
    ),
    "kind": ("helmet colour", "boot material", "pet species", "hair style", "bag model", "tea variety"),
    "exposure": (
        "ginger tea", "a face mask", "hand massage", "daily stretching", "a wool scarf", "a sun hat",
        "garlic soup", "cold milk",
    ),
    "outcome": (
        "seasickness", "blisters", "cramps", "sunburn", "lung disease", "swollen feet", "ear infections",
        "nausea",
    ),
}  # fmt: skip


def draw_scene(rng: random.Random, test: bool) -> Scene:
    """Random words for all slots: who, how they are grouped, two measures, a category, cause and effect."""
    words = TEST_WORDS if test else TRAIN_WORDS
    scene = {slot: rng.choice(words[slot]) for slot in ("people", "group", "kind", "exposure", "outcome")}
    x, y = rng.sample(words["measure"], 2)
    plural = f"{scene['group']}es" if scene["group"].endswith("s") else f"{scene['group']}s"
    return scene | {"x": x, "y": y, "groups": plural}


# Variables by type: the words after "the".
TRAIN_VARIABLES: dict[str, tuple[str, ...]] = {
    "Continuous": (
        "weight of a parcel", "length of a rope", "temperature of a lake", "speed of a train",
        "time of a race",
        "depth of a well", "volume of a barrel", "height of a tree", "weight of a baby",
        "length of a journey",
        "temperature of a room", "height of a wall", "time of a phone call", "speed of a bicycle",
    ),
    "Discrete": (
        "number of eggs", "number of chairs", "number of pages", "number of goals", "number of sheep",
        "number of letters", "number of windows", "number of coins", "number of children",
        "number of phone calls",
        "number of rooms", "number of cars", "number of mistakes", "number of books",
    ),
    "Nominal": (
        "colour of a car", "kind of a tree", "name of a street", "colour of a door", "brand of a watch",
        "country of a guest", "language of a song", "kind of a roof", "colour of a shoe", "brand of a phone",
        "name of a shop", "kind of a chair", "blood group of a patient", "type of a heating system",
    ),
    "Ordinal": (
        "place in a race", "size of a shirt", "title of a soldier", "grade of a hotel", "level of a course",
        "stage of a tour", "strength of a coffee", "grade of an exam", "level of satisfaction",
        "size of a shoe box",
        "stage of an illness", "strength of a smell", "level of pain", "rank of a team",
    ),
}  # fmt: skip

TEST_VARIABLES: dict[str, tuple[str, ...]] = {
    "Continuous": (
        "weight of a melon", "height of a tower", "length of a glacier", "duration of a concert",
        "width of a canal", "thickness of a plank",
    ),
    "Discrete": (
        "number of violins", "number of tents", "number of stamps", "number of lifeboats",
        "number of ferries",
        "number of lighthouse stairs",
    ),
    "Nominal": (
        "breed of a dog", "flavour of a tea", "material of a coat", "species of a moth", "brand of a piano",
        "kind of a cheese",
    ),
    "Ordinal": (
        "quality of a pearl", "level of a chess player", "size of a helmet", "grade of a diamond",
        "level of an alarm", "stage of a violin course",
    ),
}  # fmt: skip

# Lists of numbers tell about these things; each reads well after "the".
TRAIN_THINGS: tuple[str, ...] = (
    "goals of a team", "ages of the cousins", "waiting times in minutes", "prices in euros", "eggs per day",
    "points in a game", "pages per chapter", "visitors per hour", "heights of the plants", "test scores",
    "phone calls per day", "rooms per flat", "weights of the parcels", "hours of work", "cars per minute",
)  # fmt: skip

TEST_THINGS: tuple[str, ...] = (
    "lengths of the eels", "ages of the castles", "tents per campsite", "catches of the trawler",
    "candles per cake", "depths of the ponds", "stamps per envelope", "wingspans of the kites",
)  # fmt: skip

# What is in the bag: the kinds of pieces and the pieces.
TRAIN_BAGS: tuple[tuple[str, str, str, str], ...] = (
    ("bag", "red", "blue", "balls"), ("box", "green", "white", "buttons"), ("drawer", "black", "brown",
     "socks"),
    ("basket", "ripe", "unripe", "apples"), ("jar", "sweet", "sour", "sweets"), ("pack", "old", "new",
     "cards"),
    ("tray", "large", "small", "eggs"), ("bowl", "gold", "silver", "coins"),
)  # fmt: skip

TEST_BAGS: tuple[tuple[str, str, str, str], ...] = (
    ("pouch", "purple", "orange", "pebbles"), ("crate", "wooden", "plastic", "flutes"),
    ("chest", "smooth", "rough", "shells"), ("tin", "striped", "plain", "marbles"),
)  # fmt: skip
