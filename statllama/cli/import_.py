"""The command import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FileArg = Annotated[Path, typer.Argument(metavar="MODEL.gguf", help="A GGUF file, such as Ollama and LM Studio keep.")]
FolderOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to create; it must not exist yet.")]
TypeOption = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        help="Write the weights in f16, bf16 or f32. Default: the file's own, and f16 for quantised ones.",
    ),
]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify",
        help="Compare the folder with llama.cpp before it is kept; needs 4 bytes of memory a parameter.",
    ),
]


def import_(model: FileArg, out: FolderOption, type_: TypeOption = None, verify: VerifyOption = True) -> None:
    """Make a base folder of a GGUF file (an Ollama or LM Studio model), to train on and to chat with.

    The folder is kept once its numbers are the file's and it does in Transformers what llama.cpp does with the file.
    """
    from statllama.cli.console.import_ import print_imported
    from statllama.cli.console.run import ConsoleReporter
    from statllama.release.imported import import_model
    from statllama.runs.signals import StopSignal

    with StopSignal():
        imported = import_model(model, out, type_ and type_.lower(), verify, ConsoleReporter())
    print_imported(imported)
