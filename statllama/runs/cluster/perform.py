"""What a worker does with a work: the part of a run that it is, by the same code. Knows nothing of Ray."""

from __future__ import annotations

from pathlib import Path

from statllama.model.identity import require_identity
from statllama.runs.cluster.work import Work
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.train.ranks import ALONE, Ranks


class Desk:
    """Things that a worker keeps from one work to the next: the loaded base, adapters on it."""

    def __init__(self, workspace: Path) -> None:
        self.store = Store(workspace)
        self._loaded: Loaded | None = None

    def loaded(self, work: Work, reporter: Reporter) -> Loaded:
        """Return the work's base, loaded at its first use and kept while works need no other one."""
        recipe, before = work.recipe, self._loaded
        if (
            before is None
            or (before.spec, before.identity) != (recipe.base, work.identity)
            or before.max_length < recipe.longest_row
        ):
            self._loaded = None  # two bases at once may not fit
            self._loaded = Loaded(recipe.base, work.identity, self.store, reporter, recipe.longest_row)
        assert self._loaded is not None
        self._loaded.reporter = reporter
        return self._loaded


def perform(work: Work, desk: Desk, reporter: Reporter, stop: StopSignal, ranks: Ranks = ALONE) -> None:
    """Publish what the work is to publish; what the workspace has already is left as it is. Raises a StatllamaError."""
    require_identity(work.recipe.base, work.identity, desk.store.memory)
    loaded = desk.loaded(work, reporter)
    if work.release is not None:
        work.release.prepare(loaded)
        return
    identity, wait = work.identity, work.wait
    session = Session(work.recipe, desk.store, reporter, stop, wait=wait, base=identity, loaded=loaded, ranks=ranks)
    if work.kind == "train":
        assert work.stage is not None
        session.needs = {} if work.forecast is None else {work.name: work.forecast}
        session.train(work.stage)
        return
    assert work.stack is not None
    if work.kind == "score":
        session.scorer.publish(work.stack, (work.task,))
        if (score := session.scorer.known(work.stack).get(work.task)) is not None:
            reporter.scored(work.stack.name, score)
        return
    if work.stack.keys:
        session.scorer.drift(work.stack)
    if work.recipe.evaluate.prompts:
        session.scorer.answers(work.stack)
