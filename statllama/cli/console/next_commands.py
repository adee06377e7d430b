"""The commands that come after a run: printed at its end, and put into the errors that end it early."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from statllama.cli.console.live import outliving
from statllama.cli.console.run import ConsoleReporter
from statllama.cli.console.terminal import Out, plain, short
from statllama.cli.options import WORKSPACE
from statllama.errors import Interrupted, StatllamaError, UsageError

if TYPE_CHECKING:
    from statllama.evaluation.scorecard import Scorecard
    from statllama.runs.study import StudyResult

OPTIONS = re.compile(r"--set \S+( --set \S+)*")
"""A remedy that is nothing but options of the command."""


def print_next(name: str, workspace: Path, card: Scorecard | None) -> None:
    """Print what to do with a run that has ended: read it, talk to it, and release it or see what it got wrong."""
    better = card is not None and any(
        cell.from_base is not None and cell.from_base.verdict == "better" for cell in card.rows[-1].cells
    )
    last = ["compare", f"{name}:base", name, "--items", "3"]
    if card is None or better:
        last = ["export", name, "--out", short(_free(f"{name}-release"))]
    _print([["report", name], ["chat", name, "--versus", "base"], last], workspace)


def print_next_of_study(result: StudyResult, targets: Sequence[str], workspace: Path) -> None:
    """Print what to do with a study that has ended: its page, and its reference's scores and model."""
    ended = [p.recipe.name for p in result.pipelines if p.label not in result.failed]
    page = ["study", *targets, "--out", short(_free(f"{result.study.spec.name}.html"))]
    names = list(dict.fromkeys(ended))[:1]
    _print([page, *(["report", name] for name in names), *(["chat", name] for name in names)], workspace)


def _print(commands: Sequence[Sequence[str]], workspace: Path) -> None:
    Out.print("next:")
    for command in commands:
        Out.print(f"  [bold]{plain(command_line(command, workspace))}[/]", soft_wrap=True)


def command_line(arguments: Sequence[str], workspace: Path) -> str:
    """Return a command to paste, with the workspace where it is not the one that it would take by itself."""
    usual = Path(os.environ.get("STATLLAMA_WORKSPACE") or WORKSPACE)
    text = shlex.join(["statllama", *arguments])
    return text if workspace == usual else f"{text} --workspace {short(workspace)}"


def _free(name: str) -> Path:
    """Return the first of NAME, NAME-2, NAME-3, ... in the current folder that does not exist."""
    stem, dot, end = name.partition(".html")
    names = (f"{stem}{number}{dot}{end}" for number in ("", *(f"-{i}" for i in range(2, 10_000))))
    return next(path for path in map(Path, names) if not os.path.lexists(path))


@contextmanager
def going_on(reporter: ConsoleReporter) -> Iterator[None]:
    """Enclose a run: it outlives the reader of its output, and an error that ends it names the command that goes on.

    An error that comes before anything was planned leaves nothing to go on from.
    """
    with outliving():
        try:
            yield
        except StatllamaError as error:
            if reporter.was_planned and not isinstance(error, UsageError):
                error.remedy = _with_command(error)
            raise
        except KeyboardInterrupt:
            raise Interrupted("by Ctrl-C", remedy=f"go on: {_again()}") from None
        finally:
            reporter.hide()


def _with_command(error: StatllamaError) -> str:
    if isinstance(error, Interrupted) or not error.remedy:
        return f"go on: {_again()}"
    if OPTIONS.fullmatch(error.remedy):  # settled by options: with the command as it was, the same would happen
        return f"go on: {_again()} {error.remedy}"
    return f"{error.remedy}; then go on: {_again()}"


def _again() -> str:
    """Return the command of this process, to paste."""
    return shlex.join(["statllama", *sys.argv[1:]])
