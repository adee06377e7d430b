"""Papers of a dump in each of S2ORC's layouts and in others; broken lines; memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pydantic import ValidationError

from statllama.data.build.collect import papers
from statllama.errors import DataError
from tests.data.build.collect.running import REPO, bytes_of, collect, kept, killed_at, left_out, spec_of

OLD: dict[str, Any] = {
    "paper_id": "77490025",
    "metadata": {
        "title": "Bayesian Trees",
        "authors": [{"first": "Ada", "middle": ["B."], "last": "Example", "suffix": ""}],
        "year": 2019,
        "arxiv_id": "1901.00001",
        "doi": "10.1/x",
        "mag_field_of_study": ["Mathematics"],
    },
    "abstract": [{"section": "Abstract", "text": "We study trees."}],
    "body_text": [
        {"section": "Introduction", "text": "Trees are old.", "cite_spans": []},
        {"section": "Introduction", "text": "And tall."},
        {"section": "Methods ::: Notation", "text": "Let n be."},
        {"section": "Results", "sec_num": "3", "text": "They grow."},
        {"section": "", "text": "   "},
    ],
}


def new(layout: str = "content", **changes: Any) -> dict[str, Any]:
    """A paper in the layout since 2022, or of `s2orc_v2`, with offsets counted from the text itself."""
    parts = [
        ("title", "A Survey of Trees"),
        ("author", "Ada Example"),
        ("abstract", "We survey."),
        ("paragraph", "We survey."),
    ]
    parts += [("sectionheader", "Introduction"), ("paragraph", "Trees."), ("paragraph", "More trees.")]
    parts += [("sectionheader", "Sampling of leaves"), ("paragraph", "By hand."), ("sectionheader", "Empty")]
    parts += [("bibentry", "A. Author. A book.")]
    text, spans, numbers = "", {}, {"Introduction": "1", "Sampling of leaves": "1.1"}
    for kind, words in parts:
        start = text.find(words) if kind == "paragraph" and words == "We survey." else len(text)
        name = (
            {"sectionheader": "section_header", "bibentry": "bib_entry"}.get(kind, kind) if layout == "body" else kind
        )
        span = {"start": start, "end": start + len(words)}
        if words in numbers:
            span["attributes"] = {"n": numbers[words]}  # type: ignore[assignment]
        spans.setdefault(name, []).append(span)
        text += f"{words}\n" if start == len(text) else ""
    notes = {name: json.dumps(found) for name, found in spans.items()} | {"formula": None}
    if layout == "content":
        info = {"license": "CCBY", "openaccessurl": "x"}
        whole = {"text": text, "annotations": notes, "source": {"oainfo": info}}
        return {"corpusid": 42, "externalids": {"arxiv": "1901.00002", "doi": None}, "content": whole, **changes}
    body = {"text": text, "annotations": {name: value for name, value in notes.items() if name != "bib_entry"}}
    bibliography = {"text": text, "annotations": {"bib_entry": notes["bib_entry"]}}
    info = {"license": "CCBYNC", "externalids": {"ArXiv": "1901.00002"}}
    return {"corpusid": 42, "title": "A Survey of Trees", "authors": [{"name": "Ada Example"}], "openaccessinfo": info,
            "body": body, "bibliography": bibliography, **changes}  # fmt: skip


def write(path: Path, *rows: Any) -> Path:
    data = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = pyarrow.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".json.zst", ".gz"])
def test_the_layout_of_2020(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"dump{ending}", OLD)
    (paper,) = kept(*collect(tmp_path / "w", tmp_path, type="papers", path=f"dump{ending}"))
    assert paper["id"] == "s2orc:77490025"
    assert paper["origin"] == {
        "collector": "papers",
        "place": "https://api.semanticscholar.org/CorpusID:77490025",
        "title": "Bayesian Trees",
        "authors": ["Ada B. Example"],
        "year": 2019,
        "ids": {"arxiv": "1901.00001", "doi": "10.1/x", "s2orc": "77490025"},
        "fields": ["Mathematics"],
    }
    assert [(s["heading"], s["level"], s["kind"], s["text"]) for s in paper["sections"]] == [
        ("Abstract", 1, "abstract", "We study trees."),
        ("Introduction", 1, "introduction", "Trees are old.\n\nAnd tall."),
        ("Notation", 2, "background", "Let n be."),
        ("Results", 1, "results", "They grow."),
    ]


@pytest.mark.parametrize(("layout", "licence"), [("content", "CC-BY"), ("body", "CC-BY-NC")])
def test_the_layouts_since_2022(tmp_path: Path, layout: str, licence: str) -> None:
    write(tmp_path / "d.jsonl", new(layout))
    (paper,) = kept(*collect(tmp_path / "w", tmp_path, type="papers", path="d.jsonl"))
    assert paper["origin"]["licence"] == licence and paper["origin"]["ids"] == {"arxiv": "1901.00002", "s2orc": "42"}
    assert paper["origin"]["title"] == "A Survey of Trees" and paper["origin"]["authors"] == ["Ada Example"]
    assert [(s["heading"], s["level"], s["kind"], s["text"]) for s in paper["sections"]] == [
        ("Abstract", 1, "abstract", "We survey."),
        ("Introduction", 1, "introduction", "Trees.\n\nMore trees."),
        ("Sampling of leaves", 2, "introduction", "By hand."),
        ("References", 1, "references", "A. Author. A book."),
    ]


def test_other_dumps_by_their_columns(tmp_path: Path) -> None:
    row = {
        "key": 7,
        "m": {"t": "On Trees", "lic": "CC BY 4.0", "day": "2020-05-01"},
        "full": "One.\r\n\r\n\r\nTwo.",
        "who": "A; B",
    }
    write(
        tmp_path / "d.jsonl",
        row,
        {"key": 8, "parts": [{"heading": "2 Results", "text": "R", "level": 1}], "full": None},
    )
    columns = {
        "id": "key",
        "title": "m.t",
        "licence": "m.lic",
        "year": "m.day",
        "text": "full",
        "authors": "who",
        "sections": "parts",
    }
    one, two = kept(*collect(tmp_path / "w", tmp_path, type="papers", path="d.jsonl", columns=columns))
    assert one["id"] == "paper:7" and one["sections"] == [
        {"heading": "", "level": 1, "kind": "other", "text": "One.\n\nTwo."}
    ]
    assert one["origin"] == {
        "collector": "papers",
        "place": "d.jsonl, line 1",
        "title": "On Trees",
        "authors": ["A; B"],
        "year": 2020,
        "licence": "CC-BY-4.0",
    }
    assert [(s["heading"], s["kind"]) for s in two["sections"]] == [("2 Results", "results")]
    with pytest.raises(ValidationError, match=r"columns.titel.*did you mean 'title'"):
        spec_of("papers", path="x", columns={"titel": "t"})


def test_broken_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    cut = json.dumps(OLD).encode()[:90]
    far = new(content={"text": "short", "annotations": {"paragraph": '[{"start": 0, "end": 99}]'}})
    odd = new(content={"text": "short", "annotations": {"paragraph": "{broken"}})
    lines = [b"\xef\xbb\xbf", OLD, b"\n", cut + b"\n", b"[1]\n", b'{"text": "\xff"}\n', b'{"text": "\\ud800"}\n',
             b'{"n": NaN}\n', far, odd, {"id": 1}, b"[" * 100_000 + b"\n", {"id": "x", "text": "t"}, cut]  # fmt: skip
    write(tmp_path / "d.jsonl", *lines)
    (entry,) = collect(tmp_path / "w", tmp_path, type="papers", path="d.jsonl")
    assert [record["id"] for record in kept(entry)] == ["s2orc:77490025", "paper:x"]
    assert entry.manifest["records"] == 12 and entry.manifest["left_out"] == {
        "a line that is not JSON": 3,
        "a line that is no object": 1,
        "a line that is not UTF-8": 1,
        "a line with what is no text or number": 2,
        "a paper whose parts do not fit each other": 2,
        "no text": 1,
    }
    assert "d.jsonl, line 3" in left_out(entry)


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statllama.data.build.collect._dumps.LONGEST_LINE", 1000)
    write(tmp_path / "d.jsonl", {"id": "a", "text": "x"}, {"id": "b", "text": "x" * 5000}, {"id": "c", "text": "x"})
    (entry,) = collect(tmp_path / "w", tmp_path, type="papers", path="d.jsonl")
    assert [record["id"] for record in kept(entry)] == ["paper:a", "paper:c"]
    assert left_out(entry) == {"d.jsonl, line 2": "a line that is too long"}


def test_a_file_that_is_cut_off_stops(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl.gz", *[{"id": i, "text": str(hash(str(i)))} for i in range(2000)])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cut off"):
        collect(tmp_path / "w", tmp_path, type="papers", path="d.jsonl.gz")
    with pytest.raises(DataError, match="no file of a dump"):
        collect(tmp_path / "w", tmp_path, type="papers", path="nothing/*.gz")


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"title": "bayes"}, "a title without bayes"),  # it heeds case
        ({"title": "(?i)bayes"}, None),
        ({"title_without": "Trees$"}, "a title with Trees$"),
        ({"fields": ["mathematics", "Physics"]}, None),
        ({"fields": ["Physics"]}, "of no field among Physics"),
        ({"year_from": 2019, "year_to": 2019}, None),
        ({"year_to": 2018}, "not of the years ... to 2018"),
        ({"on_arxiv": True}, None),
        ({"licences": ["CC-BY-4.0"]}, "licence unknown is not among CC-BY-4.0"),
        ({"licences": ["CC-BY-4.0", "unknown"]}, None),
    ],
)
def test_filters(filters: dict[str, Any], reason: str | None) -> None:
    origin = {**OLD["metadata"], "fields": ["Mathematics"], "ids": {"arxiv": "1"}}
    assert papers.refused(origin, spec_of("papers", path="x", **filters)) == reason  # type: ignore[arg-type]


def test_titles_in_capitals() -> None:
    """The rule looks at the title as it stands, whatever the case of the pattern."""
    spec = spec_of("papers", path="x", upper_case_titles=False, title="(?i)trees")
    assert papers.refused({"title": "TREES, 2ND ED."}, spec) == "a title all in capitals"  # type: ignore[arg-type]
    assert papers.refused({"title": "Trees in R"}, spec) is None  # type: ignore[arg-type]
    assert papers.refused({"title": "Trees"}, spec_of("papers", path="x", year_from=2000)) == "no year"  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="not a regular expression"):
        spec_of("papers", path="x", title="(")


def test_killed_or_in_processes_it_makes_the_same_bytes(tmp_path: Path) -> None:
    rows = [{**OLD, "paper_id": str(i)} if i % 3 else b"broken\n" for i in range(450)]
    write(tmp_path / "d.jsonl.gz", *rows)
    fields = {"type": "papers", "path": "d.jsonl.gz"}
    (sound,) = collect(tmp_path / "sound", tmp_path, **fields)
    killed_at(230, tmp_path / "w", tmp_path, papers.__name__, "_outcome", fields)
    assert bytes_of(collect(tmp_path / "w", tmp_path, **fields)[0]) == bytes_of(sound)
    assert bytes_of(collect(tmp_path / "jobs", tmp_path, jobs=2, **fields)[0]) == bytes_of(sound)
    assert len(kept(sound)) == 300


def test_the_key_is_of_the_bytes_wherever_they_lie(tmp_path: Path) -> None:
    def material(folder: str, *rows: Any) -> Any:
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "d.jsonl", *rows)
        (step,) = papers.steps(spec_of("papers", path="d.jsonl"), tmp_path / folder, "n")  # type: ignore[arg-type]
        return step.material()

    assert material("a", OLD) == material("b", OLD) != material("c", OLD, OLD)


def test_memory_is_flat_in_the_size_of_the_dump(tmp_path: Path) -> None:
    """Ten times the lines, the same peak: measured by the kernel in a process of its own."""
    script = f"""
        import resource
        from pathlib import Path
        from tests.data.build.collect.running import collect
        root = Path({str(tmp_path)!r})
        peaks = []
        for name in ("warm", "small", "large"):
            collect(root / "w", root, type="papers", path=name + ".jsonl.gz")
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        print(peaks[2] - peaks[1])
    """
    for name, count in (("warm", 100), ("small", 150), ("large", 1500)):
        write(tmp_path / f"{name}.jsonl.gz", *[{"id": i, "text": "word " * 4000} for i in range(count)])
    grown = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=REPO, check=True, capture_output=True)
    assert int(grown.stdout) < 4_000  # KiB; the larger dump has 27,000 KiB more
