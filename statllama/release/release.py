"""Makes a release: writes every form, verifies it against what was trained, and only then puts it in its place.

All is built in a hidden folder beside the target, which is renamed at the end: a release that can be seen is whole and
verified (or says in its card that it was forced). A kill leaves the hidden folder, which the next export removes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from statllama.errors import ExportError, UsageError
from statllama.release.source import Source
from statllama.runs.loaded import Loaded
from statllama.runs.subject import StackRef, Subject
from statllama.store.files import file_sha256, require_bytes, sync, translate_os_errors, walk, write_json

if TYPE_CHECKING:
    from statllama.release.certificate import Certificate
    from statllama.release.licences import Duties
    from statllama.release.verify import Artefact

CERTIFICATE, SUMS, CARD, MODELFILE = "verification.json", "SHA256SUMS", "README.md", "Modelfile"
FROM_HUB = (
    *("*.json", "*.safetensors", "*.jinja", "*.txt", "*.md", "tokenizer.model"),
    *("NOTICE*", "LICEN*", "USE_POLICY*"),
)


@dataclass(frozen=True)
class Forms:
    """The forms of a release."""

    adapter: bool = True
    """The stack as one PEFT adapter."""
    rank: int | None = None
    """Rank of the recompressed adapter; None: the ranks of all stages together."""
    merged: str = ""
    """Type of the merged weights: bf16, f16 or f32; empty: none."""
    gguf: tuple[str, ...] = ()
    """Types of GGUF files."""
    lora: bool = False
    """Each stage, and all together, as GGUF LoRA for llama.cpp's --lora."""


@dataclass(frozen=True)
class Release:
    """A published release."""

    folder: Path
    certificate: Certificate
    notes: tuple[str, ...]
    """Notes for the user, such as a stage that loses much in the cast to 16 bits."""


def source_of(subject: Subject, stack: StackRef, loaded: Loaded, name: str) -> Source:
    """Return the base's original weights, from its folder or the hub, and the stack's adapters. ExportError without
    them.
    """
    names = {stage.key: stage.name for stage in subject.stages}
    base = _folder(subject.base.model, subject.identity["model"].get("commit"))
    own = subject.base.tokenizer
    tokenizer = _folder(own, subject.identity["tokenizer"].get("commit")) if own else base
    template = loaded.tokenizer.chat_template
    return Source(
        name=name,
        base=base,
        tokenizer=tokenizer,
        chat_template=str(template) if template else None,
        adapters=loaded.adapters(stack.parts),
        stages=tuple(names[key] for key, _ in stack.parts),
    )


def _folder(model: str, commit: str | None) -> Path:
    """Return the folder of a model's files: its own, or the hub's cache at that commit, filled if need be."""
    if commit is None:
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=commit, allow_patterns=list(FROM_HUB)))
    except Exception as error:
        raise ExportError(
            f"the original weights of {model} (commit {commit[:12]}) are unavailable: {type(error).__name__}",
            remedy="connect to the hub once, or set `base.model` to a folder that holds them",
        ) from error


def release_name(subject: Subject, stage: str, given: str | None, duties: Duties) -> str:
    """Return the release's name: `given`, or that of run and stage, with the prefix that the base's licence asks for.

    UsageError when `given` lacks the prefix, or cannot be a part of a file's name.
    """
    if given is None:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{subject.name}-{stage}").strip("-.")
        missing = duties.prefix and not plain.lower().startswith(duties.prefix.lower())
        return f"{duties.prefix}-{plain}" if missing else plain
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", given):
        raise UsageError(f"--name {given!r}: letters, digits, `.`, `_` and `-` only, the first a letter or digit")
    if duties.prefix and not given.lower().startswith(duties.prefix.lower()):
        raise UsageError(
            f"--name {given!r}: the {duties.name} asks that the name begins with {duties.prefix!r}",
            remedy=f"--name {duties.prefix}-{given}",
        )
    return given


def export(
    subject: Subject, stack: StackRef, loaded: Loaded, out: Path, forms: Forms, name: str | None, force: bool
) -> Release:
    """Make the release of `stack` in `out`, which must not exist or be empty; `loaded` with the backend `transformers`.

    ExportError when a form cannot be written, or when verification fails (unless `force`: the card then says so). The
    folder is then as it was.
    """
    from statllama.model.base_model import start_backend
    from statllama.release.licences import duties_of

    target = Path(os.path.abspath(out))
    _require_free(target)
    start_backend("transformers")  # quiets the libraries, and mends what is known of them
    first = source_of(subject, stack, loaded, "")
    duties = duties_of(first.base, subject.base.model)
    source = replace(first, name=release_name(subject, stack.name, name, duties))
    with _partial(target) as folder:
        _require_room(source, forms, folder)
        artefacts, notes = _write(source, forms, folder, loaded)
        certificate = _verify(source, stack, artefacts, subject, loaded)
        if not certificate.passed and not force:
            failures = "\n  ".join(certificate.failures() or ["nothing was verified"])
            raise ExportError(
                f"the release does not behave like the trained stack, so it is not published:\n  {failures}",
                remedy="--force publishes it anyway, and its card says so",
            )
        write_json(folder / CERTIFICATE, certificate.to_json())
        notes += _finish(source, subject, stack, folder, artefacts, duties, certificate, loaded, force)
        _sum(folder)
        with translate_os_errors(target):
            sync(*walk(folder))
            if target.exists():
                target.rmdir()  # empty: see `_require_free`
            os.rename(folder, target)
            sync(target.parent)
    return Release(target, certificate, tuple(notes))


def _require_free(target: Path) -> None:
    """Raise UsageError when something is in the target's place already."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if os.path.lexists(target):
        raise UsageError(f"--out {target}: it already exists", remedy="use another folder, or delete that one first")
    if not target.parent.is_dir():
        raise UsageError(f"--out {target}: there is no folder {target.parent}", remedy="create it first")


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `target` to build in, gone afterwards. ExportError when another process has it."""
    folder = target.parent / f".{target.name}.partial"
    lock = FileLock(target.parent / f".{target.name}.lock", fallback_to_soft=False)
    with translate_os_errors(target):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ExportError(f"another process is making {target}", remedy="wait until it ends") from None
        try:
            shutil.rmtree(folder, ignore_errors=True)  # of an export that was killed
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)


def _require_room(source: Source, forms: Forms, folder: Path) -> None:
    """Raise StoreError when the disk has less than the whole release will take."""
    from statllama.release import adapter, gguf, gguf_lora, merged

    needed = adapter.needed_bytes(source, forms.rank) if forms.adapter else 0
    needed += merged.needed_bytes(source, forms.merged) if forms.merged else 0
    needed += sum(gguf.needed_bytes(source, kind) for kind in forms.gguf)
    needed += gguf_lora.needed_bytes(source) if forms.lora else 0
    require_bytes(folder, needed)


def _write(source: Source, forms: Forms, folder: Path, loaded: Loaded) -> tuple[list[Artefact], list[str]]:
    """Return every form that is wanted, in its place below `folder`, and what should be known of it."""
    from statllama.release import adapter, gguf, gguf_lora, merged
    from statllama.release.verify import Artefact

    artefacts: list[Artefact] = []
    notes: list[str] = []
    exporting = loaded.reporter.exporting
    with translate_os_errors(folder):
        if forms.adapter:
            place = folder / "adapter"
            place.mkdir()
            with exporting("adapter") as progress:
                found = adapter.write_adapter(source, place, forms.rank, progress, **_loaded_by(loaded))
            error = found.error if found is not None else 0.0
            if error:
                notes.append(f"the adapter's rank was cut to {forms.rank}: relative error of its update {error:.2g}")
            artefacts.append(Artefact("adapter", "adapter", place, "f32", error))
        if forms.merged:
            place = folder / "merged"
            place.mkdir()
            with exporting(f"merged ({forms.merged})") as progress:
                report = merged.write_merged(source, place, forms.merged, progress=progress)
            notes += report.warnings
            artefacts.append(Artefact("merged", "merged", place, forms.merged))
        if forms.gguf or forms.lora:
            (folder / "gguf").mkdir()
        for kind in forms.gguf:
            file = folder / "gguf" / f"{source.name}-{kind}.gguf"
            with exporting(file.name) as progress:
                gguf.write_gguf(source, file, kind, progress)
            artefacts.append(Artefact(f"gguf/{file.name}", "gguf", file, kind))
        if forms.lora:
            with exporting("GGUF LoRA") as progress:
                files = gguf_lora.write_gguf_loras(source, folder / "gguf", progress)
            artefacts += [Artefact(f"gguf/{file.name}", "gguf-lora", file, "f32") for file in files]
    return artefacts, notes


def _loaded_by(loaded: Loaded) -> dict[str, str | None]:
    """Return PEFT's way to the base: hub id and commit, or a folder's name alone, since its path is of this machine."""
    commit = loaded.identity["model"].get("commit")
    model = loaded.spec.model
    return {"base_name": model if commit else Path(model).name, "revision": commit}


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


def _finish(
    source: Source,
    subject: Subject,
    stack: StackRef,
    folder: Path,
    artefacts: Sequence[Artefact],
    duties: Duties,
    certificate: Certificate,
    loaded: Loaded,
    force: bool,
) -> list[str]:
    """Return the licence files, Modelfile and card; what should be known of them."""
    from statllama.release.card import card
    from statllama.release.card_use import Contents
    from statllama.release.licences import write_licences
    from statllama.release.modelfile import modelfile

    notes = list(duties.warnings)
    licences = write_licences(duties, folder)
    files = tuple(a.path.name for a in artefacts if a.kind == "gguf")
    if files:
        (folder / MODELFILE).write_text(modelfile(source, f"./gguf/{files[-1]}", loaded.tokenizer), encoding="utf-8")
    contents = Contents(
        name=source.name,
        adapter=any(a.kind == "adapter" for a in artefacts),
        merged=next((a.type for a in artefacts if a.kind == "merged"), ""),
        gguf=files,
        lora=tuple(a.path.name for a in artefacts if a.kind == "gguf-lora"),
        modelfile=bool(files),
        licences=tuple(licences),
    )
    forced = force and not certificate.passed
    text = card(subject, stack, loaded.store, contents, duties, certificate, forced, notes)
    (folder / CARD).write_text(text, encoding="utf-8")
    return notes


def _sum(folder: Path) -> None:
    """Write the SHA-256 of every file, as `sha256sum --check` reads it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    lines = [f"{file_sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
