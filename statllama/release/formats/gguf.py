"""The whole model for llama.cpp and Ollama, one file a type, and Ollama's Modelfile: `gguf/`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.release.artefact import Artefact, Order
from statllama.release.card_use import Reader
from statllama.release.certificate import Check, Verified
from statllama.release.formats._format import Format, Option
from statllama.release.markdown import block, code
from statllama.release.source import Progress, Source

if TYPE_CHECKING:
    from statllama.release.exam import Exam

NAME = "gguf"
MODELFILE = "Modelfile"
ADDRESS = "http://127.0.0.1:8080"
"""Where llama.cpp's server listens by default."""
OPTIONS = (
    Option(
        name="gguf",
        flags="--gguf",
        type=list[str] | None,
        help="Write GGUF in f16, bf16, q8_0, q5_k_m, q4_k_m, ...; may be repeated.",
        metavar="TYPE",
    ),
)


def _orders(given: Mapping[str, Any], chosen: bool) -> Sequence[Order]:
    texts = [given["gguf"]] if isinstance(given["gguf"], str) else given["gguf"] or ()
    types = dict.fromkeys(type_.strip().lower() for text in texts for type_ in text.split(","))
    return [Order(NAME, type_) for type_ in types]


def _place(source: Source, order: Order) -> str:
    return f"gguf/{source.name}-{order.type}.gguf"


def _needed_bytes(source: Source, order: Order) -> int:
    from statllama.release.gguf import needed_bytes, require_writable

    require_writable(source, order.type)
    return needed_bytes(source, order.type)


def _write(source: Source, order: Order, folder: Path, progress: Progress | None) -> Sequence[Artefact]:
    from statllama.release.gguf import write_gguf

    name = _place(source, order)
    (folder / name).parent.mkdir(exist_ok=True)
    write_gguf(source, folder / name, order.type, progress)
    return (Artefact(name, NAME, folder / name, order.type),)


def _require_program() -> None:
    from statllama.release.llamacpp import require_llamacpp

    require_llamacpp()


def _require_type(type_: str) -> None:
    from statllama.release.mixture import require_kind

    require_kind(type_)


def _checks(exam: Exam, artefact: Artefact) -> Iterator[Check]:
    """Compare it in real llama.cpp."""
    from statllama.release.forms import InLlamaCpp, file_form, rounded_activations, stored_type
    from statllama.release.llamacpp import LlamaCpp
    from statllama.release.verify_checks import check_llama_cpp, check_replies, distance
    from statllama.release.verify_gguf import InGguf, check_metadata
    from statllama.release.verify_weights import check_weights

    file, observed = InGguf(artefact.path), exam.observed
    yield check_metadata(exam.source, file, exam.tokenizer)
    yield from check_weights(exam.source, file, artefact.type)
    with LlamaCpp(artefact.path, context=exam.context) as server:
        form = InLlamaCpp(server, exam.vocabulary)
        yield from exam.text(form)
        predictions = [form.predict(row) for row in observed.rows]
        largest = distance(observed.logits, predictions).largest
        yield check_replies(observed, form, artefact.type, largest)
    with file_form(file, exam.source.base, exam.device) as same:
        exact = [same.logits(row) for row in observed.rows]
        with rounded_activations(same, partial(stored_type, file)):
            rounded = [same.logits(row) for row in observed.rows]
    yield from check_llama_cpp(observed, exact, rounded, predictions, artefact.type)


def _instead(failed: Verified, passed: Sequence[Verified]) -> str:
    """Name the next larger file that passed, else one that is there at all, else what to order."""
    from statllama.release.mixture import KINDS

    larger = list(KINDS)[: list(KINDS).index(failed.type)]
    files = {one.type: one.name for one in passed if one.kind == NAME}
    for type_ in [*reversed(larger), *files]:
        if type_ in files:
            return f"take {files[type_]}, which passed"
    for type_ in ("q8_0", "f16"):
        if type_ in larger:
            return f"export a larger type: --gguf {type_}"
    return "export merged weights: --merged bf16"


def _contents(verified: Verified) -> tuple[str, str]:
    return verified.name, "the whole model, for llama.cpp and Ollama"


def _best(held: Sequence[Verified]) -> Verified:
    """Return the file that commands name: the last that passed; of forced ones alone, the last."""
    return next((one for one in reversed(held) if one.passed), held[-1])


def _use(held: Sequence[Verified], reader: Reader) -> Iterator[str]:
    best = _best(held)
    if reader.chat:
        yield f"**llama.cpp**, in the terminal, or as a server with a chat page at <{ADDRESS}> and OpenAI's API:"
        lines = [f"{program} -m {best.name} {reader.llama_cpp}" for program in ("llama-cli", "llama-server")]
        yield block("\n".join(lines), "sh")
        yield "Once the server runs:"
        lines = [f"curl {ADDRESS}/v1/chat/completions -H 'Content-Type: application/json' -d {reader.request}"]
    else:
        yield "**llama.cpp**:"
        lines = [f'llama-completion -m {best.name} --temp 0 -p "The mean of a sample is"']
    yield block("\n".join(lines), "sh")
    if len(held) > 1:
        yield f"Also there: {', '.join(code(one.name) for one in held if one is not best)}."
    yield "**Ollama**:"
    name = reader.name.lower()
    asked = f" {shlex.quote(reader.question)}" if reader.chat else ""
    yield block(f"ollama create {name} -f {MODELFILE}\nollama run {name}{asked}", "sh")


def _side_files(source: Source, held: Sequence[Verified], folder: Path, tokenizer: Any) -> dict[str, str]:
    """Write the Modelfile, for the file that commands name."""
    from statllama.release.modelfile import modelfile

    text = modelfile(source, f"./{_best(held).name}", tokenizer)
    (folder / MODELFILE).write_text(text, encoding="utf-8")
    return {MODELFILE: "for Ollama: chat template and stops"}


FORMAT = Format(
    name=NAME,
    position=3,
    options=OPTIONS,
    orders=_orders,
    place=_place,
    needed_bytes=_needed_bytes,
    write=_write,
    checks=_checks,
    instead=_instead,
    relation="quantized",
    library="",
    tags=("gguf",),
    contents=_contents,
    use=_use,
    require_program=_require_program,
    require_type=_require_type,
    side_files=_side_files,
)
