"""Which steps `clean` is made of."""

from __future__ import annotations

from pathlib import Path

from statllama.data.build.chain import Step
from statllama.data.build.clean.benchmarks import benchmarks_of
from statllama.data.build.clean.boilerplate import Boilerplate
from statllama.data.build.clean.filters import Filters
from statllama.data.build.clean.language import detector_version
from statllama.data.build.clean.repeats import Repeats
from statllama.data.build.clean.spec import CleanSpec


def steps(spec: CleanSpec, root: Path) -> tuple[Step, ...]:
    """Return the steps, each of which takes what the one before it keeps.

    `root`: folder that relative paths refer to, and whose `eval/` may hold benchmarks. Reads no text. DataError when
    the language detector is missing, BenchmarkError for a benchmark that is wrong.
    """
    if spec.language is not None:
        detector_version()
    made: list[Step] = [Filters(spec, benchmarks_of(spec, root))]
    if spec.duplicates != "none":
        made.append(Repeats(spec.duplicates))
    if spec.boilerplate is not None:
        made.append(Boilerplate(spec.boilerplate, spec.length))
    return tuple(made)
