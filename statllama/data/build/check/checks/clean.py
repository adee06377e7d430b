"""The row copies no question of a benchmark: the same search as that of a stage (`data/contamination.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from statllama.config.benchmarks import find_tasks
from statllama.config.shipped import shipped_root
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.findings import Finding, cut, failed, passed
from statllama.data.build.check.reading import Reading
from statllama.data.contamination import Question, Questions, read_questions

KIND, COST, NUMERICS = "alone", 40, 1

COPY = "copies a question of a benchmark"


class Spec(Settings):
    """Rows that copy a benchmark's question are left out."""

    benchmarks: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Names of benchmarks whose questions no row may copy."""
    folders: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Folders of benchmarks of your own, each `<name>/<name>.yaml`, before those that ship with statllama."""


def prepare(spec: Spec, folder: Path) -> list[Any]:
    """Return [benchmark, number, text] of each question. BenchmarkError, DataError: benchmarks that cannot be read."""
    folders = [*(folder / name for name in spec.folders), shipped_root() / "eval"]
    found = read_questions(find_tasks(spec.benchmarks, folders).values())
    return [[question.task, question.number, question.text] for question in found]


def make(spec: Spec, prepared: Sequence[Any]) -> Callable[[Mapping[str, Any], Reading], Finding]:
    """Return the check of a row."""
    questions = Questions([Question(*each) for each in prepared])

    def check(row: Mapping[str, Any], reading: Reading) -> Finding:
        hit = questions.search(reading.whole, str(row["id"]))
        if hit is None:
            return passed()
        what = f"question {hit.question.number} of {hit.question.task}: {cut(hit.question.text)}"
        return failed(COPY, f"{hit.form}; {what}", share=round(hit.share, 4))

    return check
