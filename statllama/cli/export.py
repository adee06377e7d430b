"""The command export."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from statllama.cli.options import WORKSPACE, EvaluateSetOption, ScaleOption, StageOption, TargetArg, WorkspaceOption
from statllama.errors import UsageError
from statllama.release.formats import Option, options, orders

DirOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder to create; it must not exist yet.")
]
BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE",
        help="Instead of a release: write the run (recipe, adapters, scores) to one file for `statllama import`.",
    ),
]
HistoryOption = Annotated[bool, typer.Option("--history", help="With --bundle: its earlier records too.")]
NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the release. Default: the names of run and stage.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Publish despite a failed verification; the card then says so.")
]
PushOption = Annotated[
    str | None, typer.Option("--push", metavar="REPO", help="Upload it to this hub repository, private by default.")
]
PublicOption = Annotated[bool, typer.Option("--public", help="With --push: make the repository public.")]


def _with_options_of_formats(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options that the release formats declare in the place of the parameter `forms`, which gets their values
    by name: Typer reads a command's options from its signature.
    """
    signature = inspect.signature(command, eval_str=True)
    declared = {option.name: _parameter(option) for option in options()}
    parameters = [
        part
        for one in signature.parameters.values()
        for part in (declared.values() if one.name == "forms" else (one.replace(kind=inspect.Parameter.KEYWORD_ONLY),))
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        command(forms={name: given.pop(name) for name in declared}, **given)

    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_options


def _parameter(option: Option) -> inspect.Parameter:
    words = typer.Option(option.flags, metavar=option.metavar, help=option.help, min=option.least)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(option.name, kind, default=option.default, annotation=Annotated[option.type, words])


def _chosen(forms: Mapping[str, Any]) -> list[str]:
    defaults = {option.name: option.default for option in options()}
    return [option.flags for option in options() if forms[option.name] != defaults[option.name]]


def _bundle(run: str, file: Path, history: bool, others: Sequence[str], workspace: Path) -> None:
    """Write a run to one file. `others`: options that were given and have no meaning here."""
    from statllama.cli.console.export import print_bundled
    from statllama.runs.house.bundle import write_bundle
    from statllama.runs.house.history import earlier
    from statllama.store import Store

    if others:
        raise UsageError(f"--bundle moves the whole run as it is: {', '.join(others)} cannot go with it")
    store = Store(workspace)
    print_bundled(write_bundle(store, run, file, tuple(earlier(store, run)) if history else ()))


@_with_options_of_formats
def export(
    target: TargetArg,
    out: DirOption = None,
    forms: Mapping[str, Any] = MappingProxyType({}),
    stage: StageOption = None,
    scale: ScaleOption = None,
    name: NameOption = None,
    force: ForceOption = False,
    push: PushOption = None,
    public: PublicOption = False,
    bundle: BundleOption = None,
    history: HistoryOption = False,
    overrides: EvaluateSetOption = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Release a stage as adapter, merged weights or GGUF, each checked against the trained stack.

    Without a choice of forms: the adapter and merged weights in bf16. A form that fails its checks is withheld. Works
    offline, without a compiler. With --bundle: write the whole run to one file, for another workspace or machine.
    """
    from statllama.cli.console.export import print_release, print_upload
    from statllama.cli.console.run import ConsoleReporter
    from statllama.release.release import export as make_release
    from statllama.release.release import require_complete
    from statllama.runs.loaded import Loaded
    from statllama.runs.scorer import reading_here
    from statllama.runs.signals import StopSignal
    from statllama.runs.targets import chosen_stack
    from statllama.store import Store

    if bundle is not None:
        given = {"--out": out, "--stage": stage, "--scale": scale, "--name": name, "--push": push, "--set": overrides}
        _bundle(
            target, bundle, history, [*(flag for flag, value in given.items() if value), *_chosen(forms)], workspace
        )
        return
    if out is None:
        raise UsageError("`--out DIR` is missing", remedy=f"statllama export {target} --out release")
    store = Store(workspace)
    wanted = orders(**forms)
    subject, stack = chosen_stack(target, store, stage, scale, overrides)
    # Verification asks plain Transformers and PEFT, which Unsloth would rewrite for the whole process.
    loaded = Loaded(
        subject.base, subject.identity, store, ConsoleReporter(), subject.evaluate.max_length, backend="transformers"
    )
    with StopSignal(), reading_here(store, subject):
        release = make_release(subject, stack, loaded, out, wanted, name, force)
    print_release(release)
    if push is not None and (force or not release.certificate.withheld):
        from statllama.release.push import push as upload

        print_upload(upload(release.folder, push, public))
    require_complete(release, push)
