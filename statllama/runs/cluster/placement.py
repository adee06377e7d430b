"""Where a work runs: which hosts' cards have the memory that it needs. Pure functions; knows nothing of Ray.

A card fits a work when it has the bytes without which the work cannot run (`Need.least`). Of those that fit, the
smallest with room for the work as it is wanted comes first, so that large cards stay for large stages; then the largest
that has less, on which the work takes more and smaller passes, with the same result. Sets of cores share the memory of
their host, and all are of one kind.

    need          least 10, wanted 30
    cards         8     12     24     40     80
    order         -     4th    3rd    1st    2nd
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from typing import Generic, Protocol, TypeVar

from statllama.train.memory import GIB


@dataclass(frozen=True)
class Card:
    """A GPU; or a set of cores, with the memory of its host that it has, or could have."""

    kind: str = ""
    """A GPU's name as its driver gives it; empty where it is not known, and of cores."""
    bytes: float = inf
    """Memory; infinite where it is not known."""

    @property
    def gib(self) -> float:
        """Return its memory in whole GiB."""
        return self.bytes if self.bytes == inf else round(self.bytes / GIB)

    def like(self, other: Card) -> bool:
        """Return whether two may be one card: of its memory torch sees up to a GiB less than its driver tells."""
        return self.kind == other.kind and _apart(self.gib, other.gib) <= 1


@dataclass(frozen=True)
class Host:
    """A host and what workers can have of it."""

    id: str
    name: str
    cards: tuple[Card, ...]
    """Its GPUs; or its sets of cores, of which each could have all of its memory."""
    shared: bool = False
    """Whether they share one memory, as sets of cores do."""

    @property
    def mixed(self) -> bool:
        """Return whether it has cards of several kinds, of which Ray gives out the one that comes first."""
        return len({(card.kind, card.gib) for card in self.cards}) > 1


@dataclass(frozen=True)
class Need:
    """What a work needs."""

    devices: int = 1
    """Cards at once, of one kind."""
    least: float = 0.0
    """Bytes of each without which it cannot run; 0 where that is not known."""
    wanted: float = 0.0
    """Bytes of each that it takes if it can have them."""

    def rank(self, card: Card) -> tuple[int, float] | None:
        """Return the place of a card among those that fit, the lowest first; None for one that does not."""
        if card.bytes < self.least:
            return None
        if card.bytes >= self.wanted:
            return 0, card.gib
        return 1, -card.gib


Held = tuple[str, Card]
"""The id of a host, and a card of it."""


@dataclass(frozen=True)
class Spot:
    """Cards that a work could have now."""

    held: tuple[Held, ...]
    """One for each device. Of cores, with the bytes to ask for."""
    hosts: tuple[str, ...]
    """Ids of all hosts with free cards as good as these."""
    rank: tuple[int, float]
    others: tuple[tuple[str, ...], ...] = ()
    """Hosts of cards that fit too, a kind after the other: if other users have taken those first ones."""


class Holder(Protocol):
    """What placing looks at of a crew."""

    base: str
    since: float

    @property
    def held(self) -> Sequence[Held]:
        """Return its cards: those expected, until it has said which it was given."""
        ...


Crew = TypeVar("Crew", bound=Holder)


@dataclass(frozen=True)
class Choice(Generic[Crew]):
    """Who takes a work: an idle crew, or a new one at a spot, once some idle ones are closed."""

    crew: Crew | None = None
    spot: Spot | None = None
    closing: tuple[Crew, ...] = ()


@dataclass
class _Room:
    """What is left of a host."""

    host: Host
    cards: list[Card] = field(default_factory=list)

    def take(self, card: Card) -> None:
        if not self.cards:
            return
        if self.host.shared:
            left = self.cards[0].bytes - card.bytes
            self.cards = [Card("", max(0.0, left))] * (len(self.cards) - 1)
        else:  # the same, else that of the nearest size
            self.cards.remove(min(self.cards, key=lambda own: (own.kind != card.kind, _apart(own.gib, card.gib))))


def _apart(first: float, second: float) -> float:
    return 0.0 if first == second else abs(first - second)


def free(hosts: Sequence[Host], held: Sequence[Held]) -> dict[str, _Room]:
    """Return {host: what is left of it}, when these cards are taken. Those of hosts that have left are passed over."""
    rooms = {host.id: _Room(host, list(host.cards)) for host in hosts}
    for where, card in held:
        if where in rooms:
            rooms[where].take(card)
    return rooms


def spot(need: Need, rooms: Mapping[str, _Room]) -> Spot | None:
    """Return the best cards for a work among those that are left; None where too few fit."""
    found = [*_on_cores(need, rooms), *_on_gpus(need, rooms)]
    found.sort(key=lambda one: one.rank)
    if not found:
        return None
    best, *others = found
    return Spot(best.held, best.hosts, best.rank, tuple(other.hosts for other in others))


def _on_gpus(need: Need, rooms: Mapping[str, _Room]) -> Iterator[Spot]:
    """Yield a spot for each kind of GPU of which enough are free and fit."""
    cards: list[tuple[tuple[int, float], str, float, Held]] = []
    for name, room in rooms.items():
        if room.host.shared:
            continue
        several = need.devices > 1 and room.host.mixed  # a group cannot say which of them it gets
        least = min((card.bytes for card in room.host.cards), default=0.0)
        for card in room.cards:
            rank = need.rank(Card(card.kind, least) if several else card)
            if rank is not None and not (several and card.bytes > least):
                cards.append((rank, card.kind, card.gib, (name, card)))
    cards.sort(key=lambda one: one[:3])
    for (rank, _, _), group in groupby(cards, key=lambda one: one[:3]):
        together = [held for *_, held in group]
        hosts = tuple(dict.fromkeys(where for where, _ in together))
        if len(together) >= need.devices:
            yield Spot(tuple(together[: need.devices]), hosts, rank)


def _on_cores(need: Need, rooms: Mapping[str, _Room]) -> Iterator[Spot]:
    """Yield the best sets of cores, if enough are free with the memory: as much as is wanted where that is left."""
    asks: list[tuple[int, float, str, float]] = []
    for name, room in rooms.items():
        if not room.host.shared or not room.cards:
            continue
        left, number = room.cards[0].bytes, len(room.cards)
        for _ in range(min(number, need.devices)):
            if left < need.least:
                break
            ask = need.wanted if left >= need.wanted else need.least
            asks.append((0, left, name, ask) if left >= need.wanted else (1, -left, name, ask))
            left -= ask
    asks.sort()
    if len(asks) >= need.devices:
        chosen = asks[: need.devices]
        ask = min(one[3] for one in chosen)
        hosts = dict.fromkeys(name for _, _, name, its in asks if its >= ask)
        yield Spot(tuple((name, Card("", ask)) for _, _, name, _ in chosen), tuple(hosts), (chosen[-1][0], 0.0))


def choose(
    need: Need, base: str, hosts: Sequence[Host], idle: Sequence[Crew], busy: Sequence[Crew], limit: int | None = None
) -> Choice[Crew] | None:
    """Return who takes a work now; None where nobody can until a busy crew ends.

    `limit`: devices that all crews together may have. Of the best cards, first those of an idle crew that has loaded
    the work's base; then cards that nobody has, so that loaded bases stay; then those of a crew with another base. Last
    a new crew in place of idle ones, those that have been idle longest.
    """

    def left(crews: Sequence[Crew]) -> Spot | None:
        taken = [held for crew in (*busy, *crews) for held in crew.held]
        if limit is not None and len(taken) + need.devices > limit:
            return None
        return spot(need, free(hosts, taken))

    found: list[tuple[tuple[int, float], int, float, int, Choice[Crew]]] = []
    for number, crew in enumerate(idle):
        if (rank := _rank(need, crew, hosts)) is not None:
            found.append((rank, 0 if crew.base == base else 2, crew.since, number, Choice(crew)))
    if (now := left(idle)) is not None:
        found.append((now.rank, 1, 0.0, -1, Choice(spot=now)))
    if found:
        return min(found, key=lambda one: one[:4])[-1]
    return _in_place_of(idle, left)


def as_good(need: Need, crew: Holder, other: Holder, hosts: Sequence[Host]) -> bool:
    """Return whether the cards of one crew are no worse a choice for a work than those of another."""
    mine, its = _rank(need, crew, hosts), _rank(need, other, hosts)
    return mine is not None and (its is None or mine <= its)


def _rank(need: Need, crew: Holder, hosts: Sequence[Host]) -> tuple[int, float] | None:
    """Return the place of a crew's cards among those that fit a work; None where they do not."""
    ranks = [need.rank(card) for _, card in crew.held]
    if len(ranks) != need.devices or None in ranks:
        return None
    rank = max(rank for rank in ranks if rank is not None)
    where = crew.held[0][0]
    return (rank[0], 0.0) if any(host.shared for host in hosts if host.id == where) else rank


def _in_place_of(idle: Sequence[Crew], left: Callable[[Sequence[Crew]], Spot | None]) -> Choice[Crew] | None:
    """Return a new crew in place of idle ones, of no more than it takes."""
    closing: list[Crew] = []
    kept = sorted(idle, key=lambda crew: crew.since)
    while kept and left(kept) is None:
        closing.append(kept.pop(0))
    for crew in list(reversed(closing)):  # the younger ones stay where the older ones are not in the way
        if left([*kept, crew]) is not None:
            closing.remove(crew)
            kept.append(crew)
    found = left(kept)
    return None if found is None else Choice(spot=found, closing=tuple(closing))


def possible(need: Need, hosts: Sequence[Host], limit: int | None = None) -> bool:
    """Return whether a work could run if nothing else did."""
    return (limit is None or need.devices <= limit) and spot(need, free(hosts, ())) is not None


def described(hosts: Sequence[Host], size: Callable[[float], str]) -> str:
    """Return what hosts have, in words: `2 x NVIDIA L4 (22 GiB) on a, b; 1 x ...`. `size`: a number of bytes."""
    kinds: dict[tuple[str, float], list[tuple[str, Card]]] = {}
    for host in hosts:
        for card in host.cards[: 1 if host.shared else None]:
            kinds.setdefault((host.name if host.shared else card.kind, card.gib), []).append((host.name, card))
    lines = []
    for together in kinds.values():
        card, names = together[0][1], ", ".join(dict.fromkeys(name for name, _ in together))
        if any(host.shared for host in hosts):
            lines.append(f"{size(card.bytes)} on {names}")
        else:
            memory = "of unknown memory" if card.bytes == inf else f"({size(card.bytes)})"
            lines.append(f"{len(together)} x {card.kind or 'GPU'} {memory} on {names}")
    return "; ".join(lines) or "none"
