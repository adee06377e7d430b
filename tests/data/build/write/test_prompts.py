"""Prompts: those that are shipped, and those of users with their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from statllama.data.build.write.kinds import kind_module, kind_names
from statllama.data.build.write.prompts import SHIPPED, Prompt, check_prompt, prompt_text
from statllama.data.build.write.windows import Window
from statllama.errors import DataError, NotFoundError
from tests.data.build.write.documents import TEXT, document

WINDOW = Window(document("a"), 0, 0, TEXT + " {{ genre }} {% raw %}")


@pytest.mark.parametrize("kind", kind_names())
def test_the_shipped_prompts(kind: str, tmp_path: Path) -> None:
    """Each has all places, names every key of the schema, and takes a document's text as it is."""
    asked = Prompt(prompt_text(kind, None, tmp_path)).about(WINDOW, "exam", "a biologist")
    for said in (WINDOW.text, "Book a", "Centre", "exam", "a biologist", "JSON"):
        assert said in asked
    assert all(f'"{key}"' in asked for key in kind_module(kind).Reply.model_fields)
    assert "{{" not in asked.replace(WINDOW.text, "") and "\n\n\n" not in asked


def test_every_kind_has_its_prompt_and_every_prompt_its_kind() -> None:
    assert {path.stem for path in SHIPPED.iterdir()} == set(kind_names())


def test_a_users_prompt(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("{% if title %}From {{ title }}: {% endif %}$\\frac{1}{2}$ {{ text }}")
    text = prompt_text("cloze", "mine.md", tmp_path)
    assert Prompt(text).about(WINDOW, "", "") == f"From Book a: $\\frac{{1}}{{2}}$ {WINDOW.text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Read {{ text }}\nfor {{ audiance }}", "line 2: unknown place 'audiance'; did you mean 'audience'?"),
        ("Write a question.", "has no {{ text }}"),
        ("one\n{{ text }", "line 2: "),
        ("{% for x in %}{{ text }}", "line 1: "),
        ("{{ text }}" + "x" * 100_001, "100,011 characters"),
    ],
)
def test_what_is_no_prompt(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(text)
    with pytest.raises(DataError) as caught:
        prompt_text("cloze", "mine.md", tmp_path)
    assert message in caught.value.message and "mine.md" in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"missing\.md"):
        prompt_text("cloze", "missing.md", tmp_path)
    (tmp_path / "latin.md").write_bytes(b"\xff\xfe{{ text }}")
    with pytest.raises(DataError, match="cannot be read"):
        prompt_text("cloze", "latin.md", tmp_path)


@pytest.mark.parametrize(
    "text", ["{{ text / 0 }}", "{{ text.__class__.__mro__ }}", "{{ text.nothing }}", "{{ text[1:] + 1 }}"]
)
def test_a_prompt_that_fails_in_use_or_reaches_out(text: str) -> None:
    check_prompt(text, "mine.md")
    with pytest.raises(DataError, match=r"fails at file:a\.md#0\.0"):
        Prompt(text).about(WINDOW, "exam", "a biologist")
