"""The command import."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, WorkspaceOption
from statllama.errors import NotFoundError, UsageError

FileArg = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A bundle made by `export --bundle`, or a GGUF file, such as Ollama and LM Studio keep."
    ),
]
FolderOption = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="GGUF: folder to create; it must not exist yet.")
]
TypeOption = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        help="GGUF: write the weights in f16, bf16 or f32. Default: the file's own, and f16 for quantised ones.",
    ),
]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify",
        help="GGUF: compare the folder with llama.cpp before it is kept; needs 4 bytes of memory a parameter.",
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Bundle: name of the run here.")]
BaseOption = Annotated[
    Path | None, typer.Option("--base", metavar="FOLDER", help="Bundle: where its base is on this machine.")
]
RecipeOption = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Bundle: its recipe here, beside which its own benchmarks lie."),
]


def import_(
    file: FileArg,
    out: FolderOption = None,
    type_: TypeOption = None,
    verify: VerifyOption = True,
    name: NameOption = None,
    base: BaseOption = None,
    recipe: RecipeOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Bring a run from a bundle into the workspace, or make a base folder of a GGUF file.

    A bundle (`export --bundle`) is checked file by file before any of it enters the workspace; nothing there is
    overwritten. The folder of a GGUF file (an Ollama or LM Studio model), to train on and to chat with, is kept once
    its numbers are the file's and it does in Transformers what llama.cpp does with the file. The content of FILE says
    which of the two it is.
    """
    from statllama.store.archive import is_archive

    if not file.is_file():
        wrong = "is a folder" if file.is_dir() else "does not exist"
        raise NotFoundError(f"{file} {wrong}", remedy="name a bundle made by `export --bundle`, or a GGUF file")
    if is_archive(file):
        _refuse("a bundle", {"--out": out, "--type": type_, "--no-verify": not verify})
        _import_bundle(file, name, base, recipe, workspace)
        return
    _refuse("no bundle", {"--name": name, "--base": base, "--recipe": recipe})
    if out is None:
        raise UsageError(
            f"{file} is no bundle; to make a base folder of a GGUF file, name the folder",
            remedy=f"statllama import {shlex.quote(str(file))} --out base",
        )
    from statllama.cli.console.import_ import print_imported
    from statllama.cli.console.run import ConsoleReporter
    from statllama.release.imported import import_model
    from statllama.runs.signals import StopSignal

    with StopSignal():
        imported = import_model(file, out, type_ and type_.lower(), verify, ConsoleReporter())
    print_imported(imported)


def _refuse(what: str, options: dict[str, object]) -> None:
    """Raise UsageError for options that say nothing about such a file."""
    if given := [flag for flag, value in options.items() if value]:
        raise UsageError(f"the file is {what}: {', '.join(given)} cannot be given with it")


def _import_bundle(file: Path, name: str | None, base: Path | None, recipe: Path | None, workspace: Path) -> None:
    from statllama.cli.console.import_ import print_brought
    from statllama.runs.house.unbundle import Wishes, import_bundle
    from statllama.runs.signals import StopSignal
    from statllama.store import Store

    if recipe is not None and not recipe.is_file():
        raise UsageError(f"--recipe {recipe}: there is no such file")
    with StopSignal():
        brought = import_bundle(file, Store(workspace), Wishes(name, base, recipe))
    print_brought(brought, file, workspace, named=name is not None)
