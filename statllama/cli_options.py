"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="A .yaml file, or the name of a shipped recipe.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a field; may be repeated. Stages go by name: --set stages.sft.train.steps=20. "
        "Overrides are recorded with the result.",
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust-local-code", help="Run rewards (name: local) that are code beside the recipe.")
]
UntilOption = Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")]
WorkspaceOption = Annotated[
    Path,
    typer.Option(
        envvar="STATLLAMA_WORKSPACE",
        help="Folder for results. Results are found by what they are made of, so recipes can share one.",
    ),
]
WORKSPACE = Path("workspace")
