"""Four options in words, each the answer to one question about one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._draw import Draw
from .._problem import words
from .._scenarios import Census
from .._siblings import Sibling, Siblings, Step, four
from .._wording import Wordings


def in_words(
    draw: Draw,
    stem: str,
    asks: Wordings,
    fields: Mapping[str, object],
    options: Mapping[str, str],
    steps: Mapping[str, Sequence[Step]],
    slips: Mapping[str, str],
    idea: str,
    parameters: Mapping[str, object],
) -> Siblings:
    """Return the siblings {label: option}, each asked after the same stem by a wording of its label.

    `steps[label]` lead to the option, `slips[label]` is the slip of one who took it wrongly.
    """
    of = [
        Sibling(label, f"{stem} {draw.ask(asks, label, **fields)}", steps[label], words(option), idea)
        for label, option in options.items()
    ]
    return four(of, [slips[label] for label in options], parameters)


def short(census: Census) -> str:
    """Return the plural of a population alone, once it has been named: students of a high school -> students."""
    return census.many.partition(" of ")[0]
