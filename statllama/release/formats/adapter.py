"""The stack as one ordinary PEFT adapter for the base: `adapter/`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.errors import ExportError
from statllama.release.artefact import Artefact, Order
from statllama.release.card_use import Reader
from statllama.release.certificate import Check, Verified
from statllama.release.formats._format import Format, Option
from statllama.release.markdown import block
from statllama.release.source import Progress, Source

if TYPE_CHECKING:
    from statllama.release.exam import Exam

NAME = "adapter"
OPTIONS = (
    Option("adapter", "--adapter/--no-adapter", bool | None, "Write the stack as one ordinary PEFT adapter."),
    Option(
        name="rank",
        flags="--rank",
        type=int | None,
        help="Recompress that adapter to this rank; the error is reported.",
        least=1,
        chooses=False,
    ),
)
_CODE = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({base})
model = AutoModelForCausalLM.from_pretrained({base}, dtype="auto", device_map="auto")
model = PeftModel.from_pretrained(model, "adapter")
"""


def _orders(given: Mapping[str, Any], chosen: bool) -> Sequence[Order]:
    wanted, rank = given["adapter"], given["rank"]
    if wanted is False or not (wanted or not chosen or rank is not None):
        return ()
    return (Order(NAME, "f32", NAME, {"rank": rank}),)


def _place(source: Source, order: Order) -> str:
    return NAME


def _needed_bytes(source: Source, order: Order) -> int:
    from statllama.release.adapter import needed_bytes

    if not source.adapters:
        raise ExportError("the base alone has no adapter to export", remedy="export a stage")
    return needed_bytes(source, order.settings["rank"])


def _write(source: Source, order: Order, folder: Path, progress: Progress | None) -> Sequence[Artefact]:
    from statllama.release.adapter import write_adapter

    place, rank = folder / NAME, order.settings["rank"]
    place.mkdir()
    cut = write_adapter(source, place, rank, progress, base_name=source.base_name, revision=source.revision)
    error = cut.error if cut is not None else 0.0
    notes = (f"the adapter's rank was cut to {rank}: relative error of its update {error:.2g}",) if error else ()
    return (Artefact(NAME, NAME, place, "f32", error, notes),)


def _checks(exam: Exam, artefact: Artefact) -> Iterator[Check]:
    """Compare it in plain PEFT, on the original base."""
    from statllama.release.bounds import BEHAVIOUR
    from statllama.release.forms import adapter_form
    from statllama.release.verify_checks import check_predictions, check_replies, check_stops, distance
    from statllama.release.verify_weights import check_adapter

    yield from check_adapter(exam.source, artefact.path, artefact.error)
    exact = not artefact.error  # with a smaller rank it is held to the error that it states
    with adapter_form(artefact.path, exam.source.base, exam.device) as form:
        found = distance(exam.observed.logits, [form.predict(row) for row in exam.observed.rows])
        checks = check_predictions(found, BEHAVIOUR["f32"])
        checks.append(check_replies(exam.observed, form, artefact.type, found.largest))
        yield from (check if exact else replace(check, passed=True, bound=None, required=False) for check in checks)
        # It replies under the configuration of the base, which is no part of the release.
        yield check_stops(exam.observed, form, exam.tokenizer.convert_ids_to_tokens, required=False)


def _instead(failed: Verified, passed: Sequence[Verified]) -> str:
    if any(one.kind == "merged" for one in passed):
        return "take the merged weights in merged/, which passed"
    return "export merged weights: --merged f32"


def _contents(verified: Verified) -> tuple[str, str]:
    return f"{verified.name}/", "all stages as one ordinary PEFT adapter, for the base"


def _use(held: Sequence[Verified], reader: Reader) -> Iterator[str]:
    yield "**PEFT**, with the adapter on the base:"
    named = json.dumps(reader.base) + (f", revision={json.dumps(reader.commit)}" if reader.commit else "")
    yield block(_CODE.format(base=named) + reader.ask, "python")


FORMAT = Format(
    name=NAME,
    position=1,
    options=OPTIONS,
    orders=_orders,
    place=_place,
    needed_bytes=_needed_bytes,
    write=_write,
    checks=_checks,
    instead=_instead,
    relation="adapter",
    library="peft",
    tags=(),
    contents=_contents,
    use=_use,
)
