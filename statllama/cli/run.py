"""Commands on a recipe and a workspace: run, plan, fetch, show, status, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, RecipeArg, SetOption, TrustOption, UntilOption, WaitOption, WorkspaceOption


def run(
    recipe: RecipeArg,
    overrides: SetOption = None,
    until: UntilOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    wait: WaitOption = True,
    trust_local_code: TrustOption = False,
) -> None:
    """Train the missing stages, score the base and every stage, and print the scorecard.

    Stages with a result in the workspace are not trained again. A stopped run (Ctrl-C, kill, power) goes on
    from its last checkpoint when you repeat the command.
    """
    from statllama.cli.console.run import ConsoleReporter
    from statllama.recipe import load_recipe
    from statllama.runs.runner import run as run_recipe
    from statllama.store import Store

    loaded = load_recipe(recipe, overrides or []).model_copy(update={"trust_local_code": trust_local_code})
    run_recipe(loaded, Store(workspace), ConsoleReporter(), until=until, wait=wait)


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
    measure: Annotated[
        bool, typer.Option("--calibrate", help="First measure this machine, by a few real steps and items.")
    ] = False,
) -> None:
    """Show which stages would run and why, with their tokens and steps, what they need of memory, disk and time, and
    what the benchmarks can show. Trains nothing.

    Tokenises the data of the stages that would run; `run` then takes it from the workspace's cache. The forecast is for
    the GPU found here, else for this computer; --on names another.
    """
    from statllama.cli.console.memory import print_memory
    from statllama.cli.console.run import ConsoleReporter
    from statllama.cli.console.terminal import Out, plain
    from statllama.cli.console.timing import print_timing
    from statllama.cli.console.workspace import print_foresight, print_plan
    from statllama.runs.forecast.calibrate import calibrate, require_here
    from statllama.runs.forecast.device import found_device, named_device
    from statllama.runs.forecast.forecast import forecast
    from statllama.runs.forecast.outlook import outlook
    from statllama.runs.foresight import foresee
    from statllama.runs.plan import plan as plan_recipe
    from statllama.runs.runner import sizes
    from statllama.runs.session import Session
    from statllama.runs.signals import StopSignal
    from statllama.runs.study import load_study, with_stage
    from statllama.store import Store

    device = found_device() if on is None else named_device(on)
    if measure:
        require_here(device)
    store, reporter, shown, kinds = Store(workspace), ConsoleReporter(), set[str](), set[str]()
    for run in with_stage(load_study([recipe], overrides or []), until):
        stages = plan_recipe(run.recipe, store, until)
        fresh = [stage for stage in stages if stage.key not in shown]  # of a study, each distinct stage once
        shown.update(stage.key for stage in stages)
        if not fresh:
            Out.print(f"[bold]{plain(run.recipe.name)}[/]: all of its stages are planned above")
            continue
        with StopSignal() as stop:
            session = Session(run.recipe, store, reporter, stop, base=stages[0].material["base"])
            print_plan(run.recipe, fresh, sizes(session, fresh))
            if measure:
                kinds |= {one.kind for one in calibrate(session.timing, stages, stop, known=kinds)}
            needs = forecast(run.recipe, stages, session.prepare, device)
            seen = outlook(session.timing.on(device), stages, fresh)
        print_memory({stage.spec.name: needs[stage.spec.name] for stage in fresh}, device)
        print_timing(seen, [stage.spec.name for stage in fresh])
        print_foresight(foresee(run.recipe, store, stages))


def fetch(
    recipes: Annotated[
        list[str], typer.Argument(metavar="RECIPE|STUDY...", help="Recipe files, names of shipped recipes, or a study.")
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
    from statllama.runs.study import load_study
    from statllama.store import Store

    study, store, reporter = load_study(recipes, overrides or []), Store(workspace), ConsoleReporter()
    for run in study.runs:
        fetch_recipe(run.recipe, store, reporter)
    print_fetched([recipe.name for recipe in study.recipes], workspace, hub_cache())


def show(recipe: RecipeArg, overrides: SetOption = None) -> None:
    """Print the resolved recipe as runnable YAML: every field with its value, defaults included."""
    from statllama.cli.console.workspace import print_recipe
    from statllama.recipe import load_recipe

    print_recipe(load_recipe(recipe, overrides or [], check_files=False))


def status(workspace: WorkspaceOption = WORKSPACE) -> None:
    """List the workspace's recipes and their stages, unfinished work, scores, bytes on disk."""
    from statllama.cli.console.workspace import print_status
    from statllama.store import Store

    print_status(Store(workspace))


def doctor(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Check this machine: GPU, CUDA, versions, loading of the libraries, disk, hub.

    Each finding names its remedy. Exits with 1 when something would stop a run.
    """
    from statllama.cli.console.workspace import print_finding
    from statllama.runs.doctor import examine

    sound = True
    for finding in examine(workspace):
        print_finding(finding)
        sound = sound and finding.level != "error"
    if not sound:
        raise typer.Exit(1)
