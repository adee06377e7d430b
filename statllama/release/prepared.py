"""What takes long of a recipe's release, kept in the workspace until its card can be written. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statllama.config.release import ReleaseSpec
from statllama.release.api import option_values
from statllama.release.artefact import Order
from statllama.release.formats import orders
from statllama.release.of_what import of_what
from statllama.release.release import make
from statllama.runs.loaded import Loaded
from statllama.runs.releasing import stack_of
from statllama.store.canonical import digest
from statllama.store.working_folder import discard


def orders_of(spec: ReleaseSpec) -> tuple[Order, ...]:
    """Return the forms that a release of a recipe has. UsageError for words that mean nothing."""
    return orders(**option_values(list(spec.forms)))


def prepare(record: Mapping[str, Any], spec: ReleaseSpec, loaded: Loaded) -> None:
    """Write and verify the forms of a release into the workspace, if it does not hold them. `record`: of the run."""
    subject, stack = stack_of(record, spec, loaded.store)
    what = of_what(subject, stack, orders_of(spec), spec.name)
    key = digest(what)
    store, name = loaded.store, f"{subject.name}:{stack.name}"
    about = {"kind": "release", "name": name, "protocol": {"stack": stack.identity, "base": dict(subject.identity)}}
    with store.hold("releases", key, on_wait=loaded.reporter.waiting(f"release of {stack.name}")):
        if store.sound("releases", key, loaded.reporter.note) is not None:
            return
        work = store.partial("releases", key, about)
        try:
            made = make(subject, stack, loaded, store.fresh_out("releases", key), orders_of(spec), spec.name)
        except BaseException:
            discard(work)  # nothing goes on from it, and it may be large
            raise
        manifest = {**about, "of": what, "certificate": made.certificate.to_json(), "notes": list(made.notes)}
        store.publish("releases", key, manifest)
