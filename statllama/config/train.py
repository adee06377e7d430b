"""How a stage trains: steps, rates, optimizer, budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from statllama.config.keyed import AddedLater, Unkeyed
from statllama.config.selection import SelectSpec
from statllama.config.spec import Count, Fraction, NonNegative, Positive, Spec

LASTING = ("constant", "wsd")
"""Schedules whose first rates do not depend on the number of steps."""


def replaced_by_tokens(spec: type[Spec], field: str, values: dict[str, Any]) -> ValidationError:
    """Return the error for `values` of a section with a `field` that counted rows: it names the `micro_tokens`."""
    rows, length = values[field], values.get("max_length", spec.model_fields["max_length"].default)
    known = isinstance(rows, int) and isinstance(length, int)
    tokens = f"`micro_tokens: {rows * length}` ({rows} rows of {length})" if known else "`micro_tokens`"
    what = f"`micro_tokens`, the tokens of a forward pass, has replaced it: write {tokens}"
    kind = PydanticCustomError("replaced", "{what}", {"what": what})
    return ValidationError.from_exception_data(spec.__name__, [InitErrorDetails(type=kind, loc=(field,), input=rows)])


class TrainSpec(Spec):
    """A stage's training. Every field reaches the trainer explicitly, so no library default leaks in."""

    epochs: Positive | None = None
    """Passes over the mixture. Give `epochs` or `steps`; with neither, 1 epoch."""
    steps: Count | None = None
    """Optimizer steps."""
    learning_rate: NonNegative = 2e-5
    """Peak learning rate. Zero is allowed: it leaves every logit unchanged."""
    schedule: Literal["linear", "cosine", "constant", "cosine_with_min", "wsd"] = "linear"
    """Shape after warm-up, as Transformers has it. Of the n steps after warm-up the first has the peak rate, the last
    1 / n of it (`linear`) or about 2.5 / n^2 (`cosine`); 0 would be that of the step after. `constant`: the peak. With
    m = `min_rate`, `cosine_with_min` is m + (1 - m) times `cosine`. `wsd` (warm-up, stable, decay; arXiv 2404.06395):
    the peak, and in the i-th of the last d steps (`decay`) m + (1 - m) (1 - sqrt((i - 1) / d)) of it (2405.18392)."""
    min_rate: Annotated[Fraction | None, AddedLater()] = None
    """Least rate of `cosine_with_min` (None: 0.1) and `wsd` (None: 0), as a share of the peak; it is that of the step
    after the last. The warm-up of `wsd` begins there, not at 0."""
    decay: Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, AddedLater()] = None
    """Decay of `wsd`: below 1 a share of all steps (rounded up; at most those after warm-up), from 1 a number of steps.
    None: 0.1."""
    warmup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Warm-up: below 1 a share of all steps (rounded up), from 1 a number of steps. Of w warm-up steps step i has
    (i - 1) / w of the peak rate, as in Transformers: the first step has rate 0, so it teaches nothing."""
    batch_size: Count = 16
    """Effective batch: rows per optimizer step (of preference data pairs, in grpo completions)."""
    micro_tokens: Annotated[Count, Unkeyed()] = 8192
    """Token budget of a forward pass, padding included: a step's rows are split into passes under it, a longer row is
    one by itself; grpo also generates under it. Halved when memory runs out. Not in the key: it changes rounding."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay (AdamW) on the new slice: each step takes rate times this off every weight."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this global L2 norm."""
    max_length: Annotated[int, Field(ge=8)] = 2048
    """Maximum tokens per row; longer rows are cut, and counted. A grpo row is a prompt and its completion."""
    packing: bool = False
    """Put several examples into one row of at most `max_length` tokens, without attention between them."""
    optimizer: Literal[
        "adamw_torch",
        "adamw_torch_fused",
        "adamw_8bit",
        "paged_adamw_8bit",
        "lion",
        "adafactor",
        "schedule_free_adamw",
    ] = "adamw_torch"
    """`adamw_8bit` and `paged_adamw_8bit` come from bitsandbytes and need CUDA. `lion` (arXiv 2302.06675, bitsandbytes,
    32 bits) moves each weight by the whole rate, so it wants a rate of a third to a tenth of AdamW's. `adafactor`
    (1804.04235) keeps row and column means of the second moment and no first one; it takes this stage's rate, with
    updates clipped to a mean square of 1. `schedule_free_adamw` (2405.15682; extra `schedulefree`) wants
    `schedule: constant`: its result is an average of the steps' weights, weighted by the square of the highest rate
    so far."""
    adam_betas: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.9, 0.999)
    """Decay of Adam's first and second moment. `lion` mixes gradient and moment by the first and keeps the moment by
    the second (its paper has [0.9, 0.99]); for `schedule_free_adamw` the first is the weight of the average in the
    weights at which gradients are taken. `adafactor` has none."""
    adam_epsilon: Positive = 1e-8
    """Adam's epsilon. `lion` and `adafactor` have none."""
    neftune_alpha: Annotated[Positive | None, AddedLater()] = None
    """NEFTune (arXiv 2310.05914): noise of up to alpha / sqrt(L d) on the embeddings, of width d, of an example of L
    tokens while it trains; its authors take 5, 10 or 15. What is drawn depends on the seed, the step and the example's
    tokens, not on the budget. Not for `grpo`."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Compute type of the base: `auto` is bfloat16 on CUDA (float16 where bfloat16 is missing), float32 on a CPU.
    `bfloat16` there too halves activations, and is faster where the CPU multiplies in it (`statllama doctor` says). In
    the key as the type that it is on the machine that trains."""
    gradient_checkpointing: Annotated[bool | Literal["auto"], Unkeyed()] = "auto"
    """Recompute activations in the backward pass: less memory, about a third more time, the same numbers. `auto`: on,
    except on a CPU and where a GPU has room for them (`train/activations.py`). Not in the key."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seeds the slice's initial values, data order and dropout."""
    checkpoint_every: Annotated[Count, Unkeyed()] = 50
    """Optimizer steps between checkpoints. Not in the key."""
    keep_checkpoints: Annotated[Count, Unkeyed()] = 2
    """Checkpoints kept while a stage trains; none is kept once it is published. Not in the key."""
    keep_state: Annotated[bool, Unkeyed()] = False
    """Keep the state of the optimizer beside the result, so that the stage with more `steps` or `epochs` goes on from
    there, with the weights of an unbroken run: with `schedule: constant` that of the last step, with `wsd` that of the
    last before the decay. Other schedules have rates that depend on the number of steps. Not in the key."""
    devices: Annotated[Count, Unkeyed()] = 1
    """GPUs, or sets of cores, that share each step's rows. Not in the key: it changes rounding, and dropout's draws."""
    select: Annotated[SelectSpec | None, AddedLater()] = None
    """Validate while it trains, and publish the adapter of the best step. None: that of the last step."""

    @field_validator("gradient_checkpointing", mode="before")
    @classmethod
    def _bool_or_auto(cls, value: object) -> object:
        if isinstance(value, bool) or value == "auto":
            return value
        raise ValueError(f"should be true, false or auto; got {value!r}")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give `epochs` or `steps`, not both: set the unwanted one to null")
        if self.warmup >= 1 and self.warmup % 1:
            raise ValueError(f"`warmup` {self.warmup:g}: from 1 it is a number of steps, and this is no whole one")
        self._require_schedule()
        self._require_optimizer()
        if self.keep_state:
            self._require_lasting()
        if self.steps is not None and self.warmup > self.steps:
            raise ValueError(
                f"`warmup` {self.warmup:g} is above `steps` {self.steps}, so the stage would never reach its learning "
                "rate"
            )
        every = self.select.every if self.select else None
        if every is not None and self.steps is not None and every > self.steps:
            raise ValueError(
                f"`select.every` {every} is above `steps` {self.steps}, so only the last step would be validated"
            )
        return self

    def _require_schedule(self) -> None:
        """Raise ValueError for a field that the schedule does not have, and for a decay without room."""
        if self.min_rate is not None and self.schedule not in ("cosine_with_min", "wsd"):
            raise ValueError(f"`min_rate` is for `cosine_with_min` and `wsd`; `{self.schedule}` has no least rate")
        if self.decay is None:
            return
        if self.schedule != "wsd":
            raise ValueError(f"`decay` is for `schedule: wsd`, not `{self.schedule}`; see also `weight_decay`")
        if self.decay >= 1 and self.decay % 1:
            raise ValueError(f"`decay` {self.decay:g}: from 1 it is a number of steps, and this is no whole one")
        if max(self.warmup, self.decay) < 1 < self.warmup + self.decay:
            raise ValueError(f"`warmup` {self.warmup:g} and `decay` {self.decay:g} are more than all steps together")

    def _require_lasting(self) -> None:
        """Raise ValueError where a stage's first steps depend on how many there are: none could go on from its
        state.
        """
        if self.schedule not in LASTING:
            raise ValueError(
                f"`keep_state` is for `schedule: constant` and `schedule: wsd`: the rates of `{self.schedule}` depend "
                "on the number of steps, so no longer run could go on from the state"
            )
        if 0 < self.warmup < 1:
            raise ValueError(
                f"`keep_state` with `warmup` {self.warmup:g}, a share of all steps: a longer run warms up for longer, "
                "so it could not go on from the state; give a number of steps from 1, or 0"
            )
        if self.select is not None and self.select.every is None:
            raise ValueError(
                "`keep_state` with `select`: without `select.every` a stage is validated after each tenth of all "
                "steps, so a longer run has other validations; give `select.every` a number of steps"
            )

    def _require_optimizer(self) -> None:
        """Raise ValueError for a setting that the optimizer does not have."""
        kind, fields = self.optimizer, type(self).model_fields
        without = {"lion": ("adam_epsilon",), "adafactor": ("adam_betas", "adam_epsilon")}.get(kind, ())
        for name in without:
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"`{name}` is set, and `optimizer: {kind}` has none: leave it out")
        if kind == "schedule_free_adamw":
            if self.schedule != "constant":
                raise ValueError(
                    f"`optimizer: {kind}` averages weights in place of a schedule that ends, so it wants "
                    f"`schedule: constant`, with a warm-up or without; got `{self.schedule}`"
                )
            if not self.adam_betas[0]:
                raise ValueError(f"`optimizer: {kind}` divides by the first of `adam_betas`, which is 0")

    @model_validator(mode="before")
    @classmethod
    def _replaced(cls, value: Any) -> Any:
        if isinstance(value, dict) and "micro_batch_size" in value:
            raise replaced_by_tokens(cls, "micro_batch_size", value)
        return value
