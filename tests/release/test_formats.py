"""Release formats are files of one folder, and nothing else knows one by name."""

from __future__ import annotations

import ast
import doctest
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from statllama.cli import export as cli_export
from statllama.release import formats
from statllama.release.artefact import Order
from statllama.release.formats import options, orders, release_format, release_formats
from statllama.store import Store
from tests.conftest import REPO
from tests.release.making import fewer_questions

RELEASE = REPO / "statllama" / "release"


def test_formats_are_files() -> None:
    files = {p.stem for p in (RELEASE / "formats").glob("*.py") if not p.stem.startswith("_")}
    assert {one.name for one in release_formats()} == {name.replace("_", "-") for name in files}
    assert all(release_format(one.name) is one for one in release_formats())
    names = [option.name for option in options()]
    assert len(set(names)) == len(names) and len({one.position for one in release_formats()}) == len(release_formats())
    assert doctest.testmod(formats).failed == 0


@pytest.mark.parametrize(
    "file",
    [
        *("release/release.py", "release/verify.py", "release/exam.py", "release/write.py", "release/withhold.py"),
        *("release/card.py", "release/card_scores.py", "release/card_use.py", "release/artefact.py"),
        *("release/formats/__init__.py", "release/formats/_format.py", "cli/export.py", "cli/console/export.py"),
    ],
)
def test_no_other_file_knows_a_format_by_name(file: str) -> None:
    """Neither as a text nor by an import of what writes it."""
    tree = ast.parse((REPO / "statllama" / file).read_text(encoding="utf-8"))
    names = {one.name for one in release_formats()} | {option.name for option in options()} - {"rank"}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    other = {  # words of Hugging Face; a package; what is counted
        **{"release/card.py": {"adapter", "lora"}, "release/verify.py": {"gguf"}},
        "cli/console/export.py": {"adapter"},
    }
    assert not (texts & names) - other.get(file, set())
    writers = {"adapter", "merged", "gguf", "gguf_lora", "modelfile"}
    imported = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("statllama.release")
        for part in (*(node.module or "").split("."), *(alias.name for alias in node.names))
    }
    assert imported & writers <= ({"modelfile"} if file.endswith("verify.py") else set())  # which tokens end a reply


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["adapter f32", "merged bf16"]),
        ({"rank": 4}, ["adapter f32", "merged bf16"]),
        ({"adapter": False}, ["merged bf16"]),
        ({"adapter": True}, ["adapter f32"]),
        ({"merged": "F16"}, ["merged f16"]),
        ({"merged": "f16", "rank": 4}, ["adapter f32", "merged f16"]),
        ({"gguf": ["Q8_0,q4_k_m", "f16", "q8_0"]}, ["gguf q8_0", "gguf q4_k_m", "gguf f16"]),
        ({"lora": True, "gguf": "f16"}, ["gguf f16", "gguf-lora f32"]),
    ],
)
def test_what_options_ask_for(given: dict[str, object], wanted: list[str]) -> None:
    assert [f"{order.format} {order.type}" for order in orders(**given)] == wanted
    assert all(
        order.settings.get("rank") == given.get("rank") for order in orders(**given) if order.format == "adapter"
    )


NEW = '''
"""The lengths of the stages' updates: `norms.txt`."""

from statllama.release.artefact import Artefact, Order
from statllama.release.certificate import Check
from statllama.release.formats._format import Format, Option


def _text(source):
    return "".join(f"{name} {len(adapter.slices)}\\n" for name, adapter in zip(source.stages, source.adapters))


def _write(source, order, folder, progress):
    (folder / "norms.txt").write_text(_text(source))
    return [Artefact("norms.txt", "norms", folder / "norms.txt", "f32")]


def _checks(exam, artefact):
    yield Check("same", artefact.path.read_text() == _text(exam.source))


FORMAT = Format(
    name="norms",
    position=9,
    options=(Option("norms", "--norms", bool, "Write norms.", default=False),),
    orders=lambda given, chosen: [Order("norms", "f32")] if given["norms"] else [],
    place=lambda source, order: "norms.txt",
    needed_bytes=lambda source, order: 1000,
    write=_write,
    checks=_checks,
    instead=lambda failed, passed: "count them",
    relation="adapter",
    library="",
    tags=("norms",),
    contents=lambda verified: (verified.name, "how many modules each stage adapts"),
    use=lambda held, reader: iter([f"**cat**: `cat {held[0].name}`"]),
)
'''


@pytest.fixture
def new_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A format in a file of its own, as someone would add it."""
    (tmp_path / "added").mkdir()
    (tmp_path / "added" / "norms.py").write_text(NEW)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "added")])
    release_formats.cache_clear()
    yield
    sys.modules.pop("statllama.release.formats.norms", None)
    release_formats.cache_clear()


def test_a_format_is_added_by_one_file(
    new_format: None, trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its option, its file, its verification and its lines of the card are there, with no other file touched."""
    app = typer.Typer()
    plain: Callable[..., None] = cli_export.export.__wrapped__  # type: ignore[attr-defined]
    app.command()(cli_export._with_options_of_formats(plain))
    out = tmp_path / "out"
    with fewer_questions():
        app(["tiny", "--out", str(out), "--norms", "--workspace", str(trained[1].root)], standalone_mode=False)
    assert (out / "norms.txt").read_text() == "one 14\ntwo 14\n"
    assert '"norms.txt"' in (out / "verification.json").read_text() and "norms.txt" in (out / "SHA256SUMS").read_text()
    text = (out / "README.md").read_text()
    assert "| `norms.txt` | how many modules each stage adapts |" in text and "`cat norms.txt`" in text
    assert not (out / "adapter").exists() and "- norms" in text


def test_an_order_has_a_label() -> None:
    assert [order.label for order in orders(merged="f32", gguf="f16", lora=True)] == ["merged (f32)", "", "GGUF LoRA"]
    assert Order("gguf", "f16").settings == {}
