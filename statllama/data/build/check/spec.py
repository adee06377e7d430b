"""What a build's YAML says under `check:`.

check:
  form: {}
  grounded: {similarity: 0.9, numbers: leave_out}
  numeric: {}
  clean: {benchmarks: [ap_statistics]}
  different: {rows: near}
  answerable: {times: 3}
  judge: {votes: 3, temperature: 0.5}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, create_model, field_validator

from statllama.config.keyed import Unkeyed
from statllama.config.spec import Count
from statllama.config.spec import Spec as Settings
from statllama.data.build.check.checks import check_module, check_names


class CheckSettings(Settings):
    """What is said of all checks. Each check has a field of its name beside these, None where it is not made."""

    all: bool = False
    """Make every check of every row, also of rows that failed a cheaper one, to measure what each finds. The same rows
    are left out as without it, but for those that repeat a row that failed."""
    block: Annotated[Count, Unkeyed()] = 256
    """Rows of a block of the checks that ask nobody: what a killed build does again at most. Not in the key: it changes
    nothing that is found."""
    asked_block: Annotated[Count, Unkeyed()] = 32
    """The same for the checks that ask a model. Not in the key."""

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("is empty: write {} for a check with its defaults, or leave it out")
        return value

    def made(self) -> dict[str, Settings]:
        """Return {check: its settings} of the checks that are made, the cheapest first."""
        found = {name: getattr(self, name) for name in check_names()}
        return {name: settings for name, settings in found.items() if settings is not None}


def _field(name: str) -> Any:
    module = check_module(name)
    return (module.Spec | None, Field(default=None, description=(module.__doc__ or "").split("\n\n")[0]))


Spec: type[CheckSettings] = create_model(
    "Spec",
    __base__=CheckSettings,
    __doc__="The checks that are made of written rows, each by its name with its settings.",
    __module__=__name__,
    **{name: _field(name) for name in check_names()},
)
