"""Commands that are loaded when they are asked for, so that `--help` and each command start at once."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


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
            name, command, rest = super().resolve_command(ctx, args)
            return name, load(table[name], name) if name and name in table else command, rest

    return OnDemand


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
