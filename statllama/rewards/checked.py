"""Checks of a reward's return value, before the model learns from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from statllama.errors import StatllamaError, TrainingError
from statllama.rewards.spec import Reward

_MOST_SHOWN = 120  # characters of a completion or value in a message


def checked(function: Callable[..., Any], name: str) -> Reward:
    """Return `function` under `name`, with every result made a float or None, or a `TrainingError`.

    Refused are an exception, a result of the wrong length, and items that are no numbers, NaN or infinite. The message
    names the reward, the row of the batch (from 1) with its completion, and what was returned.
    """

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        try:
            returned = function(prompts=prompts, completions=completions, **columns)
        except StatllamaError:
            raise
        except Exception as error:  # a user's function may raise whatever it likes
            where = _failing_row(function, prompts, completions, columns)
            raise TrainingError(
                f"reward {name!r} raised {type(error).__name__}: {error}{where}",
                remedy="fix the reward; `--debug` shows where it raised. Training resumes from its last checkpoint",
            ) from error
        values = _items(returned, name, len(completions))
        return [_number(value, name, row, completions[row - 1]) for row, value in enumerate(values, start=1)]

    reward.__name__ = reward.__qualname__ = name  # TRL names its metrics by it
    return reward


def _items(returned: Any, name: str, rows: int) -> list[Any]:
    if (
        isinstance(returned, str | bytes | dict)
        or not hasattr(returned, "__len__")
        or not hasattr(returned, "__iter__")
    ):
        raise TrainingError(
            f"reward {name!r} returned {_shown(returned)} ({type(returned).__name__}) for {rows} completions",
            remedy="return a list with one number, or None, per completion",
        )
    if len(returned) != rows:
        raise TrainingError(
            f"reward {name!r} returned {len(returned)} values for {rows} completions: {_shown(returned)}",
            remedy="return a list with one number, or None, per completion",
        )
    return list(returned)


def _number(value: Any, name: str, row: int, completion: Any) -> float | None:
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, str | bytes | complex) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # a tensor of two numbers raises RuntimeError
        number = math.nan
    if not math.isfinite(number):
        raise TrainingError(
            f"reward {name!r} returned {_shown(value)} in row {row}, for the completion {_shown(completion)}",
            remedy="return a finite number, or None for a completion that should not be judged",
        )
    return number


def _failing_row(function: Callable[..., Any], prompts: Sequence[Any], completions: Sequence[Any], columns: Any) -> str:
    """Return '; in row 3, for the completion ...' of the first row that makes the function raise alone; '' when none
    does.
    """
    for row in range(len(completions)):
        own = {
            key: value[row : row + 1] if isinstance(value, list | tuple) and len(value) == len(completions) else value
            for key, value in columns.items()
        }
        try:
            function(prompts=prompts[row : row + 1], completions=completions[row : row + 1], **own)
        except Exception:  # the one that was looked for
            return f"; in row {row + 1}, for the completion {_shown(completions[row])}"
    return ""


def _shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= _MOST_SHOWN else f"{said[:_MOST_SHOWN]}..."
