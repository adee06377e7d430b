"""Prompts: files with the places `{{ text }}`, `{{ title }}`, `{{ heading }}`, `{{ genre }}` and `{{ audience }}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2.meta
import jinja2.sandbox

from statllama.data.build.write.windows import Window
from statllama.errors import DataError, NotFoundError, near

PLACES = ("text", "title", "heading", "genre", "audience")
"""What a prompt may name. `title` and `heading` may be empty."""
SHIPPED = Path(__file__).parent / "prompts"
MOST_CHARACTERS = 100_000
_WRITE = "a prompt has {{ text }} where the section goes, and may name {{ title }}, {{ heading }}, {{ genre }} and "
_REMEDY = _WRITE + "{{ audience }}; a literal {{ is written {{ '{{' }}"


def prompt_text(kind: str, path: str | None, root: Path) -> str:
    """Return the text of a prompt: of the user's file, relative to `root`, or the kind's own.

    NotFoundError for a missing file, DataError for one that is no prompt.
    """
    file = SHIPPED / f"{kind}.md" if path is None else root / path
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no prompt {file}", remedy="`prompt` is relative to the build's file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the prompt {file} cannot be read: {error}") from None
    check_prompt(text, str(file))
    return text


def check_prompt(text: str, where: str) -> None:
    """Raise DataError, with the line, unless a prompt's places are known and `text` is one of them."""
    try:
        named = jinja2.meta.find_undeclared_variables(_environment().parse(text))
    except jinja2.TemplateSyntaxError as error:
        raise DataError(f"{where}, line {error.lineno}: {error.message}", remedy=_REMEDY) from None
    if unknown := sorted(named - set(PLACES)):
        line = next((n for n, each in enumerate(text.splitlines(), 1) if unknown[0] in each), 1)
        raise DataError(
            f"{where}, line {line}: unknown place {unknown[0]!r}; {near(unknown[0], PLACES)}", remedy=_REMEDY
        )
    if "text" not in named:
        raise DataError(f"{where} has no {{{{ text }}}}, so the model would not see the section", remedy=_REMEDY)
    if len(text) > MOST_CHARACTERS:
        raise DataError(f"{where} has {len(text):,} characters; a prompt has at most {MOST_CHARACTERS:,}")


class Prompt:
    """A prompt, parsed."""

    def __init__(self, text: str) -> None:
        self._template = _environment().from_string(text)

    def about(self, window: Window, genre: str, audience: str) -> str:
        """Return what is asked about a window. The window's text is not read as a prompt.

        DataError for a prompt that fails in use, such as one that divides by nothing.
        """
        places = dict(zip(PLACES, (window.text, window.title, window.heading, genre, audience), strict=True))
        try:
            return str(self._template.render(places)).strip()
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise DataError(f"the prompt fails at {window.id}: {error}", remedy=_REMEDY) from None


def _environment() -> Any:
    """Return Jinja's sandbox: a prompt is a file that may come from elsewhere."""
    return jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
