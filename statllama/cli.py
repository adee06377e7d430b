"""The command line. Imports no torch: that happens only when a command needs a model."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from statllama import cli_chat, cli_data, cli_eval, cli_export, cli_study
from statllama.cli_options import WORKSPACE, RecipeArg, SetOption, TrustOption, UntilOption, WorkspaceOption
from statllama.console import Out, print_error, print_fetched, print_finding, print_plan, print_recipe, print_status
from statllama.console_run import ConsoleReporter
from statllama.errors import Interrupted, StatllamaError, UsageError
from statllama.store.versions import __version__

app = typer.Typer(
    name="statllama",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a domain specialist out of a small Llama on one GPU.\n\n"
    "One YAML recipe names a base model and a chain of training stages. Each stage trains one LoRA adapter in 4 bit; "
    "the adapters stay separate, stacked on one frozen base, and every stage is scored.\n\n"
    "Try it now, without a GPU or a download:  [bold]statllama run quickstart[/bold]",
)
INTERRUPTED = Interrupted("by Ctrl-C", remedy="the same command goes on")


def _version(wanted: bool) -> None:
    if wanted:
        Out.print(f"statllama {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    if debug:
        os.environ["STATLLAMA_DEBUG"] = "1"
    # torch 2.13 warns at each start of how torchao, which Unsloth brings, registers its types.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)


@app.command()
def run(
    recipe: RecipeArg,
    overrides: SetOption = None,
    until: UntilOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="When another process trains the same stage: wait, or say who.")
    ] = True,
    trust_local_code: TrustOption = False,
) -> None:
    """Train what is not trained yet, score the base and every stage, print the scorecard.

    A stage whose result is in the workspace is not trained again. A run that was stopped (Ctrl-C, kill, power) goes on
    from its last checkpoint when the same command is given again.
    """
    from statllama.recipe import load_recipe
    from statllama.run.runner import run as run_recipe
    from statllama.store import Store

    loaded = load_recipe(recipe, overrides or []).model_copy(update={"trust_local_code": trust_local_code})
    run_recipe(loaded, Store(workspace), ConsoleReporter(), until=until, wait=wait)


@app.command()
def plan(
    recipe: RecipeArg,
    overrides: SetOption = None,
    until: UntilOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Show which stages would run and why, with their tokens and steps. Trains nothing.

    Tokenises the data of the stages that would run; `run` then takes it from the workspace's cache.
    """
    from statllama.recipe import load_recipe
    from statllama.run.plan import plan as plan_recipe
    from statllama.run.runner import measure
    from statllama.store import Store

    loaded = load_recipe(recipe, overrides or [])
    store = Store(workspace)
    stages = plan_recipe(loaded, store, until)
    print_plan(loaded, stages, measure(loaded, store, stages, ConsoleReporter()))


@app.command()
def fetch(
    recipes: Annotated[
        list[str], typer.Argument(metavar="RECIPE|STUDY...", help="Files, or names of shipped recipes; or a study.")
    ],
    overrides: SetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Fetch all that recipes read from the hub (base, data, benchmarks): their runs then need no network.

    For a machine without network, copy the workspace and the hub's cache to it.
    """
    from statllama.run.fetch import fetch as fetch_recipe
    from statllama.run.fetch import hub_cache
    from statllama.run.study import load_study
    from statllama.store import Store

    study, store, reporter = load_study(recipes, overrides or []), Store(workspace), ConsoleReporter()
    for recipe in study.recipes:
        fetch_recipe(recipe, store, reporter)
    print_fetched([recipe.name for recipe in study.recipes], workspace, hub_cache())


@app.command()
def show(recipe: RecipeArg, overrides: SetOption = None) -> None:
    """Print the resolved recipe: every field with its value, defaults included, as YAML that can be run."""
    from statllama.recipe import load_recipe

    print_recipe(load_recipe(recipe, overrides or [], check_files=False))


@app.command()
def status(workspace: WorkspaceOption = WORKSPACE) -> None:
    """List what the workspace holds: recipes and their stages, unfinished work, scores, bytes on disk."""
    from statllama.store import Store

    print_status(Store(workspace))


@app.command()
def doctor(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Check this machine: GPU, CUDA, versions, whether the libraries really load, disk, hub.

    Each finding says what to do about it. Leaves with 1 when something would stop a run.
    """
    from statllama.run.doctor import examine

    sound = True
    for finding in examine(workspace):
        print_finding(finding)
        sound = sound and finding.level != "error"
    if not sound:
        raise typer.Exit(1)


# In the order of the help: after the commands above, which train.
app.add_typer(cli_data.app, name="data")
app.command()(cli_study.study)
app.command("eval")(cli_eval.evaluate)
app.command()(cli_eval.compare)
app.command()(cli_eval.attribute)
app.command()(cli_eval.dial)
app.command()(cli_eval.report)
app.command()(cli_chat.chat)
app.command()(cli_chat.serve)
app.command()(cli_export.export)


def main() -> None:
    """Entry point: run the command, turn errors into messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an ASCII terminal gets `\xb1` for a plus-minus sign, not an error
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(standalone_mode=False)
        sys.stdout.flush()  # here, so that a closed pipe is met before the interpreter ends
        code = result if isinstance(result, int) else 0
        if code == Interrupted.exit_code:  # Typer's word for Ctrl-C
            print_error(INTERRUPTED)
    except StatllamaError as error:
        _debug()
        print_error(error)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print_error(INTERRUPTED)
        code = Interrupted.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = _unexpected(error)
    sys.exit(code)


def _unexpected(error: Exception) -> int:
    """Typer's own usage errors, full or read-only disks, and what we did not foresee."""
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        if message := error.format_message():  # none: no command was given, and the help has been printed
            print_error(UsageError(message, remedy=f"{context.command_path if context else 'statllama'} --help"))
        return UsageError.exit_code
    _debug()
    if (known := _disk_error(error)) is not None:
        print_error(known)
        return known.exit_code
    remedy = "please report it, with what `statllama --debug ...` prints"
    print_error(StatllamaError(f"unexpected: {type(error).__name__}: {error}", remedy=remedy))
    return 1


def _disk_error(error: Exception) -> StatllamaError | None:
    """A full or read-only disk that was met outside the store, as the store words it."""
    from statllama.store.files import translate_os_errors

    try:
        with translate_os_errors(Path(str(getattr(error, "filename", None) or "."))):
            raise error
    except StatllamaError as known:
        return known
    except Exception:
        return None


def _debug() -> None:
    if os.environ.get("STATLLAMA_DEBUG"):
        import traceback

        traceback.print_exc()
