"""The whole model with the stack merged in, for Transformers: `merged/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.release.artefact import Artefact, Order
from statllama.release.card_use import Reader
from statllama.release.certificate import Check, Verified
from statllama.release.formats._format import Format, Option
from statllama.release.markdown import block
from statllama.release.source import Progress, Source

if TYPE_CHECKING:
    from statllama.release.exam import Exam

NAME = "merged"
BY_DEFAULT = "bf16"
OPTIONS = (Option("merged", "--merged", str | None, "Write merged weights in bf16, f16 or f32.", metavar="TYPE"),)
_CODE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("merged")
model = AutoModelForCausalLM.from_pretrained("merged", dtype="auto", device_map="auto")
"""


def _orders(given: Mapping[str, Any], chosen: bool) -> Sequence[Order]:
    wanted = (given["merged"] or ("" if chosen else BY_DEFAULT)).lower()
    return (Order(NAME, wanted, f"merged ({wanted})"),) if wanted else ()


def _place(source: Source, order: Order) -> str:
    return NAME


def _needed_bytes(source: Source, order: Order) -> int:
    from statllama.release.merged import needed_bytes

    return needed_bytes(source, order.type)


def _write(source: Source, order: Order, folder: Path, progress: Progress | None) -> Sequence[Artefact]:
    from statllama.release.merged import write_merged

    place = folder / NAME
    place.mkdir()
    report = write_merged(source, place, order.type, progress=progress)
    return (Artefact(NAME, NAME, place, order.type, notes=report.warnings),)


def _require_type(type_: str) -> None:
    from statllama.release.merged import torch_type

    torch_type(type_)


def _checks(exam: Exam, artefact: Artefact) -> Iterator[Check]:
    """Compare it in plain Transformers."""
    from statllama.release.bounds import BEHAVIOUR
    from statllama.release.forms import merged_form
    from statllama.release.verify_checks import check_predictions, check_replies, distance
    from statllama.release.verify_weights import InSafetensors, check_weights

    yield from check_weights(exam.source, InSafetensors(artefact.path), artefact.type)
    with merged_form(artefact.path, exam.device) as form:
        yield from exam.text(form)
        found = distance(exam.observed.logits, [form.predict(row) for row in exam.observed.rows])
        yield from check_predictions(found, BEHAVIOUR[artefact.type])
        yield check_replies(exam.observed, form, artefact.type, found.largest)


def _instead(failed: Verified, passed: Sequence[Verified]) -> str:
    if any(one.kind == "adapter" for one in passed):
        return "take the adapter in adapter/, which passed"
    return "export the adapter (--adapter), or merged weights in f32 (--merged f32)"


def _contents(verified: Verified) -> tuple[str, str]:
    return f"{verified.name}/", f"the whole model with the stages merged in, {verified.type}, for Transformers"


def _use(held: Sequence[Verified], reader: Reader) -> Iterator[str]:
    yield f"**Transformers**, with the merged weights ({held[0].type}):"
    yield block(_CODE + reader.ask, "python")


FORMAT = Format(
    name=NAME,
    position=2,
    options=OPTIONS,
    orders=_orders,
    place=_place,
    needed_bytes=_needed_bytes,
    write=_write,
    checks=_checks,
    instead=_instead,
    relation="finetune",
    library="transformers",
    tags=(),
    contents=_contents,
    use=_use,
    require_type=_require_type,
)
