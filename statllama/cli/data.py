"""The `statllama data` commands: look at data before a GPU minute is spent, and make problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, RecipeArg, SetOption, WorkspaceOption


def check(
    recipe: RecipeArg,
    overrides: SetOption = None,
    stage: Annotated[str | None, typer.Option(metavar="STAGE", help="Only this stage.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Check the data of every stage: rows, tokens, masks, cut and repeated rows, odd characters, copies of benchmark
    questions. Exits with 1 when something would stop a run.

    What is tokenised here is kept in the workspace, and `run` takes it from there.
    """
    from statllama.cli.console.data import print_check
    from statllama.cli.console.run import ConsoleReporter
    from statllama.recipe import load_recipe
    from statllama.runs.data_check import check as check_data
    from statllama.store import Store

    wrong = False
    for found in check_data(load_recipe(recipe, overrides or []), Store(workspace), ConsoleReporter(), stage):
        print_check(found)
        wrong = wrong or any(verdict.level == "error" for verdict in found.verdicts)
    if wrong:
        raise typer.Exit(1)


def preview(
    recipe: RecipeArg,
    overrides: SetOption = None,
    stage: Annotated[str | None, typer.Option(metavar="STAGE", help="Stage to look at. Default: the first.")] = None,
    source: Annotated[int, typer.Option(min=1, help="Number of the stage's source, from 1.")] = 1,
    row: Annotated[int, typer.Option(min=1, help="Number of the source's row, from 1.")] = 1,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Show one row as the model sees it, token by token, with the tokens that carry loss."""
    from statllama.cli.console.data import print_preview
    from statllama.recipe import load_recipe
    from statllama.runs.data_check import preview as preview_row
    from statllama.store import Store

    print_preview(preview_row(load_recipe(recipe, overrides or []), Store(workspace), stage, source, row))


def cache(
    prune: Annotated[bool, typer.Option("--prune", help="Remove data older than --days.")] = False,
    days: Annotated[float, typer.Option(min=0, help="With --prune: 0 removes everything.")] = 30.0,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """List the workspace's prepared data, or remove old data. Runs prepare it again when they need it."""
    from statllama.cli.console.data import DAY, print_cache, print_pruned
    from statllama.data.cache import kept
    from statllama.data.cache import prune as prune_data
    from statllama.store import Store

    store = Store(workspace)
    if prune:
        print_pruned(prune_data(store, days * DAY))
    else:
        print_cache(kept(store))


def problems(
    out: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="File for the rows.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of different problems.")] = 1000,
    form: Annotated[
        str,
        typer.Option(
            help="sft: worked solutions; chat: short exchanges; dpo: preference pairs; grpo: answers; mc: options."
        ),
    ] = "sft",
    topics: Annotated[str | None, typer.Option(metavar="A,B", help="Only these topics.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another one gives other problems.")] = 0,
    split: Annotated[str, typer.Option(help="train or test; no test problem resembles a train problem.")] = "train",
    math: Annotated[str, typer.Option(help="Formulas of worked solutions: plain or latex.")] = "plain",
    listed: Annotated[bool, typer.Option("--list", help="List the topics and their kinds.")] = False,
) -> None:
    """Write statistics problems with computed answers. The same arguments give the same bytes."""
    import json
    import time

    from statllama.cli.console.data import print_topics, print_written
    from statllama.errors import UsageError
    from statllama.problems import kinds, rows
    from statllama.problems import topics as all_topics
    from statllama.store.files import write_text

    if listed:
        print_topics((topic, kinds(topic)) for topic in all_topics())
        return
    if out is None:
        raise UsageError("`--out FILE.jsonl` is missing", remedy="statllama data problems --out problems.jsonl")
    began = time.monotonic()
    try:
        wanted = [name.strip() for name in topics.split(",")] if topics else None
        found = rows(form, count, topics=wanted, seed=seed, split=split, math=math)
        write_text(out, (json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    except ValueError as error:
        raise UsageError(str(error), remedy="statllama data problems --list shows topics and kinds") from None
    print_written(count, out, time.monotonic() - began)
