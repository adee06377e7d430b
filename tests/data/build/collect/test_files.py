"""Files of a folder: what is known of them, and what is left out."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.chain import key_of
from statllama.data.build.collect import files, steps_of
from statllama.errors import DataError, InputChanged
from tests.data.build.collect.running import bytes_of, collect, kept, killed_at, left_out, spec_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "papers"
    (place / "deep" / "er").mkdir(parents=True)
    for name, text in {
        "a.pdf": "%PDF a",
        "B.MD": "# B",
        "deep/c.html": "<p>c",
        "deep/er/d.docx": "PK",
        "e.tex": "e",
    }.items():
        (place / name).write_text(text)
    return place


def one(root: Path, **fields: Any) -> Any:
    return collect(root / "w", root, type="files", **{"path": "papers", **fields})[0]


def test_files_with_form_and_hash(tmp_path: Path, folder: Path) -> None:
    (folder / ".hidden.pdf").write_text("x")
    entry = one(tmp_path, licence="cc by 4.0", authors=["Ada"], year=2020, subjects=["anova"])
    assert [(r["id"], r["form"]) for r in kept(entry)] == [
        ("file:B.MD", "md"), ("file:a.pdf", "pdf"), ("file:deep/c.html", "html"), ("file:deep/er/d.docx", "docx"),
        ("file:e.tex", "tex"),
    ]  # fmt: skip
    first = kept(entry)[1]
    assert first["file"] == str(folder / "a.pdf") and first["sha256"] == sha256(b"%PDF a").hexdigest()
    assert first["origin"] == {
        "collector": "files",
        "place": "a.pdf",
        "authors": ["Ada"],
        "year": 2020,
        "fields": ["anova"],
        "licence": "CC-BY-4.0",
    }


def test_what_stands_beside_a_file_goes_first(tmp_path: Path, folder: Path) -> None:
    (folder / "a.pdf.json").write_text(
        json.dumps({"title": "A", "licence": "CC0", "doi": "10.1/a", "place": "https://a"})
    )
    (folder / "e.tex.json").write_text("{broken")
    (folder / "lonely.json").write_text("{}")
    entry = one(tmp_path, licence="CC-BY-4.0", licences=["CC-BY-4.0"])
    assert left_out(entry) == {
        "a.pdf": "licence CC0-1.0 is not among CC-BY-4.0",
        "e.tex": "a description beside it that is not JSON",
        "lonely.json": "a form that is not read (forms: docx, html, md, pdf, tex, txt)",
    }
    entry = one(tmp_path, licence="CC-BY-4.0")
    (a,) = [record for record in kept(entry) if record["id"] == "file:a.pdf"]
    assert a["origin"] == {
        "collector": "files",
        "place": "https://a",
        "title": "A",
        "licence": "CC0-1.0",
        "ids": {"doi": "10.1/a"},
    }


def test_what_is_left_out(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "z.pdf").write_text("%PDF a")
    (folder / "empty.txt").write_text("")
    (folder / "dangling.pdf").symlink_to(folder / "gone.pdf")
    (folder / "deep" / "circle").symlink_to(folder)
    (folder / "locked.pdf").write_text("secret")
    os.mkfifo(folder / "pipe.txt")
    real = files.content_hash

    def refused(path: Path) -> str:  # root may read everything
        if path.name == "locked.pdf":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "content_hash", refused)
    assert left_out(one(tmp_path)) == {
        "z.pdf": "the same bytes as another file",
        "empty.txt": "an empty file",
        "dangling.pdf": "a link that leads nowhere",
        "deep/circle": "a link to a folder that it is in",
        "locked.pdf": "a file that cannot be read",
        "pipe.txt": "not a regular file",
    }


def test_a_link_to_another_folder_is_followed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    (folder / "there").symlink_to(tmp_path / "other")
    assert "file:there/x.txt" in [record["id"] for record in kept(one(tmp_path))]


def test_a_glob_and_one_file(tmp_path: Path, folder: Path) -> None:
    assert [r["id"] for r in kept(one(tmp_path, path="papers/**/*.[dh]*"))] == [
        "file:deep/c.html",
        "file:deep/er/d.docx",
    ]
    assert [r["id"] for r in kept(one(tmp_path, path=str(folder / "e.tex")))] == ["file:e.tex"]
    with pytest.raises(DataError, match="no file, folder or match"):
        one(tmp_path, path="nowhere/*.pdf")


def test_a_changed_file_is_another_key(tmp_path: Path, folder: Path) -> None:
    def key() -> str:
        return key_of(steps_of(spec_of("files", path="papers"), tmp_path, "n")[0], [])

    first = key()
    assert key() == first
    (folder / "a.pdf").write_text("%PDF b")
    second = key()
    (folder / "a.pdf.json").write_text("{}")
    assert len({first, second, key()}) == 3
    (step,) = steps_of(spec_of("files", path="papers"), tmp_path, "n")
    (folder / "a.pdf").write_text("%PDF c")
    with pytest.raises(InputChanged, match="changed while it was read"):
        list(step.listed(None))  # type: ignore[attr-defined]


def test_killed_it_goes_on_to_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    for i in range(120):
        (folder / f"{i:03}.txt").write_text(f"text {i // 2}")
    sound = collect(tmp_path / "sound", tmp_path, type="files", path="papers")[0]
    killed_at(70, tmp_path / "w", tmp_path, files.__name__, "_outcome", {"type": "files", "path": "papers"})
    assert bytes_of(one(tmp_path)) == bytes_of(sound) and len(kept(sound)) == 65
