"""What is asked of a model, what it says, and who asks it.

A `Model` is something that can be asked: a server (`client.py`), or a model in this process that a room above hands in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from statllama.store.canonical import digest

Ended = Literal["stop", "length", "filtered", "refused", "unread", "too long"]
"""`stop`: by itself; `length`: cut at `max_tokens`; `filtered`, `refused`: by the server's filter, by the model;
`unread`: the server could not read what its model said; `too long`: nothing was said, since the prompt does not fit
into the model's context."""


@dataclass(frozen=True)
class Request:
    """One request. It says nothing of a server: the same request to another address is the same."""

    model: str
    prompt: str
    """The user's turn."""
    schema: str
    """JSON schema that the reply must follow, as JSON text: the order of its properties is that of the reply. Empty:
    none, the reply is any text."""
    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of all of it, 64 hex digits."""
        return digest(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": self.prompt}],
                "schema": self.schema,
                "sampling": [self.temperature, self.top_p, self.max_tokens, self.seed],
            }
        )

    @property
    def spelled_out(self) -> str:
        """Return the prompt with the schema in words, for a model that nothing else holds to the schema."""
        if not self.schema:
            return self.prompt
        return f"{self.prompt}\n\nReply with one JSON object and nothing else, of this JSON schema:\n{self.schema}"


@dataclass(frozen=True)
class Usage:
    """Tokens of prompts and of replies."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.prompt - other.prompt, self.completion - other.completion)

    @property
    def tokens(self) -> int:
        """Return both together."""
        return self.prompt + self.completion


@dataclass(frozen=True)
class Reply:
    """What a model said. `usage`: None where the server does not say."""

    text: str
    ended: Ended = "stop"
    usage: Usage | None = None


class Ask(Protocol):
    """Asks for replies: a callable from requests to replies."""

    def __call__(self, take: Callable[[], Request | None]) -> Iterator[tuple[Request, Reply]]:
        """Yield each request with its reply as it comes, in any order.

        `take` gives the next request, as soon as there is room for one; None when there is none for now. A reply
        may bring new ones, so it is called again after each that was yielded; when it gives None and nothing is
        under way, this ends. What `take` raises ends it too, after the replies that are under way have been yielded.
        A model in this process takes a batch, yields its replies, and takes again.
        """


class Model(Protocol):
    """Something that can be asked, as settings; pickled with the step that asks it."""

    @property
    def name(self) -> str:
        """Return what the replies depend on: a model's name, or the key of a stack. In keys and rows."""

    def open(self) -> AbstractContextManager[Ask]:
        """Return it ready to be asked. Called for each block: what takes long to load is kept by whoever made this."""


def plain_schema(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema as text that servers with strict structured outputs take.

    Every property is required and no other allowed, `$ref` is written out, and what such servers refuse or cannot hold
    (lengths of texts, titles, defaults) is left out: a reply is checked for those when it is here.
    """
    return json.dumps(_plain(schema, schema.get("$defs", {})), ensure_ascii=False)


_KEPT = ("type", "enum", "const", "minItems", "maxItems")


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    found = {name: schema[name] for name in _KEPT if name in schema}
    if "description" in schema and "properties" not in schema:  # an object's is its class's docstring
        found["description"] = schema["description"]
    if "items" in schema:
        found["items"] = _plain(schema["items"], definitions)
    if "properties" in schema:
        found["properties"] = {name: _plain(each, definitions) for name, each in schema["properties"].items()}
        found |= {"required": list(schema["properties"]), "additionalProperties": False}
    return found
