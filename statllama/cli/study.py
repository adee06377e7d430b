"""The command study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from statllama.cli import completion
from statllama.cli.options import (
    WORKSPACE,
    AddressOption,
    DevicesOption,
    ExecutorOption,
    MirrorOption,
    SetOption,
    TrustOption,
    WaitOption,
    WorkersOption,
    WorkspaceOption,
    with_devices,
)
from statllama.errors import UsageError

if TYPE_CHECKING:
    from statllama.runs.study import StudyResult
    from statllama.runs.study_file import Study


def study(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|RECIPE...",
            help="A study file (a list of recipes), or several recipes.",
            autocompletion=completion.recipes_and_studies,
        ),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Run only this recipe, or RECIPE:STAGE; may be repeated."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Run only recipes with this stage, and stop after it.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train every recipe N times, under other seeds each time.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run also a grid or search of more than 100 runs.")] = False,
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write a report (.html) or the figures (.json).")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    mirror: MirrorOption = None,
    wait: WaitOption = True,
    trust_local_code: TrustOption = False,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    devices: DevicesOption = None,
) -> None:
    """Run several recipes over shared stages: train each distinct stage once, compare all pipelines.

    A failed pipeline does not stop the others. A stopped study goes on when you repeat the command. On Ray stages of
    all pipelines train at the same time, where they do not wait for one another. A study file may have a `grid` of
    values or a `search`: then its trials are compared on an `objective`.
    """
    from statllama.cli.console.next_commands import print_next_of_study
    from statllama.cli.console.study import print_study
    from statllama.runs.study_file import load_study

    _require(seeds, out)
    given = with_devices(overrides, devices)
    loaded = load_study(targets, given, seeds=seeds, trust_local_code=trust_local_code, many=yes)
    workers_of = Workers(executor, address, workers)
    result = _run(loaded, workspace, mirror, only or (), until, wait, workers_of)
    print_study(result)
    _write(result, out)
    print_next_of_study(result, targets, workspace)
    if result.failed:
        raise typer.Exit(1)


class Workers(NamedTuple):
    """What the command was told of where to run: see `chosen_executor`."""

    executor: str | None
    address: str | None
    workers: int | None


def _run(
    study: Study,
    workspace: Path,
    mirror: str | None,
    only: Sequence[str],
    until: str | None,
    wait: bool,
    told: Workers,
) -> StudyResult:
    """Run a study, or its search."""
    from statllama.cli.console.next_commands import going_on
    from statllama.cli.console.study import StudyReporter
    from statllama.runs.cluster.fill import chosen_executor
    from statllama.runs.mirroring import mirrored
    from statllama.runs.reporting import Reporters
    from statllama.runs.search import run_search
    from statllama.runs.study import run_study
    from statllama.runs.watch.live import LiveRecord
    from statllama.store import Store

    if study.spec.search is not None and (only or until):
        raise UsageError("--only and --until choose among pipelines, and a search makes its own")
    executor = chosen_executor(*told, study.recipes)
    store, console = Store(workspace), StudyReporter()
    reporter = Reporters(console, LiveRecord(store, console.note))
    with going_on(console), mirrored(store, mirror, reporter) as workplace:
        if study.spec.search is not None:
            return run_search(study, workplace, reporter, wait=wait, executor=executor)
        return run_study(study, workplace, reporter, only=only, until=until, wait=wait, executor=executor)


def _require(seeds: int | None, out: Path | None) -> None:
    """Raise UsageError for a number of runs or a file that cannot be."""
    from statllama.runs.study_file import MOST_RUNS
    from statllama.store.files import require_place

    require_place(out)
    if seeds is not None and not 2 <= seeds <= MOST_RUNS:
        raise UsageError(f"--seeds {seeds}: expected 2 (one run cannot show how much runs differ) to {MOST_RUNS}")
    if out is not None and out.suffix not in (".html", ".json"):
        raise UsageError(f"--out {out}: expected a name that ends in .html or .json")


def _write(result: StudyResult, out: Path | None) -> None:
    """Write a study's report, or its figures where `out` ends in .json; nothing for None."""
    from statllama.cli.console.terminal import print_path
    from statllama.report import write_study
    from statllama.store.files import write_json

    if out is None:
        return
    if out.suffix == ".html":
        write_study(result, out)
    else:
        write_json(out, result.to_json())
    print_path("written: ", out)
