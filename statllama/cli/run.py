"""Commands on a recipe and a workspace: run, plan, fetch, show, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statllama.cli import completion
from statllama.cli.options import (
    WORKSPACE,
    AddressOption,
    DevicesOption,
    ExecutorOption,
    MirrorOption,
    RecipeArg,
    SetOption,
    TrustOption,
    UntilOption,
    WaitOption,
    WorkersOption,
    WorkspaceOption,
    with_devices,
)


def run(
    recipe: RecipeArg,
    overrides: SetOption = None,
    until: UntilOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    mirror: MirrorOption = None,
    wait: WaitOption = True,
    trust_local_code: TrustOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep the run's page up to date while it trains, as RECIPE.html.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="File of that page; implies --watch.")
    ] = None,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    devices: DevicesOption = None,
) -> None:
    """Train the missing stages, score the base and every stage, and print the scorecard.

    Stages with a result in the workspace are not trained again. A stopped run (Ctrl-C, kill, power) goes on
    from its last checkpoint when you repeat the command. `--watch` writes one HTML page that shows the run as it
    goes and loads itself again, and is the run's report in the end; `statllama report RUN --follow` does so from
    another terminal.

    With `--executor ray` stages and scores that do not wait for one another run at the same time, each on a device of
    this machine or of a cluster (`--address`); `--devices` trains one stage on several.
    """
    from statllama.cli.console.next_commands import going_on, print_next
    from statllama.cli.console.run import ConsoleReporter, print_page
    from statllama.recipe import load_recipe
    from statllama.release.of_recipe import ReleaseMaker
    from statllama.report.watching import watched
    from statllama.runs.cluster.fill import chosen_executor
    from statllama.runs.house.history import run_with
    from statllama.runs.mirroring import mirrored
    from statllama.runs.reporting import Reporters
    from statllama.runs.runner import run as run_recipe
    from statllama.runs.watch.live import LiveRecord
    from statllama.store import Store
    from statllama.store.files import require_place

    loaded = load_recipe(recipe, with_devices(overrides, devices))
    loaded = loaded.model_copy(update={"trust_local_code": trust_local_code})
    workers_of = chosen_executor(executor, address, workers, [loaded])
    page = Path(f"{loaded.name}.html") if watch and page is None else page
    require_place(page, "--page")
    store, console = Store(workspace), ConsoleReporter()
    if page is not None:
        print_page(page)
    with going_on(console):
        with watched(store, page, console.note) as start:
            reporter = Reporters(console, LiveRecord(store, console.note, start))
            with mirrored(store, mirror, reporter) as workplace:
                given = (loaded, workplace, reporter)
                result = run_recipe(*given, until=until, wait=wait, executor=workers_of, maker=ReleaseMaker())
        keys = {stage: folder.name for stage, folder in result.results.items()}
        print_next(run_with(store, loaded.name, keys), workspace, result.scorecard)


def plan(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|STUDY", help="A .yaml file, or the name of a shipped recipe or study.")
    ],
    overrides: SetOption = None,
    until: UntilOption = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="CARD", help='Forecast for a GPU: "RTX 4090", h200, its memory (12GB), or cpu.'),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    mirror: MirrorOption = None,
    measure: Annotated[
        bool, typer.Option("--calibrate", help="First measure this machine, by a few real steps and items.")
    ] = False,
) -> None:
    """Show which stages would run and why, with their tokens and steps, what they need of memory, disk and time, and
    what the benchmarks can show. Trains nothing.

    Tokenises the data of the stages that would run; `run` then takes it from the workspace's cache. The forecast is for
    the GPU found here, else for this computer; --on names another.
    """
    from statllama.cli.console.plan import print_prospect
    from statllama.cli.console.run import ConsoleReporter
    from statllama.release.of_recipe import ReleaseMaker
    from statllama.runs.forecast.calibrate import require_here
    from statllama.runs.forecast.device import found_device, named_device
    from statllama.runs.mirroring import mirrored
    from statllama.runs.prospect import prospects
    from statllama.runs.study_file import load_study, with_stage
    from statllama.store import Store

    device = found_device() if on is None else named_device(on)
    if measure:
        require_here(device)
    recipes = [run.recipe for run in with_stage(load_study([recipe], overrides or []), until)]
    with mirrored(Store(workspace), mirror, reporter := ConsoleReporter(), preview=True) as store:
        ahead = prospects(recipes, store, reporter, device, until=until, measure=measure, maker=ReleaseMaker())
        for number, each in enumerate(ahead):
            print_prospect(each, device, explain=number == 0)


def fetch(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|STUDY...",
            help="Recipe files, names of shipped recipes, or a study.",
            autocompletion=completion.recipes_and_studies,
        ),
    ],
    overrides: SetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Fetch everything that recipes read from the hub (base, data, benchmarks), for runs without a network.

    For a machine without network, copy the workspace and the hub's cache to it.
    """
    from statllama.cli.console.run import ConsoleReporter
    from statllama.cli.console.workspace import print_fetched
    from statllama.runs.fetch import fetch as fetch_recipe
    from statllama.runs.fetch import hub_cache
    from statllama.runs.study_file import load_study
    from statllama.store import Store

    study, store, reporter = load_study(recipes, overrides or []), Store(workspace), ConsoleReporter()
    for run in study.runs:
        fetch_recipe(run.recipe, store, reporter)
    print_fetched([recipe.name for recipe in study.recipes], workspace, hub_cache())


def show(recipe: RecipeArg, overrides: SetOption = None, workspace: WorkspaceOption = WORKSPACE) -> None:
    """Print the resolved recipe as runnable YAML: every field with its value, defaults included.

    Takes a run in the workspace too, such as gardener@1: its recipe, as it was then.
    """
    from statllama.cli.console.workspace import print_recipe
    from statllama.recipe import load_recipe
    from statllama.runs.targets import recorded_recipe
    from statllama.store import Store

    if not overrides and (record := recorded_recipe(recipe, Store(workspace))) is not None:
        print_recipe(record["resolved"], record["recipe"], record["overrides"])
        return
    loaded = load_recipe(recipe, overrides or [], check_files=False)
    print_recipe(loaded.to_yaml(), str(loaded.source), loaded.overrides)


def doctor(workspace: WorkspaceOption = WORKSPACE, address: AddressOption = None) -> None:
    """Check this machine: GPU, CUDA, versions, loading of the libraries, disk, locks of the workspace, hub.

    With `--address` the hosts of that Ray cluster too. Each finding names its remedy. Exits with 1 when something would
    stop a run.
    """
    from statllama.cli.console.workspace import print_finding
    from statllama.runs.doctor import examine

    sound = True
    for finding in examine(workspace, address):
        print_finding(finding)
        sound = sound and finding.level != "error"
    if not sound:
        raise typer.Exit(1)
