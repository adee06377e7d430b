"""What would make a stage fit a device that it does not fit: settings to paste, each with what it would then need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from statllama.config.stage import TrainingSpec
from statllama.model.shape import Shape
from statllama.train.fit import Place, Rows, choices, device_bytes, stage_need

SHORTEST, LOWEST = 128, 4  # tokens and rank below which nothing is proposed
ROUNDS = 40  # of `smallest`: each leaves 0.6 of the distance, at most


@dataclass(frozen=True)
class Remedy:
    """Settings that would be changed, as `--set` takes them, and the worst case of the smallest pass then, in bytes."""

    settings: tuple[str, ...]
    worst: float
    fits: bool

    def __str__(self) -> str:
        return " ".join(f"--set {one}" for one in self.settings)


@dataclass(frozen=True)
class _Change:
    """One change of a stage."""

    setting: str
    spec: TrainingSpec
    place: Place
    rows: Rows


def least(shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, free: float) -> float:
    """Return the worst case of a stage's smallest pass, that of its longest row or pair, in bytes."""
    need = stage_need(shape, spec, place, rows, rows.item(spec), choices(spec, place)[-1], free)
    return device_bytes(need.allocated, place)[1]


def smallest(shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, free: float) -> float:
    """Return the bytes of the smallest device that `least` fits. `free`: of the one here.

    Of Unsloth's loss it takes the less the less there is, at most half of that: so each round is nearer.
    """
    found = free
    for _ in range(ROUNDS):
        found = least(shape, spec, place, rows, found)
    return found


def remedies(shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, free: float) -> tuple[Remedy, ...]:
    """Return what would make a stage fit `free` bytes: each change that does alone, else all of them together.

    Empty where it fits as it is. The last one does not fit where nothing does: then only a smaller base would.
    """
    now = _Change("", spec, place, rows)

    def worst(change: _Change) -> float:
        return least(shape, change.spec, change.place, change.rows, free)

    if worst(now) <= free:
        return ()
    firsts = (next((each for each in kind(now) if worst(each) <= free), None) for kind in KINDS)
    if alone := tuple(Remedy((each.setting,), worst(each), fits=True) for each in firsts if each is not None):
        return alone
    settings: list[str] = []
    for kind in KINDS:
        if changes := list(kind(now)):
            now = next((each for each in changes if worst(each) <= free), changes[-1])
            settings.append(now.setting)
            if worst(now) <= free:
                break
    return (Remedy(tuple(settings), worst(now), fits=worst(now) <= free),)


def _recomputing(now: _Change) -> Iterator[_Change]:
    spec, place, rows = now.spec, now.place, now.rows
    if not choices(spec, place)[-1]:
        changed = _trained(spec, gradient_checkpointing=True)
        yield _Change(f"stages.{spec.name}.train.gradient_checkpointing=true", changed, place, rows)


def _optimizer(now: _Change) -> Iterator[_Change]:
    spec, place, rows = now.spec, now.place, now.rows
    if place.cuda and spec.train.optimizer.startswith("adamw_torch"):
        changed = _trained(spec, optimizer="adamw_8bit")
        yield _Change(f"stages.{spec.name}.train.optimizer=adamw_8bit", changed, place, rows)


def _nf4(now: _Change) -> Iterator[_Change]:
    spec, place, rows = now.spec, now.place, now.rows
    if place.quantization == "none":
        yield _Change("base.quantization=nf4", spec, replace(place, quantization="nf4"), rows)


def _shorter(now: _Change) -> Iterator[_Change]:
    spec, place, rows = now.spec, now.place, now.rows
    length, floor = spec.train.max_length, SHORTEST
    if spec.type == "grpo":
        floor = max(floor, 2 * spec.max_completion_length)  # type: ignore[attr-defined]
    while length // 2 >= floor:
        length //= 2
        if length < rows.longest:
            answers = min(1.0, rows.answers * rows.longest / length)  # at most: what is cut may all be of prompts
            cut = replace(rows, longest=length, answers=answers, lengths=None)
            yield _Change(
                f"stages.{spec.name}.train.max_length={length}", _trained(spec, max_length=length), place, cut
            )


def _ranks(now: _Change) -> Iterator[_Change]:
    spec, place, rows = now.spec, now.place, now.rows
    rank = spec.lora.r
    while rank // 2 >= LOWEST:
        rank //= 2
        changed = spec.model_copy(update={"lora": spec.lora.model_copy(update={"r": rank})})
        yield _Change(f"stages.{spec.name}.lora.r={rank}", changed, place, rows)


KINDS: tuple[Callable[[_Change], Iterator[_Change]], ...] = (_recomputing, _optimizer, _nf4, _shorter, _ranks)
"""Kinds of change, from what costs least; each yields ever stronger ones, which may be none."""


def _trained(spec: TrainingSpec, **fields: Any) -> TrainingSpec:
    return spec.model_copy(update={"train": spec.train.model_copy(update=fields)})
