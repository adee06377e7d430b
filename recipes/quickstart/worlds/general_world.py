"""Questions about the general world. Every function draws one `Item`; held-out keys are kept for the test."""

from __future__ import annotations

import random
from collections.abc import Callable

from worlds.general_tables import (
    ANIMALS,
    COLOURS,
    DEFINITIONS,
    FOODS,
    JOBS,
    MASS_NOUNS,
    NAMES,
    OBJECTS,
    OPPOSITES,
    PLACES,
    PLURALS,
    QUANTITIES,
    SEQUENCES,
)
from worlds.items import Item, article, capital, held_out, listing, near, others

Draw = Callable[[random.Random], Item]

KINDS: dict[str, str] = {
    **{name: facts[0] for name, facts in ANIMALS.items()},
    **{name: facts[0] for name, facts in FOODS.items()},
    **{name: facts[0] for name, facts in OBJECTS.items()},
}
LEG_WORDS = {0: "no legs", 2: "two legs", 4: "four legs", 6: "six legs", 8: "eight legs"}


def one(name: str) -> str:
    """The noun as the subject of a sentence: with an article, unless it names stuff."""
    return name if name in MASS_NOUNS else article(name)


def fact(
    rng: random.Random, key: str, questions: list[str], statements: list[str], answer: str, pool: list[str]
) -> Item:
    """An item about a fixed fact, in one of several wordings; the pool holds possible answers."""
    right = f"{capital(answer)}."
    wrong = others(rng, [f"{capital(text)}." for text in pool], right)
    statement = f"{capital(rng.choice(statements))}."
    return Item(key.split(":")[0], key, f"{rng.choice(questions)}?", right, wrong, plain=statement)


def kind(rng: random.Random) -> Item:
    """What kind of thing something is."""
    name, group = rng.choice(sorted(KINDS.items()))
    it, answer = one(name), article(group)
    questions = [f"What kind of thing is {it}", f"What is {it}"]
    statements = [f"{it} is {answer}", f"one example of {answer} is {it}"]
    return fact(rng, f"kind:{name}", questions, statements, answer, [article(g) for g in KINDS.values()])


def animal(rng: random.Random) -> Item:
    """Where an animal lives, what it eats, how many legs it has."""
    name, (_, home, legs, food, _) = rng.choice(sorted(ANIMALS.items()))
    it = article(name)
    which = rng.choice(["home", "food", "legs"])
    if which == "home":
        questions = [f"Where does {it} live", f"Where can we find {it}"]
        statements = [f"{it} lives {home}", f"we can find {it} {home}"]
        return fact(rng, f"animal:home {name}", questions, statements, home, [a[1] for a in ANIMALS.values()])
    if which == "food":
        questions = [f"What does {it} eat", f"What is the food of {it}"]
        statements = [f"{it} eats {food}", f"the food of {it} is {food}"]
        return fact(rng, f"animal:food {name}", questions, statements, food, [a[3] for a in ANIMALS.values()])
    questions, statements = [f"How many legs does {it} have"], [f"{it} has {LEG_WORDS[legs]}"]
    return fact(rng, f"animal:legs {name}", questions, statements, LEG_WORDS[legs], list(LEG_WORDS.values()))


def size(rng: random.Random) -> Item:
    """Which of two animals is bigger or smaller."""
    first, second = rng.sample(sorted(ANIMALS), 2)
    while abs(ANIMALS[first][4] - ANIMALS[second][4]) < 2:
        first, second = rng.sample(sorted(ANIMALS), 2)
    word = rng.choice(["bigger", "smaller"])
    small, big = sorted((first, second), key=lambda name: ANIMALS[name][4])
    right, wrong = (big, small) if word == "bigger" else (small, big)
    return Item(
        "size",
        f"size:{small} {big}",
        f"Which animal is {word}, {article(first)} or {article(second)}?",
        f"{capital(article(right))}.",
        (f"{capital(article(wrong))}.",),
        plain=f"{capital(article(right))} is {word} than {article(wrong)}.",
    )


def food(rng: random.Random) -> Item:
    """The colour or the taste of a food."""
    name, (_, colour, taste) = rng.choice(sorted(FOODS.items()))
    it = one(name)
    if rng.random() < 0.5:
        questions = [f"What colour is {it}", f"What is the colour of {it}"]
        statements = [f"the colour of {it} is {colour}", f"{it} is {colour}"]
        return fact(rng, f"food:colour {name}", questions, statements, colour, [f[1] for f in FOODS.values()])
    questions = [f"How does {it} taste", f"What is the taste of {it}"]
    statements = [f"the taste of {it} is {taste}", f"{it} tastes {taste}"]
    return fact(rng, f"food:taste {name}", questions, statements, taste, [f[2] for f in FOODS.values()])


def use(rng: random.Random) -> Item:
    """What an object is for, or what it is made of."""
    name, (_, purpose, material) = rng.choice(sorted(OBJECTS.items()))
    it = article(name)
    if rng.random() < 0.6:
        questions = [f"What do we use {it} for", f"What is the use of {it}"]
        statements = [f"we use {it} to {purpose}", f"with {it} we can {purpose}"]
        pool = [f"to {o[1]}" for o in OBJECTS.values()]
        return fact(rng, f"use:purpose {name}", questions, statements, f"to {purpose}", pool)
    questions = [f"What is {it} made of", f"Of what do we make {it}"]
    statements = [f"{it} is made of {material}", f"people make {it} of {material}"]
    pool = [o[2] for o in OBJECTS.values()]
    return fact(rng, f"use:material {name}", questions, statements, material, pool)


def job(rng: random.Random) -> Item:
    """What people in a job do, and where."""
    name, (does, place) = rng.choice(sorted(JOBS.items()))
    who = article(name)
    if rng.random() < 0.5:
        questions = [f"Who {does}", f"Which person {does}"]
        statements = [f"{who} {does}", f"the person who {does} is {who}"]
        return fact(rng, f"job:who {name}", questions, statements, who, [article(j) for j in JOBS])
    questions = [f"Where does {who} work", f"What is the working place of {who}"]
    statements = [f"{who} works {place}", f"the working place of {who} is {place}"]
    return fact(rng, f"job:where {name}", questions, statements, place, [j[1] for j in JOBS.values()])


def opposite(rng: random.Random) -> Item:
    """The opposite of a word."""
    pair = rng.choice(OPPOSITES)
    word, answer = pair if rng.random() < 0.5 else pair[::-1]
    questions = [f"What is the opposite of {word}", f"Which word means the opposite of {word}"]
    statements = [f"the opposite of {word} is {answer}", f"{word} and {answer} are opposites"]
    pool = [w for p in OPPOSITES for w in p if w != word]
    return fact(rng, f"opposite:{word}", questions, statements, answer, pool)


def definition(rng: random.Random) -> Item:
    """The meaning of a word, or the word for a meaning."""
    word, meaning = rng.choice(sorted(DEFINITIONS.items()))
    statements = [f"the word {word} means {meaning}", f"{meaning} is called {word}"]
    if rng.random() < 0.5:
        questions = [f"What does the word {word} mean", f"What is the meaning of the word {word}"]
        return fact(rng, f"definition:of {word}", questions, statements, meaning, list(DEFINITIONS.values()))
    questions = [f"Which word means {meaning}", f"What do we call {meaning}"]
    return fact(rng, f"definition:word {word}", questions, statements, word, list(DEFINITIONS))


def quantity(rng: random.Random) -> Item:
    """How people find out a thing: measure, count, name or rank it."""
    how = rng.choice(sorted(QUANTITIES))
    thing = rng.choice(QUANTITIES[how])
    questions = [f"How do we find out the {thing}", f"What do we do to learn the {thing}"]
    statements = [f"the {thing} is a thing that we {how}", f"to learn the {thing}, we {how} it"]
    return fact(rng, f"quantity:{thing}", questions, statements, f"we {how} it", [f"we {h} it" for h in QUANTITIES])


def add(rng: random.Random) -> Item:
    """The sum of two numbers."""
    a, b = rng.randint(0, 30), rng.randint(0, 30)
    question = rng.choice([f"What is {a} + {b}?", f"How much is {a} plus {b}?", f"Add {a} and {b}."])
    return Item("add", f"add:{a} {b}", question, f"{a + b}.", near(rng, a + b), plain=f"{a} + {b} = {a + b}.")


def subtract(rng: random.Random) -> Item:
    """The difference of two numbers."""
    if rng.random() < 0.25:
        return subtract_from_one(rng)
    a = rng.randint(0, 40)
    b = rng.randint(0, a)
    question = rng.choice([f"What is {a} - {b}?", f"How much is {a} minus {b}?", f"Take {b} away from {a}."])
    plain = f"{a} - {b} = {a - b}."
    return Item("subtract", f"subtract:{a} {b}", question, f"{a - b}.", near(rng, a - b), plain=plain)


def subtract_from_one(rng: random.Random) -> Item:
    """One minus a decimal number."""
    b = rng.randint(1, 99)
    right = f"0.{100 - b:02d}"
    wrong = tuple(f"0.{n:02d}." for n in rng.sample([n for n in range(1, 100) if n != 100 - b], 3))
    question = rng.choice([f"What is 1 - 0.{b:02d}?", f"How much is 1 minus 0.{b:02d}?"])
    return Item("subtract", f"subtract:1 0.{b:02d}", question, f"{right}.", wrong, plain=f"1 - 0.{b:02d} = {right}.")


def share(rng: random.Random) -> Item:
    """A number shared into equal parts."""
    parts, each = rng.randint(2, 6), rng.randint(1, 12)
    total = parts * each
    thing = rng.choice(PLURALS)
    question = rng.choice(
        [
            f"We share {total} {thing} among {parts} people. How many does each get?",
            f"What is {total} / {parts}?",
        ]
    )
    plain = f"{total} / {parts} = {each}."
    return Item("share", f"share:{total} {parts}", question, f"{each}.", near(rng, each, low=0), plain=plain)


def compare(rng: random.Random) -> Item:
    """Which of two numbers, whole or decimal, is larger or smaller."""
    if rng.random() < 0.5:
        values = [str(n) for n in rng.sample(range(100), 2)]
    else:
        digits = rng.choice((2, 2, 3))
        values = [f"0.{n:0{digits}d}" for n in rng.sample(range(1, 10**digits), 2)]
    low, high = sorted(values, key=float)
    word = rng.choice(["larger", "smaller"])
    right, wrong = (high, low) if word == "larger" else (low, high)
    question = f"Which number is {word}, {values[0]} or {values[1]}?"
    plain = f"{right} is {word} than {wrong}."
    return Item("compare", f"compare:{low} {high}", question, f"{right}.", (f"{wrong}.",), plain=plain)


def extreme(rng: random.Random) -> Item:
    """The largest or smallest number of a list."""
    values = rng.sample(range(1, 41), rng.randint(3, 6))
    word = rng.choice(["largest", "smallest"])
    right = max(values) if word == "largest" else min(values)
    question = rng.choice(
        [
            f"Which number is the {word} in {listing(values)}?",
            f"Here are some numbers: {listing(values)}. What is the {word}?",
        ]
    )
    wrong = others(rng, [f"{v}." for v in values], f"{right}.")
    plain = f"In the list {listing(values)} the {word} number is {right}."
    return Item("extreme", f"extreme:{listing(sorted(values))}", question, f"{right}.", wrong, plain=plain)


def sort(rng: random.Random) -> Item:
    """A short list in rising or falling order."""
    values = rng.sample(range(1, 31), rng.randint(3, 5))
    down = rng.random() < 0.3
    ordered = sorted(values, reverse=down)
    word = "largest to smallest" if down else "smallest to largest"
    wrong = set()
    while len(wrong) < 3:
        shuffled = rng.sample(values, len(values))
        if shuffled != ordered:
            wrong.add(f"{listing(shuffled)}.")
    question = f"Put {listing(values)} in order from {word}."
    plain = f"{listing(values)} from {word}: {listing(ordered)}."
    key = f"sort:{listing(sorted(values))}"
    return Item("sort", key, question, f"{listing(ordered)}.", tuple(sorted(wrong)), plain=plain)


def how_many(rng: random.Random) -> Item:
    """How many things a list names."""
    things = rng.choices(PLURALS, k=rng.randint(2, 8))
    names = listing(word.rstrip("s") for word in things)
    question = rng.choice([f"How many things are in this list: {names}?", f"Count these things: {names}."])
    plain = f"The list {names} has {len(things)} things."
    return Item(
        "how_many",
        f"how_many:{names}",
        question,
        f"{len(things)}.",
        near(rng, len(things), low=1),
        plain=plain,
    )


def repeated(rng: random.Random) -> Item:
    """The one number or word that stands twice in a list."""
    pool = [str(n) for n in range(1, 31)] if rng.random() < 0.6 else list(COLOURS)
    values = rng.sample(pool, rng.randint(3, 5))
    twice = rng.choice(values)
    full = [*values, twice]
    rng.shuffle(full)
    wrong = tuple(f"{capital(v)}." for v in values if v != twice)[:3]
    question = f"Which one stands twice in this list: {listing(full)}?"
    plain = f"In the list {listing(full)} the one that stands twice is {twice}."
    return Item("repeated", f"repeated:{listing(full)}", question, f"{capital(twice)}.", wrong, plain=plain)


def odd_one_out(rng: random.Random) -> Item:
    """The thing whose kind differs from the kind of the others."""
    groups = [g for g in sorted(set(KINDS.values())) if sum(k == g for k in KINDS.values()) >= 3]
    same, other = rng.sample(groups, 2)
    names = rng.sample(sorted(n for n, k in KINDS.items() if k == same), 3)
    stranger = rng.choice(sorted(n for n, k in KINDS.items() if k == other))
    full = rng.sample([*names, stranger], 4)
    return Item(
        "odd_one_out",
        f"odd_one_out:{listing(sorted(full))}",
        f"Which one does not belong with the others: {listing(full)}?",
        f"{capital(one(stranger))}.",
        tuple(f"{capital(one(n))}." for n in names),
        plain=f"{capital(one(stranger))} does not belong with {listing(names)}.",
    )


def next_one(rng: random.Random) -> Item:
    """What comes after or before in the days, months and letters."""
    name = rng.choice(sorted(SEQUENCES))
    members = SEQUENCES[name]
    index = rng.randrange(len(members) - 1)
    word, here, answer = rng.choice(
        [("after", members[index], members[index + 1]), ("before", members[index + 1], members[index])]
    )
    questions = [f"Which {name} comes {word} {here}", f"What is the {name} {word} {here}"]
    statements = [f"the {name} {word} {here} is {answer}", f"the {name} that comes {word} {here} is {answer}"]
    return fact(rng, f"next_one:{word} {here}", questions, statements, answer, [m for m in members if m != here])


def story(rng: random.Random) -> Item:
    """A two-sentence story with a question about who, what or where."""
    (a, b), (x, y) = rng.sample(NAMES, 2), rng.sample(sorted(PLURALS), 2)
    p, q = rng.sample(PLACES, 2)
    n, m = rng.sample(range(2, 20), 2)
    text = f"{a} carries {n} {x} to the {p}. {b} carries {m} {y} to the {q}."
    question, answer, wrong = rng.choice(
        [
            (f"Who carries {x}?", f"{a}.", (f"{b}.",)),
            (f"Who goes to the {q}?", f"{b}.", (f"{a}.",)),
            (f"What does {b} carry?", f"{capital(y)}.", (f"{capital(x)}.",)),
            (f"Where does {a} go?", f"To the {p}.", (f"To the {q}.",)),
            (f"How many {y} does {b} carry?", f"{m}.", (f"{n}.",)),
            (f"Who carries more things, {a} or {b}?", f"{a if n > m else b}.", (f"{b if n > m else a}.",)),
        ]
    )
    return Item("story", f"story:{text}", f"{text} {question}", answer, wrong, plain=text)


# Topic: (generator, share of the training text).
TOPICS: dict[str, tuple[Draw, float]] = {
    "kind": (kind, 1.0),
    "animal": (animal, 1.0),
    "size": (size, 1.0),
    "food": (food, 0.6),
    "use": (use, 1.0),
    "job": (job, 0.6),
    "opposite": (opposite, 0.8),
    "definition": (definition, 0.8),
    "quantity": (quantity, 0.8),
    "add": (add, 2.0),
    "subtract": (subtract, 2.0),
    "share": (share, 0.8),
    "compare": (compare, 1.5),
    "extreme": (extreme, 1.5),
    "sort": (sort, 1.5),
    "how_many": (how_many, 1.0),
    "repeated": (repeated, 1.2),
    "odd_one_out": (odd_one_out, 1.2),
    "next_one": (next_one, 1.0),
    "story": (story, 1.5),
}

# Topics whose plain text states the same fact that a held-out question asks: that text stays in the
# training data, so the test asks whether a fact that was read can be told in an answer.
FACT_TOPICS = frozenset({"kind", "animal", "food", "use", "job", "opposite", "definition", "quantity", "next_one"})


def draw_training_item(rng: random.Random) -> tuple[Item, bool]:
    """A random item, and whether its question may be asked in training (its plain text always may)."""
    names = list(TOPICS)
    while True:
        topic = rng.choices(names, [TOPICS[name][1] for name in names])[0]
        item = TOPICS[topic][0](rng)
        if not held_out(item.key):
            return item, True
        if topic in FACT_TOPICS:
            return item, False


def draw_test_items(rng: random.Random, per_topic: int) -> list[Item]:
    """Held-out items, up to `per_topic` for each topic, no key twice."""
    items: list[Item] = []
    for draw, _ in TOPICS.values():
        found: dict[str, Item] = {}
        for _ in range(4000):
            item = draw(rng)
            if held_out(item.key) and len(item.wrong) >= 1:
                found.setdefault(item.key, item)
            if len(found) == per_topic:
                break
        items.extend(found.values())
    return items
