"""The models that checks ask: those of the build, with its memory of what they said and its budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statllama.data.build.check import asking as check
from statllama.data.build.server.answering import Answering
from statllama.data.build.server.asking import Model, Request, plain_schema
from statllama.data.build.server.budget import Purse
from statllama.data.build.server.client import hosted
from statllama.data.build.server.responses import Payer, Responses
from statllama.data.build.server.spec import Budget
from statllama.data.build.spec import Build

WRITER = "writer"
"""The name of the model that writes, for checks that ask it again."""


@dataclass(frozen=True)
class ModelAsks:
    """A model of the build, as checks ask it (`check.asking.Asks`)."""

    model: Model
    responses: Path
    account: str
    budget: Budget
    stop: Callable[[], None] | None = field(default=None, compare=False)

    def material(self) -> Mapping[str, Any]:
        """Return what decides its replies, besides the requests."""
        return {"model": self.model.name}

    def ask(self, requests: Sequence[check.Request]) -> Sequence[check.Reply]:
        """Return a reply to each request, in order; what was asked before is not asked again.

        DataError where the budget is used up, ServerError for a server that gives no answer.
        """
        wanted = [self._request(request) for request in requests]
        queue = deque({request.digest: request for request in wanted}.values())
        with Responses(self.responses) as responses, self.model.open() as ask:
            purse = Purse(self.budget, responses.spent(self.account))
            payer = Payer(self.account, "check")
            answering = Answering(ask, responses, payer, purse, self.stop or (lambda: None))
            said = {request.digest: reply for request, reply in answering.answers(queue)}
        return [check.Reply(said[request.digest].text, said[request.digest].ended) for request in wanted]

    def _request(self, request: check.Request) -> Request:
        schema = plain_schema(request.schema) if request.schema is not None else ""
        sampling = (request.temperature, 1.0, request.max_tokens, request.seed)
        return Request(self.model.name, request.prompt, schema, *sampling)


def asks_of(
    build: Build, responses: Path, server: str | None = None, stop: Callable[[], None] | None = None
) -> dict[str, ModelAsks]:
    """Return {name: model} of what the build's checks may ask: the model that writes, and those under `servers`.

    `server`: another address of the model that writes. UsageError for a model without an address.
    """
    write = build.spec.write
    if write is None:
        return {}
    named = {**({} if write.server is None else {WRITER: write.server}), **build.spec.servers}
    return {
        name: ModelAsks(
            hosted(spec, server if name == WRITER else None), responses, build.spec.name, write.budget, stop
        )
        for name, spec in named.items()
    }
