"""The frozen specs that recipes are made of: every field, its default and its unit, in this one place.

A spec validates itself at construction and never changes. Types are strict: `"5"` is not a number and unknown keys are
errors. What a stage *type* adds (`beta`, `train_on`, ...) is declared in `statllama/stages/<type>.py`.
"""

from __future__ import annotations

import fractions
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from statllama.config.keyed import Unkeyed

# The linear modules that get a slice unless a recipe says otherwise: all of a block, in every supported architecture.
DEFAULT_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Difficulty = Annotated[int, Field(ge=1, le=3)]


def shares_of(weights: Sequence[float]) -> tuple[float, ...]:
    """Return weights above 0 as shares of 1. Weights that mean the same shares, as written, give the same floats.

    >>> shares_of([1, 2]) == shares_of([0.1, 0.2])
    True
    """
    exact = [fractions.Fraction(repr(weight)) for weight in weights]
    return tuple(float(weight / sum(exact)) for weight in exact)


class Spec(BaseModel):
    """Base of all specs: immutable, strictly typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class BaseModelSpec(Spec):
    """The frozen model that all adapters are stacked on."""

    model: str
    """Folder (absolute, or relative to the recipe) or hub id `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit on the hub; resolved to a commit before anything is keyed. None: `main`."""
    quantization: Literal["nf4", "none"] = "nf4"
    """`nf4`: 4-bit NormalFloat with double quantisation (QLoRA). `none`: as stored."""
    tokenizer: str | None = None
    """Folder or hub id of another tokenizer. None: the model's own."""
    chat_template: str | None = None
    """Path of a Jinja chat template that replaces the tokenizer's own. None: the tokenizer's."""


class ProblemsSpec(Spec):
    """Generated statistics problems with computed answers (see `statllama.problems`) as a source."""

    count: Count
    """Number of different problems."""
    form: Literal["sft", "chat", "dpo", "grpo", "frq"] = "sft"
    """Worked solutions, short exchanges about a problem, preference pairs, questions with the answer to check, or free
    response: questions in parts, with an examiner's answer."""
    topics: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    """Topics to draw from (`statllama data problems --list`). None: all."""
    difficulty: Annotated[tuple[Difficulty, ...], Field(min_length=1, strict=False)] | None = None
    """Difficulties to draw from: 1 (one step), 2, 3 (several steps). None: all."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed gives other problems; all are from the train split."""
    math: Annotated[Literal["plain", "latex"], Unkeyed(unless=("math", "latex"))] = "plain"
    """Formulas of worked solutions as plain text, `x_bar +/- t* (s / sqrt(n))`, or as LaTeX between dollar signs. Not
    in the key while plain: that is what there was before this field."""
    syllabus: Annotated[Literal["ap"] | None, Unkeyed(unless=("syllabus", "ap"))] = None
    """`ap`: only what a topic of the AP Statistics course (effective Fall 2020) covers. None: all. Not in the key then:
    that is what there was before this field."""


class SourceSpec(Spec):
    """One dataset of a mixture, and how its rows are read: local files (`path`), a hub dataset (`hub`) or generated
    `problems`."""

    path: Annotated[str | None, Unkeyed()] = None
    """File, folder or glob; absolute, or relative to the recipe. .json, .jsonl, .csv, .parquet, .txt or .md, also .gz
    and .zst; of a folder, all such files below it. Not in the key: the files' bytes are, wherever they lie."""
    hub: Annotated[str | None, Unkeyed()] = None
    """Hub dataset id `owner/name`. Not in the key by itself: a hash of it with the three fields below is."""
    config: Annotated[str | None, Unkeyed()] = None
    """Configuration (subset) of the hub dataset. Not in the key by itself: see `hub`."""
    revision: Annotated[str | None, Unkeyed()] = None
    """Branch, tag or commit of the hub dataset; resolved to a commit before anything is keyed. Not in the key by
    itself: see `hub`."""
    split: Annotated[str, Unkeyed()] = "train"
    """Split of the hub dataset. Not in the key by itself: see `hub`."""
    problems: ProblemsSpec | None = None
    """Statistics problems generated on the spot."""
    format: str = "auto"
    """Name of a module in statllama/data/formats; `auto` recognises it from the columns of the first row."""
    columns: dict[str, str] = Field(default_factory=dict)
    """{name the format expects: name the file uses}."""
    render: Literal["chat", "plain"] = "chat"
    """Rendering of strings (not messages):  `chat` wraps them as user and assistant turns, `plain` does not."""
    layout: str | None = None
    """Layout of an answer with reasoning: text with `{reasoning}` and `{answer}`. None: the format's own."""
    where: dict[str, str] = Field(default_factory=dict)
    """{column of the file: regular expression}: only rows in which each is found are used."""
    min_chars: Count | None = None
    """Minimum number of characters in a row's texts together."""
    max_chars: Count | None = None
    """Maximum number of characters in a row's texts together."""
    repeat: Count = 1
    """Number of times each row is used."""
    limit: Count | None = None
    """Use only this many rows, drawn under the stage's seed, before `repeat`."""
    weight: Positive | None = None
    """Relative share of the mixture's rows. Set it for all sources of a stage or for none. In the key as that share:
    1 and 1 are 2 and 2."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.hub, self.problems)) != 1:
            raise ValueError(
                "give one of `path` (local files), `hub` (a hub dataset id) and `problems` (generated), and only one"
            )
        if self.hub is None and (self.config or self.revision):
            raise ValueError("`config` and `revision` belong to a hub dataset, and this source is not one")
        if self.min_chars and self.max_chars and self.min_chars > self.max_chars:
            raise ValueError(f"`min_chars` {self.min_chars} is above `max_chars` {self.max_chars}")
        return self

    @field_validator("where", mode="after")
    @classmethod
    def _compiles(cls, value: dict[str, str]) -> dict[str, str]:
        for column, pattern in value.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`where.{column}` is not a regular expression: {error}") from None
        return value


class LoraSpec(Spec):
    """The new slice of the adapter stack that a stage trains (LoRA, arXiv 2106.09685)."""

    r: Count = 16
    """Rank of the slice."""
    alpha: Positive = 32.0
    """Scale: the update is `s B A x` with s = alpha / r, or alpha / sqrt(r) with `rslora`."""
    rslora: bool = False
    """Rank-stabilised scale (arXiv 2312.03732)."""
    dropout: Fraction = 0.0
    """Dropout on the input of the new slice alone. Above 0 on top of parents, it turns Unsloth's fused kernels off."""
    target_modules: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = tuple(sorted(DEFAULT_MODULES))
    """Linear modules that get a slice."""
    dora: Literal[False] = False
    """Refused; the error says why."""

    @field_validator("dora", mode="before")
    @classmethod
    def _no_dora(cls, value: object) -> object:
        if value:
            raise ValueError(
                "DoRA rescales the whole weight, so its adapters cannot be stacked on a frozen base; "
                "use plain LoRA (with `rslora: true` for a large rank)"
            )
        return value

    @field_validator("target_modules", mode="after")
    @classmethod
    def _known_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a module is listed twice")
        return tuple(sorted(value))

    @property
    def scaling(self) -> float:
        """Return the s of `s B A x`: alpha / r, or alpha / sqrt(r) with rsLoRA."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)


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
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after warm-up, as Transformers has it. Of the n steps after warm-up the first has the peak rate, the last
    1 / n of it (`linear`) or about 2.5 / n^2 (`cosine`); 0 would be that of the step after. `constant`: the peak."""
    warmup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Warm-up: below 1 a share of all steps (rounded up), from 1 a number of steps. Of w warm-up steps step i has
    (i - 1) / w of the peak rate, as in Transformers: the first step has rate 0, so it teaches nothing."""
    batch_size: Count = 16
    """Effective batch: rows per optimizer step (of preference data pairs, in grpo completions)."""
    micro_tokens: Annotated[Count, Unkeyed()] = 8192
    """Token budget of a forward pass, padding included: a step's rows are split into passes under it, a longer row is
    one by itself; grpo also generates under it. Halved when memory runs out. Not in the key: it changes rounding."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay (AdamW) on the new slice."""
    max_grad_norm: Positive = 1.0
    """Gradients are clipped to this global L2 norm."""
    max_length: Annotated[int, Field(ge=8)] = 2048
    """Maximum tokens per row; longer rows are cut, and counted. A grpo row is a prompt and its completion."""
    packing: bool = False
    """Put several examples into one row of at most `max_length` tokens, without attention between them."""
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"] = "adamw_torch"
    """`adamw_8bit` and `paged_adamw_8bit` come from bitsandbytes and need CUDA."""
    adam_betas: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.9, 0.999)
    """Decay of Adam's first and second moment."""
    adam_epsilon: Positive = 1e-8
    """Adam's epsilon."""
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
    devices: Annotated[Count, Unkeyed()] = 1
    """GPUs, or sets of cores, that share each step's rows. Not in the key: it changes rounding, and dropout's draws."""

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
        if self.steps is not None and self.warmup > self.steps:
            raise ValueError(
                f"`warmup` {self.warmup:g} is above `steps` {self.steps}, so the stage would never reach its learning "
                "rate"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _replaced(cls, value: Any) -> Any:
        if isinstance(value, dict) and "micro_batch_size" in value:
            raise replaced_by_tokens(cls, "micro_batch_size", value)
        return value


class DriftSpec(Spec):
    """A cap on drift: how far a stage may move the model's predictions from those of the stack that it started from."""

    max: Positive
    """Cap on KL(stack || parent) on the probe texts (eval/probe), in nats per token. The stage ends after the first
    step measured above it, and its adapter is the last one measured within it; a stage that is above it at its first
    measurement fails. In bfloat16 drifts below about 1e-4 cannot be told from rounding."""
    every: Count = 10
    """Optimizer steps between measurements; the last step is measured too. One costs two forward passes over the probe
    texts, about 2,600 tokens."""


class StageSpec(Spec):
    """The fields of every stage. `TrainingSpec` and `statllama/stages/<type>.py` add to them."""

    name: Annotated[Name, Unkeyed()]
    """Unique in the recipe; names the adapter in reports. Not in the key."""
    type: str
    """Name of a module in statllama/stages."""
    parents: Annotated[
        Literal["base"] | Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None, Unkeyed()
    ] = None
    """Stages stacked below, in order. None: the stage before; `base`: nothing but the base model. Not in the key by
    name: their keys are."""

    @field_validator("name", mode="after")
    @classmethod
    def _not_the_base(cls, value: str) -> str:
        if value == "base":
            raise ValueError("`base` is the base model, in `parents` and in the scorecard: give the stage another name")
        return value

    @field_validator("parents", mode="before")
    @classmethod
    def _base_or_names(cls, value: object) -> object:
        names = value if isinstance(value, list | tuple) else ()
        if value is None or value == "base" or (names and all(isinstance(name, str) for name in names)):
            return value
        said = f"[{value}]" if isinstance(value, str) else "[sft]"
        raise ValueError(f"should be `base` or a list of stages, as in `parents: {said}`")

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the names of the stages that must exist before this one: its parents, and the siblings that it
        blends.
        """
        parents = () if self.parents is None or self.parents == "base" else self.parents
        return (*parents, *self.siblings)

    @property
    def siblings(self) -> tuple[str, ...]:
        """Return the names of the siblings that a blend is made of, without standing on them."""
        return ()

    @classmethod
    def fitting(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a stage's fields, not yet validated, with another value for each default of the code that does not go
        with them.
        """
        return fields


class TrainingSpec(StageSpec):
    """The fields of every stage that trains an adapter on data."""

    data: Annotated[tuple[SourceSpec, ...], Field(min_length=1, strict=False)]
    """The mixture."""
    deduplicate: Literal["none", "exact", "near", "semantic"] = "none"
    """Leave out rows that repeat an earlier one, across all sources: `exact` the same text, `near` about the same words
    (MinHash), `semantic` about the same meaning (needs sentence-transformers)."""
    decontaminate: Annotated[Literal["stop", "drop", "ignore"], Unkeyed()] = "stop"
    """Action for a row that copies a question of a benchmark in `evaluate.tasks`: stop with a report, drop the row, or
    ignore it. A row that may ask it in other words is reported and stays. Not in the key: the benchmarks whose
    questions are dropped are."""
    lora: LoraSpec = LoraSpec()
    train: TrainSpec = TrainSpec()
    drift: DriftSpec | None = None
    """Ends the stage early when it has moved the model too far. None: it runs to its last step."""

    @classmethod
    def fitting(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Measure drift several times in a stage that has fewer steps than `drift.every` has by default."""
        train, drift = fields.get("train"), fields.get("drift")
        steps = train.get("steps") if isinstance(train, dict) else None
        usual = DriftSpec.model_fields["every"].default
        if type(steps) is int and 0 < steps < usual and isinstance(drift, dict) and "every" not in drift:
            return {**fields, "drift": {**drift, "every": max(1, steps // 5)}}
        return fields

    @model_validator(mode="after")
    def _weights_for_all(self) -> Self:
        if len({source.weight is None for source in self.data}) == 2:
            raise ValueError("`weight` is set for some sources only: set it for all of them or for none")
        return self

    @property
    def data_options(self) -> dict[str, Any]:
        """Return the arguments with which `data.prepare` makes the stage's rows."""
        train = self.train
        return {
            "train_on": self.train_on,  # type: ignore[attr-defined]
            "max_length": train.max_length,
            "packing": train.packing,
            "seed": train.seed,
        }

    @property
    def rows_are(self) -> str:
        """Return the noun that `train.batch_size` counts, in the plural."""
        return "rows"

    def rows_per_epoch(self, rows: int) -> int:
        """Return the rows that go through the model in one pass over `rows` prepared rows. DataError for too few."""
        return rows

    @model_validator(mode="after")
    def _cap_is_measured(self) -> Self:
        if self.drift and self.train.steps is not None and self.drift.every > self.train.steps:
            raise ValueError(
                f"`drift.every` {self.drift.every} is above `train.steps` {self.train.steps}, so drift would be "
                "measured at the end alone"
            )
        return self


Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]
