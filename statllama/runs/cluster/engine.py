"""Ray under the loop of `fill`: slots on the devices of a cluster, each a process that takes one work after the other.

Slots are actors, not tasks: a process keeps its GPU and its loaded base. None is restarted by Ray: a lost one is told,
and the driver gives the work to another. Nothing imports this module before Ray is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from statllama.errors import Interrupted, UsageError
from statllama.model.precision import compute_type
from statllama.runs.cluster.board import Board
from statllama.runs.cluster.connection import ClusterGone, Connection, connected, gone
from statllama.runs.cluster.crew import LINGER, Crew, Terms, choose, why
from statllama.runs.cluster.nodes import Facts, Fault, Question, answered, asking, facts, faults, notes, require
from statllama.runs.cluster.slot import Perform, Place, UnexpectedError, shared_environment
from statllama.runs.cluster.work import Began, Ended, Heard, Lost, Told, Work

PULSE = 2.0  # seconds between two looks at whether the cluster is there
MISSED = 3  # looks in a row that it may miss
ANSWER = 120.0  # seconds that a host gets to say what it sees: a process starts there
LETTER = 10.0  # seconds in which what is there must come
CROWDED = 30.0  # seconds until a work that waits for a device is told
IDLE = 120.0  # seconds until an idle slot gives its device back


@contextmanager
def connect(
    address: str | None,
    workspace: Path,
    files: Sequence[Path],
    threads: int,
    workers: int | None,
    devices: int,
    note: Callable[[str], None],
    perform: Perform | None = None,
) -> Iterator[RayCluster]:
    """Join a cluster, or start one of this machine's devices, and check every host of it; yield it.

    `files`: what works read beside the workspace. `threads`: of each worker. `workers`: at most so many; None: as many
    as there are devices. `devices`: the most that one work takes. `perform`: in place of `perform.perform`. UsageError
    when there is no cluster, a host has other versions or does not see the files, or devices are too few.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with asking(workspace, files) as question, connected(address, max(cores, threads)) as connection:
        own = replace(facts(), compute=compute_type("auto"))
        require(survey(question, own, note))
        cluster = RayCluster(connection, question, own, threads, workers, note, perform)
        cluster.require(devices)
        cluster.note_fewer()
        try:
            yield cluster
        finally:
            cluster.close()


def survey(question: Question, own: Facts, note: Callable[[str], None]) -> list[tuple[str, list[Fault]]]:
    """Ask every host of the cluster what it sees; (host, what keeps it from working with the driver) of each."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    began, asked, found = time.time(), {}, list[tuple[str, list[Fault]]]()
    for node in _nodes():
        pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        look = ray.remote(facts).options(num_cpus=0, max_retries=0, scheduling_strategy=pinned)
        asked[look.remote(question)] = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    waiting, deadline = list(asked), time.monotonic() + ANSWER
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        found.append((asked[ready[0]], _answer(ready[0], question, own, began, note)))
    late = Fault(f"it did not answer within {ANSWER:.0f} s", "see whether that host is well: ray status")
    found += [(asked[each], [late]) for each in waiting]
    return found


def _answer(reference: Any, question: Question, own: Facts, began: float, note: Callable[[str], None]) -> list[Fault]:
    import ray

    ended = time.time()
    try:
        told = ray.get(reference)
    except Exception as exc:
        last = [line.strip() for line in str(exc).splitlines() if line.strip()][-1:]
        remedy = f"pip install 'statllama[ray]=={own.statllama}' there, for the Python that Ray runs with"
        return [Fault(f"it cannot load statllama as it is here: {last[0] if last else type(exc).__name__}", remedy)]
    for text in notes(own, told, began, ended):
        note(text)
    return faults(own, told, began, ended, seen=answered(question, told))


def _nodes() -> list[Mapping[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


class RayCluster:
    """Slots on a Ray cluster (`work.Cluster`)."""

    def __init__(
        self,
        connection: Connection,
        question: Question,
        own: Facts,
        threads: int,
        workers: int | None,
        note: Callable[[str], None],
        perform: Perform | None,
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._connection, self._question, self._own, self._note = connection, question, own, note
        self._workers, self._perform = workers, perform
        # Beside the driver: the board does not go with another host, and when the head goes, workers still hear that
        # they are to save.
        beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        make = ray.remote(Board).options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=beside)
        self._board = make.remote()
        self._hosts = _nodes()
        gpus = sum(node["Resources"].get("GPU", 0) for node in self._hosts)
        arguments = (question, threads, shared_environment(), self._board)
        self._terms = Terms("GPU" if gpus else "CPU", threads, arguments)
        self._crews: list[Crew] = []
        self._news: list[Heard] = []
        self._seen = 0  # number of the next item of the board
        self._poll: Any = None
        self._looked, self._missed, self._crowd = 0.0, 0, set[str]()
        self._stops = 0

    def devices(self) -> int:
        """Return the number of slots that the cluster has place for now."""
        need = self._terms.resources[self._terms.device]
        there = sum(int(node["Resources"].get(self._terms.device, 0) // need) for node in self._hosts)
        return there if self._workers is None else min(there, self._workers)

    def require(self, devices: int) -> None:
        """Raise UsageError when a work on so many devices could never start."""
        if (there := self.devices()) >= devices:
            return
        at = "this machine" if self._connection.here else f"the cluster at {self._connection.address}"
        if self._terms.device == "GPU":
            what, remedy = f"{devices} GPUs", "start Ray on more hosts with GPUs"
        else:
            threads = self._terms.threads
            what = f"{devices * threads} cores" + (f" ({threads} for each of {devices} devices)" if threads > 1 else "")
            remedy = "start Ray on more hosts" if threads == 1 else "compute with fewer threads, which moves rounding: "
            remedy += "" if threads == 1 else "OMP_NUM_THREADS=1 before the command"
        limit = "" if self._workers is None else f" (--workers {self._workers})"
        least = "; or lower `train.devices`" if devices > 1 else ""
        raise UsageError(f"a stage needs {what} at once, and {at} has {there}{limit}", remedy=remedy + least)

    def note_fewer(self) -> None:
        """Note that there are fewer devices than workers were asked for."""
        if self._workers is None or (there := self.devices()) >= self._workers:
            return
        each, number = ("GPU", 1) if self._terms.device == "GPU" else ("core", self._terms.threads)
        takes = f"each takes {number} {each}{'' if number == 1 else 's'}"
        more = "" if number == 1 else ": with OMP_NUM_THREADS=1 before the command there are more, which moves rounding"
        self._note(f"--workers {self._workers}: there is room for {there} at a time, since {takes}{more}")

    def room(self, work: Work) -> bool:
        """Return whether a work could start now. StatllamaError when hosts left, and too few devices remain."""
        there = self.devices()
        busy = sum(crew.size for crew in self._crews if crew.work is not None)
        if there < work.devices and not busy:
            raise gone(
                self._connection.address,
                f"hosts have left, and {work} needs {work.devices} devices where {there} remain",
            )
        return busy + work.devices <= there

    def submit(self, work: Work) -> None:
        """Start a work, on a slot that has its base, if one is free."""
        idle = [crew for crew in self._crews if crew.work is None]
        free = self.devices() - sum(crew.size for crew in self._crews)
        crew, closing = choose(idle, free, work)
        for each in closing:
            self._close(each)
        if crew is None:
            self._require_head()  # without one Ray would wait for it here, for a minute, and then end this process
            taken = {crew.number for crew in self._crews}
            crew = Crew.hired(work.devices, min(set(range(len(taken) + 1)) - taken), self._terms)
            self._crews.append(crew)
        crew.work, crew.base = work, work.base
        if crew.places is not None:
            self._begin(crew)

    def heard(self, timeout: float) -> list[Heard]:
        """Return what is new, in order; wait for it at most `timeout` seconds. ClusterGone when the cluster is."""
        import ray

        deadline = time.monotonic() + timeout
        while True:
            if self._poll is None:
                self._poll = self._board.since.remote(self._seen, 30.0)
            asked = {reference: crew for crew in self._crews for reference in crew.asked}
            left = min(PULSE, deadline - time.monotonic())
            ready, _ = ray.wait([*asked, self._poll], timeout=max(0.0, left))
            for reference in ready:
                if reference in asked:
                    self._take(asked[reference], reference)
                else:
                    self._fetch()
            self._watch()
            if self._news or time.monotonic() >= deadline:
                news, self._news = self._news, []
                return news

    def stop(self) -> None:
        """Ask every worker to save and to end its work, which then ends with Interrupted. A second call insists, and a
        third ends the processes.
        """
        self._stops += 1
        self._board.stop.remote()
        for crew in list(self._crews):
            if crew.work is not None and (crew.places is None or self._stops > 2):
                self._news.append(Ended(crew.work.id, crew.where, 0.0, Interrupted("stopped before it was saved")))
                self._close(crew)

    def close(self) -> None:
        """End all slots."""
        import ray

        for crew in list(self._crews):
            self._close(crew)
        with suppress(Exception):
            ray.kill(self._board)

    def _take(self, crew: Crew, reference: Any) -> None:
        """Act on what a slot answers, or on its death."""
        import ray
        from ray.exceptions import RayTaskError

        assert crew.work is not None
        if reference not in crew.asked:  # its crew was closed meanwhile
            return
        try:
            value = ray.get(reference, timeout=LETTER)
        except RayTaskError as exc:
            self._lose(crew, f"it fails with {type(exc.cause).__name__}: {exc.cause}")
            return
        except Exception as exc:
            self._lose(crew, why(exc))
            return
        if not crew.answer(reference, value):
            return
        if crew.places is None:
            self._check(crew, [crew.answers[rank] for rank in range(crew.size)])
            self._begin(crew)
        else:
            self._end(crew)

    def _check(self, crew: Crew, places: list[Place]) -> None:
        """Check a new crew's processes as its hosts were: one may run in another environment, or the host be new."""
        ended = time.time()
        asked, own = crew.asked_at, self._own
        seen = [answered(self._question, place.facts) for place in places]
        require(
            [
                (place.facts.host, faults(own, place.facts, asked, ended, seen=known))
                for place, known in zip(places, seen, strict=True)
            ]
        )
        crew.places = places

    def _begin(self, crew: Crew) -> None:
        assert crew.work is not None
        crew.start(self._perform)
        self._news.append(Began(crew.work.id, crew.where))

    def _end(self, crew: Crew) -> None:
        """Tell the end of a crew's work, after all that its worker told."""
        assert crew.work is not None
        self._fetch(waiting=False)
        seconds, error = crew.outcome()
        self._news.append(Ended(crew.work.id, crew.where, seconds, error))
        if isinstance(error, UnexpectedError):  # what it left in the process, nobody knows
            self._close(crew)
        else:
            crew.rest()
            self._relieve(crew)

    def _relieve(self, crew: Crew) -> None:
        """Give an idle crew the work of one that waits for a device in vain, since others use the cluster."""
        for other in self._crews:
            if other.work is not None and other.places is None and other.size == crew.size:
                crew.work, crew.base = other.work, other.base
                self._close(other)
                self._begin(crew)
                return

    def _lose(self, crew: Crew, reason: str) -> None:
        assert crew.work is not None
        self._fetch(waiting=False)
        self._news.append(Lost(crew.work.id, crew.where, reason))
        self._close(crew)

    def _close(self, crew: Crew) -> None:
        crew.close()
        self._crews.remove(crew)

    def _fetch(self, waiting: bool = True) -> None:
        """Take the board's news: those that it was asked for, or all that are there now."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        if not waiting:
            self._require_head()
        asked = self._poll if waiting else self._board.since.remote(self._seen, 0.0)
        try:
            next_, items = ray.get(asked, timeout=LETTER)
        except (RayError, GetTimeoutError) as exc:
            raise gone(self._connection.address, f"the process that passes on messages: {why(exc)}") from exc
        if waiting:
            self._poll = None
        first = next_ - len(items)
        crews = {crew.work.id: crew for crew in self._crews if crew.work is not None}
        for work, event, arguments in items[max(0, self._seen - first) :]:
            if work in crews:
                self._news.append(Told(work, crews[work].where, event, arguments))
        self._seen = max(self._seen, next_)

    def _require_head(self) -> None:
        if not self._connection.answers():
            raise self._gone()

    def _gone(self) -> ClusterGone:
        """Return the error; workers whose processes are there yet are asked to save what they have."""
        self._board.stop.remote()
        return gone(self._connection.address)

    def _watch(self) -> None:
        """Look after what nobody tells: a head that died, a group that hangs, a full cluster, idle slots."""
        import ray

        now = time.monotonic()
        if now < self._looked + PULSE:
            return
        self._looked = now
        if self._connection.answers():
            self._missed, self._hosts = 0, _nodes()
        else:
            self._missed += 1
        if self._missed >= MISSED:
            raise self._gone()
        for crew in list(self._crews):
            if crew.work is None and now > crew.since + IDLE:
                self._close(crew)
            elif crew.work is not None and crew.places is None and now > crew.since + CROWDED:
                if crew.work.id not in self._crowd:
                    self._crowd.add(crew.work.id)
                    self._note(f"{crew.work} waits for a free device: others use the cluster")
            elif crew.over and now > crew.since + LINGER:
                for actor in crew.missing():
                    ray.kill(actor)  # rank 0, or another, has ended: what the rest wait for does not come
                self._end(crew)
                self._close(crew)
