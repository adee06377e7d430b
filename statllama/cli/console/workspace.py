"""Prints a recipe, a plan, what was fetched and what `doctor` found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.syntax import Syntax

from statllama.cli.console.terminal import (
    Out,
    figure,
    new_table,
    plain,
    print_path,
    print_table,
    visible,
)
from statllama.config.stage import TrainingSpec
from statllama.runs.replayed import protection_note

if TYPE_CHECKING:
    from statllama.recipe import Recipe
    from statllama.runs.finding import Finding
    from statllama.runs.foresight import Sight
    from statllama.runs.plan import PlannedStage
    from statllama.runs.runner import Measure


def print_recipe(resolved: str, source: str, overrides: Sequence[str]) -> None:
    """Print a resolved recipe (YAML), below where it is from and with which overrides."""
    given = (source, *(f"--set {override}" for override in overrides))
    comments = [visible(text).replace("\n", "\\n") for text in given]  # one line each, whatever was given
    text = "".join(f"# {comment}\n" for comment in comments) + resolved
    if Out.is_terminal:
        Out.print(Syntax(visible(text), "yaml", background_color="default", word_wrap=True))
    else:
        sys.stdout.write(text)


def print_plan(recipe: Recipe, stages: Sequence[PlannedStage], measures: Mapping[str, Measure]) -> None:
    """Print which stages would run, which are cached, and why."""
    Out.print(f"[bold]{plain(recipe.name)}[/]")
    table = new_table("stage", "type", "on", "runs", "why", *map(figure, ("examples", "tokens", "steps")))
    for stage in stages:
        measure = measures[stage.spec.name]
        parents = "base" if stage.spec.parents == "base" else ", ".join(stage.spec.parents or ())
        runs = "[dim]cached[/]" if stage.cached else "[bold green]yes[/]"
        figures = [f"{n:,}" if n else "" for n in (measure.examples, measure.tokens, measure.steps)]
        table.add_row(stage.spec.name, stage.spec.type, parents, runs, plain(stage.why), *figures)
    print_table(table)
    for spec in (stage.spec for stage in stages):
        if isinstance(spec, TrainingSpec) and (note := protection_note(spec)):
            Out.print(f"{plain(spec.name)} {plain(note)}")
    for name, held_out in ((name, measure.held_out) for name, measure in measures.items() if measure.held_out):
        Out.print(f"{plain(name)}: {held_out}")
    todo = [s for s in stages if not s.cached]
    Out.print(f"{len(todo)} of {len(stages)} stages would run. Examples and tokens are of one pass over the data.")


def print_foresight(sights: Sequence[Sight], *, explain: bool = True) -> None:
    """Print the smallest change that each benchmark can show, and its gate, as a warning where it cannot be judged.

    `explain`: the columns too.
    """
    if not sights:
        return
    figures = map(figure, ("items", "effective", "base", "flips", "smallest change"))
    table = new_table("benchmark", *figures, "from")
    for sight in sights:
        design = sight.design
        if design is None:
            table.add_row(plain(sight.task), *[""] * 5, "not read yet")
            continue
        base = f"{100 * design.accuracy:.0f} %"
        small = f"{sight.smallest:.1f}" if sight.smallest and sight.smallest < 100 else "none"
        cells = f"{design.items:,}", f"{design.effective:,.0f}", base, f"{100 * design.discordance:.0f} %", small
        table.add_row(plain(sight.task), *cells, design.basis)
    print_table(table)
    if explain:
        _explain(sights)
    for gate in (sight.gate for sight in sights if sight.gate is not None):
        Out.print(f"[yellow]warning:[/] {plain(gate)}" if gate.weak else plain(gate))


def _explain(sights: Sequence[Sight]) -> None:
    Out.print(
        f"[dim]Smallest change from the base, in points, that is shown with 80 % power among all {sights[0].tests} "
        "(Bonferroni). Flips: items whose score changes. Effective: items without clusters that say as much.[/]"
    )
    if any(sight.design is not None and sight.design.basis != "measured" for sight in sights):
        Out.print(
            "[dim]Until stages are scored, scores of two stacks are assumed to correlate by 0.5; until the base is, "
            "it has 50 %, and two items of a cluster correlate by 0.1.[/]"
        )


def print_fetched(recipes: Sequence[str], workspace: Path, cache: str) -> None:
    """Print where the recipes' data are now, and how to run from there."""
    names = ", ".join(map(plain, recipes))
    Out.print(f"ready to run without network: {names}")
    print_path("  the data are in ", workspace)
    print_path("  bases and benchmarks are in ", cache)
    Out.print("On another machine, with copies of both:")
    Out.print("  HF_HOME=COPY HF_HUB_OFFLINE=1 statllama run RECIPE --workspace COPY")


def print_finding(finding: Finding) -> None:
    """Print one of `doctor`'s findings, with its remedy."""
    marks = {"ok": "[green]ok[/]   ", "warning": "[yellow]warn[/] ", "error": "[bold red]error[/]"}
    Out.print(f"{marks[finding.level]} {finding.subject}: {plain(finding.detail)}")
    if finding.remedy:
        Out.print(f"        -> {plain(finding.remedy)}")
