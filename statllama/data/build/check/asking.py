"""What checks that ask a model need of a server, and the prompts that they ask with.

A check that asks is a generator: it yields the requests of one row, is sent their replies, and returns its finding. The
step (`step.py`) takes the requests of all rows of a block together, so that a server works on many at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import jinja2
import jinja2.meta
import jinja2.sandbox

from statllama.data.build.check.findings import Finding
from statllama.data.build.records import Json
from statllama.errors import DataError, near

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Request:
    """One prompt for a model, the user's only turn."""

    prompt: str
    schema: Json | None = None
    """JSON schema that the reply must fit, where the server can hold a model to one."""
    temperature: float = 0.0
    max_tokens: int = 1024
    seed: int = 0


@dataclass(frozen=True)
class Reply:
    """What a model said. `finish_reason`: `stop`, or `length` where it was cut off."""

    text: str
    finish_reason: str = "stop"


class Asks(Protocol):
    """A server with a model. Pickled with a step, so it holds settings and connects when it is asked."""

    def material(self) -> Mapping[str, Any]:
        """Return what decides its replies, as plain JSON: the model, the sampling it was given."""

    def ask(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Return a reply to each request, in order. Raises a StatllamaError when the server gives none."""


Talk = Generator[Sequence[Request], Sequence[Reply], Finding]
"""The check of one row: yields requests, is sent the replies to them, returns the finding."""


def prompt_text(path: str | None, shipped: str, folder: Path, variables: Sequence[str]) -> str:
    """Return the text of a prompt: the user's file, relative to `folder`, or the one that ships with statllama.

    DataError for a file that cannot be read, is no template, or names a variable that there is not.
    """
    if path is None:
        text = resources.files("statllama.data.build.check").joinpath("prompts", shipped).read_text(encoding="utf-8")
        return text.replace("\r\n", "\n")
    file = folder / path
    try:
        text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the prompt {file} cannot be read: {error}", remedy="check its path") from None
    try:
        unknown = jinja2.meta.find_undeclared_variables(_environment().parse(text)) - set(variables)
    except jinja2.TemplateSyntaxError as error:
        raise DataError(
            f"{file}, line {error.lineno}: {error.message}",
            remedy="a prompt is a Jinja template: `{{ question }}` stands for the question",
        ) from None
    if unknown:
        name = sorted(unknown)[0]
        raise DataError(f"{file}: no variable {name!r} here; {near(name, variables)}", remedy="correct its name")
    return text


def filled(prompt: str, **values: Any) -> str:
    """Return a prompt with its values. `fence`, the same for the same values, stands in none of them: between two lines
    with it a text cannot pretend to have ended.
    """
    said = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    fence = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:10]
    return _environment().from_string(prompt).render(**values, fence=fence).strip()


def _environment() -> jinja2.sandbox.SandboxedEnvironment:
    return jinja2.sandbox.SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )


def seed_of(row_id: str, seed: int, turn: int) -> int:
    """Return the seed of a row's request: the same in every run, another for each turn; 31 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{row_id}/{turn}".encode()).digest()[:4], "big") >> 1


def said(reply: Reply) -> str:
    """Return what a model said after its thoughts."""
    return _THOUGHT.sub("", reply.text).strip()


def object_in(text: str) -> Json | None:
    """Return the first JSON object of a reply, which may stand in a fence or between words; None without any.

    >>> object_in('Here: ```json\\n{"clear": 4}\\n```')
    {'clear': 4}
    """
    decoder = json.JSONDecoder()
    for at in [found.start() for found in re.finditer(r"\{", text)][:20]:
        try:
            value, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None
