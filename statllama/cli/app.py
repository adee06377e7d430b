"""The command line. Imports no torch: that happens only when a command needs a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from statllama.cli.on_demand import on_demand
from statllama.errors import Interrupted, StatllamaError, UsageError

# Every command, by group, in the order of the help: {name: the module here that defines it as a function of that name,
# with `_` behind it where Python has the word}. The function's docstring is the command's help.
COMMANDS: dict[str, dict[str, str]] = {
    "": {
        "init": "init",
        "recipes": "recipes",
        **dict.fromkeys(("run", "plan", "fetch", "show"), "run"),
        "status": "house",
        "doctor": "run",
        "study": "study",
        **dict.fromkeys(("eval", "compare", "attribute", "dial", "report"), "scores"),
        **dict.fromkeys(("chat", "serve"), "chat"),
        "export": "export",
        "import": "import_",
        "tokens": "tokens",
        **dict.fromkeys(("rm", "gc"), "house"),
    },
    "data": {**dict.fromkeys(("check", "preview", "cache", "problems"), "data"), "build": "build", "review": "build"},
}
GROUPS = {"data": "Check a recipe's data, make data out of papers, and generate statistics problems."}

app = typer.Typer(
    name="statllama",
    cls=on_demand(COMMANDS[""]),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a domain specialist out of a small Llama on one GPU.\n\n"
    "One YAML recipe names a base model and a chain of training stages. Each stage trains one LoRA adapter in 4 bit; "
    "the adapters stay separate, stacked on one frozen base, and every stage is scored.\n\n"
    "Try it now, without a GPU or a download:  [bold]statllama run quickstart[/bold]",
)
for group, text in GROUPS.items():
    app.add_typer(typer.Typer(cls=on_demand(COMMANDS[group]), no_args_is_help=True, help=text), name=group)
INTERRUPTED = Interrupted("by Ctrl-C", remedy="run the same command again to go on")


def _version(wanted: bool) -> None:
    if wanted:
        from statllama.cli.console.terminal import Out
        from statllama.store.versions import __version__

        Out.print(f"statllama {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    if debug:
        os.environ["STATLLAMA_DEBUG"] = "1"


def main() -> None:
    """Run the command, and turn errors into messages and exit codes: the entry point."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: its number must not go to the next file that is opened
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an ASCII terminal gets `\xb1` for a plus-minus sign, not an error
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(standalone_mode=False)
        sys.stdout.flush()  # here, so that a closed pipe is met before the interpreter ends
        code = result if isinstance(result, int) else 0
        if code == Interrupted.exit_code:  # Typer's word for Ctrl-C
            _print_error(INTERRUPTED)
    except StatllamaError as error:
        _debug()
        _print_error(error)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _print_error(INTERRUPTED)
        code = Interrupted.exit_code
    except BrokenPipeError:
        code = 1
    except Exception as error:
        code = _unexpected(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads it any more: what is left of it must not fail when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _print_error(error: StatllamaError) -> None:
    from statllama.cli.console.terminal import print_error  # rich is loaded when there is something to print

    print_error(error)


def _unexpected(error: Exception) -> int:
    """Return Typer's own usage errors, full or read-only disks, and what we did not foresee."""
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        if message := error.format_message():  # none: no command was given, and the help has been printed
            _print_error(UsageError(message, remedy=f"{context.command_path if context else 'statllama'} --help"))
        return UsageError.exit_code
    _debug()
    if (known := _disk_error(error)) is not None:
        _print_error(known)
        return known.exit_code
    remedy = "please report it, with the output of `statllama --debug ...`"
    _print_error(StatllamaError(f"unexpected: {type(error).__name__}: {error}", remedy=remedy))
    return 1


def _disk_error(error: Exception) -> StatllamaError | None:
    """Return a full or read-only disk that was met outside the store, as the store words it."""
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
