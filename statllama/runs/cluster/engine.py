"""Ray under the loop of `fill`: slots on the devices of a cluster, each a process that takes one work after the other.

Slots are actors, not tasks: a process keeps its GPU and its loaded base. None is restarted by Ray: a lost one is told,
and the driver gives the work to another. Nothing imports this module before Ray is asked for.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from statllama.errors import Interrupted, TrainingError
from statllama.model.precision import compute_type
from statllama.runs.cluster.board import Board
from statllama.runs.cluster.connection import ClusterGone, Connection, connected
from statllama.runs.cluster.crew import LINGER, Crew, Terms, need_of, why
from statllama.runs.cluster.nodes import Facts, Question, answered, asking, by_host, facts, faults, require
from statllama.runs.cluster.placement import Choice, as_good, choose, possible
from statllama.runs.cluster.refusals import require_devices, require_place
from statllama.runs.cluster.slot import Perform, Place, UnexpectedError, shared_environment
from statllama.runs.cluster.survey import Gpus, Hosts, alive, survey
from statllama.runs.cluster.work import Began, Ended, Heard, Lost, Told, Where, Work
from statllama.train.memory import GIB

PULSE = 2.0  # seconds between two looks at whether the cluster is there
MISSED = 3  # looks in a row that it may miss
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
    works: Sequence[Work] = (),
) -> Iterator[RayCluster]:
    """Join a cluster, or start one of this machine's devices, and check every host of it; yield it.

    `files`: what works read beside the workspace. `threads`: of each worker. `workers`: at most so many; None: as many
    as there are devices. `devices`: the most that one work takes. `perform`: in place of `perform.perform`. `works`:
    those that are known. UsageError when there is no cluster, a host has other versions or does not see the files, or
    devices are too few, or too small for one of the works.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with asking(workspace, files) as question, connected(address, max(cores, threads)) as connection:
        own = replace(facts(), compute=compute_type("auto"))
        told = survey(question, own, note)
        require([(one.host, one.faults) for one in told])
        gpus = {one.node: one.gpus for one in told}
        cluster = RayCluster(connection, question, own, threads, workers, note, perform, gpus)
        cluster.require(devices, works)
        cluster.note_fewer()
        try:
            yield cluster
        finally:
            cluster.close()


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
        gpus: Mapping[str, Gpus],
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
        with_gpus = any(node["Resources"].get("GPU", 0) for node in alive())
        arguments = (question, threads, shared_environment(), self._board)
        self._terms = Terms("GPU" if with_gpus else "CPU", threads, arguments)
        self._hosts = Hosts(self._terms.device, threads, own.compute, gpus, note)
        self._waiting: list[Work] = []
        self._misplaced: Counter[str] = Counter()
        self._crews: list[Crew] = []
        self._news: list[Heard] = []
        self._seen = 0  # number of the next item of the board
        self._poll: Any = None
        self._looked, self._missed, self._crowd = 0.0, 0, set[str]()
        self._stops = 0

    def devices(self) -> int:
        """Return the number of slots that the cluster has place for now."""
        there = sum(len(host.cards) for host in self._hosts.all)
        return there if self._workers is None else min(there, self._workers)

    def require(self, devices: int, works: Sequence[Work] = ()) -> None:
        """Raise UsageError when a work on so many devices, or one of these, could never start."""
        if self.devices() < devices:
            require_devices(devices, self.devices(), self._workers, self._terms, str(self._connection))
        for work in works:
            require_place(work, self._hosts.all, self._workers, str(self._connection))

    def note_fewer(self) -> None:
        """Note that there are fewer devices than workers were asked for."""
        if self._workers is None or (there := self.devices()) >= self._workers:
            return
        each, number = ("GPU", 1) if self._terms.device == "GPU" else ("core", self._terms.threads)
        takes = f"each takes {number} {each}{'' if number == 1 else 's'}"
        more = "" if number == 1 else ": with OMP_NUM_THREADS=1 before the command there are more, which moves rounding"
        self._note(f"--workers {self._workers}: there is room for {there} at a time, since {takes}{more}")

    def room(self, work: Work) -> bool:
        """Return whether a work could start now. StatllamaError when hosts left, and what remains is too little."""
        idle = all(crew.work is None for crew in self._crews) and not self._hosts.asking
        if (there := self.devices()) < work.devices and idle:
            raise self._connection.gone(
                f"hosts have left, and {work} needs {work.devices} devices where {there} remain"
            )
        if self._waiting:  # works that were given a card of a mixed host that is too small for them
            return False
        if self._choice(work) is not None:
            return True
        if idle:
            require_place(work, self._hosts.all, self._workers, str(self._connection))
        return False

    def _choice(self, work: Work) -> Choice[Crew] | None:
        idle = [crew for crew in self._crews if crew.work is None]
        busy = [crew for crew in self._crews if crew.work is not None]
        return choose(need_of(work), work.base, self._hosts.all, idle, busy, self._workers)

    def submit(self, work: Work) -> None:
        """Start a work, on a slot that has its base, if one is free."""
        choice = self._choice(work)
        assert choice is not None, "there was room"
        for each in choice.closing:
            self._close(each)
        crew = choice.crew
        if crew is None:
            assert choice.spot is not None
            self._require_head()  # without one Ray would wait for it here, for a minute, and then end this process
            taken = {crew.number for crew in self._crews}
            number = min(set(range(len(taken) + 1)) - taken)
            crew = Crew.hired(choice.spot, number, self._terms, pinned=len(self._hosts.all) > 1)
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
        self._news += [Ended(work.id, Where("", ""), 0.0, _unsaved()) for work in self._waiting]
        self._waiting = []
        for crew in list(self._crews):
            if crew.work is not None and (crew.places is None or self._stops > 2):
                self._news.append(Ended(crew.work.id, crew.where, 0.0, _unsaved()))
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
            if crew.fits(crew.work):
                self._begin(crew)
            else:
                self._misplace(crew)
        else:
            self._end(crew)

    def _check(self, crew: Crew, places: list[Place]) -> None:
        """Check a new crew's processes as its hosts were: one may run in another environment, or the host be new."""
        ended = time.time()
        asked, own = crew.asked_at, self._own
        seen = [answered(self._question, place.facts) for place in places]
        told = [
            (place.facts.host, faults(own, place.facts, asked, ended, seen=known))
            for place, known in zip(places, seen, strict=True)
        ]
        require(by_host(told))
        crew.places = places

    def _misplace(self, crew: Crew) -> None:
        """Keep the work of a crew that was given too small a card for another one: of a host with several kinds of
        cards Ray gives out the first. A single one stays, so that the next is given another card.
        """
        assert crew.work is not None
        work, cards = crew.work, ", ".join(f"{card.kind} ({card.bytes / GIB:.1f} GiB)" for _, card in crew.held)
        self._misplaced[work.id] += 1
        if self._misplaced[work.id] > self.devices():
            text = f"{work} needs {work.least / GIB:.1f} GiB of a GPU at least, and {crew.where} is {cards}"
            remedy = "give each kind of card a host of its own in Ray: CUDA_VISIBLE_DEVICES before `ray start`"
            self._news.append(Ended(work.id, crew.where, 0.0, TrainingError(text, remedy=remedy)))
        else:
            self._waiting.append(work)
        if crew.size > 1:
            self._close(crew)
        else:
            crew.rest()

    def _place_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            if self._choice(work) is not None:
                self.submit(work)
            elif self._hosts.asking or any(crew.work is not None for crew in self._crews):
                self._waiting.append(work)
            else:
                self._news.append(Lost(work.id, Where("", ""), "the host with a card for it has left the cluster"))

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
        """Give an idle crew the work of one that has not started yet: on a larger card only where that waits for its
        device in vain, since others use the cluster.
        """
        late = time.monotonic() - CROWDED
        for other in self._crews:
            if other.work is None or other.places is not None or not crew.fits(other.work):
                continue
            if other.since < late or as_good(need_of(other.work), crew, other, self._hosts.all):
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
            raise self._connection.gone(f"the process that passes on messages: {why(exc)}") from exc
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
        return self._connection.gone()

    def _watch(self) -> None:
        """Look after what nobody tells: a head that died, a group that hangs, a full cluster, idle slots."""
        import ray

        now = time.monotonic()
        if now < self._looked + PULSE:
            return
        self._looked = now
        if self._connection.answers():
            self._missed = 0
            self._hosts.look()
        else:
            self._missed += 1
        if self._missed >= MISSED:
            raise self._gone()
        self._place_waiting()
        there = {host.id for host in self._hosts.all}
        for crew in list(self._crews):
            if crew.places is None and crew.work is not None and not crew.can_start(there):
                self._lose(crew, "its host has left the cluster, or cannot be reached")
            elif crew.work is None and now > crew.since + IDLE:
                self._close(crew)
            elif crew.work is not None and crew.places is None and now > crew.since + CROWDED:
                if crew.work.id not in self._crowd:
                    self._crowd.add(crew.work.id)
                    self._note(f"{crew.work} waits for a free device: others use the cluster")
                beyond = [host for host in self._hosts.all if crew.pinned and host.id not in crew.awaited]
                if possible(need_of(crew.work), beyond):  # a host has come, or others of ours have left a card there
                    self._waiting.append(crew.work)
                    self._close(crew)
            elif crew.over and now > crew.since + LINGER:
                for actor in crew.missing():
                    ray.kill(actor)  # rank 0, or another, has ended: what the rest wait for does not come
                self._end(crew)
                self._close(crew)


def _unsaved() -> Interrupted:
    return Interrupted("stopped before it was saved")
