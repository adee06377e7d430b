"""The slice of the adapter stack that a stage trains."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import AddedLater
from statllama.config.spec import Count, Fraction, Positive, Spec

# The linear modules that get a slice unless a recipe says otherwise: all of a block, in every supported architecture.
DEFAULT_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


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
