"""Verdicts on a stage's data: findings with a remedy, from the counts of selecting and tokenising."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from statllama.config.stage import TrainingSpec
from statllama.data.fit import NO_ROOM
from statllama.data.report import MixtureReport, SourceReport
from statllama.data.selection import COPIES, COPIES_HELD, HELD_OUT, SelectedSource, Selection
from statllama.data.suspects import STRONG
from statllama.errors import DataError

Level = Literal["error", "warning", "hint"]

LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
FEW_EXAMPLES = 50
MANY_CUT = 0.05
MANY_DUPLICATES = 0.01
MANY_HELD = 0.1
LITTLE_LOSS = 0.03
MIXED = 0.2
"""A script or language with fewer rows than this share is in the minority; one with more belongs there."""
FEW_ROWS = 3  # a language is only guessed, so one odd row says nothing
WASTEFUL = 0.5


@dataclass(frozen=True)
class Verdict:
    """One finding about a source (or the whole mixture). An `error` stops a run, a `hint` is not shown by one."""

    level: Level
    source: str
    text: str
    remedy: str


def judge(spec: TrainingSpec, selection: Selection, report: MixtureReport | None) -> tuple[Verdict, ...]:
    """Return all findings, errors first. `report` is None when the data could not be tokenised."""
    found = [verdict for source in selection.sources for verdict in _of_rows(spec, source)]
    copies = selection.copies
    if copies and spec.decontaminate == "stop":
        text = f"{_rows(copies, 'copies', 'copy')} a question of a scored benchmark"
        found.append(Verdict("error", "all sources", text, "remove them, or set `decontaminate: drop`"))
    if selection.suspected:
        text = f"{_rows(selection.suspected, 'resembles', 'resemble')} a question of a scored benchmark in other words"
        remedy = "read them: `statllama data check` lists the nearest; nothing is left out because of it"
        level: Level = "warning" if selection.suspects[0].nearest[0].similarity >= STRONG else "hint"
        found.append(Verdict(level, "all sources", text, remedy))
    if report is not None:
        found += [verdict for source in report.sources for verdict in _of_tokens(spec, source)]
        found += _of_mixture(spec, report)
    return tuple(sorted(found, key=lambda verdict: LEVELS.index(verdict.level)))


def _rows(count: int, one: str, many: str) -> str:
    """Return `1 row has` or `3 rows have`."""
    return f"1 row {one}" if count == 1 else f"{count:,} rows {many}"


def _of_rows(spec: TrainingSpec, source: SelectedSource) -> Iterator[Verdict]:
    def warn(text: str, remedy: str) -> Verdict:
        return Verdict("warning", source.name, text, remedy)

    if source.faulty:
        rows = "1 row" if source.faulty == 1 else f"{source.faulty:,} rows"
        yield Verdict(
            "error", source.name, f"{rows} cannot be used: {source.faults[0]}", "fix or filter them (`where`)"
        )
    elif not len(source.kept):
        held = {reason: source.dropped[reason] for reason in (HELD_OUT, COPIES_HELD) if reason in source.dropped}
        why = "".join(f"; {reason}: {count:,}" for reason, count in held.items())
        remedy = "hold fewer rows out, or others (`holdout`, `evaluate.holdouts`)" if held else "loosen its filters"
        yield Verdict("error", source.name, f"none of {source.read:,} rows is left{why}", remedy)
    elif (copies := source.dropped.get(COPIES_HELD, 0)) > MANY_HELD * source.read:
        text = f"{copies:,} of {source.read:,} rows copy a held-out row, so the stage is not trained on them"
        yield warn(text, "hold fewer rows out, or others, if the stage needs them")
    survey = source.survey
    if spec.deduplicate == "none" and survey.duplicates > MANY_DUPLICATES * survey.rows:
        yield warn(f"{survey.duplicates:,} of {survey.rows:,} rows repeat an earlier one", "set `deduplicate: exact`")
    for oddity, count in survey.oddities.items():
        place = survey.first[oddity]
        text = f"{_rows(count, 'has', 'have')} {oddity}, first in {place}"
        yield warn(text, "clean the file, or filter the rows out by `where`")
    for what, counts in (("script", survey.scripts), ("language", survey.languages)):
        whole = sum(n for name, n in counts.items() if name != "none")
        few = {name: n for name, n in counts.items() if name != "none" and FEW_ROWS <= n < MIXED * whole}
        if few:
            listed = ", ".join(f"{name} ({n:,})" for name, n in few.items())
            most = max(counts, key=lambda name: counts[name])
            yield warn(f"rows in another {what} than most ({most}): {listed}", "check that they belong there")


def _of_tokens(spec: TrainingSpec, source: SourceReport) -> Iterator[Verdict]:
    def warn(text: str, remedy: str) -> Verdict:
        return Verdict("warning", source.name, text, remedy)

    longer = "raise `train.max_length`"
    if lost := source.dropped.get(NO_ROOM, 0):
        yield warn(f"{lost:,} of {source.rows_used:,} rows are skipped: their prompt alone is too long", longer)
    for reason, lost in source.dropped.items():
        if reason not in (NO_ROOM, COPIES):
            yield warn(f"{lost:,} of {source.rows_used:,} rows are skipped: {reason}", "look at them: data preview")
    if source.examples and source.truncated > MANY_CUT * source.examples:
        yield warn(f"{source.truncated:,} of {source.examples:,} examples are cut at max_length", longer)
    if source.share < LITTLE_LOSS and source.supervised_tokens:  # of questions none does
        yield warn(f"only {source.share:.1%} of the tokens carry loss", "shorten the prompts, or check `format`")


def _of_mixture(spec: TrainingSpec, report: MixtureReport) -> Iterator[Verdict]:
    try:
        spec.rows_per_epoch(report.examples)
    except DataError as error:
        yield Verdict("error", "all sources", error.message, error.remedy or "")
    if report.examples < FEW_EXAMPLES:
        text = f"only {report.examples} examples: the model will memorise them"
        yield Verdict("warning", "all sources", text, "add data")
    if spec.type in ("sft", "cpt") and not spec.train.packing and report.utilisation < WASTEFUL:
        text = f"rows fill {report.utilisation:.0%} of max_length {spec.train.max_length} on average"
        remedy = "with `train.packing: true` a step holds as many tokens as fit (another batch: adjust batch_size)"
        yield Verdict("hint", "all sources", text, remedy)
