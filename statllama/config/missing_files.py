"""Checks that the local files of a recipe's data are there, before anything is read. Loads no torch."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from statllama.config.built import wrong_with
from statllama.config.evaluate import EvaluateSpec
from statllama.config.inherit import SOURCE_FILES
from statllama.config.replayed import placed_sources
from statllama.config.shipped import SHIPPED, located
from statllama.config.source import SourceSpec
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.config.yaml_lines import Path_, dotted, line_of
from statllama.errors import Problem


def missing_data(
    evaluate: EvaluateSpec, root: Path, stages: Sequence[tuple[int, StageSpec]], lines: Mapping[Path_, int]
) -> Iterator[Problem]:
    """Yield the files of sources that are not there: of stages, of their hold-outs, of `evaluate.holdouts`."""
    places: list[tuple[SourceSpec, Path_, str, str]] = [
        (source, ("stages", i, *spot), f" (stage {stage.name})", ".".join(map(str, ("stages", stage.name, *spot))))
        for i, stage in stages
        for spot, source in (placed_sources(stage) if isinstance(stage, TrainingSpec) else ())
    ]
    for name, source in evaluate.holdouts.items():
        places.append((source, ("evaluate", "holdouts", name), "", f"evaluate.holdouts.{name}"))
    for source, way, stage_label, setting in places:
        for field in SOURCE_FILES:
            file = getattr(source, field)
            if field == "built" and file is not None:
                yield from _unbuilt(source, way, root, stage_label, lines)
            elif isinstance(file, str) and not _holds_data(file, root):
                missing = located(file, root)
                message = f"no such file: {missing}{neighbours(Path(missing))}"
                remedy = _file_remedy(source, field, f"{setting}.{field}")
                yield Problem(dotted((*way, field)) + stage_label, message, line_of((*way, field), lines), remedy)


def _unbuilt(
    source: SourceSpec, way: Path_, root: Path, stage_label: str, lines: Mapping[Path_, int]
) -> Iterator[Problem]:
    """Yield what is wrong with a build that a source names."""
    assert source.built is not None and source.part is not None
    if (wrong := wrong_with(located(source.built, root), source.part)) is not None:
        message, remedy = wrong
        yield Problem(dotted((*way, "built")) + stage_label, message, line_of((*way, "built"), lines), remedy)


def _file_remedy(source: SourceSpec, at: str, field: str) -> str:
    """Say what a missing data file should be, and how to name another: one that ships under that name, if there is."""
    ships = f"{SHIPPED}{getattr(source, at)}"
    if os.path.exists(located(ships, Path())):
        return f"for the file that ships with statllama write `{at}: {ships}`"
    columns = ", ".join(f"{v!r}" for v in source.columns.values())
    kind = "data file" if source.format == "auto" else f"{source.format} file"
    remedy = f"put a {kind} there" + (f" with the columns {columns}" if columns else "")
    return f"{remedy}, or point elsewhere: --set {field}=FILE"


def _holds_data(value: str, root: Path) -> bool:
    """Return whether a source's `path` is a file, a folder or a glob that matches something. What is in it is read
    later.
    """
    if not value or os.path.exists(place := located(value, root)):
        return bool(value)
    return glob.has_magic(value) and any(glob.iglob(place, recursive=True))


def neighbours(path: Path) -> str:
    """Return the files beside a missing one that are called almost the same, as a question."""
    try:
        close = get_close_matches(path.name, os.listdir(path.parent), n=3)
    except OSError:
        return ""
    return f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
