"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statllama.cli_eval import SetOption, TargetArg
from statllama.cli_options import WORKSPACE, WorkspaceOption


def export(
    target: TargetArg,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make; it must not exist yet.")],
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="NAME", help="Stage whose stack is released. Default: the last.")
    ] = None,
    adapter: Annotated[
        bool | None, typer.Option("--adapter/--no-adapter", help="The stack as one ordinary PEFT adapter.")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(min=1, help="Recompress that adapter to this rank; the error is reported.")
    ] = None,
    merged: Annotated[
        str | None, typer.Option("--merged", metavar="TYPE", help="The merged weights in bf16, f16 or f32.")
    ] = None,
    gguf: Annotated[
        list[str] | None,
        typer.Option("--gguf", metavar="TYPE", help="GGUF in f16, bf16, q8_0, q5_k_m, q4_k_m, ...; may be repeated."),
    ] = None,
    lora: Annotated[
        bool, typer.Option("--gguf-lora", help="Each stage, and all together, as GGUF LoRA for llama.cpp's --lora.")
    ] = False,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", metavar="STAGE=FACTOR", help="Scale a stage's adapter; repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the release. Default: of run and stage.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish although verification fails; the card then says so.")
    ] = False,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REPO", help="Upload it to this hub repository, private by default.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a public repository.")] = False,
    overrides: SetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Release a stage: adapter, merged weights, GGUF, checked against the trained stack before they are published.

    Without a choice of forms: the adapter and merged weights in bf16. Works offline, without a compiler.
    """
    from statllama.console_export import print_release
    from statllama.console_run import ConsoleReporter
    from statllama.evaluation import factors_of, scaled
    from statllama.export.release import Forms
    from statllama.export.release import export as make_release
    from statllama.loaded import Loaded
    from statllama.signals import StopSignal
    from statllama.store import Store
    from statllama.targets import find_subject, split_stage

    store = Store(workspace)
    run, given = split_stage(target)
    subject = find_subject(run, store, overrides or ())
    stack = subject.stack(stage or given or subject.last)
    if factors := factors_of(subject, scale or ()):
        stack = scaled(subject, stack, factors)
    kinds = tuple(dict.fromkeys(kind.lower() for text in gguf or () for kind in text.split(",")))
    chosen = adapter or merged or kinds or lora
    forms = Forms(
        adapter=adapter if adapter is not None else not chosen or rank is not None,
        rank=rank,
        merged=merged.lower() if merged else "" if chosen else "bf16",
        gguf=kinds,
        lora=lora,
    )
    # Verification asks plain Transformers and PEFT, which Unsloth would rewrite for the whole process.
    loaded = Loaded(
        subject.base, subject.identity, store, ConsoleReporter(), subject.evaluate.max_length, backend="transformers"
    )
    with StopSignal():
        release = make_release(subject, stack, loaded, out, forms, name, force)
    print_release(release)
    if push is not None:
        from statllama.export.push import push as upload

        print_release(release, upload(release.folder, push, public))
