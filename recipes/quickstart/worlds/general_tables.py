"""What is true in the general world: plain tables of everyday facts."""

from __future__ import annotations

# name: (kind, where it lives, number of legs, what it eats, rank of its size)
ANIMALS: dict[str, tuple[str, str, int, str, int]] = {
    "ant": ("insect", "in the ground", 6, "seeds", 1),
    "bee": ("insect", "in a hive", 6, "nectar", 1),
    "beetle": ("insect", "in the forest", 6, "leaves", 1),
    "butterfly": ("insect", "in the garden", 6, "nectar", 1),
    "spider": ("arachnid", "in a web", 8, "flies", 1),
    "mouse": ("mammal", "in a hole", 4, "grain", 2),
    "frog": ("amphibian", "in the pond", 4, "flies", 2),
    "sparrow": ("bird", "in the garden", 2, "seeds", 2),
    "robin": ("bird", "in the garden", 2, "worms", 2),
    "rat": ("mammal", "in a hole", 4, "grain", 3),
    "squirrel": ("mammal", "in the forest", 4, "nuts", 3),
    "crow": ("bird", "in the forest", 2, "worms", 3),
    "owl": ("bird", "in the forest", 2, "mice", 3),
    "trout": ("fish", "in the river", 0, "worms", 3),
    "duck": ("bird", "in the pond", 2, "plants", 4),
    "hen": ("bird", "on the farm", 2, "grain", 4),
    "rabbit": ("mammal", "in a hole", 4, "grass", 4),
    "cat": ("mammal", "in the house", 4, "mice", 4),
    "salmon": ("fish", "in the river", 0, "worms", 4),
    "eagle": ("bird", "in the mountains", 2, "fish", 5),
    "fox": ("mammal", "in the forest", 4, "mice", 5),
    "goose": ("bird", "on the farm", 2, "grass", 5),
    "dog": ("mammal", "in the house", 4, "meat", 6),
    "wolf": ("mammal", "in the forest", 4, "meat", 6),
    "goat": ("mammal", "in the mountains", 4, "grass", 6),
    "sheep": ("mammal", "on the farm", 4, "grass", 6),
    "pig": ("mammal", "on the farm", 4, "grain", 7),
    "deer": ("mammal", "in the forest", 4, "leaves", 7),
    "donkey": ("mammal", "on the farm", 4, "grass", 7),
    "cow": ("mammal", "on the farm", 4, "grass", 8),
    "horse": ("mammal", "on the farm", 4, "grass", 8),
    "bear": ("mammal", "in the forest", 4, "fish", 8),
    "shark": ("fish", "in the sea", 0, "fish", 8),
    "camel": ("mammal", "in the desert", 4, "plants", 9),
    "giraffe": ("mammal", "in the grassland", 4, "leaves", 9),
    "elephant": ("mammal", "in the grassland", 4, "plants", 10),
    "whale": ("mammal", "in the sea", 0, "fish", 11),
}

# name: (kind, colour, taste)
FOODS: dict[str, tuple[str, str, str]] = {
    "apple": ("fruit", "red", "sweet"),
    "strawberry": ("fruit", "red", "sweet"),
    "cherry": ("fruit", "red", "sweet"),
    "orange": ("fruit", "orange", "sweet"),
    "banana": ("fruit", "yellow", "sweet"),
    "lemon": ("fruit", "yellow", "sour"),
    "lime": ("fruit", "green", "sour"),
    "plum": ("fruit", "purple", "sweet"),
    "pear": ("fruit", "green", "sweet"),
    "carrot": ("vegetable", "orange", "mild"),
    "pumpkin": ("vegetable", "orange", "mild"),
    "cucumber": ("vegetable", "green", "mild"),
    "cabbage": ("vegetable", "green", "mild"),
    "spinach": ("vegetable", "green", "bitter"),
    "radish": ("vegetable", "red", "hot"),
    "mushroom": ("vegetable", "brown", "mild"),
    "onion": ("vegetable", "white", "hot"),
    "milk": ("drink", "white", "mild"),
    "coffee": ("drink", "black", "bitter"),
    "tea": ("drink", "brown", "bitter"),
    "cocoa": ("drink", "brown", "sweet"),
    "rice": ("grain", "white", "mild"),
    "wheat": ("grain", "yellow", "mild"),
}

# name: (kind, what we do with it, what it is made of)
OBJECTS: dict[str, tuple[str, str, str]] = {
    "hammer": ("tool", "hit nails", "iron"),
    "saw": ("tool", "cut wood", "iron"),
    "spade": ("tool", "dig holes", "iron"),
    "needle": ("tool", "sew clothes", "iron"),
    "razor": ("tool", "shave", "iron"),
    "brush": ("tool", "paint walls", "wood"),
    "broom": ("tool", "sweep the floor", "wood"),
    "ladder": ("tool", "climb up", "wood"),
    "knife": ("tool", "cut bread", "iron"),
    "chair": ("piece of furniture", "sit down", "wood"),
    "bench": ("piece of furniture", "sit down", "wood"),
    "bed": ("piece of furniture", "sleep", "wood"),
    "table": ("piece of furniture", "eat meals", "wood"),
    "shelf": ("piece of furniture", "keep books", "wood"),
    "mirror": ("piece of furniture", "see ourselves", "glass"),
    "lamp": ("piece of furniture", "make light", "glass"),
    "car": ("vehicle", "drive on the road", "iron"),
    "bus": ("vehicle", "drive on the road", "iron"),
    "train": ("vehicle", "travel on rails", "iron"),
    "boat": ("vehicle", "sail on water", "wood"),
    "ship": ("vehicle", "sail on water", "iron"),
    "plane": ("vehicle", "fly in the air", "iron"),
    "bicycle": ("vehicle", "ride on the road", "iron"),
    "hat": ("garment", "cover the head", "wool"),
    "scarf": ("garment", "cover the neck", "wool"),
    "glove": ("garment", "cover the hand", "wool"),
    "sock": ("garment", "cover the foot", "wool"),
    "shoe": ("garment", "cover the foot", "leather"),
    "belt": ("garment", "hold up trousers", "leather"),
    "flute": ("instrument", "play music", "wood"),
    "violin": ("instrument", "play music", "wood"),
    "drum": ("instrument", "play music", "wood"),
    "bell": ("instrument", "play music", "iron"),
    "kettle": ("vessel", "boil water", "iron"),
    "pot": ("vessel", "cook soup", "iron"),
    "cup": ("vessel", "drink tea", "glass"),
    "bottle": ("vessel", "carry water", "glass"),
}

# name: (what the person does, where)
JOBS: dict[str, tuple[str, str]] = {
    "baker": ("makes bread", "in a bakery"),
    "teacher": ("teaches children", "in a school"),
    "doctor": ("treats sick people", "in a hospital"),
    "farmer": ("grows food", "on a farm"),
    "pilot": ("flies planes", "in the air"),
    "sailor": ("sails ships", "at sea"),
    "miner": ("digs for coal", "in a mine"),
    "cook": ("prepares meals", "in a kitchen"),
    "tailor": ("makes clothes", "in a workshop"),
    "carpenter": ("builds with wood", "in a workshop"),
    "librarian": ("lends books", "in a library"),
    "actor": ("plays roles", "in a theatre"),
    "judge": ("decides cases", "in a court"),
    "gardener": ("grows flowers", "in a garden"),
    "painter": ("paints pictures", "in a studio"),
    "clerk": ("writes letters", "in an office"),
    "cashier": ("takes money", "in a shop"),
    "waiter": ("serves guests", "in a restaurant"),
    "fisher": ("catches fish", "at sea"),
    "shepherd": ("guards sheep", "in the hills"),
    "barber": ("cuts hair", "in a shop"),
    "dentist": ("cares for teeth", "in a clinic"),
}

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("big", "small"), ("hot", "cold"), ("fast", "slow"), ("high", "low"), ("long", "short"),
    ("old", "new"), ("hard", "soft"), ("bright", "dark"), ("heavy", "light"), ("wet", "dry"),
    ("open", "closed"), ("full", "empty"), ("early", "late"), ("happy", "sad"), ("rich", "poor"),
    ("strong", "weak"), ("loud", "quiet"), ("clean", "dirty"), ("near", "far"), ("deep", "shallow"),
    ("wide", "narrow"), ("thick", "thin"), ("sharp", "blunt"), ("smooth", "rough"), ("easy", "difficult"),
    ("good", "bad"), ("correct", "wrong"), ("true", "false"), ("first", "last"), ("up", "down"),
    ("in", "out"), ("left", "right"), ("day", "night"), ("summer", "winter"), ("start", "end"),
    ("rise", "fall"), ("grow", "shrink"), ("buy", "sell"), ("give", "take"), ("win", "lose"),
    ("ask", "answer"), ("push", "pull"), ("come", "go"), ("remember", "forget"), ("find", "miss"),
    ("always", "never"), ("many", "few"), ("more", "less"), ("all", "none"), ("same", "different"),
    ("safe", "dangerous"), ("brave", "afraid"), ("cheap", "expensive"),
    ("inside", "outside"), ("above", "below"), ("before", "after"), ("accept", "reject"),
)  # fmt: skip

DEFINITIONS: dict[str, str] = {
    "kitchen": "a room where people cook", "library": "a place where people borrow books",
    "bridge": "a road that goes over water", "island": "land with water all around it",
    "forest": "a place with many trees", "desert": "a dry place with much sand",
    "winter": "the coldest part of the year", "summer": "the warmest part of the year",
    "morning": "the first part of the day", "evening": "the last part of the day",
    "market": "a place where people buy and sell", "school": "a place where children learn",
    "hospital": "a place where sick people get help", "museum": "a house that shows old things",
    "harbour": "a safe place for ships", "station": "a place where trains stop",
    "map": "a drawing of a place", "clock": "a thing that shows the time",
    "letter": "a message written on paper", "song": "words that are sung to music",
    "story": "words that tell what happened", "recipe": "a plan for cooking a meal",
    "garden": "ground where people grow flowers", "orchard": "ground where fruit trees grow",
    "storm": "very strong wind and rain", "snow": "frozen water that falls from the sky",
    "river": "water that flows to the sea", "mountain": "land that is very high",
    "neighbour": "a person who lives next door", "guest": "a person who comes for a visit",
    "promise": "words that say what we will do", "gift": "a thing that we give to a friend",
    "queue": "a line of people who wait", "team": "people who work or play together",
    "ticket": "a paper that lets us travel", "price": "the money that a thing costs",
    "debt": "money that must be paid back", "guide": "a person who shows the way",
    "village": "a small place where people live", "city": "a large place where many people live",
}  # fmt: skip

# How people find out a thing: four ways, each with examples from daily life.
QUANTITIES: dict[str, tuple[str, ...]] = {
    "measure": (
        "height of a tree", "weight of a parcel", "length of a rope", "temperature of a lake",
        "speed of a train", "time of a race", "depth of a well", "volume of a barrel",
        "distance to a lighthouse", "area of a meadow", "weight of a melon", "height of a tower",
        "length of a glacier", "duration of a concert", "width of a canal", "thickness of a plank",
    ),
    "count": (
        "number of eggs", "number of chairs", "number of pages", "number of goals", "number of sheep",
        "number of letters", "number of windows", "number of visitors", "number of coins",
        "number of lighthouse stairs", "number of violins", "number of tents", "number of stamps",
        "number of typing errors", "number of lifeboats", "number of ferries",
    ),
    "name": (
        "colour of a car", "kind of a tree", "name of a street", "colour of a door", "brand of a watch",
        "country of a guest", "language of a song", "kind of a roof", "shape of a leaf",
        "breed of a dog", "flavour of a tea", "material of a coat", "species of a moth",
        "brand of a piano", "colour of a kite", "kind of a cheese",
    ),
    "rank": (
        "place in a race", "size of a shirt", "title of a soldier", "grade of a hotel",
        "level of a course", "stage of a tour", "strength of a coffee", "quality of a pearl",
        "level of a chess player", "size of a helmet", "grade of a diamond", "level of an alarm",
    ),
}  # fmt: skip

SEQUENCES: dict[str, tuple[str, ...]] = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("January", "February", "March", "April", "May", "June", "July", "August", "September",
              "October", "November", "December"),
    "letter": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "number": tuple(str(number) for number in range(100)),
}  # fmt: skip

NAMES: tuple[str, ...] = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo",
    "Mia", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor",
)  # fmt: skip

PLACES: tuple[str, ...] = (
    "market", "library", "school", "station", "harbour", "museum", "garden", "village", "hospital",
    "forest", "bridge", "orchard",
)  # fmt: skip

COLOURS: tuple[str, ...] = ("red", "blue", "green", "yellow", "black", "white", "brown", "purple")

# Names of stuff, which take no article.
MASS_NOUNS = frozenset({"milk", "coffee", "tea", "cocoa", "rice", "wheat", "spinach", "cabbage"})

# Things that stories count; each stands in the plural.
PLURALS: tuple[str, ...] = (
    "apples", "eggs", "coins", "books", "stones", "cups", "shells", "pencils", "stamps", "keys",
    "flowers", "cards", "buttons", "nuts", "plates", "letters", "marbles", "tickets",
)  # fmt: skip
