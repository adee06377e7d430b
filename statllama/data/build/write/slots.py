"""Slots: the rows that are to be written, each with what is asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from statllama.data.build.records import Json, LeftOut
from statllama.data.build.server.asking import Request, plain_schema
from statllama.data.build.write.kinds import kind_module
from statllama.data.build.write.prompts import Prompt
from statllama.data.build.write.spec import PartSpec
from statllama.data.build.write.windows import Window, windows
from statllama.store.canonical import digest


@dataclass(frozen=True)
class Slot:
    """One row to be written: the `number`th (from 0) about a window."""

    window: Window
    number: int
    genre: str
    audience: str
    prompt: str

    @property
    def where(self) -> str:
        """Return the place, for people."""
        return f"{self.window.where}, row {self.number + 1}"


@dataclass(frozen=True)
class Asked:
    """How a part asks for its rows: what its requests are made of."""

    part: str
    spec: PartSpec
    prompt: str
    model: str

    @cached_property
    def schema(self) -> str:
        """Return the JSON schema of the replies."""
        return plain_schema(kind_module(self.spec.kind).Reply.model_json_schema())

    @cached_property
    def _prompt(self) -> Prompt:
        return Prompt(self.prompt)

    def slots(self, document: Mapping[str, Any]) -> Iterator[Slot | LeftOut]:
        """Yield the rows to be written about a document, and what of it nothing is written about, in its order."""
        for window in windows(document, self.spec):
            if isinstance(window, LeftOut):
                yield window
                continue
            turns = sorted(product(self.spec.genres, self.spec.audiences), key=lambda turn: self.draw(window, *turn))
            for number in range(self.spec.per_section):
                genre, audience = turns[number % len(turns)]
                yield Slot(window, number, genre, audience, self._prompt.about(window, genre, audience))

    def request(self, slot: Slot, attempt: int) -> Request:
        """Return what is asked for a row at the `attempt`th time (from 0): each has a seed of its own."""
        spec, seed = self.spec, self.draw(slot.window, slot.number, attempt) % 2**31
        return Request(self.model, slot.prompt, self.schema, spec.temperature, spec.top_p, spec.max_tokens, seed)

    def draw(self, window: Window, *what: str | int) -> int:
        """Return a number below 2^48 that is drawn for something about a window: the same in every run."""
        return int(digest([self.part, self.spec.seed, window.id, *what])[:12], 16)

    def provenance(self, slot: Slot, request: Request) -> Json:
        """Return where a row comes from."""
        return slot.window.provenance | {
            "kind": self.spec.kind,
            "genre": slot.genre,
            "audience": slot.audience,
            "prompt": digest(self.prompt),
            "model": self.model,
            "response": request.digest,
        }
