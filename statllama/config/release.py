"""`release:` of a recipe: what a run gives away once its stages are trained. The words of `forms` are checked above,
by the release formats (`release/of_recipe.py`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from statllama.config.spec import Name, Spec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem, near


class ReleaseSpec(Spec):
    """A release that a run makes: as `statllama export` makes it, in the same bytes. Not in the key of any stage."""

    stage: Name | None = None
    """Stage whose stack it is. None: the recipe's last."""
    out: Annotated[str, Field(pattern=r"\S")] | None = None
    """Folder to make, relative to the folder in which the command is given. None: `<recipe>-<stage>`."""
    forms: Annotated[tuple[Annotated[str, Field(pattern=r"\S")], ...], Field(strict=False)] = ()
    """Options of `statllama export` without dashes, as in `[adapter, merged=bf16, gguf=q8_0]`. Empty: the adapter and
    merged weights in bf16."""
    name: str | None = None
    """Name of the release. None: the names of run and stage."""
    scale: dict[str, float] = Field(default_factory=dict)
    """{stage: factor on its update}, as `--scale`."""

    @field_validator("scale", mode="before")
    @classmethod
    def _factors(cls, value: object) -> object:
        """Take whole numbers for factors too."""
        if not isinstance(value, Mapping):
            return value
        wrong = [v for v in value.values() if isinstance(v, bool) or not isinstance(v, int | float)]
        if wrong or not all(math.isfinite(v) for v in value.values()):
            raise ValueError(f"should be finite factors by stage, as in `scale: {{dpo: 0.5}}`; got {dict(value)!r}")
        return {stage: float(factor) for stage, factor in value.items()}

    @property
    def folder(self) -> Path:
        """Return the folder to make, absolute."""
        assert self.out is not None, "the recipe fills it in"
        return Path(os.path.abspath(os.path.expanduser(self.out)))


def filled_in(releases: Sequence[ReleaseSpec], recipe: str, last: str) -> tuple[ReleaseSpec, ...]:
    """Return the releases with nothing left open. `last`: the recipe's last stage."""
    found = []
    for release in releases:
        stage = release.stage or last
        out = release.out or f"{recipe}-{stage}"
        found.append(release.model_copy(update={"stage": stage, "out": out}))
    return tuple(found)


def release_problems(
    releases: Sequence[ReleaseSpec],
    recipe: str,
    stacks: Mapping[str, Sequence[str]],
    lines: Mapping[Path_, int],
) -> list[Problem]:
    """Return what is wrong with the releases of a recipe whose own fields are right.

    `stacks`: {stage: names of the stages of its stack, its own last}, in the recipe's order.
    """
    found: list[Problem] = []
    taken: dict[Path, int] = {}
    for i, release in enumerate(releases):
        where, path = f"release[{i}]", ("release", i)
        if release.stage is not None and release.stage not in stacks:
            message = f"unknown stage {release.stage!r}: {near(release.stage, stacks)}"
            found.append(Problem(f"{where}.stage", message, line_of((*path, "stage"), lines)))
            continue
        (full,) = filled_in([release], recipe, list(stacks)[-1])
        within = stacks[str(full.stage)]
        for stage in release.scale:
            if stage not in within:
                message = f"stage {stage!r} is not in the stack of {full.stage!r}: {near(stage, within)}"
                found.append(Problem(f"{where}.scale", message, line_of((*path, "scale"), lines)))
        if (before := taken.setdefault(full.folder, i)) != i:
            message = f"goes to {full.out}, as release[{before}] does"
            at = line_of((*path, "out"), lines)
            found.append(Problem(f"{where}.out", message, at, "give each release an `out` of its own"))
    return found
