"""`statllama import`: a GGUF file becomes a base folder, published once it does what llama.cpp does with the file.

Two things are proven before the folder is put in its place. Its numbers are those that PyPI's gguf reads from the file,
one by one, rounded to the type they are written in. And the folder in Transformers gives the token ids, the ends of
replies and the predictions that real llama.cpp gives with the file, within the bounds of `bounds.py`. The second needs
the extra `gguf` and the model in float32 in memory; without it, the record and the outcome say that it was left out.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.errors import ExportError
from statllama.model.gguf_import import GgufSource, read_source, write_base
from statllama.model.gguf_import.provenance import record_of, write_provenance
from statllama.model.gguf_import.weights import cast_to
from statllama.release.bounds import BEHAVIOUR
from statllama.release.certificate import Check, Verified
from statllama.store.new_folder import new_folder, require_free

if TYPE_CHECKING:
    from torch import Tensor

    from statllama.release.forms import Prediction
    from statllama.release.verify_checks import Reference
    from statllama.runs.reporting import Reporter

NO_LLAMACPP = "llama.cpp, which the folder is compared with, is not installed: run `pip install 'statllama[gguf]'`"
NOT_WANTED = "it was not wanted (--no-verify)"


@dataclass(frozen=True)
class Imported:
    """What was made."""

    folder: Path
    source: GgufSource
    verified: Verified
    unverified: str
    """Why the folder was not compared with llama.cpp; empty when it was."""


def import_model(path: Path, out: Path, type_: str | None, verify: bool, reporter: Reporter) -> Imported:
    """Make the base folder `out`, which must not exist or be empty, of a GGUF file.

    `type_`: of the weights, f16, bf16 or f32; None: see `weights.choose_type`. `verify`: also in llama.cpp, if it is
    installed. ModelError for a file that cannot be imported, ExportError when the folder would not do what the file
    does in llama.cpp, StoreError when the disk has too little room: then nothing is left.
    """
    require_free(out)
    source = read_source(path, type_)
    unverified = "" if verify else NOT_WANTED
    if verify and importlib.util.find_spec("xllamacpp") is None:
        unverified = NO_LLAMACPP
    with new_folder(out) as folder:
        with reporter.exporting("weights") as progress:
            write_base(source, folder, progress)
        checks = list(_checks(source, folder, reporter, in_llamacpp=not unverified))
        verified = Verified(path.name, "import", _file_type(source), tuple(checks))
        if not verified.passed:
            failures = "\n  ".join(str(check) for check in checks if check.required and not check.passed)
            raise ExportError(
                f"{path}: the folder does not do what llama.cpp does with the file, so it is not kept:\n  {failures}",
                remedy="please report this with the name of the model; another file of it may do",
            )
        record = record_of(source.header, source.type)
        record["verification"] = {"checks": [asdict(check) for check in checks], "left_out": unverified}
        write_provenance(folder, record)
    return Imported(out, source, verified, unverified)


def _checks(source: GgufSource, folder: Path, reporter: Reporter, in_llamacpp: bool) -> Iterator[Check]:
    reporter.verifying("the numbers")
    yield check_numbers(source, folder)
    if in_llamacpp:
        reporter.verifying("the folder in Transformers against the file in llama.cpp")
        yield from check_behaviour(source, folder)


def check_numbers(source: GgufSource, folder: Path) -> Check:
    """Compare every weight of the folder, read by safetensors, with the file's, read by PyPI's gguf and rounded."""
    from statllama.release.verify_gguf import InGguf
    from statllama.release.verify_weights import InSafetensors, row_blocks

    written, file, numbers = InSafetensors(folder), InGguf(source.header.path), 0
    other = [] if written.names() == {weight.name for weight in source.weights} else ["the names of the tensors"]
    for name in sorted(written.names() & file.names()):
        for start, stop in row_blocks(written.shape(name), file.unit(name)):
            ours, theirs = written.rows(name, start, stop).numpy(), file.rows(name, start, stop).numpy()
            numbers += ours.size
            if cast_to(ours, source.type).tobytes() != cast_to(theirs, source.type).tobytes():
                other.append(name)
                break
    detail = f"of {len(written.names())} tensors ({numbers:,} numbers) differ from the file's in {source.type}"
    return Check("numbers", not other, len(other), 0, detail + (f", such as {other[0]}" if other else ""))


def check_behaviour(source: GgufSource, folder: Path) -> Iterator[Check]:
    """Compare the folder in Transformers with the file in llama.cpp: token ids, ends, predictions.

    Chats and replies are information: the template is copied as it is, and replies part where two tokens are as likely.
    """
    import torch

    from statllama.model.base_model import start_backend
    from statllama.release import forms, prompts, verify_checks
    from statllama.release.exam import ROOM
    from statllama.release.llamacpp import LlamaCpp
    from statllama.release.verify_gguf import InGguf

    start_backend("transformers")  # quiets the libraries
    device = torch.device("cpu")
    with forms.merged_form(folder, device) as form:
        positions = int(source.config["max_position_embeddings"])
        tokenizer: Any = form.tokenizer
        asked = prompts.rows(tokenizer, positions - ROOM)
        observed = verify_checks.observe(form, prompts.strings(tokenizer), asked, source.tokenizer.ends)
        del form
    context = max(len(ids) for ids in (*(row.ids for row in asked), *observed.prompts)) + ROOM
    with LlamaCpp(source.header.path, context=context) as server:
        inside = forms.InLlamaCpp(server, observed.logits[0].shape[-1])
        yield verify_checks.check_tokens(observed, inside)
        for check in verify_checks.check_chats(observed, inside, partial(forms.chat_ids, tokenizer)):
            yield replace(check, required=False)
        yield verify_checks.check_stops(observed, inside, tokenizer.convert_ids_to_tokens)
        predictions = [inside.predict(row) for row in observed.rows]
        largest = verify_checks.distance(observed.logits, predictions).largest
        replies = verify_checks.check_replies(observed, inside, "", largest)
    file = InGguf(source.header.path)
    with forms.file_form(file, folder, device) as same:
        exact = [same.logits(row) for row in observed.rows]
        with forms.rounded_activations(same, partial(forms.stored_type, file)):
            rounded = [same.logits(row) for row in observed.rows]
    yield from _predictions(source, observed, exact, rounded, predictions)
    yield replies


def _predictions(
    source: GgufSource,
    observed: Reference,
    exact: Sequence[Tensor],
    rounded: Sequence[Tensor],
    predictions: Sequence[Sequence[Prediction]],
) -> Iterator[Check]:
    """Measure what rounding to the folder's type did, then llama.cpp with the file against the folder.

    `exact`: logits of Transformers with the file's own weights; `rounded`: with activations rounded as llama.cpp does.
    """
    from statllama.release.forms import Prediction
    from statllama.release.verify_checks import check_llama_cpp, check_predictions, distance

    folder = [[Prediction(line.numpy()) for line in row.double().log_softmax(-1)] for row in observed.logits]
    for check in check_predictions(distance(exact, folder), BEHAVIOUR[source.type]):
        detail = check.detail.replace("trained || this", "file's own numbers || folder")
        yield replace(check, name=f"{check.name} in {source.type}", detail=detail)
    for check in check_llama_cpp(observed, exact, rounded, predictions, _file_type(source)):
        if check.name != "cost":  # nothing was quantised here
            yield replace(check, detail=check.detail.replace("trained || this", "folder || llama.cpp"))


def _file_type(source: GgufSource) -> str:
    """Name the type of most matrices of the file, such as `q4_k`."""
    matrices = (info.type.name for info in source.header.tensors.values() if len(info.shape) > 1)
    return Counter(matrices).most_common(1)[0][0].lower()
