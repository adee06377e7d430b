"""Workers that do one work at a time together: one slot, or a group of slots on as many devices."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import Any, Literal

from statllama.errors import StatllamaError
from statllama.runs.cluster.placement import Held, Need, Spot
from statllama.runs.cluster.slot import Perform, Place, Seat, Slot
from statllama.runs.cluster.work import Where, Work

LINGER = 120.0
"""Seconds that the others of a group get to end once rank 0 has, or one has failed."""


@dataclass(frozen=True)
class Terms:
    """What each slot of a cluster is made with."""

    device: Literal["GPU", "CPU"]
    threads: int
    arguments: tuple[Any, ...]
    """Of `Slot`."""

    @property
    def resources(self) -> dict[str, float]:
        """Return what a slot takes of the cluster, memory apart."""
        return {"GPU": 1.0} if self.device == "GPU" else {"CPU": float(self.threads)}

    def memory(self, spot: Spot) -> int:
        """Return the bytes of its host's memory that a slot asks for. What a stage on a GPU needs of it, no forecast
        says.
        """
        asked = spot.held[0][1].bytes
        return int(asked) if self.device == "CPU" and isfinite(asked) else 0


@dataclass(eq=False)
class Crew:
    """One slot or a group, and what it has been asked and has not answered yet."""

    actors: Sequence[Any]
    group: Any
    """The placement group; None for one slot."""
    number: int
    """Tells crews on cores apart."""
    work: Work | None = None
    base: str = ""
    """See `Work.base`: of the last work."""
    places: list[Place] | None = None
    """None until all have said what they see."""
    since: float = field(default_factory=time.monotonic)
    """When it began to start, to work or to be idle."""
    asked: dict[Any, int] = field(default_factory=dict)
    """{reference: rank}"""
    answers: dict[int, Any] = field(default_factory=dict)
    asked_at: float = 0.0
    """The driver's clock when it asked its slots what they see."""
    spot: Spot | None = None
    """The cards that it was to have."""
    pinned: bool = False
    """Whether it waits for certain hosts."""

    @classmethod
    def hired(cls, spot: Spot, number: int, terms: Terms, pinned: bool) -> Crew:
        """Return a crew whose processes are being started, at the spot, and asked what they see.

        `pinned`: whether hosts differ. They are told to Ray by their ids: its `accelerator_type` is of a host's first
        card, is the same for 40 GB and 80 GB, and knows no order.
        """
        import ray
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        options: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "num_cpus": 0}
        options |= {"num_gpus": 1} if terms.device == "GPU" else {"num_cpus": terms.threads}
        size, bundle, group = len(spot.held), terms.resources, None
        if memory := terms.memory(spot):
            options["memory"], bundle = memory, {**bundle, "memory": float(memory)}
        if size > 1:
            where = [_among(spot.hosts)] * size if pinned else None
            group = placement_group([bundle] * size, strategy="PACK", bundle_label_selector=where)
        elif pinned:
            options["label_selector"] = _among(spot.hosts)
            options["fallback_strategy"] = [{"label_selector": _among(hosts)} for hosts in spot.others]
        actors = []
        for rank in range(size):
            if group is not None:
                options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(group, rank)
            actors.append(ray.remote(Slot).options(**options).remote(*terms.arguments))
        crew = cls(actors, group, number, spot=spot, pinned=pinned)
        crew.asked_at = time.time()
        crew.asked = {actor.look.remote(): rank for rank, actor in enumerate(actors)}
        return crew

    @property
    def size(self) -> int:
        """Return the number of its slots."""
        return len(self.actors)

    @property
    def held(self) -> tuple[Held, ...]:
        """Return its cards: those that were expected, until it has said which it was given."""
        expected = self.spot.held if self.spot is not None else ()
        if self.places is None:
            return expected
        return tuple(
            (place.node, own if place.card is None or place.card.like(own) else place.card)
            for place, (_, own) in zip(self.places, expected, strict=True)
        )

    def fits(self, work: Work) -> bool:
        """Return whether its cards have what a work needs."""
        need = need_of(work)
        return self.size == need.devices and all(need.rank(card) is not None for _, card in self.held)

    def can_start(self, there: Collection[str]) -> bool:
        """Return whether a host that it waits for is there. Of one that is gone Ray would wait for ever."""
        return not self.pinned or any(host in there for host in self.awaited)

    @property
    def awaited(self) -> frozenset[str]:
        """Return the hosts on any of which it may start."""
        assert self.spot is not None
        others = self.spot.others if self.group is None else ()
        return frozenset((*self.spot.hosts, *chain.from_iterable(others)))

    @property
    def where(self) -> Where:
        """Return where it works, once it is known."""
        if self.places is None:
            return Where("", "")
        host = ", ".join(dict.fromkeys(place.facts.host for place in self.places))
        ids = [each for place in self.places for each in place.gpus]
        if not ids:
            return Where(host, f"cpu {self.number}")
        return Where(host, f"gpu{'s' * (len(ids) > 1)} {', '.join(ids)}")

    def start(self, perform: Perform | None) -> None:
        """Give every slot the work. Its places are known."""
        assert self.work is not None and self.places is not None and not self.asked
        self.since, self.answers = time.monotonic(), {}
        address = self.places[0].address if self.size > 1 else ""
        self.asked = {
            actor.work.remote(self.work, perform, Seat(rank, self.size, address)): rank
            for rank, actor in enumerate(self.actors)
        }

    def answer(self, reference: Any, value: Any) -> bool:
        """Take an answer; return whether it was the last."""
        self.answers[self.asked.pop(reference)] = value
        self.since = time.monotonic()
        return not self.asked

    @property
    def over(self) -> bool:
        """Return whether its work is over, and some of it have not said so."""
        failed = any(error is not None for _, error in self.answers.values()) if self.places is not None else False
        return bool(self.asked) and (failed or (self.places is not None and 0 in self.answers))

    def missing(self) -> list[Any]:
        """Return the slots that have not answered."""
        return [self.actors[rank] for rank in self.asked.values()]

    def outcome(self) -> tuple[float, StatllamaError | None]:
        """Return the seconds that the work took, and its error: rank 0's before the others'."""
        told = [self.answers[rank] for rank in sorted(self.answers)]
        errors = [error for _, error in told if error is not None]
        return max(seconds for seconds, _ in told), errors[0] if errors else None

    def rest(self) -> None:
        """Be free for another work."""
        self.work, self.asked, self.answers, self.since = None, {}, {}, time.monotonic()

    def close(self) -> None:
        """End its processes, at once."""
        import ray
        from ray.util.placement_group import remove_placement_group

        self.asked = {}
        for actor in self.actors:
            with suppress(Exception):
                ray.kill(actor)
        if self.group is not None:
            with suppress(Exception):
                remove_placement_group(self.group)


def need_of(work: Work) -> Need:
    """Return what a work needs of a host."""
    return Need(work.devices, work.least, max(work.least, work.wanted))


def _among(hosts: Sequence[str]) -> dict[str, str]:
    """Return Ray's selector of these hosts, by their ids."""
    return {"ray.io/node-id": f"in({', '.join(hosts)})"}


def why(exc: BaseException) -> str:
    """Say in plain words why a worker is gone, from Ray's exception."""
    kind, text = type(exc).__name__, " ".join(str(exc).split())
    if kind == "OutOfMemoryError" or re.search(r"running low on memory|memory usage threshold|due to memory", text):
        return "its host ran out of memory, and Ray ended it"
    if kind in ("NodeDiedError", "ActorUnavailableError") or re.search(r"node (has died|was terminated|is dead)", text):
        return "its host has left the cluster, or cannot be reached"
    if "creation task" in text:
        last = [line.strip() for line in str(exc).splitlines() if line.strip()][-1]
        return f"it does not start: {last}"
    return "its process died: it crashed, or was killed, as the system does when memory runs out"
