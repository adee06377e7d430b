"""Which sections and rows copy a question of a benchmark, and which may ask one in other words.

The search is that of a stage's own data (`data/contamination.py`, `data/suspects.py`): what goes into a build is held
to the same rules, only that here the section goes and the document stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from statllama.config.benchmarks import TaskFile, available, find_tasks, task_fingerprint, with_data
from statllama.config.shipped import shipped_root
from statllama.data.build.clean.spec import CleanSpec
from statllama.data.contamination import Hit, Questions, plain, read_questions
from statllama.data.ngrams import words
from statllama.data.suspects import Resembling
from statllama.errors import DataError, near


@dataclass(frozen=True)
class Benchmarks:
    """The benchmarks that are looked for; equal when their questions are."""

    fingerprints: tuple[str, ...] = ()
    tasks: tuple[TaskFile, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Finding:
    """What a text has of the benchmarks: a copy, else perhaps a suspect as plain JSON."""

    copy: Hit | None = None
    suspect: dict[str, Any] | None = None


def benchmarks_of(spec: CleanSpec, root: Path) -> Benchmarks:
    """Return the benchmarks that a spec looks for: from `eval/` in the folder `root`, else those that ship.

    DataError for one that is not there, and for a file for one that is not looked for; BenchmarkError for a wrong one.
    """
    if spec.contamination == "ignore":
        return Benchmarks()
    folders = [root / "eval", shipped_root() / "eval"]
    known = available(folders)
    for name in spec.tasks or ():
        if name not in known:
            raise DataError(f"`clean.tasks`: no benchmark {name!r}; {near(name, known)}")
    tasks = find_tasks(sorted(known) if spec.tasks is None else spec.tasks, folders)
    for name, files in spec.benchmarks.items():
        if name not in tasks:
            raise DataError(f"`clean.benchmarks`: no benchmark {name!r} is looked for; {near(name, tasks)}")
        tasks[name] = with_data(tasks[name], files, root, "clean.benchmarks", prompts=False)
    prints = {task_fingerprint(task): task for task in tasks.values()}
    return Benchmarks(tuple(sorted(prints)), tuple(prints[each] for each in sorted(prints)))


@lru_cache(maxsize=1)
def index(benchmarks: Benchmarks) -> tuple[Questions, Resembling]:
    """Return the index of all questions, once for each process. DataError when those of a benchmark cannot be read."""
    try:
        asked = read_questions(sorted(benchmarks.tasks, key=lambda task: task.name))
    except DataError as error:
        raise DataError(
            error.message,
            remedy="give its questions as a file, such as `benchmarks: {gsm8k: test.jsonl}`, or name the benchmarks to "
            "look for in `tasks`",
        ) from None
    return Questions(asked), Resembling(asked)


def findings(texts: Sequence[tuple[str, str]], benchmarks: Benchmarks, suspects: bool = True) -> list[Finding]:
    """Return what each (where, text) has of the benchmarks. `suspects`: whether they are looked for."""
    if not benchmarks.tasks:
        return [Finding()] * len(texts)
    questions, resembling = index(benchmarks)
    folded = [(where, plain(text)) for where, text in texts]
    split = [words(text) for _, text in folded]
    found = [Finding(copy) for copy in questions.search_words(folded, split)]
    rest = [i for i, finding in enumerate(found) if finding.copy is None] if suspects else []
    for row, question, suspect in resembling.nearest([folded[i] for i in rest], [split[i] for i in rest]):
        found[rest[row]] = Finding(
            suspect={
                "where": suspect.where,
                "benchmark": question.task,
                "question": question.number,
                "similarity": suspect.similarity,
                "passage": suspect.passage,
            }
        )
    return found


def words_of(copy: Hit) -> str:
    """Return which question a text copies, and how."""
    question = copy.question
    return (
        f"question {question.number} of {question.task} ({copy.form}, {copy.share:.0%}): "
        f"{_cut(copy.passage)} | {_cut(question.text)}"
    )


def _cut(text: str, size: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= size else f"{flat[:size]} ..."
