"""Makes the releases of a recipe (`release:`), for `runs/releasing.py`: the same bytes as those of `statllama export`.

A worker has no scores to show in a card. It writes and verifies the forms, which takes long, and keeps them in the
workspace; the driver adds the card and moves all to its place. Loads no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.config.release import ReleaseSpec
from statllama.errors import ExportError, StatllamaError, UsageError
from statllama.recipe import Recipe, recipe_error
from statllama.release.apart import prepare_apart
from statllama.release.artefact import Order
from statllama.release.certificate import Certificate
from statllama.release.formats import release_format
from statllama.release.of_what import of_what, stands, withheld
from statllama.release.prepared import orders_of, prepare
from statllama.release.release import Made as Verified
from statllama.release.release import Release, export, finish, require_complete
from statllama.release.source import Source, local_folder
from statllama.runs.loaded import Loaded
from statllama.runs.releasing import Ask, Made
from statllama.runs.subject import StackRef, Subject, subject_of
from statllama.store import Entry, Store

OF_ADAPTERS = {"adapter": 1, "gguf-lora": 2}
"""Formats that hold no base, and how often they hold the stack's adapters."""


@dataclass(frozen=True)
class ReleaseMaker:
    """See `releasing.Maker`."""

    def require(self, recipe: Recipe) -> None:
        """Raise RecipeError for words and types that there are not."""
        wrong: list[tuple[tuple[str | int, ...], str, str | None]] = []
        for i, spec in enumerate(recipe.release):
            try:
                for order in orders_of(spec):
                    release_format(order.format).require_type(order.type)
            except UsageError as error:
                message = error.message.removeprefix("formats: ")
                wrong.append((("release", i, "forms"), message, error.remedy))
        if wrong:
            raise recipe_error(recipe, wrong)

    def forms(self, spec: ReleaseSpec) -> tuple[str, ...]:
        """Return the forms in words."""
        return tuple(order.label or f"{order.format} ({order.type})" for order in orders_of(spec))

    def of_what(self, subject: Subject, stack: StackRef, spec: ReleaseSpec) -> Mapping[str, Any]:
        """Return what tells this release from others."""
        return of_what(subject, stack, orders_of(spec), spec.name)

    def stands(self, out: Path, what: Mapping[str, Any]) -> bool:
        """Return whether it lies there."""
        return stands(out, what)

    def withheld(self, out: Path) -> Sequence[str]:
        """Return what failed of one that lies there."""
        return withheld(out)

    def prepare(self, ask: Ask, loaded: Loaded) -> None:
        """Have the workspace hold the verified forms. Where Unsloth is loaded, another process makes them: it rewrites
        Transformers and PEFT, which verification asks.
        """
        if rewritten(loaded):
            loaded.unload()
            prepare_apart(ask.record, ask.spec, loaded)
        else:
            prepare(ask.record, ask.spec, loaded)

    def publish(self, ask: Ask, loaded: Loaded) -> Made:
        """Make the release."""
        store, reporter, entry = loaded.store, loaded.reporter, None
        subject, stack = ask.subject(store)
        if rewritten(loaded):
            self.prepare(ask, loaded)
        if store.find("releases", ask.key) is not None:
            with store.hold("releases", ask.key, on_wait=reporter.waiting(f"release of {stack.name}")):
                entry = store.sound("releases", ask.key, reporter.note)
        wanted, out = orders_of(ask.spec), ask.spec.folder
        if entry is None:
            release = export(subject, stack, loaded, out, wanted, ask.spec.name)
        else:
            release = finish(subject, stack, loaded, entry.path, out, _verified(entry), wanted, ask.spec.name)
        return Made(release.folder, _in_words(release), release.notes, _incomplete(release))

    def require_possible(self, ask: Ask, store: Store) -> None:
        """Raise what can be told before the stage is trained."""
        from statllama.release.licences import duties_of
        from statllama.release.names import release_name

        for order in orders_of(ask.spec):
            release_format(order.format).require_program()
        self.bytes(ask, 0.0, store)
        subject = subject_of(ask.record, store)
        if (source := _source(subject)) is not None:
            try:
                release_name(subject, str(ask.spec.stage), ask.spec.name, duties_of(source.base, subject.base.model))
            except UsageError as error:
                remedy = error.remedy and error.remedy.replace("--name ", "name: ")
                raise UsageError(error.message.replace("--name", "release: name", 1), remedy=remedy) from None

    def bytes(self, ask: Ask, adapters: float, store: Store) -> float | None:
        """Return about how large the release will be."""
        source = _source(subject_of(ask.record, store))
        return None if source is None else sum(_bytes(source, order, adapters) for order in orders_of(ask.spec))


def _source(subject: Subject) -> Source | None:
    """Return the base without a stack, if its original weights are on this machine."""
    base = local_folder(subject.base.model, subject.identity["model"].get("commit"))
    own = subject.base.tokenizer
    tokenizer = local_folder(own, subject.identity["tokenizer"].get("commit")) if own else base
    return None if base is None or tokenizer is None else Source("release", base, tokenizer, None, (), ())


def _bytes(source: Source, order: Order, adapters: float) -> float:
    """Return about the bytes of a form on the disk. `adapters`: of those that are not trained yet."""
    if order.format in OF_ADAPTERS:
        return OF_ADAPTERS[order.format] * adapters
    return release_format(order.format).needed_bytes(source, order)


def rewritten(loaded: Loaded) -> bool:
    """Return whether Unsloth has rewritten the libraries of this process, or will."""
    return "unsloth" in sys.modules or loaded.backend == "unsloth"


def _verified(entry: Entry) -> Verified:
    return Verified(Certificate.from_json(entry.manifest["certificate"]), tuple(entry.manifest["notes"]))


def _in_words(release: Release) -> str:
    """Return what a release holds, and how much of it was checked."""
    parts = []
    for one in release.certificate.artefacts:
        required = [check.passed for check in one.checks if check.required]
        parts.append(f"{one.name} ({one.type}, {sum(required)} of {len(required)} checks)")
    return ", ".join(parts)


def _incomplete(release: Release) -> StatllamaError | None:
    try:
        require_complete(release)
    except ExportError as error:
        return error
    return None
