"""The sources that a stage's data are mixed from."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.built import part_file
from statllama.config.keyed import AddedLater, Unkeyed
from statllama.config.spec import Count, Name, Positive, Spec

Difficulty = Annotated[int, Field(ge=1, le=3)]


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
    math: Annotated[Literal["plain", "latex"], AddedLater()] = "plain"
    """Formulas of worked solutions as plain text, `x_bar +/- t* (s / sqrt(n))`, or as LaTeX between dollar signs."""
    syllabus: Annotated[Literal["ap"] | None, AddedLater()] = None
    """`ap`: only what a topic of the AP Statistics course (effective Fall 2020) covers. None: all."""


class SourceSpec(Spec):
    """One dataset of a mixture, and how its rows are read: local files (`path`), a `part` of what `data build` made
    (`built`), a hub dataset (`hub`) or generated `problems`."""

    path: Annotated[str | None, Unkeyed()] = None
    """File, folder or glob; absolute, or relative to the recipe. .json, .jsonl, .csv, .parquet, .txt or .md, also .gz
    and .zst; of a folder, all such files below it. Not in the key: the files' bytes are, wherever they lie."""
    built: Annotated[str | None, Unkeyed()] = None
    """File of a `statllama data build`, or the folder that it wrote; absolute, or relative to the recipe. Not in the
    key: the bytes of the part are."""
    part: Annotated[Name | None, Unkeyed()] = None
    """The part of `built` whose rows are read. Not in the key by itself: see `built`."""
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

    holdout: Annotated[float | str | None, Unkeyed()] = None
    """Rows that no stage of the recipe is trained on, copies of them neither, and on which every stack is scored: a
    share of the source's usable rows, such as 0.05 (which rows depends on their content alone, and rows with the same
    prompt stay together), or a file that is read as the source is. Not in the key by itself: all hold-outs of the
    recipe are."""

    @field_validator("holdout", mode="before")
    @classmethod
    def _share_or_file(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1:
            return value
        raise ValueError(f"should be a share of the rows above 0 and below 1, such as 0.05, or a file; got {value!r}")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.built, self.hub, self.problems)) != 1:
            raise ValueError(
                "give one of `path` (local files), `built` (made by `data build`), `hub` (a hub dataset id) and "
                "`problems` (generated), and only one"
            )
        if (self.built is None) != (self.part is None):
            raise ValueError("`built` and `part` belong together, as in `{built: papers.data.yaml, part: qa}`")
        if self.hub is None and (self.config or self.revision):
            raise ValueError("`config` and `revision` belong to a hub dataset, and this source is not one")
        if self.min_chars and self.max_chars and self.min_chars > self.max_chars:
            raise ValueError(f"`min_chars` {self.min_chars} is above `max_chars` {self.max_chars}")
        return self

    @property
    def file(self) -> str | None:
        """Return the file, folder or glob that its rows are read from; None of a hub dataset and of problems."""
        if self.built is not None and self.part is not None:
            return part_file(self.built, self.part)
        return self.path

    @field_validator("where", mode="after")
    @classmethod
    def _compiles(cls, value: dict[str, str]) -> dict[str, str]:
        for column, pattern in value.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`where.{column}` is not a regular expression: {error}") from None
        return value
