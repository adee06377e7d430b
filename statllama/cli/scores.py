"""The commands about scores: eval, compare, attribute, dial, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statllama.cli import completion
from statllama.cli.options import (
    WORKSPACE,
    DataOption,
    EvaluateSetOption,
    LimitOption,
    MirrorOption,
    OutOption,
    RunArg,
    TargetArg,
    TaskOption,
    WorkspaceOption,
)
from statllama.errors import UsageError

if TYPE_CHECKING:
    from statllama.runs.subject import Subject
    from statllama.store import Store


def eval_(
    target: TargetArg,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="NAME",
            help="Stage to score, or `base`; may be repeated. Default: all stages.",
            autocompletion=completion.stages,
        ),
    ] = None,
    task: TaskOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "--scale",
            metavar="STAGE=FACTOR",
            help="Also score the stack with this stage's adapter multiplied by a factor.",
        ),
    ] = None,
    overrides: EvaluateSetOption = None,
    out: OutOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    mirror: MirrorOption = None,
) -> None:
    """Score a base model and the stages trained on it, or any other model, on benchmarks.

    The base is loaded once and the adapters are switched. Earlier scores, of any command, are taken from
    the workspace. A killed evaluation goes on with the next item when you repeat the command.
    """
    from statllama.cli.console.run import ConsoleReporter
    from statllama.cli.console.scores import print_scorecard
    from statllama.runs import attribution as evaluation
    from statllama.runs.family import Family
    from statllama.runs.mirroring import mirrored
    from statllama.runs.scorer import open_scorer, origin, scoring_here
    from statllama.runs.signals import StopSignal
    from statllama.runs.subject import chosen_stacks, factors_of
    from statllama.runs.targets import split_stage
    from statllama.store.files import require_place

    require_place(out)
    name, given = split_stage(target)
    store, subject = _subject(name, workspace, overrides, task, data, limit)
    stages = [*([given] if given else []), *(stage or ())]
    stacks = chosen_stacks(subject, stages, factors_of(subject, scale or ()))
    reporter = ConsoleReporter()
    with mirrored(store, mirror, reporter) as workplace, StopSignal(), scoring_here(store, subject):
        scorer = open_scorer(subject, workplace, reporter)
        card, _ = evaluation.evaluate(scorer, stacks, Family.of(subject), subject.selected(stacks))
    print_scorecard(card)
    _write(out, {**origin(subject, scorer), **card.to_json()})


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="A B ...",
            help="Scored models: RUN:STAGE (RUN alone: its last stage), RUN:base, a model's folder or hub id.",
            autocompletion=completion.targets,
        ),
    ],
    items: Annotated[int, typer.Option(min=0, help="Also show so many flipped items in each direction.")] = 0,
    topics: Annotated[bool, typer.Option("--topics", help="Also show the changes by topic.")] = False,
    out: OutOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Compare scored models with the first, item by item: changes and their certainty.

    Loads no model: score first, with `run` or `eval`. `--items 3` and `--topics` show more; `--out` holds every
    flipped item with both answers, and all topics.
    """
    from statllama.cli.console.scores import print_comparison, print_more
    from statllama.evaluation.compare import require_different
    from statllama.runs.family import compare_scored
    from statllama.runs.targets import find_subject, split_stage
    from statllama.store import Store
    from statllama.store.files import require_place

    require_different(models)
    require_place(out)
    store = Store(workspace)
    wanted = []
    for model in models:
        target, stage = split_stage(model)
        subject = find_subject(target, store)
        wanted.append((model, subject, subject.stack(stage or subject.last)))
    comparison = compare_scored(store, wanted)
    print_comparison(comparison, items, topics=topics)
    print_more(comparison, items, topics)
    _write(out, comparison.to_json())


def attribute(
    run: RunArg,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="Stage whose stack to take apart. Default: the last.")
    ] = None,
    task: TaskOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    overrides: EvaluateSetOption = None,
    out: OutOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Measure the worth of each stage: score every prefix of the stack, and the whole stack without each stage."""
    from statllama.cli.console.attribution import print_attribution
    from statllama.cli.console.run import ConsoleReporter
    from statllama.runs import attribution as evaluation
    from statllama.runs.scorer import open_scorer, origin, scoring_here
    from statllama.runs.signals import StopSignal
    from statllama.runs.targets import split_stage
    from statllama.store.files import require_place

    require_place(out)
    name, given = split_stage(run)
    store, subject = _subject(name, workspace, overrides, task, data, limit)
    with StopSignal(), scoring_here(store, subject):
        scorer = open_scorer(subject, store, ConsoleReporter())
        result = evaluation.attribute(subject, scorer, stage or given)
    print_attribution(result)
    _write(out, {**origin(subject, scorer), **result.to_json()})


def dial(
    run: RunArg,
    stage: Annotated[
        str,
        typer.Option("--stage", metavar="NAME", help="Stage whose adapter to scale.", autocompletion=completion.stages),
    ],
    grid: Annotated[
        str, typer.Option(metavar="F,F,...", help="Factors on its update: 1 as trained, 0 without it.")
    ] = "0,0.25,0.5,0.75,1,1.25",
    on: Annotated[
        str | None, typer.Option(metavar="NAME", help="Stage whose stack to score. Default: the last.")
    ] = None,
    task: TaskOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    overrides: EvaluateSetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write a chart (.html) or the figures (.json).")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Trade a stage's gain against its cost without training: score the stack with its adapter scaled."""
    from statllama.cli.console.attribution import print_dial
    from statllama.cli.console.run import ConsoleReporter
    from statllama.runs import attribution as evaluation
    from statllama.runs.scorer import open_scorer, origin, scoring_here
    from statllama.runs.signals import StopSignal
    from statllama.runs.targets import split_stage
    from statllama.store.files import require_place

    if out is not None and out.suffix not in (".html", ".json"):
        raise UsageError(f"--out {out}: expected a name that ends in .html or .json")
    require_place(out)
    name, given = split_stage(run)
    store, subject = _subject(name, workspace, overrides, task, data, limit)
    with StopSignal(), scoring_here(store, subject):
        scorer = open_scorer(subject, store, ConsoleReporter())
        result = evaluation.dial(subject, scorer, stage, _numbers(grid), on or given)
    print_dial(result)
    if out is not None and out.suffix == ".html":
        from statllama.report import write_dial

        write_dial(result, subject, out)
    else:
        _write(out, {**origin(subject, scorer), **result.to_json()})


def report(
    run: RunArg,
    task: TaskOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    overrides: EvaluateSetOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File to write. Default: RUN.html.")] = None,
    following: Annotated[
        bool,
        typer.Option("--follow", help="Keep the page of a run that goes on up to date, until the run has ended."),
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a run's report, one HTML page that opens offline: recipe, curves, scores with intervals, losses.

    Loads no model and scores nothing; the page says which scores the workspace lacks. Scores that
    `eval` made with other settings are shown when the same settings are given here. With `--follow` the page
    loads itself again in the browser, from a second terminal while `run` trains in the first; it ends with the run.
    """
    from statllama.cli.console.terminal import print_path
    from statllama.report import collect, with_recorded, write

    if following:
        _follow(run, workspace, out, lambda subject: _changed(subject, overrides, task, data, limit))
        return
    store, subject = _subject(run, workspace, overrides, task, data, limit)
    path = out or Path(f"{subject.name.replace('/', '_')}.html")
    write(with_recorded(collect(subject, store), store), path)
    print_path("written: ", path)


def _follow(run: str, workspace: Path, out: Path | None, settings: Callable[[Subject], Subject]) -> None:
    """Keep a run's page up to date until the run has ended, and say how it did."""
    from statllama.cli.console.run import print_followed, print_following, print_page_trouble
    from statllama.report import follow
    from statllama.runs.targets import name_of_run
    from statllama.store import Store
    from statllama.store.files import require_place

    store = Store(workspace)
    name = name_of_run(run, store)
    path = out or Path(f"{name}.html")
    require_place(path)
    print_following(name, path)
    print_followed(follow(store, name, path, print_page_trouble, settings), path)


def _subject(
    target: str,
    workspace: Path,
    overrides: Sequence[str] | None,
    tasks: Sequence[str] | None,
    data: Sequence[str] | None,
    limit: int | None,
) -> tuple[Store, Subject]:
    """Return the workspace and what `target` names, with the settings that options of the command changed."""
    from statllama.runs.targets import find_subject
    from statllama.store import Store

    store = Store(workspace)
    return store, _changed(find_subject(target, store, overrides or ()), None, tasks, data, limit)


def _changed(
    subject: Subject,
    overrides: Sequence[str] | None,
    tasks: Sequence[str] | None,
    data: Sequence[str] | None,
    limit: int | None,
) -> Subject:
    """Return the subject with the evaluation settings that options of a command changed."""
    changes: dict[str, Any] = {"limit": limit} if limit is not None else {}
    if tasks:
        changes["tasks"] = list(dict.fromkeys(tasks))
    if data:
        changes["data"] = {**subject.evaluate.data, **_files(data)}
    return subject.evaluated(changes, overrides or ()) if changes or overrides else subject


def _files(given: Sequence[str]) -> dict[str, Any]:
    """Return {task: file} or {task: {split: file}} of `TASK[.SPLIT]=FILE` texts."""
    from statllama.config.shipped import located

    found: dict[str, Any] = {}
    for text in given:
        name, sign, file = text.partition("=")
        task, _, split = name.partition(".")
        if not (sign and task and file):
            raise UsageError(f"--data {text!r}: expected TASK=FILE or TASK.SPLIT=FILE")
        path = located(file, Path())
        if not split:
            found[task] = path
        elif isinstance(found.setdefault(task, {}), dict):
            found[task][split] = path
        else:
            raise UsageError(f"--data {text!r}: {task} already has a file for all splits")
    return found


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--grid {text!r}: expected numbers such as 0,0.5,1") from None


def _write(out: Path | None, body: Mapping[str, Any]) -> None:
    """Write a result as JSON, whole or not at all, with the versions it was made with."""
    if out is not None:
        from statllama.cli.console.terminal import print_path
        from statllama.store.files import write_json
        from statllama.store.versions import __version__

        write_json(out, {**body, "statllama": __version__})
        print_path("written: ", out)
