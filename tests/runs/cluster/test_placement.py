"""Which cards a work gets, over tables of clusters: against what can be counted by hand. No Ray, no GPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.errors import UsageError
from statllama.runs.cluster.crew import Terms
from statllama.runs.cluster.placement import Card, Held, Host, Need, choose, free, possible, spot
from statllama.runs.cluster.refusals import require_devices, require_place
from statllama.runs.cluster.survey import cards_of, computes
from statllama.train.memory import GIB
from tests.runs.cluster.acts import Act

SIZES = {"RTX 3060": 12, "L4": 22, "RTX 4090": 24, "A100": 79, "H100": 80}
CARDS = {name: Card(name, size * GIB) for name, size in SIZES.items()}


@dataclass(eq=False)
class Some:
    """A crew."""

    held: tuple[Held, ...]
    base: str = "a"
    since: float = 0.0


def gpus(**hosts: str) -> list[Host]:
    """Hosts by their cards: `a="L4 L4"`; an underscore stands for a blank."""
    return [
        Host(name, name, tuple(CARDS[card.replace("_", " ")] for card in cards.split()))
        for name, cards in hosts.items()
    ]


def cores(**memory: float) -> list[Host]:
    """Hosts with two sets of cores and so many GiB each."""
    return [Host(name, name, (Card("", size * GIB),) * 2, shared=True) for name, size in memory.items()]


def need(least: float = 0.0, wanted: float = 0.0, devices: int = 1) -> Need:
    return Need(devices, least * GIB, max(least, wanted) * GIB)


@pytest.mark.parametrize(
    ("least", "wanted", "card"),
    [
        (5, 10, "RTX 3060"),  # the smallest that has what it wants
        (5, 20, "L4"),
        (5, 30, "A100"),
        (5, 100, "H100"),  # none has that: the largest
        (79.5, 100, "H100"),
        (81, 81, None),
    ],
)
def test_the_smallest_card_that_has_what_a_work_wants(least: float, wanted: float, card: str | None) -> None:
    rooms = free(gpus(a="H100 A100", b="L4 L4", c="RTX_3060"), [])
    found = spot(need(least, wanted), rooms)
    assert (found and found.held[0][1].kind) == card


def test_all_hosts_of_the_kind_are_told_and_the_next_kinds_after_them() -> None:
    found = spot(need(20, 20), free(gpus(a="L4", b="H100", c="L4 L4", d="RTX_3060"), [("c", CARDS["L4"])] * 2))
    assert found is not None and (found.hosts, found.others) == (("a",), (("b",),))
    found = spot(need(20, 20), free(gpus(a="L4", b="H100", c="L4 L4", d="RTX_3060"), []))
    assert found is not None and (found.hosts, found.others) == (("a", "c"), (("b",),))


def test_several_devices_are_of_one_kind() -> None:
    hosts = gpus(a="L4", b="RTX_4090", c="L4", d="H100 RTX_4090")
    found = spot(need(20, devices=2), free(hosts, []))
    assert found is not None and {card.kind for _, card in found.held} == {"L4"} and found.hosts == ("a", "c")
    assert possible(need(23, devices=2), hosts)
    assert not possible(need(23, devices=3), hosts), "of a host with several kinds, only the smallest count"
    assert not possible(need(60, devices=2), gpus(a="H100 A100")), "there Ray would choose"
    assert not possible(need(20, devices=2), hosts, limit=1)


def test_a_crew_is_used_again_only_where_its_card_fits() -> None:
    hosts = gpus(a="RTX_3060", b="H100")
    small, large = Some((("a", CARDS["RTX 3060"]),)), Some((("b", CARDS["H100"]),), base="b")
    chosen = choose(need(30), "a", hosts, [small, large], [])
    assert chosen is not None and chosen.crew is large, "though the other has loaded its base"
    assert choose(need(30), "a", hosts, [small], [large]) is None
    chosen = choose(need(5), "a", hosts, [small, large], [])
    assert chosen is not None and chosen.crew is small


def test_of_equal_cards_first_a_loaded_base_then_a_free_card_then_another_base() -> None:
    hosts = gpus(a="L4 L4 L4")
    mine, other = Some((("a", CARDS["L4"]),)), Some((("a", CARDS["L4"]),), base="b")
    for idle, crew in (([other, mine], mine), ([other], None)):
        chosen = choose(need(5), "a", hosts, idle, [])
        assert chosen is not None and chosen.crew is crew and not chosen.closing
    chosen = choose(need(5), "a", hosts, [other], [], limit=1)
    assert chosen is not None and chosen.crew is other


def test_only_what_is_in_the_way_is_closed() -> None:
    hosts = gpus(a="RTX_3060", b="L4 L4")
    old, first, second = (
        Some((("a", CARDS["RTX 3060"]),), since=0),
        Some((("b", CARDS["L4"]),), since=1),
        Some((("b", CARDS["L4"]),), since=2),
    )
    chosen = choose(need(20, devices=2), "a", hosts, [second, old, first], [])
    assert chosen is not None and set(chosen.closing) == {first, second}


def test_sets_of_cores_share_their_hosts_memory() -> None:
    hosts = cores(a=4, b=16)
    first = spot(need(3, 6), free(hosts, []))
    assert first is not None and first.held == (("b", Card("", 6 * GIB)),), "a has less than it wants"
    held = [("b", Card("", 14 * GIB))]
    found = spot(need(3, 6), free(hosts, held))
    assert found is not None and found.held == (("a", Card("", 3 * GIB)),), "then it asks for the least"
    assert spot(need(5, 6), free(hosts, held)) is None
    pair = spot(need(3, 6, devices=2), free(hosts, []))
    assert pair is not None and [card.bytes / GIB for _, card in pair.held] == [6, 6]
    assert spot(need(), free(cores(a=inf), [])) is not None


HOSTS = st.lists(st.lists(st.sampled_from(list(CARDS.values())), max_size=4), min_size=1, max_size=4).map(
    lambda hosts: [Host(f"h{i}", f"h{i}", tuple(cards)) for i, cards in enumerate(hosts)]
)
NEEDS = st.builds(need, st.sampled_from([0, 5, 12, 20, 23, 60, 79.5]), st.sampled_from([0, 10, 24, 90]))


@st.composite
def clusters(draw: Any) -> tuple[list[Host], list[Some], list[Some]]:
    """Hosts with crews on some of their cards: idle ones and busy ones."""
    hosts, crews = draw(HOSTS), list[Some]()
    for host in hosts:
        for card in host.cards:
            if draw(st.booleans()):
                crews.append(Some(((host.id, card),), draw(st.sampled_from("ab")), draw(st.integers(0, 9))))
    split = draw(st.integers(0, len(crews)))
    return hosts, crews[:split], crews[split:]


@given(clusters(), NEEDS, st.none() | st.integers(1, 8))
def test_never_too_small_a_card_and_none_refused_while_one_fits(
    cluster: tuple[list[Host], list[Some], list[Some]], asked: Need, limit: int | None
) -> None:
    hosts, idle, busy = cluster
    there = Counter((host.id, card) for host in hosts for card in host.cards)
    unused = there - Counter(held for crew in busy for held in crew.held)
    fitting = [held for held in unused if held[1].bytes >= asked.least]
    chosen = choose(asked, "a", hosts, idle, busy, limit)
    if limit is not None and len(idle) + len(busy) > limit:
        return  # never so many
    if not fitting or (limit is not None and len(busy) >= limit):
        assert chosen is None
        return
    assert chosen is not None
    (got,) = chosen.crew.held if chosen.crew is not None else chosen.spot.held if chosen.spot else ()
    assert got in fitting
    if chosen.spot is not None:
        kept = Counter(held for crew in idle if crew not in chosen.closing for held in crew.held)
        assert (unused - kept)[got], "nobody has it"
        for name in (*chosen.spot.hosts, *(name for some in chosen.spot.others for name in some)):
            assert any(where == name for where, _ in fitting), "Ray is given no host without a card that fits"
        assert not chosen.closing or len(chosen.closing) == 1
    if not chosen.closing and (enough := [card.bytes for _, card in fitting if card.bytes >= asked.wanted]):
        open_ = [held for crew in idle for held in crew.held]
        open_ += (unused - Counter(open_)).elements() if limit is None else []
        best = min((c.bytes for _, c in open_ if c.bytes >= asked.wanted), default=None)
        assert best is None or got[1].bytes == best or limit is not None, (enough, got)


@given(HOSTS, st.lists(st.tuples(NEEDS, st.integers(1, 3), st.sampled_from("ab")), max_size=8), st.randoms())
def test_every_work_that_could_run_does(hosts: list[Host], asked: list[Any], chance: Any) -> None:
    """As the driver's loop does it: in order, whatever there is room for; works end at random."""
    waiting = [(Need(number, one.least, one.wanted), base) for one, number, base in asked]
    waiting = [one for one in waiting if possible(one[0], hosts)]
    idle, busy = list[Some](), list[Some]()
    for now in range(1000):
        for one in list(waiting):
            if (chosen := choose(*one, hosts, idle, busy)) is None:
                continue
            waiting.remove(one)
            idle = [crew for crew in idle if crew not in chosen.closing and crew is not chosen.crew]
            crew = chosen.crew or Some(chosen.spot.held if chosen.spot else (), since=now)
            crew.base = one[1]
            busy.append(crew)
            held = Counter(card for each in (*idle, *busy) for card in each.held)
            assert not held - Counter((host.id, card) for host in hosts for card in host.cards)
            assert all(card.bytes >= one[0].least for _, card in crew.held)
            assert len({card.kind for _, card in crew.held}) == 1
        if not busy:
            break
        idle.append(busy.pop(chance.randrange(len(busy))))
    assert not waiting


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 32)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 16), st.integers(1, 2)), max_size=8),
)
def test_no_host_is_asked_for_more_memory_than_it_has(
    sizes: list[tuple[int, int]], asked: list[tuple[int, int, int]]
) -> None:
    hosts = [
        Host(f"h{i}", "", (Card("", memory * GIB),) * number, shared=True) for i, (number, memory) in enumerate(sizes)
    ]
    held = list[Held]()
    for one in asked:
        wanted = need(*one)
        found = spot(wanted, free(hosts, held))
        if found is not None:
            assert all(card.bytes >= wanted.least for _, card in found.held)
            held += found.held
        for host, (number, memory) in zip(hosts, sizes, strict=True):
            mine = [card.bytes for where, card in held if where == host.id]
            assert len(mine) <= number and sum(mine) <= memory * GIB
            if found is None and wanted.devices == 1:
                assert len(mine) == number or memory * GIB - sum(mine) < wanted.least


def test_a_stage_that_fits_nowhere_is_refused_with_what_there_is() -> None:
    hosts = gpus(a="L4 L4", b="RTX_3060")
    require_place(Act("dpo", least=20 * GIB), hosts, None, "the cluster at h:1")  # type: ignore[arg-type]
    with pytest.raises(UsageError) as told:
        require_place(Act("dpo", least=30 * GIB), hosts, None, "the cluster at h:1")  # type: ignore[arg-type]
    assert str(told.value).splitlines()[0] == (
        "act dpo needs 30.0 GiB of a GPU at least, by the forecast, and the cluster at h:1 has 2 x L4 (22.0 GiB) on a; "
        "1 x RTX 3060 (12.0 GiB) on b"
    )
    assert "--on 22GB" in str(told.value) and "stages.dpo.train.gradient_checkpointing=true" in str(told.value)
    with pytest.raises(UsageError, match=r"20\.0 GiB of each GPU at least on 3 GPUs of one kind") as told:
        require_place(Act("dpo", devices=3, least=20 * GIB), hosts, None, "here")  # type: ignore[arg-type]
    assert "lower `train.devices`" in str(told.value)
    with pytest.raises(UsageError, match=r"needs 30\.0 GiB of memory at least.*has 8\.0 GiB on a; 16\.0 GiB on b"):
        require_place(Act("dpo", least=30 * GIB), cores(a=8, b=16), None, "here")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs 4 GPUs at once, and here has 3"):
        require_devices(4, 3, None, Terms("GPU", 1, ()), "here")


def test_cards_of_a_host() -> None:
    """Of more GPUs than Ray gives out, the smallest are taken for these; of those that nobody names, nothing."""
    named = (("L4", 22 * GIB), ("RTX 3060", 12 * GIB))
    assert cards_of(named, 1) == (CARDS["RTX 3060"],)
    assert cards_of(named, 3) == (CARDS["RTX 3060"], CARDS["L4"], Card())
    assert possible(need(500), [Host("a", "a", (Card(),))]), "nobody knows"
    assert not computes(Card("Tesla T4", 15 * GIB), "bfloat16") and computes(Card("Tesla T4", 15 * GIB), "float16")
    assert computes(Card("NVIDIA L4", 22 * GIB), "bfloat16") and computes(Card("a new card", 0), "bfloat16")
