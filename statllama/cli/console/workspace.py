"""Prints a recipe, a plan, a workspace and what `doctor` found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.syntax import Syntax
from rich.table import Table

from statllama.cli.console.terminal import Out, _size, counted, plain, print_table, readable_bytes, visible

if TYPE_CHECKING:
    from statllama.recipe import Recipe
    from statllama.runs.doctor import Finding
    from statllama.runs.plan import PlannedStage
    from statllama.runs.runner import Measure
    from statllama.store import Store


def print_recipe(recipe: Recipe) -> None:
    """Print the resolved recipe as YAML."""
    given = (str(recipe.source), *(f"--set {override}" for override in recipe.overrides))
    comments = [visible(text).replace("\n", "\\n") for text in given]  # one line each, whatever was given
    text = "".join(f"# {comment}\n" for comment in comments) + recipe.to_yaml()
    if Out.is_terminal:
        Out.print(Syntax(visible(text), "yaml", background_color="default", word_wrap=True))
    else:
        sys.stdout.write(text)


def print_plan(recipe: Recipe, stages: Sequence[PlannedStage], measures: Mapping[str, Measure]) -> None:
    """Print which stages would run, which are cached, and why."""
    table = Table("stage", "type", "on", "runs", "why", "examples", "tokens", "steps", title=plain(recipe.name))
    for column in table.columns[5:]:
        column.justify = "right"
    for stage in stages:
        measure = measures[stage.spec.name]
        parents = "base" if stage.spec.parents == "base" else ", ".join(stage.spec.parents or ())
        runs = "[dim]cached[/]" if stage.cached else "[bold green]yes[/]"
        figures = [f"{n:,}" if n else "" for n in (measure.examples, measure.tokens, measure.steps)]
        table.add_row(stage.spec.name, stage.spec.type, parents, runs, plain(stage.why), *figures)
    print_table(table)
    todo = [s for s in stages if not s.cached]
    Out.print(f"{len(todo)} of {len(stages)} stages would run. Examples and tokens are of one pass over the data.")


def print_fetched(recipes: Sequence[str], workspace: Path, cache: str) -> None:
    """Print where the recipes' data are now, and how to run from there."""
    names = ", ".join(map(plain, recipes))
    Out.print(f"ready to run without network: {names}. The data are in {plain(workspace)}, bases and benchmarks in")
    Out.print(f"{plain(cache)}. On another machine, with copies of both:")
    Out.print("  HF_HOME=COPY HF_HUB_OFFLINE=1 statllama run RECIPE --workspace COPY")


def print_status(store: Store) -> None:
    """Print the recipes that ran here, the state of their stages, unfinished work and bytes."""
    runs = store.runs()
    if not runs:
        Out.print(f"{plain(store.root)} holds no run yet; start with: statllama run quickstart")
        return
    for name, record in sorted(runs.items()):
        table = Table("stage", "state", "steps", "loss", "trained on", "result", title=plain(name))
        for stage in record["order"]:
            table.add_row(plain(stage), *_state(store, record["stages"].get(stage)))
        print_table(table)
    entries = [*store.entries("results"), *store.entries("scores")]
    kinds = [entry.manifest.get("kind") for entry in entries]
    kept = ", ".join(counted(kinds.count(word), word) for word in ("adapter", "score"))
    Out.print(f"{plain(store.root)}: {kept}, {readable_bytes(_size(store.root))}")


def _state(store: Store, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    if record is None:
        return ("not reached", "", "", "", "")
    entry = store.find("results", record["key"])
    if entry is None:
        return ("unfinished" if store.unfinished("results", record["key"]) else "to run", "", "", "", "")
    if wrong := store.flaw(entry, contents=False):
        return (f"to run: {wrong}", "", "", "", entry.key[:12])
    m = entry.manifest["metrics"]
    loss = f"reward {m['reward']:.3f}" if "reward" in m else f"{m['loss']:.4f}" if "loss" in m else ""
    return ("done", str(m["steps"] or ""), loss, entry.manifest["created"][:16], entry.key[:12])


def print_finding(finding: Finding) -> None:
    """Print one of `doctor`'s findings, with its remedy."""
    marks = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "error": "[bold red]error[/]"}
    Out.print(f"{marks[finding.level]} {finding.subject}: {plain(finding.detail)}")
    if finding.remedy:
        Out.print(f"        -> {plain(finding.remedy)}")
