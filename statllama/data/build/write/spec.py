"""What a user writes under `write`: parts of a kind of rows each, who writes them, and what that may cost."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import Unkeyed
from statllama.config.spec import Count, Name, NonNegative, Spec
from statllama.data.build.server.spec import Budget, ServerSpec
from statllama.data.build.write.kinds import kind_names
from statllama.errors import near

SectionKind = Literal[
    "abstract", "introduction", "background", "methods", "results", "discussion", "conclusion", "references",
    "appendix", "acknowledgements", "other",
]  # fmt: skip
Words = Annotated[str, Field(min_length=1, max_length=200)]


class PartSpec(Spec):
    """Rows of one kind."""

    kind: str
    """Name of a module in statllama/data/build/write/kinds."""
    prompt: Annotated[str | None, Unkeyed()] = None
    """File with the prompt, relative to the build's file. None: the kind's own, in statllama/data/build/write/prompts.
    Not in the key: the text is."""
    per_section: Annotated[int, Field(ge=1, le=1000)] = 1
    """Rows for each section, or for each window of a long one."""
    sections: Annotated[tuple[SectionKind, ...], Field(min_length=1, strict=False)] = (
        "abstract", "introduction", "background", "methods", "results", "discussion", "conclusion", "appendix", "other",
    )  # fmt: skip
    """Kinds of sections to write about."""
    topics: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    """Only documents about one of these topics. Empty: all documents."""
    min_words: Annotated[int, Field(ge=1)] = 40
    """Sections and windows with fewer words are left out."""
    max_words: Annotated[int, Field(ge=20, le=100_000)] = 800
    """Longer sections are cut into windows, at ends of paragraphs where there are any."""
    genres: Annotated[tuple[Words, ...], Field(min_length=1, strict=False)] = (
        "exam", "seminar", "self-study", "consulting", "peer review",
    )  # fmt: skip
    """Occasions for which rows are written; each section goes through them in an order of its own."""
    audiences: Annotated[tuple[Words, ...], Field(min_length=1, strict=False)] = (
        "a first-year student", "a graduate student of statistics", "a biologist", "a social scientist", "an engineer",
    )  # fmt: skip
    """Readers for whom rows are written; likewise."""
    temperature: NonNegative = 0.7
    """Sampling temperature; 0 takes the likeliest token."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Share of the probability from which tokens are drawn."""
    max_tokens: Annotated[int, Field(ge=16, le=100_000)] = 1024
    """Most tokens of a reply, thoughts among them; a reply that is cut there is of no use."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Times that a row is asked for, with another seed each, until a reply is of use."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed asks for other replies, in another order of genres and audiences."""
    give_up: Annotated[Count | None, Unkeyed()] = 24
    """Stop when this many rows in succession had no reply of use: then the model or the prompt is at fault. None:
    never. Not in the key."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in kind_names():
            raise ValueError(f"unknown kind {kind!r}; {near(kind, kind_names())}")
        return kind

    @model_validator(mode="after")
    def _some_length_fits(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"`min_words` {self.min_words} is above `max_words` {self.max_words}")
        return self


class WriteSpec(Spec):
    """The whole of `write`."""

    server: ServerSpec | None = None
    """The model that writes, and the server that has it. None: a model that is handed in otherwise."""
    budget: Annotated[Budget, Unkeyed()] = Budget()
    """Most that all parts may use together. Not in the key."""
    parts: Annotated[dict[Name, PartSpec], Field(min_length=1)]
    """{name of a part of the build: its rows}."""
