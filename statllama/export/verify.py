"""Verification: every form of a release must behave like the stack that was trained.

The reference is the stack on the base's original weights in float32: merged weights and GGUF are made of those weights,
while training saw them in 4 bits. How far apart the two are is measured too, as information. Models are opened one at a
time; of the reference its answers are kept (`verify_checks.py`). Weights are compared one by one (`verify_weights.py`),
since what a prompt shows of a small stage may be less than what a small type rounds. For bounds see `bounds.py`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from statllama import __version__
from statllama.errors import ExportError
from statllama.export.bounds import BEHAVIOUR
from statllama.export.certificate import Certificate, Check, Verified
from statllama.export.forms import (
    Form,
    InLlamaCpp,
    InTransformers,
    adapter_form,
    chat_ids,
    file_form,
    merged_form,
    rounded_activations,
    stored_type,
)
from statllama.export.llamacpp import LlamaCpp
from statllama.export.modelfile import stop_ids
from statllama.export.prompts import chats, fingerprint, rows, strings
from statllama.export.source import Source
from statllama.export.verify_checks import (
    REPLY_TOKENS,
    Reference,
    check_chats,
    check_llama_cpp,
    check_predictions,
    check_replies,
    check_stops,
    check_tokens,
    distance,
    finite,
    observe,
)
from statllama.export.verify_gguf import InGguf, check_metadata
from statllama.export.verify_lora import base_file, check_answers, check_lora, stages_of
from statllama.export.verify_weights import InSafetensors, check_adapter, check_weights
from statllama.probe import LONGEST
from statllama.versions import installed_version

Opened = Callable[[], AbstractContextManager[tuple[Any, Any]]]
"""Called, it gives a context that yields (the model with the stack on it, its tokenizer)."""


Checks = Iterator[Check]
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "gguf", "xllamacpp")


@dataclass(frozen=True)
class Artefact:
    """A file or folder of a release that is to be verified."""

    name: str
    """Where it will lie in the release, such as `gguf/model-q4_k_m.gguf`: for the certificate."""
    kind: Literal["adapter", "merged", "gguf", "gguf-lora"]
    path: Path
    type: str
    """Of its numbers: `f32`, `bf16`, `f16`, `q8_0`, `q4_k_m`, ... A GGUF LoRA is named as `gguf_lora` names it."""
    error: float = 0.0
    """Of an adapter recompressed to a smaller rank: the relative error of its update that is reported for it."""


def verify(
    source: Source,
    artefacts: Sequence[Artefact],
    reference: Opened,
    trained: Opened | None = None,
    on_step: Callable[[str], None] = lambda text: None,
) -> Certificate:
    """Compare every artefact with the stack on the original base.

    `reference`: that stack, in float32. `trained`: the stack as it was trained (on the 4-bit base), for information.
    `on_step`: told in words what is being done. Models are opened one at a time. ExportError when an artefact cannot
    be loaded at all.
    """
    on_step("the stack on the original base")
    with reference() as (model, tokenizer):
        form = InTransformers(model, tokenizer)
        device, positions = form.device, getattr(model.config, "max_position_embeddings", None) or LONGEST
        asked = rows(tokenizer, positions - REPLY_TOKENS - 8)  # llama.cpp wants room after a prompt
        observed = observe(form, strings(tokenizer), asked, stop_ids(source, tokenizer))
        del form, model
    gc.collect()
    if not finite(observed.logits):
        raise ExportError(
            "the stack's predictions on the original base are not numbers",
            remedy="a stage diverged, or the base is damaged: look at the losses and scores of the stages",
        )
    verified = []
    with ExitStack() as open_files:
        loras = _Loras(source, [a.path for a in artefacts if a.kind == "gguf-lora"], observed, device, open_files)
        for artefact in artefacts:
            on_step(artefact.name)
            checks = tuple(_checks(source, artefact, observed, tokenizer, device, loras))
            verified.append(Verified(artefact.name, artefact.kind, artefact.type, checks))
            gc.collect()
    protocol = {
        "reference": "the stack on the base's original weights, in float32, in Transformers",
        "prompts": fingerprint(observed.texts, observed.rows),
        "texts": len(observed.texts),
        "chats": len(chats()),
        "positions": sum(len(row.positions) for row in observed.rows),
        "replies": len(observed.replies),
    }
    on_step("the stack as it was trained")
    information = () if trained is None else tuple(_as_trained(trained, observed))
    found = {name: installed_version(name) for name in PACKAGES}
    versions = {"statllama": __version__, **{name: version for name, version in found.items() if version}}
    return Certificate(tuple(verified), information, protocol, versions)


def _checks(
    source: Source, artefact: Artefact, observed: Reference, tokenizer: Any, device: Any, loras: _Loras
) -> Checks:
    """All checks of an artefact; that it cannot be read is one that failed."""
    try:
        if artefact.kind == "adapter":
            yield from _of_adapter(source, artefact, observed, tokenizer, device)
        elif artefact.kind == "merged":
            yield from _of_merged(source, artefact, observed, tokenizer, device)
        elif artefact.kind == "gguf-lora":
            yield from check_lora(source, artefact.path)
            yield from loras.answers(artefact.path)
        else:
            yield from _of_gguf(source, artefact, observed, tokenizer, device)
    except Exception as error:  # what can be wrong with a file that should not have been written has no end
        lines = str(error).strip().splitlines() or [""]
        yield Check("loads", False, detail=f"{type(error).__name__}: {lines[0]}")


def _of_adapter(source: Source, artefact: Artefact, observed: Reference, tokenizer: Any, device: Any) -> Checks:
    """In plain PEFT, on the original base."""
    yield from check_adapter(source, artefact.path, artefact.error)
    exact = not artefact.error  # with a smaller rank it is held to the error that it states
    with adapter_form(artefact.path, source.base, device) as form:
        found = distance(observed.logits, [form.predict(row) for row in observed.rows])
        checks = check_predictions(found, BEHAVIOUR["f32"])
        checks.append(check_replies(observed, form, artefact.type, found.largest))
        yield from (check if exact else replace(check, passed=True, bound=None, required=False) for check in checks)
        # It replies under the configuration of the base, which is no part of the release.
        yield check_stops(observed, form, tokenizer.convert_ids_to_tokens, required=False)


def _of_merged(source: Source, artefact: Artefact, observed: Reference, tokenizer: Any, device: Any) -> Checks:
    """In plain Transformers."""
    yield from check_weights(source, InSafetensors(artefact.path), artefact.type)
    with merged_form(artefact.path, device) as form:
        yield from _of_text(form, observed, tokenizer)
        found = distance(observed.logits, [form.predict(row) for row in observed.rows])
        yield from check_predictions(found, BEHAVIOUR[artefact.type])
        yield check_replies(observed, form, artefact.type, found.largest)


def _of_gguf(source: Source, artefact: Artefact, observed: Reference, tokenizer: Any, device: Any) -> Checks:
    """In real llama.cpp."""
    file = InGguf(artefact.path)
    yield check_metadata(source, file, tokenizer)
    yield from check_weights(source, file, artefact.type)
    with LlamaCpp(artefact.path, context=_context(observed)) as server:
        form = InLlamaCpp(server, observed.logits[0].shape[-1])
        yield from _of_text(form, observed, tokenizer)
        predictions = [form.predict(row) for row in observed.rows]
        found = distance(observed.logits, predictions)
        yield check_replies(observed, form, artefact.type, found.largest)
    with file_form(file, source.base, device) as same:
        exact = [same.logits(row) for row in observed.rows]
        with rounded_activations(same, partial(stored_type, file)):
            rounded = [same.logits(row) for row in observed.rows]
    yield from check_llama_cpp(observed, exact, rounded, predictions, artefact.type)


def _context(observed: Reference) -> int:
    """Tokens that the longest question takes together with its answer."""
    return max(*(len(row.ids) for row in observed.rows), *map(len, observed.prompts)) + REPLY_TOKENS + 8


class _Loras:
    """GGUF LoRA files with one GGUF of the base, made when it is first needed: the whole stack as one file, and the
    stages' files all together."""

    def __init__(
        self, source: Source, files: Sequence[Path], observed: Reference, device: Any, open_files: ExitStack
    ) -> None:
        self.source, self.files, self.observed, self.device, self.open_files = (
            source,
            files,
            observed,
            device,
            open_files,
        )
        self._base: Path | None = None
        self._answers: dict[tuple[Path, ...], list[Check]] = {}

    def answers(self, file: Path) -> list[Check]:
        """What llama.cpp answers with this file, and with those of the other stages where it is of one."""
        whole = stages_of(self.source, file) == self.source.stages
        files = (file,) if whole else tuple(f for f in self.files if stages_of(self.source, f) != self.source.stages)
        if files not in self._answers:
            if self._base is None:
                self._base = self.open_files.enter_context(base_file(self.source, file.parent))
            found = check_answers(self.source, self._base, files, self.observed, _context(self.observed), self.device)
            self._answers[files] = found
        return self._answers[files]


def _of_text(form: Form, observed: Reference, tokenizer: Any) -> Checks:
    """Tokens, chats and stops of a form that has a tokenizer of its own."""
    yield check_tokens(observed, form)
    yield from check_chats(observed, form, partial(chat_ids, tokenizer))
    yield check_stops(observed, form, tokenizer.convert_ids_to_tokens)


def _as_trained(trained: Opened, observed: Reference) -> Checks:
    """How far the stack on the base as it was loaded for training is from the reference. Short texts alone."""
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
