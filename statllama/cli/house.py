"""Commands that keep house in a workspace: status, rm, gc."""

from __future__ import annotations

from typing import Annotated

import typer

from statllama.cli.options import WORKSPACE, WorkspaceOption

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def status(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Only these, such as gardener or gardener@1.")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """List the workspace's runs and their stages, the bytes of each run, unfinished work, and what no run uses.

    A run under other settings keeps the earlier record: `gardener@1` is the first one of `gardener`.
    """
    from statllama.cli.console.house import print_runs, print_status
    from statllama.runs.house.clearing import require_runs
    from statllama.store import Store

    store = Store(workspace)
    if runs:
        require_runs(store, runs)
        print_runs(store, runs)
    else:
        print_status(store)


def rm(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs in the workspace; gardener@1 is one too.")],
    earlier: Annotated[
        bool, typer.Option("--earlier", help="Remove the earlier records of these runs (gardener@1, ...) too.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Remove runs, with the adapters, scores and prepared data that no other run uses.

    Says what goes and what stays, then asks. A run that goes on is not removed.
    """
    from statllama.cli.console.house import agreed, print_cleared, print_removal, print_watching
    from statllama.runs.house.clearing import removal, remove, stock_of, with_earlier
    from statllama.store import Store
    from statllama.store.leases import require_settled

    store = Store(workspace)
    names = with_earlier(store, runs) if earlier else tuple(dict.fromkeys(runs))
    live = stock_of(store)[1]
    going = removal(store, names, live)
    require_settled(live)  # before it asks
    print_removal(going, whole=dry_run)
    if not dry_run and agreed("remove", yes, f"statllama rm {' '.join(runs)} --yes"):
        print_cleared(remove(store, names, {item.place for item in going.items}, print_watching))


def gc(dry_run: DryRunOption = False, yes: YesOption = False, workspace: WorkspaceOption = WORKSPACE) -> None:
    """Delete what no run uses: results and scores of removed runs, old prepared data, leftovers of killed processes.

    Says what goes, then asks. What a process that is at work holds or needs stays.
    """
    from statllama.cli.console.house import agreed, print_cleared, print_orphans, print_watching
    from statllama.runs.house.clearing import stock_of, sweep
    from statllama.store import Store
    from statllama.store.leases import require_settled

    store = Store(workspace)
    stock, live = stock_of(store)
    require_settled(live)  # what no run uses cannot be told before
    found = stock.orphans
    print_orphans(store, found, whole=dry_run)
    if not dry_run and (not found or agreed("delete", yes, "statllama gc --yes")):
        print_cleared(sweep(store, {item.place for item in found}, print_watching))
