"""The chain: which steps there are, what each one's key is, and how one is run block by block."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from statllama.data.build.blocks import Tally, block_folder, fresh_block, gather, sealed, write_block
from statllama.data.build.records import Json, Outcome
from statllama.errors import DataError
from statllama.store import Entry, Holder, Store
from statllama.store.canonical import digest
from statllama.store.versions import __version__

BUILD_NUMERICS = 1
"""Raised when the engine would make other blocks of the same steps; a step has its own number in its `material`."""
AHEAD = 2  # blocks handed out for each process: one that it works on, one that waits


class Step(Protocol):
    """One step of a build. Pickled for other processes, so it holds settings alone and opens libraries in `apply`."""

    name: str
    """Unique in a build: `extract`, `write:qa`."""
    block: int
    """Records of a block: few where one takes long, many where it is fast. The same records give the same blocks."""
    threads: bool
    """Whether a block's records are waited for rather than computed, as with a server: such a step is not given to
    other processes."""

    def material(self) -> Mapping[str, Any]:
        """Return all that decides the result but the inputs, as plain JSON: the settings that are keyed, the step's
        own `numerics`, hashes of files that it reads, versions of libraries where another one would give other text.
        """

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        """Return what each block must know of all records, as plain JSON or None. Called again when a killed step goes
        on, and must say the same.
        """

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterable[Outcome]:
        """Yield what becomes of the records of a block, in their order. A file that goes on with a record is written
        into `files`, under a name that no other block gives, and the record says `files/NAME`.
        """


class Collector(Step, Protocol):
    """A step that has no step before it."""

    def listed(self, plan: Any) -> Iterator[Json]:
        """Yield what there is to collect, such as pages of answers or files in their order."""


@dataclass(frozen=True)
class Watcher:
    """How a build is watched. Each is called often."""

    progress: Callable[[str, Tally, int | None], None] = lambda step, tally, total: None
    """Takes the step, what is done of it, and its records in all where they are known."""
    finished: Callable[[str, Tally], None] = lambda step, tally: None
    """Takes a step that has its result, made now or before."""
    waiting: Callable[[str], Callable[[Holder], None]] = lambda step: lambda holder: None
    note: Callable[[str], None] = lambda text: None
    stop: Callable[[], None] = lambda: None
    """Raises Interrupted when the user asks to stop; called between blocks."""


class Executor(Protocol):
    """Runs the blocks of a step, here or elsewhere."""

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Yield each task's counts in order, with few tasks ahead."""


@dataclass(frozen=True)
class Task:
    """One block to make. Called in the process that makes it."""

    step: Step
    records: Sequence[Json]
    plan: Any
    folder: Path

    def __call__(self) -> Tally:
        """Make the block and seal it."""
        fresh_block(self.folder)
        started = time.monotonic()
        tally = write_block(
            self.folder, len(self.records), self.step.apply(self.records, self.plan, self.folder / "files")
        )
        return Tally(tally.records, tally.kept, tally.left_out, time.monotonic() - started)


class Here:
    """Runs blocks in this process, or in `jobs` processes beside it. A context manager."""

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs
        self._pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else None

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Yield each task's counts, in order."""
        waiting: deque[Future[Tally]] = deque()
        for task in tasks:
            if self._pool is None or task.step.threads:
                yield task()
                continue
            waiting.append(self._pool.submit(task))
            while len(waiting) >= AHEAD * self.jobs:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, future: Future[Tally]) -> Tally:
        try:
            return future.result()
        except BrokenProcessPool:
            raise DataError(
                "a process that worked on a block was killed, perhaps for want of memory",
                remedy=f"the same command goes on there; use fewer processes: --jobs {max(1, self.jobs // 2)}",
            ) from None


def key_of(step: Step, inputs: Sequence[str]) -> str:
    """Return the key of a step's result, 64 hex digits: of what the step is and of the keys of its inputs."""
    return digest({"build": BUILD_NUMERICS, "step": dict(step.material()), "inputs": list(inputs)})


def run_step(
    step: Step,
    key: str,
    inputs: Callable[[], Iterator[Json]],
    store: Store,
    executor: Executor,
    watcher: Watcher,
    *,
    total: int | None = None,
    wait: bool = True,
) -> Entry:
    """Return the step's result, made where it is missing or damaged; a killed one goes on where it was.

    `inputs`: the records of the steps before, as often as asked; `total`: how many, where known.
    """
    entry = store.find("steps", key)
    if entry is not None and store.flaw(entry, contents=False) is None:
        return entry
    about = {"kind": "step", "name": step.name}
    with store.hold("steps", key, on_wait=watcher.waiting(step.name), wait=wait):
        found = store.sound("steps", key, lambda wrong: watcher.note(f"{step.name}: its {wrong}, so it is made again"))
        if found is not None:
            return found
        working = store.partial("steps", key, about)
        done, blocks = Tally(), list[Path]()
        for folder, tally in _blocks(step, working, inputs, executor):
            done += tally
            blocks.append(folder)
            watcher.progress(step.name, done, total)
            watcher.stop()
        gather(blocks, store.fresh_out("steps", key))
        return store.publish("steps", key, {**about, **done.as_json(), "statllama": __version__})


def _blocks(
    step: Step, working: Path, inputs: Callable[[], Iterator[Json]], executor: Executor
) -> Iterator[tuple[Path, Tally]]:
    """Yield each block's folder and counts, in order: those that lie there already, then those that are made."""
    plan = step.plan(inputs)
    records = step.listed(plan) if hasattr(step, "listed") else inputs()
    number = 0
    pending: list[Path] = []

    def tasks() -> Iterator[Task]:
        nonlocal number
        while part := list(islice(records, step.block)):
            folder = block_folder(working, number)
            number += 1
            pending.append(folder)
            yield Task(step, part, plan, folder)

    # Blocks are made in order, so those that a killed run sealed come first.
    while (tally := sealed(block_folder(working, number))) is not None:
        if not list(islice(records, step.block)):
            break
        yield block_folder(working, number), tally
        number += 1
    for tally in executor.run(tasks()):
        yield pending.pop(0), tally
