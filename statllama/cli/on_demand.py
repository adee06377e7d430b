"""Commands that are loaded when they are asked for, so that `--help` and each command start at once."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from statllama.errors import UsageError, near

# {command: words that other programs have for it}; told, never taken
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "run": ("train", "fit", "start", "finetune", "fine-tune", "sft", "dpo", "launch", "resume", "execute", "go"),
    "plan": ("dry-run", "dryrun", "estimate", "forecast", "preview", "explain", "diff-plan"),
    "status": ("ls", "ps", "runs", "jobs", "list-runs", "history", "log", "logs"),
    "recipes": ("list", "recipe", "models", "examples", "templates", "catalog", "configs", "studies", "cp", "copy"),
    "show": ("config", "cat", "view", "print", "resolve", "inspect"),
    "eval": ("evaluate", "test", "benchmark", "score", "lm_eval", "validate", "bench"),
    "compare": ("diff", "vs", "versus"),
    "export": ("merge", "convert", "push", "upload", "save", "quantize", "quantise", "release", "publish", "gguf"),
    "import": ("load", "from-gguf", "pull"),
    "fetch": ("download", "prefetch", "get", "cache"),
    "chat": ("infer", "inference", "generate", "talk", "ask", "predict", "cli", "interactive"),
    "serve": ("api", "server", "webui", "deploy", "host"),
    "doctor": ("env", "check", "info", "version", "diagnose", "system", "gpu"),
    "data": ("dataset", "datasets", "preprocess", "tokenize", "tokenise", "prepare"),
    "init": ("new", "create", "setup", "scaffold", "wizard"),
    "rm": ("delete", "remove", "del"),
    "gc": ("clean", "prune", "cleanup", "clear", "purge"),
    "study": ("sweep", "grid", "batch", "experiment", "experiments", "tune"),
    "report": ("plot", "html", "page", "dashboard", "board"),
}


def on_demand(table: Mapping[str, str]) -> type[TyperGroup]:
    """Return a group of the commands in {name: module of this package}, in that order.

    Only the command that runs, or whose own help is printed, is imported and has its options built. The list of all
    commands needs their docstrings alone, which are read from the source.
    """

    class OnDemand(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = {**{name: TyperCommand(name) for name in table}, **self.commands}

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            command = super().get_command(ctx, cmd_name)
            if command is not None and cmd_name in table:
                command.help = documented(table[cmd_name])[cmd_name]
            return command

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            known = not args or args[0] in self.commands or args[0].startswith("-")
            if not known and not ctx.resilient_parsing:  # a shell's completion looks at lines that are not finished
                raise no_command(args, list(self.commands), ctx.command_path)
            name, command, rest = super().resolve_command(ctx, args)
            return name, load(table[name], name) if name and name in table else command, rest

    return OnDemand


def no_command(args: Sequence[str], commands: Sequence[str], path: str) -> UsageError:
    """Return the error for a command that there is not: what it is called here, else the nearest names.

    `args`: the unknown word and what follows it.
    """
    word = args[0]
    here = next((name for name, others in OTHER_WORDS.items() if word.lower() in others and name in commands), None)
    if here is None:
        close = near(word, commands)
        return UsageError(f"no command {word!r}: {close}", remedy=f"{path} --help")
    return UsageError(
        f"no command {word!r}: here it is `{path} {here}`", remedy=shlex.join([*path.split(), here, *args[1:]])
    )


@cache
def documented(module: str) -> dict[str, str]:
    """Return {command: docstring} of the public functions of a module here, which is read and not imported."""
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name.rstrip("_"): ast.get_docstring(node) or "" for node in functions if node.name[0] != "_"}


def load(module: str, name: str) -> Any:
    """Return the command of a module here with its options, as Typer makes it of the function."""
    loaded = import_module(f"statllama.cli.{module}")
    function = getattr(loaded, name, None) or getattr(loaded, f"{name}_")
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name)(function)
    return typer.main.get_command(alone)
