"""The commands `data build` and `data review`: from papers to rows, and a person's look at them."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from statllama.cli.options import (
    WORKSPACE,
    AddressOption,
    ExecutorOption,
    WaitOption,
    WorkersOption,
    WorkspaceOption,
)
from statllama.errors import UsageError

if TYPE_CHECKING:
    from statllama.data.build.chain import Executor

FileArg = Annotated[str, typer.Argument(metavar="FILE", help="The build's YAML, such as papers.data.yaml.")]


def build(
    file: FileArg,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Folder for the parts. Default: papers.built, beside the file."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="Address of the model that writes, such as http://localhost:8080/v1. Its key, if it needs one: the "
            "environment variable STATLLAMA_SERVER_KEY.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Start though the estimate is above the budget; it stops at the budget.")
    ] = False,
    until: Annotated[
        str | None, typer.Option("--until", metavar="STEP", help="Stop after this step, and write no parts.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the steps, which have results, and what writing would use.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Processes that read and clean at the same time.")
    ] = 1,
    workspace: WorkspaceOption = WORKSPACE,
    wait: WaitOption = True,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
) -> None:
    """Make training data out of papers: collect, extract, clean, write, check.

    What is done is kept in the workspace, so a stopped build goes on when you repeat the command, and one that is
    changed makes again only what depends on the change. Rows that are left out are counted by reason and kept for
    `data review`. A recipe reads the parts: `{built: papers.data.yaml, part: NAME}`.
    """
    from statllama.cli.console.build import print_built, print_plan, watched
    from statllama.data.build.build import Asked, plan, run
    from statllama.data.build.spec import load_build
    from statllama.runs.signals import StopSignal
    from statllama.store import Store
    from statllama.store.leases import working

    loaded, store = load_build(file), Store(workspace)
    asked = Asked(server, yes)
    if dry_run:
        print_plan(loaded, plan(loaded, store, asked), store)
        return
    with StopSignal() as stop, ExitStack() as opened:
        chosen = opened.enter_context(_executor(executor, address, workers, jobs))
        opened.enter_context(working(store))
        watcher = opened.enter_context(watched(stop.obey))
        opened.enter_context(stop.deferred())
        made = run(loaded, store, chosen, watcher, asked=asked, out=out, until=until, wait=wait)
    print_built(loaded, made, file)


def _executor(
    name: str | None, address: str | None, workers: int | None, jobs: int
) -> AbstractContextManager[Executor]:
    """Return what makes blocks: this process, some processes, or Ray."""
    from statllama.data.build.chain import Here

    on_ray = name == "ray" or address is not None or workers is not None
    if name == "local" and (address is not None or workers is not None):
        raise UsageError("--executor local takes no --address and no --workers: these are of Ray")
    if on_ray and jobs > 1:
        raise UsageError("--jobs is of this machine, and Ray is asked for", remedy="use --workers N")
    if not on_ray:
        return Here(jobs)
    from statllama.runs.cluster.blocks import ray_blocks

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ray_blocks(address, workers, cores)


def review(
    file: FileArg,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.html", help="Write the sample as a page to judge in a browser."),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts", metavar="FILE.jsonl", help="Take in the verdicts of a page, and show the agreement with them."
        ),
    ] = None,
    judge: Annotated[bool, typer.Option("--judge", help="Judge the sample here, by keys.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who judges.")] = "me",
    kept: Annotated[int, typer.Option("--kept", min=0, metavar="N", help="Rows of those kept.")] = 30,
    left_out: Annotated[int, typer.Option("--left-out", min=0, metavar="N", help="Rows of each reason.")] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed draws other rows.")] = 0,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Look at rows that a model wrote, kept and left out, and judge them.

    Without an option it prints a sample. Verdicts are kept beside the build's file, in papers.verdicts.jsonl, and only
    ever added to. From them follows how far the build, and each check, agrees with you, over all rows.
    """
    from statllama.cli.console import review as console
    from statllama.data.build.build import reviewed
    from statllama.data.build.review import append, draw, read_verdicts, taken_in
    from statllama.data.build.review import review as agreement
    from statllama.data.build.spec import load_build
    from statllama.report.review import write_review
    from statllama.store import Store
    from statllama.store.files import require_place

    require_place(out)
    loaded = load_build(file)
    own = loaded.file.with_name(f"{loaded.spec.name}.verdicts.jsonl")
    sample = draw(*reviewed(loaded, Store(workspace)), of_kept=kept, of_reason=left_out, seed=seed)
    console.print_sample(sample)
    if verdicts is not None:
        console.print_taken_in(taken_in(own, read_verdicts(verdicts)), own)
    if judge:
        console.ask(sample.items, by, lambda verdict: append(own, [verdict]))
    if out is not None:
        write_review(sample, loaded.spec.name, out)
        console.print_page(out, sample)
    if own.exists() and (judge or verdicts is not None):
        console.print_agreement(agreement(sample, read_verdicts(own)))
    elif out is None and not judge:
        console.print_rows(sample.items)
