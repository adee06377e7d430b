"""What a user writes about a server and about the cost of asking it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from statllama.config.keyed import Unkeyed
from statllama.config.spec import Count, NonNegative, Positive, Spec


class ServerSpec(Spec):
    """A model behind a server with OpenAI's chat completions: llama.cpp's, vLLM, Ollama, a hosted one.

    Its key, if it needs one, is in the environment variable STATLLAMA_SERVER_KEY.
    """

    model: Annotated[str, Field(min_length=1)]
    """The model's name, as the server has it. It is in the key: another model says something else."""
    url: Annotated[str | None, Unkeyed()] = None
    """Address of the API, such as http://localhost:8000/v1. Not in the key: the model is. None: `--server URL`."""
    parallel: Annotated[int, Field(ge=1, le=256), Unkeyed()] = 4
    """Requests under way at the same time. Not in the key."""
    per_minute: Annotated[Count | None, Unkeyed()] = None
    """Most requests started in a minute, evenly spread. None: no limit. Not in the key."""
    timeout: Annotated[Positive, Unkeyed()] = 300.0
    """Seconds to wait for one reply. Not in the key."""


class Prices(Spec):
    """What a model's tokens cost, in whatever currency `money` is in."""

    input: NonNegative
    """Price of a million tokens of prompts."""
    output: NonNegative
    """Price of a million tokens of replies, thoughts among them."""


class Budget(Spec):
    """What the requests of a build may use in all, those of earlier runs in the same workspace included."""

    tokens: Annotated[Count | None, Unkeyed()] = None
    """Most tokens, of prompts and replies together. None: no limit. Not in the key."""
    money: Annotated[Positive | None, Unkeyed()] = None
    """Most money, by `prices`. None: no limit. Not in the key."""
    prices: Annotated[Prices | None, Unkeyed()] = None
    """Prices of the model's tokens. Not in the key."""

    @model_validator(mode="after")
    def _money_has_prices(self) -> Self:
        if self.money is not None and self.prices is None:
            raise ValueError(
                "`money` needs `prices`: {input: 0.15, output: 0.60} is what a million tokens of prompts and of "
                "replies cost"
            )
        return self
