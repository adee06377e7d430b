"""What a stage replays: which sources, prepared as which kind of data, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statllama.config.protect import GenerationsSpec
from statllama.config.source import SourceSpec
from statllama.config.stage import TrainingSpec
from statllama.data.sources import source_name
from statllama.stages import stage_module

if TYPE_CHECKING:
    from statllama.data.encode import Kind
    from statllama.data.replay import ReplayRows


@dataclass(frozen=True)
class Replayed:
    """Sources to replay, and how they are prepared."""

    stage: TrainingSpec
    """The stage whose data they are, or the one that replays them."""
    label: str
    """The name of that stage; empty for the sources of `replay.data`."""
    kind: Kind
    sources: tuple[SourceSpec, ...]
    options: dict[str, Any]


def replayed_sources(spec: TrainingSpec, stages: Sequence[TrainingSpec]) -> Iterator[Replayed]:
    """Yield what a stage replays: the sources of `replay.data`, then those of each stage that it names.

    Rows of `replay.data` are conversations, and running text where every token carries loss. A stage's rows are those
    that it trained on, unpacked, and no longer than this stage's may be.
    """
    if spec.replay is None or not spec.replayed:
        return
    here = {"max_length": spec.train.max_length, "packing": False}
    if spec.replay.data:
        train_on = spec.replay.train_on or spec.train_on  # type: ignore[attr-defined]
        options = {"train_on": train_on, "seed": spec.train.seed, **here}
        yield Replayed(spec, "", "conversations", spec.replay.data, options)
    for stage in stages:
        kind = stage_module(stage.type).DATA_KIND
        yield Replayed(stage, stage.name, kind, stage.data, stage.data_options | here)


def replay_note(spec: TrainingSpec, rows: ReplayRows) -> str:
    """Say how many rows a stage replays in each step, and of what."""
    names = [f"the data of {part.label}" if part.label else _names(part.report) for part in rows.parts]
    if rows.awaited is not None and spec.generated is not None:
        names.append(f"{generations_note(spec.generated)}, which are written before it trains")
    return f"{spec.name} replays {spec.replayed:,} of {len(rows):,} rows in each step, from {', '.join(names)}"


def generations_note(written: GenerationsSpec, on_stack: bool = True) -> str:
    """Say how many rows who writes. `on_stack`: whether a stage is below, or the parent is the base."""
    return generations_of(written.count, written.by if on_stack else "base")


def generations_of(count: int, by: str) -> str:
    """Name rows that a model wrote.

    >>> generations_of(1200, "base")
    '1,200 generations of the base'
    """
    return f"{count:,} generations of the {by}"


def protection_note(spec: TrainingSpec) -> str:
    """Say what holds a stage near its parent, in a line; empty where nothing does."""
    parts, replay, anchor = [], spec.replay, spec.anchor
    if replay is not None and spec.replayed:
        names = [*map(source_name, replay.data), *(f"the data of {name}" for name in replay.stages)]
        names += [generations_note(spec.generated, spec.parents != "base")] if spec.generated is not None else []
        weight = f", weight {replay.strength:g}" if replay.strength else ""
        parts.append(f"replays {spec.replayed:,} rows in each step ({', '.join(names)}{weight})")
    if anchor is not None and spec.anchored_on:
        where = "replayed rows" if anchor.on == "replay" else "its own rows"
        how = f"{anchor.coefficient:g}" if anchor.target is None else f"to hold {anchor.target:g} nats a token"
        parts.append(f"anchored on {where}, coefficient {how}")
    return "; ".join(parts)


def _names(report: Any) -> str:
    return ", ".join(source.name for source in report.sources)
