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
from typing import Any, Literal, Self

from statllama.errors import ExportError, Interrupted
from statllama.evaluation.probe import LONGEST
from statllama.release.bounds import BEHAVIOUR
from statllama.release.certificate import Certificate, Check, Verified
from statllama.release.forms import (
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
from statllama.release.llamacpp import LlamaCpp
from statllama.release.modelfile import stop_ids
from statllama.release.prompts import fingerprint, rows, strings
from statllama.release.source import Source
from statllama.release.verify_checks import (
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
from statllama.release.verify_gguf import InGguf, check_metadata
from statllama.release.verify_lora import base_file, check_answers, check_lora, stages_of
from statllama.release.verify_weights import InSafetensors, check_adapter, check_weights
from statllama.store.versions import __version__, installed_version

Opened = Callable[[], AbstractContextManager[tuple[Any, Any]]]
"""Called, it gives a context that yields (the model with the stack on it, its tokenizer)."""


ROOM = REPLY_TOKENS + 8
"""Tokens that llama.cpp wants after a prompt."""
LARGE = 100_000_000  # parameters of a model that is not left to the garbage collector's own time
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
    loras = [artefact.path for artefact in artefacts if artefact.kind == "gguf-lora"]
    with Examiner(source, observed, tokenizer, device, loras) as examiner:
        for artefact in artefacts:
            on_step(artefact.name)
            verified.append(Verified(artefact.name, artefact.kind, artefact.type, tuple(examiner.checks(artefact))))
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


class Examiner:
    """Checks artefacts against what the reference answered; use it in `with`.

    GGUF LoRA files need a GGUF of the base, which is made when the first of them is checked and goes with the examiner.
    They hold the whole stack alone, or each a stage of it: then the stages' files are asked together.
    """

    def __init__(self, source: Source, observed: Reference, tokenizer: Any, device: Any, loras: Sequence[Path]) -> None:
        """`device`: where models in Transformers are put. `loras`: all GGUF LoRA files there are."""
        self.source, self.observed, self.tokenizer, self.device = source, observed, tokenizer, device
        self.vocabulary = observed.logits[0].shape[-1]
        self.context = max(len(ids) for ids in (*(row.ids for row in observed.rows), *observed.prompts)) + ROOM
        self._stages = tuple(file for file in loras if stages_of(source, file) != source.stages)
        self._base: Path | None = None
        self._together: dict[tuple[Path, ...], list[Check]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def checks(self, artefact: Artefact) -> Iterator[Check]:
        """All checks of an artefact, the cheapest first; that it cannot be read is one that failed."""
        kinds = {"adapter": self._adapter, "merged": self._merged, "gguf": self._gguf, "gguf-lora": self._lora}
        try:
            yield from kinds[artefact.kind](artefact)
        except Interrupted:
            raise
        except Exception as error:  # what can be wrong with a file that should not have been written has no end
            lines = str(error).strip().splitlines() or [""]
            yield Check("loads", False, detail=f"{type(error).__name__}: {lines[0]}")

    def _adapter(self, artefact: Artefact) -> Iterator[Check]:
        """In plain PEFT, on the original base."""
        yield from check_adapter(self.source, artefact.path, artefact.error)
        exact = not artefact.error  # with a smaller rank it is held to the error that it states
        with adapter_form(artefact.path, self.source.base, self.device) as form:
            found = distance(self.observed.logits, [form.predict(row) for row in self.observed.rows])
            checks = check_predictions(found, BEHAVIOUR["f32"])
            checks.append(check_replies(self.observed, form, artefact.type, found.largest))
            yield from (check if exact else replace(check, passed=True, bound=None, required=False) for check in checks)
            # It replies under the configuration of the base, which is no part of the release.
            yield check_stops(self.observed, form, self.tokenizer.convert_ids_to_tokens, required=False)

    def _merged(self, artefact: Artefact) -> Iterator[Check]:
        """In plain Transformers."""
        yield from check_weights(self.source, InSafetensors(artefact.path), artefact.type)
        with merged_form(artefact.path, self.device) as form:
            yield from self._text(form)
            found = distance(self.observed.logits, [form.predict(row) for row in self.observed.rows])
            yield from check_predictions(found, BEHAVIOUR[artefact.type])
            yield check_replies(self.observed, form, artefact.type, found.largest)

    def _gguf(self, artefact: Artefact) -> Iterator[Check]:
        """In real llama.cpp."""
        file = InGguf(artefact.path)
        yield check_metadata(self.source, file, self.tokenizer)
        yield from check_weights(self.source, file, artefact.type)
        with LlamaCpp(artefact.path, context=self.context) as server:
            form = InLlamaCpp(server, self.vocabulary)
            yield from self._text(form)
            predictions = [form.predict(row) for row in self.observed.rows]
            largest = distance(self.observed.logits, predictions).largest
            yield check_replies(self.observed, form, artefact.type, largest)
        with file_form(file, self.source.base, self.device) as same:
            exact = [same.logits(row) for row in self.observed.rows]
            with rounded_activations(same, partial(stored_type, file)):
                rounded = [same.logits(row) for row in self.observed.rows]
        yield from check_llama_cpp(self.observed, exact, rounded, predictions, artefact.type)

    def _lora(self, artefact: Artefact) -> Iterator[Check]:
        """In real llama.cpp, on the base."""
        yield from check_lora(self.source, artefact.path)
        files = self._stages if artefact.path in self._stages else (artefact.path,)
        if files not in self._together:
            if self._base is None:
                self._base = self._open.enter_context(base_file(self.source, artefact.path.parent))
            found = check_answers(self.source, self._base, files, self.observed, self.context, self.device)
            self._together[files] = found
        yield from self._together[files]

    def _text(self, form: Form) -> Iterator[Check]:
        """Tokens, chats and stops of a form that has a tokenizer of its own."""
        yield check_tokens(self.observed, form)
        yield from check_chats(self.observed, form, partial(chat_ids, self.tokenizer))
        yield check_stops(self.observed, form, self.tokenizer.convert_ids_to_tokens)


def _as_trained(trained: Opened, observed: Reference) -> Iterator[Check]:
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
