"""Wordings of the computed questions: for training, and others for the test."""

from __future__ import annotations

import random

from worlds.concepts import ASKS, PLACES

# Topic: (ways to give the facts, names of what is asked for). `list` serves all topics about a list.
TRAINING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "list": (
        (
            "The {things} are: {values}.",
            "Here are the {things}: {values}.",
            "We record the {things}: {values}.",
            "A table has the {things}: {values}.",
            "Somebody writes down the {things}: {values}.",
            "The data are {values}.",
            "These are the {things}: {values}.",
        ),
        ("the {word}", "the {word} of these numbers", "the {word} of the data"),
    ),
    "skew": (
        (
            "The {x} of the {people} has the mean {mean} and the median {median}.",
            "The mean of {x} is {mean} and the median is {median}.",
            "The median of {x} is {median} and the mean is {mean}.",
            "{x}: mean {mean}, median {median}.",
            "The {people} have a median {x} of {median} and a mean of {mean}.",
        ),
        (
            "the shape of the distribution",
            "the direction of the skew",
            "the shape (right-skewed, left-skewed or symmetric)",
        ),
    ),
    "p_value": (
        (
            "The p-value is {p} and the level is {level}.",
            "A test about {outcome} gives p = {p}. The significance level is {level}.",
            "At the level {level} the test of {exposure} has the p-value {p}.",
            "The level of the test is {level}, and its p-value is {p}.",
            "We compare {people} and find the p-value {p}; the level is {level}.",
        ),
        ("the decision", "the right decision about the null hypothesis", "our decision in this test"),
    ),
    "probability": (
        (
            "A {place} holds {a} {first} and {b} {second} {pieces}. One is drawn at random.",
            "We draw one of {a} {first} and {b} {second} {pieces}.",
            "There are {a} {first} {pieces} and {b} {second} ones in a {place}.",
            "From {a} {first} and {b} {second} {pieces} we draw one.",
        ),
        ("the probability of {first}", "the probability to draw {first}"),
    ),
    "frequency": (
        (
            "The {pieces} are: {values}.",
            "In a {place} we find these {pieces}: {values}.",
            "The list of {pieces} is {values}.",
        ),
        ("the frequency of {first}", "the absolute frequency of {first}"),
    ),
}

TEST: dict[str, tuple[str, ...]] = {
    "list": (
        "For the {things} we have {values}. How large is the {word}?",
        "Look at the {things}: {values}. Give the {word}.",
    ),
    "skew": (
        "For the {x} of {people} we get a mean of {mean} and a median of {median}. Which shape is this?",
        "How is the {x} distributed, if its mean is {mean} and its median is {median}?",
    ),
    "p_value": (
        "A test of {exposure} ends with p = {p} at the level {level}. What do we do with the null hypothesis?",
        "We test {people} at the level {level} and see p = {p}. Which decision follows?",
    ),
    "probability": (
        "A {place} has {a} {first} and {b} {second} {pieces}. We take one in the dark. How likely is {first}?",
        "In a {place} we see {a} {first} and {b} {second} {pieces}. Give the chance to get {first}.",
    ),
    "frequency": (
        "Here the {pieces} in a {place} are {values}. How large is the frequency of {first}?",
        "Count the {pieces}: {values}. Give the frequency of {first}.",
    ),
}


def wording(rng: random.Random, topic: str, test: bool) -> str:
    """One wording of a topic, with slots for its words and numbers."""
    if test:
        return rng.choice(TEST[topic])
    facts, names = TRAINING[topic]
    ask = rng.choice(ASKS).replace("{what}", rng.choice(names))
    return rng.choice(PLACES).replace("{ask}", ask).replace("{cue}", rng.choice(facts))
