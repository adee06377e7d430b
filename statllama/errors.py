"""The errors a user can meet, each with its exit code.

    StatllamaError                  a failure that the user can understand and repair
    +-- UsageError (ValueError)     a wrong argument
    |   +-- NotFoundError (FileNotFoundError)    a recipe, run, model or workspace that is not there
    +-- RecipeError (ValueError)    everything that is wrong with a recipe, at once
    +-- DataError (ValueError)      a dataset that cannot be read or trained on
    +-- ModelError                  a base model or tokenizer that cannot be loaded or does not fit the recipe
    +-- StoreError                  a workspace that is corrupted, read-only, full, or held by another process
    |   +-- HeldError               an entry that another process holds; in `store/holder.py`
    |   +-- LostError               an entry that a process of another host took over from this one; there too
    |   +-- MirrorError             an object store that cannot be reached or used; in `store/mirror.py`
    +-- TrainingError               a stage that failed while training
    |   +-- InputChanged            a file that a key stands for is not what it was when the run was planned
    +-- EvaluationError             a benchmark that cannot be scored
    |   +-- BenchmarkError (ValueError)       a missing benchmark or a wrong task file; in `config/benchmarks.py`
    |   +-- IncomparableError (ValueError)    scores of different things; in `evaluation/scorecard.py`
    |   +-- GateBroken              a gate stops the run: a stage lost more than its recipe allows, or may have
    +-- JudgeError                  a judge of suspect rows that gives no answer; in `data/judging.py`
    +-- ServerError                 a server that writes rows and gives no answer; in `data/build/server/client.py`
    +-- ExportError                 a release that cannot be made, or that does not behave like what was trained
    +-- ClusterGone                 a Ray cluster that ended under a run; in `runs/cluster/connection.py`
    +-- UnexpectedError             an exception in a worker that nobody foresaw; in `runs/cluster/slot.py`
    +-- Interrupted                 SIGINT or SIGTERM

In parentheses: the class of the standard library that an error also is. Every error with exit code 2 is a ValueError:
the input was wrong. `Interrupted` is no KeyboardInterrupt, since Click catches those and drops their message, and no
InterruptedError, which is an OSError: code around files would take it for a failing disk.

A message says what was wrong, what was got, where (file, line, field, row), what is allowed, and the command or edit
that mends it. `cli.main` prints the message and leaves with `exit_code`; a traceback is shown only with `--debug`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

MOST_NAMES = 30  # of a list that is printed when none of it is near


class StatllamaError(Exception):
    """A failure that the user can understand and repair. `remedy` is one line that says how."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message}\n  -> {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error with all its attributes, whatever its constructor takes: it may come from a
        worker.
        """
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: type[StatllamaError], args: tuple[object, ...], attributes: dict[str, object]) -> StatllamaError:
    maker = OSError if issubclass(kind, OSError) else Exception  # what C calls; `kind.__new__` is the first base's
    error = maker.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UsageError(StatllamaError, ValueError):
    """A wrong argument, on the command line or of a function."""

    exit_code = 2


class NotFoundError(UsageError, FileNotFoundError):
    """A recipe, run, model or workspace that is not there."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a recipe: where it is (`line` counts from 1, 0 when unknown), what, and how to mend it."""

    where: str
    message: str
    line: int = 0
    remedy: str | None = None


class RecipeError(StatllamaError, ValueError):
    """Everything that is wrong with a recipe, at once."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.where)))
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> Iterable[str]:
        count = len(self.problems)
        yield f"{self.source}: {count} {'error' if count == 1 else 'errors'}"
        for p in self.problems:
            place = f"line {p.line}, {p.where}" if p.line else p.where
            yield f"  {place}: {p.message}"
            if p.remedy:
                yield f"    -> {p.remedy}"


class DataError(StatllamaError, ValueError):
    """A dataset that cannot be read or trained on. The message names the file and the row (from 1)."""

    exit_code = 2


class ModelError(StatllamaError):
    """A base model or tokenizer that cannot be loaded or does not fit the recipe."""


class StoreError(StatllamaError):
    """A workspace that cannot be used: corrupted, read-only, full, or held by another process."""


class TrainingError(StatllamaError):
    """A stage that failed while training. The store is as it was; a sound checkpoint stays to resume from."""


class InputChanged(TrainingError):
    """A file is not what it was when its hash went into a key. Nothing was published under that key."""


class EvaluationError(StatllamaError):
    """A benchmark that is missing, malformed or cannot be scored."""


class GateBroken(EvaluationError):
    """A gate stops the run: a stage lost more on a benchmark than its recipe allows, or may have. It is kept."""


class ExportError(StatllamaError):
    """A release that cannot be made, or that does not behave like what was trained."""


class Interrupted(StatllamaError):
    """SIGINT or SIGTERM: what was under way has been saved."""

    exit_code = 130


def near(word: str, allowed: Iterable[str]) -> str:
    """Return 'did you mean ...?' with the nearest allowed names, or the allowed names (the first 30) when none is
    near.
    """
    names = sorted(set(allowed))
    plain = {name.casefold(): name for name in names}
    close = [plain[found] for found in get_close_matches(word.casefold(), plain, n=3, cutoff=0.6)]
    if close:
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"allowed: {', '.join(names[:MOST_NAMES]) or 'none'}{more}"
