"""The order of works: the one that most of the time to the end hangs on comes first.

List scheduling by the longest path (Graham, SIAM J. Appl. Math. 17(2), 1969): on m equal workers it takes at most
2 - 1/m times the shortest possible time, whatever the forecasts are worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
