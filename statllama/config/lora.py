"""The slice of the adapter stack that a stage trains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import AddedLater
from statllama.config.spec import Count, Fraction, Positive, Spec

# The linear modules that get a slice unless a recipe says otherwise: all of a block, in every supported architecture.
DEFAULT_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


Layer = Annotated[int, Field(ge=0, lt=10_000)]
_RANGE = re.compile(r"\s*(\d{1,4})\s*-\s*(\d{1,4})\s*")


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
    layers: Annotated[tuple[Layer, ...] | None, Field(min_length=1), AddedLater()] = None
    """Decoder layers that get a slice, from 0: numbers and ranges with both ends, as in `[0, 12-23]`. None: all. The
    others stay what they are below this stage."""
    init: Annotated[Literal["kaiming", "eva"], AddedLater()] = "kaiming"
    """A's first values; B's are zero. `kaiming`: drawn, as PEFT does. `eva` (arXiv 2410.07170): principal components of
    what each module sees in the parent stack, on 8,192 tokens with loss of this stage's rows; on the Transformers
    backend alone."""
    plus_ratio: Annotated[Positive | None, AddedLater()] = None
    """LoRA+ (arXiv 2402.12354): B's learning rate over A's, which is `train.learning_rate`. Its authors take 16 with a
    rate half as high. None: one rate for both."""
    token_rows: Annotated[tuple[str, ...], AddedLater(), Field(max_length=256, strict=False)] = ()
    """Tokens whose rows of the embedding and of the head train too; all other rows stay as the base has them. They are
    tokens that the tokenizer has, such as `<|reserved_special_token_5|>`. Not with Unsloth, and not with `lm_head` in
    `target_modules`."""
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

    @field_validator("layers", mode="before")
    @classmethod
    def _ranges(cls, value: object) -> object:
        if value is None:
            return None
        listed = [n for part in (value if isinstance(value, list | tuple) else [value]) for n in _numbers(part)]
        if twice := sorted({n for n in listed if listed.count(n) > 1}):
            raise ValueError(f"layer {twice[0]} is listed twice")
        return tuple(sorted(listed))

    @field_validator("token_rows", mode="after")
    @classmethod
    def _tokens_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a token is listed twice")
        return tuple(sorted(value))

    @model_validator(mode="after")
    def _head_is_one_thing(self) -> Self:
        if self.token_rows and "lm_head" in self.target_modules:
            raise ValueError(
                "`token_rows` trains rows of the head, so it cannot have a slice too: take `lm_head` out of "
                "`target_modules`"
            )
        return self

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


def _numbers(part: object) -> Iterator[int]:
    """Yield the layers of a number or a range. ValueError for anything else."""
    if isinstance(part, int) and not isinstance(part, bool) and part >= 0:
        yield part
        return
    found = _RANGE.fullmatch(part) if isinstance(part, str) else None
    first, last = map(int, found.groups()) if found else (1, 0)
    if first > last:
        raise ValueError(f"should be numbers from 0 and ranges such as 12-23, as in `[0, 12-23]`; got {part!r}")
    yield from range(first, last + 1)
