"""Makes a release: writes the forms that were ordered, verifies them, and publishes those that passed.

All is built in a hidden folder beside the target, which is renamed at the end: a release that can be seen is whole, and
what it holds is verified (or its card says that it was forced). What failed is withheld; certificate and card name it.
A kill leaves the hidden folder, which the next export removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.errors import ExportError
from statllama.release.artefact import Artefact, Order
from statllama.release.certificate import Certificate
from statllama.release.formats import release_format, release_formats
from statllama.release.of_what import CERTIFICATE, OF_WHAT, SUMS, of_what
from statllama.release.source import Source, source_of
from statllama.runs.loaded import Loaded
from statllama.runs.subject import StackRef, Subject
from statllama.store.files import file_sha256, require_bytes, write_json
from statllama.store.new_folder import new_folder, require_free, taken

if TYPE_CHECKING:
    from statllama.release.card_question import Asked
    from statllama.release.licences import Duties

CARD = "README.md"


@dataclass(frozen=True)
class Release:
    """A published release."""

    folder: Path
    certificate: Certificate
    """Of what the folder holds, and of what was withheld."""
    notes: tuple[str, ...]
    """Notes for the user, such as a stage that loses much in the cast to 16 bits."""


def export(
    subject: Subject,
    stack: StackRef,
    loaded: Loaded,
    out: Path,
    orders: Sequence[Order],
    name: str | None = None,
    force: bool = False,
) -> Release:
    """Make the release of `stack` in `out`, which must not exist or be empty; `loaded` with the backend `transformers`.

    `orders`: the forms, see `formats.orders`. What fails its verification is left out and named in the certificate
    (`withheld`); with `force` it is published too, and the card says so. ExportError when an order cannot be filled, as
    far as that shows before anything is written, or when nothing passes. Then `out` is as it was.
    """
    require_free(out)
    source, duties = _named_source(subject, stack, loaded, name)
    for order in orders if not force else ():
        release_format(order.format).require_program()
    with new_folder(out) as folder:
        made = _make(source, subject, stack, loaded, folder, orders, force)
        asks = _finish(source, duties, subject, stack, loaded, folder, made, of_what(subject, stack, orders, name))
    return Release(out.absolute(), made.certificate, (*made.notes, *duties.warnings, *asks))


@dataclass(frozen=True)
class Made:
    """What was written and verified, and is yet without a card."""

    certificate: Certificate
    """Of what the folder holds, and of what was withheld."""
    notes: tuple[str, ...]
    """Notes on what it holds."""


def make(
    subject: Subject,
    stack: StackRef,
    loaded: Loaded,
    folder: Path,
    orders: Sequence[Order],
    name: str | None,
) -> Made:
    """Write the forms into an empty folder, verify them, and delete what failed: what takes long. See `export`.

    The card shows scores, and these may come later: `finish` writes it.
    """
    source, _ = _named_source(subject, stack, loaded, name)
    for order in orders:
        release_format(order.format).require_program()
    return _make(source, subject, stack, loaded, folder, orders, force=False)


def finish(
    subject: Subject,
    stack: StackRef,
    loaded: Loaded,
    entry: Path,
    out: Path,
    made: Made,
    orders: Sequence[Order],
    name: str | None,
) -> Release:
    """Publish what `make` made in the folder `entry`, which stays, as `out`: the same bytes as those of `export`."""
    source, duties = _named_source(subject, stack, loaded, name)
    with new_folder(out) as folder:
        taken(entry, folder)
        asks = _finish(source, duties, subject, stack, loaded, folder, made, of_what(subject, stack, orders, name))
    return Release(out.absolute(), made.certificate, (*made.notes, *duties.warnings, *asks))


def _named_source(subject: Subject, stack: StackRef, loaded: Loaded, name: str | None) -> tuple[Source, Duties]:
    from statllama.model.base_model import start_backend
    from statllama.release.licences import duties_of
    from statllama.release.names import release_name

    start_backend("transformers")  # quiets the libraries, and mends what is known of them
    first = source_of(subject, stack, loaded, "")
    duties = duties_of(first.base, subject.base.model)
    return replace(first, name=release_name(subject, stack.name, name, duties)), duties


def _make(
    source: Source,
    subject: Subject,
    stack: StackRef,
    loaded: Loaded,
    folder: Path,
    orders: Sequence[Order],
    force: bool,
) -> Made:
    from statllama.release.withhold import withhold
    from statllama.release.write import discard, needed_bytes, write_orders

    require_bytes(folder, needed_bytes(source, orders))
    written = write_orders(source, orders, folder, loaded.reporter.exporting)
    certificate = withhold(_verify(source, stack, written.artefacts, subject, loaded), written.unwritten, force)
    _require_any(certificate)
    held = {one.name for one in certificate.artefacts}
    discard(folder, *(one.path for one in written.artefacts if one.name not in held))
    return Made(certificate, tuple(note for one in written.artefacts if one.name in held for note in one.notes))


def _finish(
    source: Source,
    duties: Duties,
    subject: Subject,
    stack: StackRef,
    loaded: Loaded,
    folder: Path,
    made: Made,
    what: Mapping[str, Any],
) -> list[str]:
    """Write certificate, card and sums; return what the user should know of the card."""
    body = {**made.certificate.to_json(), **_made_of(subject, stack), OF_WHAT: what}
    write_json(folder / CERTIFICATE, body)
    notes = [*made.notes, *duties.warnings]
    asked = _describe(source, subject, stack, folder, duties, made.certificate, loaded, notes)
    _sum(folder)
    if not asked.private:
        return []
    return [f"the card shows {asked.source}; to show another: --set 'evaluate.prompts=[\"QUESTION\"]'"]


def require_complete(release: Release, repo: str | None = None) -> None:
    """Raise ExportError when something that was ordered is withheld; it names that and what to take instead.

    `repo`: hub repository that the release was to be uploaded to.
    """
    withheld = release.certificate.withheld
    if not withheld:
        return
    forced = not release.certificate.passed
    lines = "".join(f"\n  {one.name}: {one.instead}" for one in withheld)
    message = f"{len(withheld)} of {len(withheld) + len(release.certificate.artefacts)} files failed and are withheld:"
    upload = f"; it was not uploaded: hf upload {repo} {release.folder} --private" if repo and not forced else ""
    raise ExportError(f"{message}{lines}", remedy=f"{release.folder} holds the rest{upload}")


def _verify(
    source: Source, stack: StackRef, artefacts: Sequence[Artefact], subject: Subject, loaded: Loaded
) -> Certificate:
    from statllama.model.base_model import scoring
    from statllama.release.verify import verify

    @contextmanager
    def reference() -> Iterator[tuple[Any, Any]]:
        """Yield the stack on the original weights in float32, on the CPU, which always has room for it."""
        import torch
        from transformers import AutoModelForCausalLM

        from statllama.model import stack as stacks

        base = AutoModelForCausalLM.from_pretrained(
            source.base, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        ).eval()
        model = stacks.attach_frozen(base, source.adapters) if source.adapters else base
        yield model, loaded.tokenizer

    @contextmanager
    def trained() -> Iterator[tuple[Any, Any]]:
        with scoring(loaded.base(subject.precision), loaded.adapters(stack.parts)) as model:
            yield model, loaded.tokenizer

    on_step = loaded.reporter.verifying
    return verify(source, artefacts, reference, trained, on_step)


def _require_any(certificate: Certificate) -> None:
    """Raise ExportError when nothing is left to publish."""
    if not certificate.artefacts:
        failures = "\n  ".join(certificate.failures() or ["nothing was verified"])
        raise ExportError(
            f"the release does not behave like the trained stack, so it is not published:\n  {failures}",
            remedy="--force publishes it anyway, and its card says so",
        )


def _describe(
    source: Source,
    subject: Subject,
    stack: StackRef,
    folder: Path,
    duties: Duties,
    certificate: Certificate,
    loaded: Loaded,
    notes: Sequence[str],
) -> Asked:
    """Write what lies beside the artefacts: the formats' own files, the licence's, and the card. Return the question
    that the card asks.
    """
    from statllama.release.card import Contents, card
    from statllama.release.card_base import facts_of
    from statllama.release.card_question import question_for
    from statllama.release.licences import write_licences

    side_files: dict[str, str] = {}
    for one in release_formats():
        if held := [artefact for artefact in certificate.artefacts if artefact.kind == one.name]:
            side_files |= one.side_files(source, held, folder, loaded.tokenizer)
    licences = tuple(write_licences(duties, folder))
    asked = question_for(subject)
    contents = Contents(source.name, side_files, licences, source.chat_template, asked, facts_of(source.base))
    text = card(subject, stack, loaded.store, contents, duties, certificate, notes)
    (folder / CARD).write_text(text, encoding="utf-8")
    return asked


def _made_of(subject: Subject, stack: StackRef) -> dict[str, str]:
    """Return the target by which `export` makes another release of this, where it has one: a run's stage, unscaled."""
    named = subject.record and stack.name in {stage.name for stage in subject.stages}
    return {"made_of": f"{subject.name}:{stack.name}"} if named else {}


def _sum(folder: Path) -> None:
    """Write the SHA-256 of every file, as `sha256sum --check` reads it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    lines = [f"{file_sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
