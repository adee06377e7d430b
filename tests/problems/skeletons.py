"""What is left of a worked solution without its numbers and its setting: how many ways to write there are."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import statllama.problems as package

_NUMBER = re.compile(r"-?\d+(?:(?:\.|,|\{,\})\d+)*")
_LISTS = re.compile(r"#(?:(?:, |; | and | \+ | \* | \\cdot |, @ )#)+")


def skeleton(solution: str, setting: str) -> str:
    """The solution with numbers as `#`, every text of its setting as `@`, and lists of numbers as one."""
    text = " ".join(_NUMBER.sub("#", _texts(setting).sub("@", solution)).split())
    text = re.sub(r"(?:@[ ,]*)+", "@ ", text)
    while (shorter := _LISTS.sub("#", text)) != text:
        text = shorter
    return re.sub(r"@ #(?:,? (?:and )?@ #)+", "@ #", re.sub(r"#(?:st|nd|rd|th)", "#th", text))


@cache
def _texts(setting: str) -> re.Pattern[str]:
    """A pattern for the texts of the settings with these keys, and for what a sentence makes of them."""
    found: set[str] = set()
    for key in setting.split("+"):
        for text in settings()[key]:
            bare = re.sub(r"^(?:an? |the |are |is )", "", text)
            found |= {text, bare, text.removesuffix("s"), text.partition(" of ")[0], *re.split(r"\{[^}]*\}", text)}
    if not any(len(text.strip()) > 2 for text in found):
        raise ValueError(f"no setting has the key {setting!r}")
    longest_first = sorted({text.strip() for text in found if len(text.strip()) > 2}, key=lambda text: -len(text))
    return re.compile(rf"(?<![A-Za-z])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z])", re.IGNORECASE)


@cache
def settings() -> dict[str, set[str]]:
    """The texts of all settings of all catalogues, by key."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(("_settings", "_scenarios", "_stories")):
            for value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
                for setting in _records(value):
                    found[setting.key] |= set(_strings(setting)) - {setting.key}  # type: ignore[attr-defined]
    return found


def _records(value: object) -> Iterator[object]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
    elif isinstance(value, dict | tuple | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _records(part)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _strings(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _strings(getattr(value, field.name))
