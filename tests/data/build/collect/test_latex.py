"""One LaTeX file out of what authors gave to arXiv, and of what nobody should."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from statllama.data.build.collect import _latex
from statllama.data.build.collect._latex import NoSource, one_file

TOP = "\\documentclass{article}\n\\begin{document}\n%s\n\\end{document}\n"


def tarball(folder: Path, files: dict[str, str | bytes], *more: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    path = folder / "source"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return path


def test_what_is_taken_in_is_put_in_place(tmp_path: Path) -> None:
    body = "\\input{sec/one} \\include{two}\n% \\input{secret}\n50\\% \\input three.tex\n"
    body += "\\import{sec/}{four}\\bibliography{refs}"
    files = {
        "paper.tex": TOP % body,
        "sec/one.tex": "ONE \\input{deep}",
        "sec/deep.tex": "DEEP",
        "two.tex": "TWO \\input{nowhere}",
        "three.tex": "THREE",
        "sec/four.tex": "FOUR",
        "secret.tex": "SECRET",
        "paper.bbl": "BIB",
        "fig.pdf": b"%PDF",
    }
    want = "ONE DEEP TWO \\input{nowhere}\n% \\input{secret}\n50\\% THREE\nFOURBIB"
    assert one_file(tarball(tmp_path, files)) == TOP % want


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_the_main_file(tmp_path: Path, mode: str) -> None:
    files = {"supplement.tex": TOP % "short", "main.tex": TOP % "long \\subfile{part}", "part.tex": TOP % "PART"}
    assert one_file(tarball(tmp_path, files, mode=mode)) == TOP % "long \nPART\n"
    note = json.dumps({"sources": [{"filename": "supplement.tex", "usage": "toplevel"}]})
    assert one_file(tarball(tmp_path, {**files, "00README.json": note})) == TOP % "short"
    assert one_file(tarball(tmp_path, {**files, "00README.XXX": "supplement.tex toplevelfile\n"})) == TOP % "short"
    assert "long" in one_file(tarball(tmp_path, {**files, "00README.json": "{broken"}))


def test_one_packed_file_and_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "source"
    for data in (gzip.compress((TOP % "é").encode("latin-1")), (TOP % "é").encode()):
        path.write_bytes(data)
        assert one_file(path) == TOP % "é"


def test_files_in_circles_end(tmp_path: Path) -> None:
    text = one_file(tarball(tmp_path, {"a.tex": TOP % "\\input{b}", "b.tex": "B\\input{a}\\input{b}"}))
    assert text == TOP % "B\\input{a}\\input{b}"


def test_no_name_leads_out_of_the_tarball(tmp_path: Path) -> None:
    (tmp_path / "passwd.tex").write_text("SECRET")
    link = tarfile.TarInfo("link.tex")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "passwd.tex")
    named = f"{tmp_path}/passwd.tex"
    body = f"\\input{{../passwd}}\\input{{{named}}}\\input{{link}}"
    files: dict[str, str | bytes] = {"x/a.tex": TOP % body, "../passwd.tex": "OUT", "/etc/b.tex": "OUT"}
    text = one_file(tarball(tmp_path, files, link))
    assert text == TOP % body and [p.name for p in tmp_path.iterdir()].count("source") == 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.txt": "x"}, "a source without a LaTeX main file"),
        (
            {"a.tex": TOP % "\\input{b}\\input{b}", "b.tex": "\\input{c}\\input{c}" * 9, "c.tex": "c" * 3000},
            "MiB of text",
        ),
        ({"a.tex": TOP % ("x" * 40_000)}, "MiB of text"),
        ({"a.tex": TOP % "", "figure.eps": b"\0" * 200_000}, "unpacks to more than"),
    ],
)
def test_bombs_and_sources_without_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | bytes], reason: str
) -> None:
    monkeypatch.setattr(_latex, "MOST_TEXT", 30_000)
    monkeypatch.setattr(_latex, "MOST_UNPACKED", 100_000)
    with pytest.raises(NoSource, match=reason):
        one_file(tarball(tmp_path, files))


@pytest.mark.parametrize(
    "data", [b"\x1f\x8bbroken", gzip.compress(b"x" * 4000, mtime=0)[:-9], b"", b"%!PS-Adobe", b"\x00" * 600]
)
def test_what_is_no_source(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source").write_bytes(data)
    with pytest.raises(NoSource):
        one_file(tmp_path / "source")


def test_a_cut_tarball(tmp_path: Path) -> None:
    path = tarball(tmp_path, {"a.tex": TOP % "x", "b.eps": bytes(range(256)) * 400})
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(NoSource, match="cannot be unpacked"):
        one_file(path)
