"""What a cluster's hosts say of themselves, and what workers can have of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from statllama.runs.cluster.nodes import Facts, Fault, Question, answered, facts, faults, notes
from statllama.runs.cluster.placement import Card, Host
from statllama.runs.forecast.cards import card_named

ANSWER = 120.0  # seconds that a host gets to say what it sees: a process starts there

Gpus = tuple[tuple[str, float], ...]
"""See `Facts.gpus`."""


@dataclass(frozen=True)
class Answer:
    """What a host said, or that it did not."""

    node: str
    """Ray's id of the host."""
    host: str
    faults: list[Fault]
    """What keeps it from working with the driver."""
    gpus: Gpus = ()


def survey(question: Question, own: Facts, note: Callable[[str], None]) -> list[Answer]:
    """Ask every host of the cluster what it sees."""
    import ray

    began, asked, found = time.time(), {}, list[Answer]()
    for node in alive():
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        asked[_asked(node["NodeID"], question)] = node["NodeID"], name
    waiting, deadline = list(asked), time.monotonic() + ANSWER
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        found.append(Answer(*asked[ready[0]], *_heard(ready[0], question, own, began, note)))
    late = Fault(f"it did not answer within {ANSWER:.0f} s", "see whether that host is well: ray status")
    found += [Answer(*asked[each], [late]) for each in waiting]
    return found


def alive() -> list[Mapping[str, Any]]:
    """Return the hosts of the cluster, as Ray tells of them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _asked(node: str, question: Question | None) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pinned = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(facts).options(num_cpus=0, max_retries=0, scheduling_strategy=pinned).remote(question)


def _heard(
    reference: Any, question: Question, own: Facts, began: float, note: Callable[[str], None]
) -> tuple[list[Fault], Gpus]:
    import ray

    ended = time.time()
    try:
        told = ray.get(reference)
    except Exception as exc:
        last = [line.strip() for line in str(exc).splitlines() if line.strip()][-1:]
        remedy = f"pip install 'statllama[ray]=={own.statllama}' there, for the Python that Ray runs with"
        return [Fault(f"it cannot load statllama as it is here: {last[0] if last else type(exc).__name__}", remedy)], ()
    for text in notes(own, told, began, ended):
        note(text)
    return faults(own, told, began, ended, seen=answered(question, told)), told.gpus


class Hosts:
    """The hosts of a cluster as they come and go, and what workers can have of each."""

    def __init__(
        self,
        device: Literal["GPU", "CPU"],
        threads: int,
        compute: str,
        gpus: Mapping[str, Gpus],
        note: Callable[[str], None],
    ) -> None:
        """Take `compute`: the type that results are planned for; `gpus`: {id of a host: its GPUs}, as far as known."""
        self._device, self._threads, self._compute, self._note = device, threads, compute, note
        self._gpus, self._told = dict(gpus), set[str]()
        self._asked: dict[str, Any] = {}
        self.all: tuple[Host, ...] = ()
        self.look()

    @property
    def asking(self) -> bool:
        """Return whether a host that came later has not said yet what it has."""
        return bool(self._asked)

    def look(self) -> None:
        """Look who is there now. A host that came later is asked for its GPUs, and has none until it has answered."""
        import ray

        nodes = {node["NodeID"]: node for node in alive()}
        for name, reference in list(self._asked.items()):
            if ray.wait([reference], timeout=0)[0]:
                del self._asked[name]
                with suppress(Exception):  # it left; or it cannot load statllama, which its first worker tells
                    self._gpus[name] = ()
                    self._gpus[name] = ray.get(reference).gpus
        if self._device == "GPU":
            for name in nodes.keys() - self._gpus.keys() - self._asked.keys():
                self._asked[name] = _asked(name, None)
        self.all = tuple(self._host(node) for node in nodes.values())

    def _host(self, node: Mapping[str, Any]) -> Host:
        there, name = node["Resources"], node["NodeManagerHostname"]
        if self._device == "CPU":
            cores = Card("", float(there.get("memory", inf)))
            return Host(node["NodeID"], name, (cores,) * int(there.get("CPU", 0) // self._threads), shared=True)
        gpus = self._gpus.get(node["NodeID"])
        cards = () if gpus is None else cards_of(gpus, int(there.get("GPU", 0)))
        fitting = tuple(card for card in cards if computes(card, self._compute))
        if len(fitting) < len(cards) and name not in self._told:
            self._told.add(name)
            other = next(card for card in cards if card not in fitting)
            self._note(f"{name}: its {other.kind} is left out, since this run computes in {self._compute}")
        return Host(node["NodeID"], name, fitting)


def cards_of(gpus: Sequence[tuple[str, float]], number: int) -> tuple[Card, ...]:
    """Return the cards that Ray gives out of a host's GPUs: so many, of which the host may name more or fewer."""
    named = sorted((Card(kind, memory) for kind, memory in gpus), key=lambda card: (card.bytes, card.kind))
    return (*named[:number], *[Card()] * (number - len(named)))


def computes(card: Card, compute: str) -> bool:
    """Return whether `precision: auto` means this type on a card, by what is known of it."""
    known = card_named(card.kind) if card.kind else None
    return known is None or compute not in ("bfloat16", "float16") or known.bfloat16 == (compute == "bfloat16")
