"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, EvaluateSetOption, ScaleOption, StageOption, TargetArg, WorkspaceOption

DirOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to create; it must not exist yet.")]
AdapterOption = Annotated[
    bool | None, typer.Option("--adapter/--no-adapter", help="Write the stack as one ordinary PEFT adapter.")
]
RankOption = Annotated[
    int | None, typer.Option(min=1, help="Recompress that adapter to this rank; the error is reported.")
]
MergedOption = Annotated[
    str | None, typer.Option("--merged", metavar="TYPE", help="Write merged weights in bf16, f16 or f32.")
]
GgufOption = Annotated[
    list[str] | None,
    typer.Option("--gguf", metavar="TYPE", help="Write GGUF in f16, bf16, q8_0, q5_k_m, q4_k_m, ...; may be repeated."),
]
LoraOption = Annotated[
    bool, typer.Option("--gguf-lora", help="Write each stage, and all together, as GGUF LoRA for llama.cpp's --lora.")
]
NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the release. Default: the names of run and stage.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Publish despite a failed verification; the card then says so.")
]
PushOption = Annotated[
    str | None, typer.Option("--push", metavar="REPO", help="Upload it to this hub repository, private by default.")
]
PublicOption = Annotated[bool, typer.Option("--public", help="With --push: make the repository public.")]


def export(
    target: TargetArg,
    out: DirOption,
    stage: StageOption = None,
    adapter: AdapterOption = None,
    rank: RankOption = None,
    merged: MergedOption = None,
    gguf: GgufOption = None,
    lora: LoraOption = False,
    scale: ScaleOption = None,
    name: NameOption = None,
    force: ForceOption = False,
    push: PushOption = None,
    public: PublicOption = False,
    overrides: EvaluateSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Release a stage as adapter, merged weights or GGUF, each checked against the trained stack.

    Without a choice of forms: the adapter and merged weights in bf16. Works offline, without a compiler.
    """
    from statllama.cli.console.export import print_release
    from statllama.cli.console.run import ConsoleReporter
    from statllama.release.release import Forms
    from statllama.release.release import export as make_release
    from statllama.runs.loaded import Loaded
    from statllama.runs.signals import StopSignal
    from statllama.runs.targets import chosen_stack
    from statllama.store import Store

    store = Store(workspace)
    subject, stack = chosen_stack(target, store, stage, scale, overrides)
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
        from statllama.release.push import push as upload

        print_release(release, upload(release.folder, push, public))
