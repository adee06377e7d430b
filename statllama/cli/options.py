"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from statllama.cli import completion

RecipeArg = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A .yaml file, or the name of a shipped recipe (`statllama recipes`).",
        autocompletion=completion.recipes,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a field; may be repeated. Stages go by name: --set stages.sft.train.steps=20. "
        "Overrides are recorded with the result.",
        autocompletion=completion.settings,
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust-local-code", help="Allow rewards (name: local) to run code beside the recipe.")
]
UntilOption = Annotated[
    str | None, typer.Option(metavar="STAGE", help="Stop after this stage.", autocompletion=completion.stages)
]
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="When another process trains the same stage: wait for it, or stop and name it."
    ),
]
ExecutorOption = Annotated[
    Literal["local", "ray"] | None,
    typer.Option(
        "--executor",
        help="What trains and scores: this process, or workers on Ray, beside each other. "
        "Default: ray with --address, --workers or --devices, else local.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="Ray cluster to use. Default: RAY_ADDRESS, else this machine."),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="Number of Ray workers at most.")
]
DevicesOption = Annotated[
    int | None,
    typer.Option("--devices", min=1, metavar="N", help="Train each stage on N devices (`train.devices`), on Ray."),
]
WorkspaceOption = Annotated[
    Path,
    typer.Option(
        envvar="STATLLAMA_WORKSPACE",
        help="Folder for results. They are found by content, so recipes can share it.",
    ),
]
WORKSPACE = Path("workspace")
MirrorOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="STATLLAMA_MIRROR",
        help="Object store that keeps results for other machines: s3://BUCKET/FOLDER. They are fetched before a stage "
        "is trained, and pushed after.",
    ),
]

TargetArg = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A recipe file, a run in the workspace (or RUN:STAGE), a release, a model's folder, or a hub id.",
        autocompletion=completion.targets,
    ),
]

RunArg = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A recipe file or a run in the workspace.", autocompletion=completion.targets),
]

EvaluateSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a field, as in --set evaluate.micro_tokens=4096; may be repeated.",
        autocompletion=completion.settings,
    ),
]

TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="Benchmark to score instead of the recipe's; may be repeated.",
        autocompletion=completion.benchmarks,
    ),
]

DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="TASK=FILE",
        help="Local file to replace a benchmark's questions; TASK.SPLIT=FILE replaces one split.",
    ),
]

StageOption = Annotated[
    str | None,
    typer.Option(
        "--stage",
        metavar="NAME",
        help="Last stage of the stack, or `base`. Default: the run's last stage.",
        autocompletion=completion.stages,
    ),
]

ScaleOption = Annotated[
    list[str] | None, typer.Option("--scale", metavar="STAGE=FACTOR", help="Scale a stage's adapter; may be repeated.")
]

LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Score only the first items of each benchmark, up to this number.")
]

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the result as JSON.")]


def with_devices(overrides: list[str] | None, devices: int | None) -> list[str]:
    """Return the overrides of a command with those that --devices stands for."""
    return [*(overrides or []), *([] if devices is None else [f"defaults.train.devices={devices}"])]
