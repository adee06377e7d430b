"""The step: documents in, rows out, each with the sentence that supports it and where it comes from."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from statllama.config.keyed import keyed
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.data.build.server.answering import Answering
from statllama.data.build.server.asking import Model, Request, Usage
from statllama.data.build.server.budget import Estimate, Purse, check_estimate, estimate
from statllama.data.build.server.client import hosted
from statllama.data.build.server.responses import Payer, Responses
from statllama.data.build.server.spec import Budget
from statllama.data.build.write.kinds import kind_module
from statllama.data.build.write.prompts import prompt_text
from statllama.data.build.write.replies import Fault, read_reply
from statllama.data.build.write.slots import Asked, Slot
from statllama.data.build.write.spec import PartSpec, WriteSpec
from statllama.errors import DataError, UsageError
from statllama.store.canonical import digest

NUMERICS = 1
"""Raised when the same settings would ask otherwise, or make other rows of the same replies."""
BLOCK = 4
"""Documents of a block. In the key: a row that another one of its block equals is left out."""
SAME = "the same reply as to another request"
Written = tuple[Request, Any]
"""The request whose reply counts, and what the reply says: a kind's `Reply`, or a Fault."""


@dataclass
class Streak:
    """Faults of the rows since the last one with a reply of use, from block to block; and what that reply said."""

    faults: Counter[str] = field(default_factory=Counter)
    last: str = ""


@dataclass(frozen=True)
class Writer:
    """Writes the rows of one part (a `Step`)."""

    name: str
    part: str
    spec: PartSpec
    prompt: str
    """Text of the prompt."""
    model: Model
    responses: Path
    """File of the workspace that keeps the responses."""
    account: str = "build"
    """Name of the build, whose steps share the budget."""
    budget: Budget = field(default_factory=Budget)
    accepted: bool = False
    """Whether to start though the estimate is above the budget; it stops there."""
    stop: Callable[[], None] | None = field(default=None, compare=False)
    """Raises Interrupted when the user asks to stop; called before each request."""
    streak: Streak = field(default_factory=Streak, compare=False, repr=False)
    block: int = BLOCK
    threads: bool = True

    def material(self) -> Mapping[str, Any]:
        """Return all that decides the rows. The server's address is not in it: the model is."""
        return {
            "name": "write",
            "numerics": NUMERICS,
            "block": self.block,
            "part": self.part,
            "spec": keyed(self.spec),
            "prompt": digest(self.prompt),
            "schema": self.asked.schema,
            "model": self.model.name,
        }

    @cached_property
    def asked(self) -> Asked:
        """Return what requests are made of."""
        return Asked(self.part, self.spec, self.prompt, self.model.name)

    @cached_property
    def payer(self) -> Payer:
        """Return what responses are counted for."""
        return Payer(self.account, digest(dict(self.material())))

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> None:
        """Raise DataError, before anything is asked, where the estimate is above the budget and nobody accepted it."""
        if self.accepted or (self.budget.tokens is None and self.budget.money is None):
            return
        with Responses(self.responses) as responses:
            spent = responses.spent(self.account)
        check_estimate(self.estimate(inputs), self.budget, spent)

    def estimate(self, inputs: Callable[[], Iterator[Json]]) -> Estimate:
        """Return what it would use to write about all documents."""
        slots = (slot for document in inputs() for slot in self.asked.slots(document) if isinstance(slot, Slot))
        with Responses(self.responses) as responses:
            return estimate((self.asked.request(slot, 0) for slot in slots), responses, self.model.name)

    def spent(self) -> Usage:
        """Return the tokens that this step has used so far, in all its runs."""
        with Responses(self.responses) as responses:
            return responses.spent(self.account, self.payer.step)

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        """Yield rows, and what became none, in the documents' order. Asks for several at a time.

        DataError where the budget is used up, or where the model says nothing of use; ServerError for a server that
        gives no answer. All that was said until then is kept.
        """
        laid = [slot for record in records for slot in self.asked.slots(record)]
        with Responses(self.responses) as responses, self.model.open() as ask:
            purse = Purse(self.budget, responses.spent(self.account))
            answering = Answering(ask, responses, self.payer, purse, self.stop or (lambda: None))
            written = iter(self._written([slot for slot in laid if isinstance(slot, Slot)], answering))
        said: set[str] = set()
        for slot in laid:
            yield slot if isinstance(slot, LeftOut) else self._outcome(slot, next(written), said)

    def _written(self, slots: Sequence[Slot], answering: Answering) -> list[Written]:
        """Return what came of each slot. A row is asked for again, with another seed, where a reply is of no use."""
        kind, tries = kind_module(self.spec.kind), self.spec.attempts
        requests = [self.asked.request(slot, 0) for slot in slots]
        about = {request.digest: (place, 0) for place, request in enumerate(requests)}
        queue, found, hopeless = deque(requests), dict[int, Written](), False
        for request, reply in answering.answers(queue):
            place, attempt = about[request.digest]
            said = read_reply(kind, reply)
            if isinstance(said, Fault) and attempt + 1 < tries and reply.ended != "too long" and not hopeless:
                again = self.asked.request(slots[place], attempt + 1)
                about[again.digest] = place, attempt + 1
                queue.append(again)
                continue
            found[place] = request, said
            if self._is_hopeless(said, reply.text):
                hopeless = True
                queue.clear()  # what is under way still comes
        if len(found) < len(slots):
            raise self._hopeless(found)
        return [found[place] for place in range(len(slots))]

    def _is_hopeless(self, said: Any, text: str) -> bool:
        """Count a row that has come to its end, and return whether too many in succession had no reply of use: none
        that can be read, or what was said to the one before.
        """
        reason = said.reason if isinstance(said, Fault) else SAME if text == self.streak.last else None
        if reason is None:
            self.streak.faults.clear()
            self.streak.last = text
        else:
            self.streak.faults[reason] += 1
        return self.spec.give_up is not None and self.streak.faults.total() >= self.spec.give_up

    def _hopeless(self, found: Mapping[int, Written]) -> DataError:
        faults = Counter(self.streak.faults)
        self.streak.faults.clear()
        counted = ", ".join(f"{count} {reason}" for reason, count in faults.most_common())
        last = next((said.detail for _, said in reversed(list(found.values())) if isinstance(said, Fault)), SAME)
        return DataError(
            f"{self.name}: {faults.total()} rows in succession had no reply of use ({counted}); the last: {last}",
            remedy=f"check the model {self.model.name}, the prompt and `max_tokens`; `give_up: null` goes on anyway",
        )

    def _outcome(self, slot: Slot, written: Written, said_before: set[str]) -> Outcome:
        """Return a slot's row, or why there is none."""
        request, said = written
        if isinstance(said, Fault):
            return LeftOut(said.reason, slot.where, said.detail)
        kind, window = kind_module(self.spec.kind), slot.window
        noted = {name: getattr(said, name) for name in ("quote", *getattr(kind, "NOTED", ()))}
        columns = kind.row(said, self.asked.draw(window, slot.number, "row"))
        row: Json = {
            "id": f"{self.part}:{window.id}.{slot.number}",
            "part": self.part,
            "format": kind.FORMAT,
            "row": columns,
            "provenance": self.asked.provenance(slot, request) | noted,
            "context": window.text,
        }
        same = digest(columns)
        if same in said_before:
            return LeftOut(SAME, slot.where, request.digest, row)
        said_before.add(same)
        return Kept(row)


def writers(
    spec: WriteSpec,
    root: Path,
    responses: Path,
    *,
    model: Model | None = None,
    server: str | None = None,
    account: str = "build",
    accepted: bool = False,
    stop: Callable[[], None] | None = None,
) -> list[Writer]:
    """Return a step for each part of the spec.

    `root`: folder of the build's file, for prompts; `responses`: the workspace's `responses.FILE`; `model`: what is
    asked instead of the spec's server; `server`: another address of that; `account`: the build's name.
    UsageError for a missing server or address, NotFoundError and DataError for a prompt.
    """
    if model is None:
        if spec.server is None:
            raise UsageError(
                "`write` names no model", remedy="add `server: {model: NAME, url: http://localhost:8000/v1}` to `write`"
            )
        model = hosted(spec.server, server)
    return [
        Writer(
            f"write:{name}", name, part, prompt_text(part.kind, part.prompt, root), model, responses,
            account, spec.budget, accepted, stop,
        )
        for name, part in spec.parts.items()
    ]  # fmt: skip
