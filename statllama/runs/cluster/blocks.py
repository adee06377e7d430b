"""Blocks of a `data build` on Ray Data: a step's blocks beside each other, on one machine or many.

Every block is a row of a streaming dataset, made by the same call as without Ray, and sealed in the workspace, which
all hosts see; a row that comes back has its counts alone. So a step's result has the same bytes wherever its blocks
were made, and a cluster that goes away loses the blocks under way. Nothing imports this module before Ray is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from statllama.data.build.blocks import Tally
from statllama.data.build.chain import Task
from statllama.errors import DataError, StatllamaError
from statllama.runs.cluster.connection import connected

WAVE = 512
"""Blocks of one dataset: its tasks are listed before the first is made, so memory holds so many at a time."""


class RayBlocks:
    """Makes blocks on Ray Data (`chain.Executor`)."""

    def __init__(self, workers: int | None = None) -> None:
        """Take the most blocks that are made at once; None: as many as there are cores."""
        self.workers = workers

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Yield each task's counts, in order. A step that waits for a server is made here."""
        for first in tasks:
            if first.step.threads:
                yield first()
                continue
            yield from self._wave([first, *islice(tasks, WAVE - 1)])

    def _wave(self, tasks: list[Task]) -> Iterator[Tally]:
        import ray

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        given = [ray.put(task) for task in tasks]
        numbers = ray.data.range(len(tasks), override_num_blocks=len(tasks))
        made = numbers.map(_made, fn_args=[given], concurrency=self.workers, num_cpus=1)
        for row in made.iter_rows():
            if isinstance(row["made"], BaseException):
                raise row["made"]
            yield row["made"]


def _made(row: dict[str, Any], given: list[Any]) -> dict[str, Any]:
    """Make one block on a worker. An error of ours is a value: Ray would wrap it, and try again."""
    import ray

    task: Task = ray.get(given[row["id"]])
    try:
        return {"made": task()}
    except StatllamaError as error:
        return {"made": error}


@contextmanager
def ray_blocks(address: str | None, workers: int | None, cores: int) -> Iterator[RayBlocks]:
    """Join a cluster, or start one of this machine's cores, for the time of a build. UsageError as `connected`."""
    with connected(address, max(cores, workers or 1)):
        import ray

        try:
            yield RayBlocks(workers)
        except ray.exceptions.RayError as error:
            raise DataError(
                f"Ray lost the blocks under way: {str(error).splitlines()[0]}",
                remedy="the same command goes on there",
            ) from None
