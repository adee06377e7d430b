"""The stack, and each stage of it, as GGUF LoRA for llama.cpp's `--lora` on the base: `gguf/*-lora.gguf`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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

NAME = "gguf-lora"
OPTIONS = (
    Option(
        name="lora",
        flags="--gguf-lora",
        type=bool,
        default=False,
        help="Write each stage, and all together, as GGUF LoRA for llama.cpp's --lora.",
    ),
)


def _orders(given: Mapping[str, Any], chosen: bool) -> Sequence[Order]:
    return (Order(NAME, "f32", "GGUF LoRA"),) if given["lora"] else ()


def _place(source: Source, order: Order) -> str:
    return f"gguf/{source.name}-lora.gguf"


def _needed_bytes(source: Source, order: Order) -> int:
    """Return the bytes of the files, and of the base as GGUF, on which they are verified."""
    from statllama.release.gguf_lora import needed_bytes, require_writable
    from statllama.release.verify_lora import base_bytes

    require_writable(source)
    return needed_bytes(source) + base_bytes(source)


def _write(source: Source, order: Order, folder: Path, progress: Progress | None) -> Sequence[Artefact]:
    from statllama.release.gguf_lora import write_gguf_loras

    place = folder / "gguf"
    place.mkdir(exist_ok=True)
    files = write_gguf_loras(source, place, progress)
    return [Artefact(f"gguf/{file.name}", NAME, file, "f32") for file in files]


def _require_program() -> None:
    from statllama.release.llamacpp import require_llamacpp

    require_llamacpp()


def _checks(exam: Exam, artefact: Artefact) -> Iterator[Check]:
    """Compare it in real llama.cpp, on a GGUF of the base that is made once for all files and goes with the exam.

    The files of single stages are asked together, since only the whole stack has answers to compare with: they pass or
    fail together.
    """
    from statllama.release.verify_lora import base_file, check_answers, check_lora, stages_of

    source = exam.source
    yield from check_lora(source, artefact.path)
    files = tuple(
        one.path for one in exam.artefacts if one.kind == NAME and stages_of(source, one.path) != source.stages
    )
    files = files if artefact.path in files else (artefact.path,)
    base = exam.enter("the base as GGUF", lambda: base_file(source, artefact.path.parent))
    answers = exam.once(files, lambda: check_answers(source, base, files, exam.observed, exam.context, exam.device))
    together = f"; with {', '.join(file.name for file in files if file != artefact.path)}" if len(files) > 1 else ""
    yield from (replace(check, detail=check.detail + together) for check in answers)


def _instead(failed: Verified, passed: Sequence[Verified]) -> str:
    if files := [one.name for one in passed if one.kind == NAME and failed.kind == NAME]:
        return f"take {files[0]}, which passed and holds all stages"
    if files := [one.name for one in passed if one.kind == "gguf"]:
        return f"take {files[-1]}, which passed and has the stages merged in"
    return "export the whole model as GGUF: --gguf q8_0"


def _contents(verified: Verified) -> tuple[str, str]:
    return verified.name, "a LoRA, for llama.cpp's `--lora` on the base"


def _use(held: Sequence[Verified], reader: Reader) -> Iterator[str]:
    yield "**llama.cpp with the base and a LoRA** (BASE.gguf: the base's original weights as GGUF):"
    yield block("\n".join(f"llama-cli -m BASE.gguf --lora {one.name}" for one in held), "sh")
    if len(held) > 1:
        yield "Each file holds the stages in its name: one, or all of them together."


FORMAT = Format(
    name=NAME,
    position=4,
    options=OPTIONS,
    orders=_orders,
    place=_place,
    needed_bytes=_needed_bytes,
    write=_write,
    checks=_checks,
    instead=_instead,
    relation="adapter",
    library="",
    tags=("gguf",),
    contents=_contents,
    use=_use,
    require_program=_require_program,
)
