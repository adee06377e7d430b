"""Which token budget fits a device, by the worst case of the memory model (`memory`). Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from statllama.config.lora import DEFAULT_MODULES
from statllama.config.stage import TrainingSpec
from statllama.data.lengths import Lengths
from statllama.model.shape import Shape
from statllama.train.memory import GIB, MIB, Need, Pass, Setting, need, state_bytes
from statllama.train.steps import rows_come_again

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Overhead:
    """What a device holds beyond the tensors that torch has allocated."""

    fixed: float
    """Bytes before the first tensor: of a GPU its context and kernels, of a process its libraries."""
    usual: float
    """Share of the allocated bytes that the allocator holds on top: gaps between tensors."""
    worst: float
    left: float = 0.0
    """Share of what the passes of an earlier stage took that its memory is too full of holes to give to this one."""


# Reserved over allocated of the twelve published runs (`benchmarks/memory_forecast.py`): median and largest. The
# context is what nvidia-smi shows of a process with one tensor, on cards of the same generations.
CUDA = Overhead(0.55 * GIB, 0.085, 0.19)
CPU = Overhead(750 * MIB, 0.2, 0.45, 0.3)  # of glibc, by `benchmarks/memory_forecast.py --measure`


@dataclass(frozen=True)
class Place:
    """What bears on a stage's memory beside its fields: how the base is loaded, and on what."""

    cuda: bool = True
    backend: Literal["transformers", "unsloth"] = "unsloth"
    quantization: Literal["nf4", "none"] = "nf4"
    compute: str = "bfloat16"
    """The type it computes in: `precision.compute_type`."""
    below: int = 0
    """Sum of the ranks of the stack that a stage trains on."""
    rows_below: bool = False
    """Whether a stage of that stack has rows of tokens."""

    @property
    def overhead(self) -> Overhead:
        """Return what the device holds beyond tensors."""
        return CUDA if self.cuda else CPU


@dataclass(frozen=True)
class Rows:
    """What is known of a stage's rows."""

    longest: int
    """Tokens of the longest row, of grpo with its completion."""
    answers: float = 1.0
    """Share of tokens that carry loss."""
    again: bool = False
    """Whether the stage sees them more than once, and so computes its reference beforehand."""
    joined: bool = False
    """Whether a pass joins rows without padding, and without a mask."""
    lengths: Lengths | None = None
    """Of every item; None where they are not known, or a row's length is drawn as it is trained on, as in grpo."""
    replay: Lengths | None = None
    """Of the rows that are replayed; None where none are, or they are not known."""

    @classmethod
    def of(cls, spec: TrainingSpec, lengths: Lengths, *, joined: bool, replay: Lengths | None = None) -> Rows:
        """Return what a stage's prepared rows are like."""
        longest = int(lengths.tokens.max(initial=1))
        if spec.type == "grpo":
            longest += spec.max_completion_length  # type: ignore[attr-defined]
            share = spec.max_completion_length / longest  # type: ignore[attr-defined]
            return cls(longest, share, joined=joined)
        share = float(lengths.logits.sum() / max(1, (lengths.tokens * lengths.rows).sum()))
        return cls(longest, min(1.0, share), rows_come_again(spec.train, len(lengths)), joined, lengths, replay)

    def item(self, spec: TrainingSpec) -> int:
        """Return the tokens of the largest item that cannot be split: a row, or a pair of rows."""
        return self.longest * (2 if spec.type == "dpo" else 1)

    def whole(self, spec: TrainingSpec) -> int:
        """Return the tokens of an optimizer step at most; a larger budget makes no difference."""
        return self.item(spec) * spec.train.batch_size

    def beside(self, spec: TrainingSpec, budget: int) -> list[Pass]:
        """Return the heaviest passes of replay and anchor under a budget; the step's own gradients wait meanwhile."""
        if spec.replayed and self.replay is not None and not self.joined:
            groups = self.replay.heaviest(budget, spec.replayed)
            widths = [int(self.replay.tokens[group].max()) for group in groups]
            return [Pass(len(group) * width, width, alone=False) for group, width in zip(groups, widths, strict=True)]
        rows = max(spec.replayed, spec.train.batch_size * (spec.anchored_on == "own"))
        longest = spec.train.max_length if spec.replayed else self.longest
        return [Pass(min(max(budget, longest), rows * longest), longest, alone=False)] if rows else []

    def passes(self, spec: TrainingSpec, budget: int) -> list[Pass]:
        """Return the passes under a budget that need the most memory."""
        item, whole, batch = self.item(spec), self.whole(spec), spec.train.batch_size
        if self.lengths is None or self.joined:
            tokens = min(max(budget, item), whole)
            return [Pass(tokens, self.longest, alone=tokens == whole)]
        groups = self.lengths.heaviest(budget, batch)
        widths = [int(self.lengths.tokens[group].max()) for group in groups]
        return [
            Pass(len(group) * self.lengths.rows * width, width, alone=len(group) >= min(batch, len(self.lengths)))
            for group, width in zip(groups, widths, strict=True)
        ]


def setting_of(shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, recompute: bool) -> Setting:
    """Return the memory model's setting for a stage."""
    unsloth, width = place.backend == "unsloth", WIDTHS[place.compute]
    return Setting(
        shape=shape,
        kind=spec.type,  # type: ignore[arg-type]
        quantization=place.quantization,
        width=width,
        rank=spec.lora.r,
        modules=[module for module in spec.lora.target_modules if module in DEFAULT_MODULES],
        layers=spec.lora.layers,
        below=place.below,
        rows="own" if spec.lora.token_rows else "below" if place.rows_below else "none",
        frozen=4 if place.compute == "float16" else width,
        optimizer=state_bytes(spec.train.optimizer, spec.lora.r),
        recompute=recompute,
        backend=place.backend,
        loss="unsloth" if unsloth else "tiles",
        masked=not rows.joined and not unsloth,
        answers=rows.answers,
        known_reference=rows.again and spec.type in ("dpo", "kto"),
        recast=not place.cuda and width == 2 and not place.below,
        unfused=place.cuda and place.compute == "float32",
        devices=spec.train.devices,
    )


def stage_need(
    shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, budget: int, recompute: bool, free: float
) -> Need:
    """Return the memory that a stage's heaviest pass under a token budget needs. `free`: bytes the device can give."""
    setting = setting_of(shape, spec, place, rows, recompute)
    room = free - place.overhead.fixed
    needs = []
    for one in rows.passes(spec, budget):
        if spec.type == "grpo":
            setting = replace(setting, generated=min(spec.train.batch_size, max(1, one.tokens // rows.longest)))
        needs.append(need(setting, one, room))
    needs += needs_beside(setting, spec, rows, budget, room)
    return max(needs, key=lambda found: found.allocated)


def needs_beside(setting: Setting, spec: TrainingSpec, rows: Rows, budget: int, room: float) -> list[Need]:
    """Return the memory that a stage's heaviest passes of replay and anchor need; none without them."""
    aside = replace(setting, kind="sft", loss="sides")
    return [need(aside, one, room) for one in rows.beside(spec, budget)]


def device_bytes(allocated: float, place: Place) -> tuple[float, float]:
    """Return the bytes of the device that so many allocated ones take: as usual, and at worst."""
    over = place.overhead
    return over.fixed + allocated * (1 + over.usual), over.fixed + allocated * (1 + over.worst)


def choices(spec: TrainingSpec, place: Place) -> tuple[bool, ...]:
    """Return whether activations are recomputed, in the order in which it is tried: `auto` would rather not."""
    asked: Any = spec.train.gradient_checkpointing
    if asked != "auto":
        return (bool(asked),)
    return (False, True) if place.cuda else (False,)


def fits(shape: Shape, spec: TrainingSpec, place: Place, rows: Rows, budget: int, recompute: bool, free: float) -> bool:
    """Return whether a stage's worst case under a token budget fits `free` bytes."""
    found = stage_need(shape, spec, place, rows, budget, recompute, free)
    return device_bytes(found.allocated, place)[1] <= free


def largest_budget(
    shape: Shape,
    spec: TrainingSpec,
    free: float,
    place: Place = Place(),
    rows: Rows | None = None,
    recompute: bool | None = None,
) -> int:
    """Return the largest token budget, in tokens, whose worst case fits `free` bytes; 0 where not even one row does.

    At most the tokens of a whole optimizer step, since more makes no difference. `rows`: None takes every row to be as
    long as `train.max_length`. `recompute`: None is what `gradient_checkpointing` says; `auto` may, if it must.
    """
    known = rows or Rows(spec.train.max_length)
    again = choices(spec, place)[-1] if recompute is None else recompute
    item = known.item(spec)

    def enough(budget: int) -> bool:
        return fits(shape, spec, place, known, budget, again, free)

    if not enough(item):
        return 0
    low, high = item, known.whole(spec)
    if enough(high):
        return high
    while high - low > 1:  # `low` fits, `high` does not
        middle = (low + high) // 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def recomputed(shape: Shape, spec: TrainingSpec, free: float, place: Place, rows: Rows | None = None) -> bool:
    """Return whether a stage recomputes its activations on a device with `free` bytes: `auto` where it must."""
    known = rows or Rows(spec.train.max_length)
    first, *rest = choices(spec, place)
    if not rest:
        return first
    return not fits(shape, spec, place, known, spec.train.micro_tokens, first, free)
