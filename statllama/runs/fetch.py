"""Fetches everything that a recipe reads from the hub, so that it then runs without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from statllama.errors import ModelError
from statllama.evaluation.suite import Suite
from statllama.model.identity import MODEL_FILES, TOKENIZER_FILES, base_identity
from statllama.recipe import Recipe
from statllama.runs.house.history import keep, same_settings
from statllama.runs.plan import plan, record_of
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.store.files import translate_os_errors
from statllama.store.leases import working


def fetch(recipe: Recipe, store: Store, reporter: Reporter) -> None:
    """Fetch the base, its tokenizer and the benchmarks into the hub's local cache, and prepare the data in the
    workspace.

    What is there already is not fetched again. ModelError, DataError or EvaluationError for what cannot be had.
    """
    identity = base_identity(recipe.base, store.memory)
    _download(identity["model"], (*MODEL_FILES, *TOKENIZER_FILES))
    if identity["tokenizer"] != identity["model"]:
        _download(identity["tokenizer"], TOKENIZER_FILES)
    session = Session(recipe, store, reporter, StopSignal(), base=identity)
    with working(store):
        session.holdouts()
        for spec in recipe.trained:
            reporter.data_ready(spec, session.prepare(spec).report, [])
        _record(recipe, store, session)
    suite = Suite(recipe.tasks(), recipe.evaluate)
    for name in suite.tasks:
        with reporter.busy(f"benchmark {name}"):
            suite.load(name)


def _record(recipe: Recipe, store: Store, session: Session) -> None:
    """Record the run that is to come, so that `gc` leaves its data. One under other settings stays as it is."""
    record = record_of(recipe, plan(recipe, store), session.scorer.held, session.cache)
    before = store.last_run(recipe.name)
    if not before["order"] or same_settings(before, record):
        keep(store, record)


def hub_cache() -> str:
    """Return the folder that the hub's libraries keep what they fetched in (HF_HOME)."""
    from huggingface_hub import constants

    return str(constants.HF_HOME)


def _download(part: dict[str, Any], files: tuple[str, ...]) -> None:
    """Download the files of a repository at a commit; a folder has them already. Shows its own progress."""
    if "repo" not in part:
        return
    from huggingface_hub import constants, snapshot_download

    try:
        with translate_os_errors(Path(constants.HF_HUB_CACHE)):
            snapshot_download(
                part["repo"], revision=part["commit"], allow_patterns=list(files), ignore_patterns=["*/*"]
            )
    except (OSError, ValueError) as error:  # the hub's own errors are of these two kinds
        raise ModelError(
            f"{part['repo']} (commit {part['commit']}) cannot be fetched: {error}",
            remedy="check the connection; for a gated model log in with `hf auth login`",
        ) from error
