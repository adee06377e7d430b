"""Concept questions: a situation and a question about it, from tables of wordings."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from worlds.items import Item, capital, others
from worlds.stats_scenes import Scene, draw_scene

# Training questions: how to ask for a thing, and where the situation stands.
ASKS = (
    "What is {what}?", "Name {what}.", "Tell me {what}.", "Can you name {what}?", "State {what}.",
    "Say what {what} is.", "We look for {what}.", "Find {what}.", "I want to know {what}.",
    "Please write down {what}.",
)  # fmt: skip
PLACES = (
    "{cue} {ask}", "{cue} {ask}", "{ask} {cue}", "Read this. {cue} {ask}", "Here is a case. {cue} {ask}",
    "A task: {cue} {ask}", "{ask} This is given: {cue}", "Think about this. {cue} {ask}",
)  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """A topic with a fixed set of answers.

    `cues` are situations for each answer with slots for a scene, and `what` names the thing that is
    asked for; `test_cues` and `test_frames` are other wordings, for the test. `define` explains each
    answer, `state` is the sentence that names the answer after a cue in prose, and `reason` says why an
    answer is right where the definition does not.
    """

    topic: str
    cues: dict[str, tuple[str, ...]]
    test_cues: dict[str, tuple[str, ...]]
    what: tuple[str, ...]
    test_frames: tuple[str, ...]
    define: dict[str, tuple[str, ...]]
    state: str
    reason: dict[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> list[str]:
        """The answers in the order of the table."""
        return list(self.cues)


def fill(text: str, scene: Scene) -> str:
    """The text with the words of a scene; `{People}` is `{people}` with a capital."""
    capitals = {capital(name): capital(word) for name, word in scene.items()}
    return text.format(**scene, **capitals)


def slots(text: str) -> list[str]:
    """The names of the slots in a text, in lower case."""
    return [name.lower() for name in re.findall(r"{(\w+)}", text)]


def lower_first(answer: str) -> str:
    """The answer as it stands inside a sentence."""
    return answer[:1].lower() + answer[1:]


def training_frame(rng: random.Random, concept: Concept) -> str:
    """A question around `{cue}`, put together from parts so that no wording is seen too often."""
    ask = rng.choice(ASKS).replace("{what}", rng.choice(concept.what))
    return rng.choice(PLACES).replace("{ask}", ask)


def literal(template: str) -> str:
    """The longest piece of a template between its slots: what two uses of it have in common."""
    return max((part.strip(" .,;:?!") for part in re.split(r"{\w+}", template)), key=len)


def draw(rng: random.Random, concept: Concept, answer: str, test: bool = False) -> Item:
    """A question whose right answer is given."""
    scene = draw_scene(rng, test)
    cue = rng.choice((concept.test_cues if test else concept.cues)[answer])
    frame = rng.choice(concept.test_frames) if test else training_frame(rng, concept)
    wrong = others(rng, concept.answers, answer)
    situation = fill(cue, scene)
    used = [scene[name] for name in slots(cue)]
    return Item(
        topic=concept.topic,
        key=f"{concept.topic}:{situation}",
        question=frame.replace("{cue}", situation),
        answer=f"{answer}.",
        wrong=tuple(f"{text}." for text in wrong),
        errors=tuple(f"takes {lower_first(answer)} for {lower_first(text)}" for text in wrong),
        why=concept.reason.get(answer) or rng.choice(concept.define[answer]),
        plain=concept.state.format(cue=situation, answer=lower_first(answer)),
        setting=tuple(used) or (cue,),
        frame=(literal(frame),),
    )
