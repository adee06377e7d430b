"""The `statllama data` commands: look at data before a GPU minute is spent, and make problems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from statllama.cli import completion
from statllama.cli.options import WORKSPACE, RecipeArg, SetOption, WorkspaceOption

if TYPE_CHECKING:
    from statllama.data.judging import Judge
    from statllama.recipe import Recipe
    from statllama.runs.reporting import Reporter
    from statllama.runs.suspects_review import Review
    from statllama.store import Store


def check(
    recipe: RecipeArg,
    overrides: SetOption = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only this stage.", autocompletion=completion.stages)
    ] = None,
    suspects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", help="Write the rows that may ask a benchmark question in other words, for review."
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let a model judge those rows: address of an OpenAI-compatible API, such as "
            "http://localhost:8000/v1. Its key: the environment variable STATLLAMA_JUDGE_KEY.",
        ),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="Model to ask, with --judge.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Check the data of every stage: rows, tokens, masks, cut and repeated rows, odd characters, copies of benchmark
    questions. Exits with 1 when something would stop a run.

    What is tokenised here is kept in the workspace, and `run` takes it from there.
    """
    from statllama.cli.console.data import print_check, print_judged
    from statllama.cli.console.run import ConsoleReporter
    from statllama.recipe import load_recipe
    from statllama.runs.data_check import check as check_data
    from statllama.runs.suspects_review import judged, review_lines, reviews_of
    from statllama.store import Store
    from statllama.store.files import require_place, write_text

    require_place(suspects)
    reader, store, reporter = _judge(judge, judge_model), Store(workspace), ConsoleReporter()
    wrong, failure = False, None
    reviews: list[Review] = []
    read = load_recipe(recipe, overrides or [])
    for found in check_data(read, store, reporter, stage):
        print_check(found)
        wrong = wrong or any(verdict.level == "error" for verdict in found.verdicts)
        stage_reviews = reviews_of(found.spec.name, found.selection.suspects if found.selection else ())
        if reader is not None and stage_reviews and failure is None:
            with reporter.preparing(found.spec.name) as progress:
                stage_reviews, failure = judged(stage_reviews, reader, store.memory, progress)
            print_judged(stage_reviews)
        reviews += stage_reviews
        if suspects is not None:
            write_text(suspects, review_lines(reviews))
    wrong = (stage is None and _holds_out_badly(read, store, reporter)) or wrong
    if failure is not None:
        raise failure
    if wrong:
        raise typer.Exit(1)


def _holds_out_badly(recipe: Recipe, store: Store, reporter: Reporter) -> bool:
    """Print what the recipe holds out, and return whether that would stop a run."""
    from statllama.cli.console.data import print_holdouts
    from statllama.runs.data_check import check_holdouts

    found = list(check_holdouts(recipe, store, reporter))
    if found:
        print_holdouts(found)
    return any(each.fault is not None for each in found)


def _judge(url: str | None, model: str | None) -> Judge | None:
    """Return the judge that both options name. UsageError for one of them alone."""
    from statllama.data.judging import Judge
    from statllama.errors import UsageError

    if (url is None) != (model is None):
        missing = "--judge-model NAME" if model is None else "--judge URL"
        remedy = "statllama data check RECIPE --judge http://localhost:8000/v1 --judge-model NAME"
        raise UsageError(f"`{missing}` is missing: a judge has an address and a model", remedy=remedy)
    return None if url is None or model is None else Judge.at(url, model)


def preview(
    recipe: RecipeArg,
    overrides: SetOption = None,
    stage: Annotated[
        str | None,
        typer.Option(metavar="STAGE", help="Stage to look at. Default: the first.", autocompletion=completion.stages),
    ] = None,
    source: Annotated[int, typer.Option(min=1, help="Number of the stage's source, from 1.")] = 1,
    row: Annotated[int, typer.Option(min=1, help="Number of the source's row, from 1.")] = 1,
    generations: Annotated[
        bool, typer.Option("--generations", help="A row of the generations that the stage replays, once written.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Show one row as the model sees it, token by token, with the tokens that carry loss."""
    from statllama.cli.console.data import print_preview
    from statllama.recipe import load_recipe
    from statllama.runs.data_check import preview as preview_row
    from statllama.runs.data_check import preview_generated
    from statllama.store import Store

    read, store = load_recipe(recipe, overrides or []), Store(workspace)
    if generations:
        print_preview(preview_generated(read, store, stage, row))
    else:
        print_preview(preview_row(read, store, stage, source, row))


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
            help="sft: worked solutions; chat: short exchanges; dpo: preference pairs; grpo: answers; mc: options; "
            "frq: questions in parts, with a rubric."
        ),
    ] = "sft",
    topics: Annotated[str | None, typer.Option(metavar="A,B", help="Only these topics.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another one gives other problems.")] = 0,
    split: Annotated[str, typer.Option(help="train or test; no test problem resembles a train problem.")] = "train",
    math: Annotated[str, typer.Option(help="Formulas of worked solutions: plain or latex.")] = "plain",
    syllabus: Annotated[str | None, typer.Option(metavar="ap", help="Only what the AP course covers.")] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the topics and their kinds, with the topics of the AP course.")
    ] = False,
) -> None:
    """Write statistics problems with computed answers. The same arguments give the same bytes."""
    import json
    import time

    from statllama.cli.console.data import print_topics, print_written
    from statllama.errors import UsageError
    from statllama.problems import ap_topics, rows
    from statllama.problems import topics as all_topics
    from statllama.store.files import write_text

    if listed:
        print_topics((topic, ap_topics(topic)) for topic in all_topics())
        return
    if out is None:
        raise UsageError("`--out FILE.jsonl` is missing", remedy="statllama data problems --out problems.jsonl")
    began = time.monotonic()
    try:
        wanted = [name.strip() for name in topics.split(",")] if topics else None
        found = rows(form, count, topics=wanted, seed=seed, split=split, math=math, syllabus=syllabus)
        write_text(out, (json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    except ValueError as error:
        raise UsageError(str(error), remedy="statllama data problems --list shows topics and kinds") from None
    print_written(count, out, time.monotonic() - began)
