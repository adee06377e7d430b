"""Verification: every form of a release must behave like the stack that was trained.

The reference is the stack on the base's original weights in float32: merged weights and GGUF are made of those weights,
while training saw them in 4 bits. How far apart the two are is measured too, as information. Models are opened one at a
time; of the reference its answers are kept (`verify_checks.py`). Weights are compared one by one (`verify_weights.py`),
since what a prompt shows of a small stage may be less than what a small type rounds. For bounds see `bounds.py`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from statllama.errors import ExportError, Interrupted, StoreError
from statllama.evaluation.probe import LONGEST
from statllama.release.artefact import Artefact
from statllama.release.certificate import Certificate, Check, Verified
from statllama.release.exam import ROOM, Exam
from statllama.release.formats import release_format
from statllama.release.forms import InTransformers
from statllama.release.modelfile import stop_ids
from statllama.release.prompts import fingerprint, rows, strings
from statllama.release.source import Source
from statllama.release.verify_checks import Reference, distance, finite, observe
from statllama.store.versions import __version__, installed_version

Opened = Callable[[], AbstractContextManager[tuple[Any, Any]]]
"""Called, it gives a context that yields (the model with the stack on it, its tokenizer)."""


LARGE = 100_000_000  # parameters of a model that is not left to the garbage collector's own time
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "gguf", "xllamacpp")


def verify(
    source: Source,
    artefacts: Sequence[Artefact],
    reference: Opened,
    trained: Opened | None = None,
    on_step: Callable[[str], None] = lambda text: None,
) -> Certificate:
    """Compare every artefact with the stack on the original base.

    `reference`: that stack, in float32. `trained`: the stack as it was trained (on the 4-bit base), for information.
    `on_step`: told in words what is being done. Models are opened one at a time. ExportError when the stack itself
    predicts no numbers; what is wrong with an artefact is in the certificate.
    """
    on_step("the stack on the original base")
    with reference() as (model, tokenizer):
        form = InTransformers(model, tokenizer)
        device, positions = form.device, getattr(model.config, "max_position_embeddings", None) or LONGEST
        asked = rows(tokenizer, positions - ROOM)
        observed = observe(form, strings(tokenizer), asked, stop_ids(source, tokenizer))
        large = sum(parameter.numel() for parameter in model.parameters()) > LARGE
        del form, model
    gc.collect()
    if not finite(observed.logits):
        raise ExportError(
            "the stack's predictions on the original base are not numbers",
            remedy="a stage diverged, or the base is damaged: look at the losses and scores of the stages",
        )
    verified = []
    with Exam(source, observed, tokenizer, device, artefacts) as exam:
        for artefact in artefacts:
            on_step(artefact.name)
            verified.append(Verified(artefact.name, artefact.kind, artefact.type, tuple(checks_of(exam, artefact))))
            if large:
                gc.collect()  # two models at once may not fit
    protocol = {
        "reference": "the stack on the base's original weights, in float32, in Transformers",
        "prompts": fingerprint(observed.texts, observed.rows, observed.chats),
        "texts": len(observed.texts),
        "chats": len(observed.chats),
        "positions": sum(len(row.positions) for row in observed.rows),
        "replies": len(observed.replies),
    }
    on_step("the stack as it was trained")
    information = () if trained is None else tuple(_as_trained(trained, observed))
    found = {name: installed_version(name) for name in PACKAGES}
    versions = {"statllama": __version__, **{name: version for name, version in found.items() if version}}
    return Certificate(tuple(verified), information, protocol, versions)


def checks_of(exam: Exam, artefact: Artefact) -> Iterator[Check]:
    """Yield all checks of an artefact, the cheapest first; that it cannot be read is one that failed."""
    try:
        yield from release_format(artefact.kind).checks(exam, artefact)
    except (Interrupted, StoreError):  # of the machine, not of the artefact
        raise
    except Exception as error:  # what can be wrong with a file that should not have been written has no end
        lines = str(error).strip().splitlines() or [""]
        yield Check("loads", False, detail=f"{type(error).__name__}: {lines[0]}")


def _as_trained(trained: Opened, observed: Reference) -> Iterator[Check]:
    """Measure how far the stack on the base, as it was loaded for training, is from the reference, on short texts."""
    short = [i for i, row in enumerate(observed.rows) if len(row.ids) <= LONGEST]
    with trained() as (model, tokenizer):
        form = InTransformers(model, tokenizer)
        predictions = [form.predict(observed.rows[i]) for i in short]
    found = distance([observed.logits[i] for i in short], predictions)
    dtype = str(getattr(model, "dtype", "")).removeprefix("torch.")
    yield Check(
        "divergence",
        True,
        found.divergence,
        detail=f"KL(stack on the original weights || stack as it was trained, {dtype}), nats per token, mean",
        required=False,
    )
    flips = found.flipped / found.confident if found.confident else 0.0
    detail = f"share of {found.confident} sure predictions that are another token"
    yield Check("first choice", True, flips, detail=detail, required=False)
