"""The order of works: the one that most of the time to the end hangs on comes first.

List scheduling by the longest path (Graham, SIAM J. Appl. Math. 17(2), 1969): on m equal workers it takes at most
2 - 1/m times the shortest possible time, whatever the forecasts are worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from statllama.runs.cluster.work import Work

UNKNOWN = 60.0  # seconds of a work of which nothing is known


def urgency(works: Mapping[str, Work], needs: Mapping[str, Iterable[str]]) -> dict[str, float]:
    """Return {work: seconds from its start to the end of the longest chain that waits for it, itself included}.

    `needs`: {work: those that must be done before}. Works that `works` does not hold are done.
    """
    waiting: dict[str, list[str]] = {name: [] for name in works}
    for name in works:
        for before in needs.get(name, ()):
            if before in waiting:
                waiting[before].append(name)
    found: dict[str, float] = {}
    # Depth first without recursion: a chain of a study may be longer than Python's stack.
    stack = list(works)
    while stack:
        name = stack[-1]
        open_ = [after for after in waiting[name] if after not in found]
        if open_ and name not in found:
            stack += open_
            continue
        stack.pop()
        own = works[name].seconds
        found[name] = (UNKNOWN if own is None else own) + max((found[after] for after in waiting[name]), default=0.0)
    return found


def in_order(
    works: Mapping[str, Work], needs: Mapping[str, Iterable[str]], urgent: Mapping[str, float] | None = None
) -> list[Work]:
    """Return the works that wait for none of the others, the most urgent first; of equals the first of `works`.

    `urgent`: their `urgency`, where it is known: that of the others stays when one is done, since it waits for none.
    """
    known = urgency(works, needs) if urgent is None else urgent
    ready = [work for name, work in works.items() if not any(before in works for before in needs.get(name, ()))]
    return sorted(ready, key=lambda work: -known[work.id])


def ends(
    works: Mapping[str, Work],
    needs: Mapping[str, Iterable[str]],
    seconds: Mapping[str, float],
    begun: Mapping[str, float],
    devices: int,
) -> dict[str, float]:
    """Return {work: seconds from now until it ends}, when so many devices take the most urgent work first.

    `seconds` of works that are to be begun, 0 where they are missing; `begun`: seconds that are left of those begun.
    """
    urgent = urgency(works, needs)
    waits = {name: {before for before in needs.get(name, ()) if before in works} for name in works}
    after: dict[str, list[str]] = {}
    for name, before in waits.items():
        for one in before:
            after.setdefault(one, []).append(name)
    running = [(left, name) for name, left in begun.items() if name in works]
    heapify(running)
    ready = [(-urgent[name], name) for name, before in waits.items() if not before and name not in begun]
    heapify(ready)
    free = devices - sum(works[name].devices for _, name in running)
    found: dict[str, float] = {}
    now = 0.0
    while running or ready:
        while ready and (free >= works[ready[0][1]].devices or not running):
            name = heappop(ready)[1]
            free -= works[name].devices
            heappush(running, (now + seconds.get(name, 0.0), name))
        now, name = heappop(running)
        found[name] = now
        free += works[name].devices
        for one in after.get(name, ()):
            waits[one].discard(name)
            if not waits[one]:
                heappush(ready, (-urgent[one], one))
    return found
