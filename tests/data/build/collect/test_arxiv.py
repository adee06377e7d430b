"""arXiv through its API: listing, licences, files; and a server that is busy, broken or slow."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from statllama.data.build.chain import Watcher
from statllama.data.build.collect import _http, arxiv
from statllama.errors import DataError, Interrupted
from statllama.store import Entry
from tests.data.build.collect.arxiv_server import BY, NC, PDF, Arxiv, serving
from tests.data.build.collect.running import bytes_of, collect, kept, killed_at, left_out, spec_of

PAPERS = {f"2601.{i:05}": (f"2026-01-{i:02}", NC if i % 3 == 0 else BY if i % 3 == 1 else None) for i in range(1, 8)}
ALL = {"type": "arxiv", "categories": ["math.ST"], "submitted_to": "2026-01-31", "seconds_between": 0.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "WAITS", (0.01,) * 4)
    monkeypatch.setattr(arxiv, "PAGE", 3)


@pytest.fixture
def server() -> Iterator[Arxiv]:
    with serving(Arxiv(dict(PAPERS))) as running:
        yield running


def run(server: Arxiv, store: Path, watcher: Watcher | None = None, **fields: Any) -> list[Entry]:
    given = {**ALL, "address": server.address, "licence_address": server.address + "/oai", **fields}
    return collect(store, store, watcher=watcher, **{name: value for name, value in given.items() if value is not None})


def test_papers_with_their_metadata_licence_and_file(server: Arxiv, tmp_path: Path) -> None:
    listing, files = run(server, tmp_path, licences=["cc by 4.0", "unknown"])
    assert [record["id"] for record in kept(listing)] == [f"arxiv:{name}v2" for name in PAPERS]  # the oldest first
    first = kept(files)[0]
    assert first["origin"] == {
        "collector": "arxiv",
        "place": "https://arxiv.org/abs/2601.00001v2",
        "title": "On 2601.00001: a title in two lines",
        "authors": ["Ada Example", "Bo & Co"],
        "year": 2026,
        "ids": {"arxiv": "2601.00001", "doi": "10.1/2601.00001"},
        "fields": ["math.ST", "stat.TH"],
        "licence": "CC-BY-4.0",
    }
    assert Path(first["file"]).read_bytes() == PDF and first["sha256"] == sha256(PDF).hexdigest()
    assert first["form"] == "pdf" and "listed" not in first and "sections" not in first
    assert left_out(files) == {
        f"arxiv:2601.0000{i}v2": "licence CC-BY-NC-ND-4.0 is not among CC-BY-4.0, unknown" for i in (3, 6)
    }
    fetched = [path for _, path, _ in server.asked if path.startswith("/pdf/")]
    assert len(fetched) == 5 and not any("00003" in path for path in fetched)  # no file is fetched in vain


def test_without_files_the_abstract_is_the_text(server: Arxiv, tmp_path: Path) -> None:
    _, found = run(server, tmp_path, files="none", licence_lookup=False, limit=4, sort="newest")
    assert [record["id"] for record in kept(found)] == [f"arxiv:2601.0000{i}v2" for i in (7, 6, 5, 4)]
    section = kept(found)[0]["sections"][0]
    assert section["text"] == "First line second line.\n\nAnother paragraph." and section["kind"] == "abstract"
    assert "licence" not in kept(found)[0]["origin"]


def test_ids_and_those_that_arxiv_does_not_have(server: Arxiv, tmp_path: Path) -> None:
    ids = ["2601.00002", "2699.00001", "2601.00004v2", "2601.00002v2", "2601.00001"]
    listing, files = run(server, tmp_path, categories=None, submitted_to=None, ids=ids, files="none")
    assert [record["id"] for record in kept(files)] == [f"arxiv:2601.0000{i}v2" for i in (2, 4, 1)]
    assert left_out(listing) == {"2699.00001": "arXiv has no such paper"}
    assert left_out(files) == {"arxiv:2601.00002v2": "listed twice"}


def test_a_long_query_is_divided_by_days(server: Arxiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(server, tmp_path / "whole", files="none", licence_lookup=False)[1]
    monkeypatch.setattr(arxiv, "MOST_LISTED", 2)
    for sort in ("oldest", "newest"):
        parts = run(server, tmp_path / sort, files="none", licence_lookup=False, sort=sort)[1]
        names = [record["id"] for record in kept(parts)]
        assert names == [record["id"] for record in kept(whole)][:: 1 if sort == "oldest" else -1]


def test_requests_are_apart_and_name_the_tool(server: Arxiv, tmp_path: Path) -> None:
    run(server, tmp_path, files="none", licence_lookup=False, seconds_between=0.1, contact="me@example.org")
    times = [at for at, _, _ in server.asked]
    assert len(times) == 4 and min(b - a for a, b in pairwise(times)) >= 0.1
    assert {agent for _, _, agent in server.asked} == {f"statllama/{_http.__version__} (mailto:me@example.org)"}
    assert spec_of(**ALL).model_copy(update={"seconds_between": 3.0}).client.seconds_between == 3.0  # type: ignore[attr-defined]
    assert arxiv.Spec.model_fields["seconds_between"].default == 3.0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """What comes of four papers when nothing fails."""
    with serving(Arxiv(dict(PAPERS))) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(arxiv, "PAGE", 3)
        return [bytes_of(entry) for entry in run(server, tmp_path_factory.mktemp("sound"), limit=4)]


@pytest.mark.parametrize("fault", ["503", "429", "page", "empty", "short", "cut", "bomb"])
def test_a_fault_that_passes_changes_nothing(
    server: Arxiv, tmp_path: Path, fault: str, sound: list[dict[str, bytes]]
) -> None:
    places = ("/api/",) if fault in ("empty", "short") else ("/api/", "start=3", "/oai", "/pdf/")
    server.faults = [(where, fault) for where in places] * 2
    assert [bytes_of(entry) for entry in run(server, tmp_path, limit=4)] == sound
    assert not server.faults


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("503", "no answer in 5 tries: HTTP 503"),
        ("403", r"refuses \(HTTP 403\): rate exceeded"),
        ("empty", "0 of 1 entries"),
        ("page", "no answer in 5 tries: <html> in place of <feed>"),
        ("bomb", "document type"),
        ("cut", "the connection broke off with"),
        ("404", "HTTP 404"),
    ],
)
def test_a_fault_that_stays_stops_and_what_was_made_stays(
    server: Arxiv, tmp_path: Path, fault: str, said: str, sound: list[dict[str, bytes]]
) -> None:
    server.faults = [("start=3", fault)] * 9
    with pytest.raises(DataError, match=said):
        run(server, tmp_path, limit=4)
    server.faults, before = [], len(server.asked)
    listing, _ = run(server, tmp_path, limit=4)
    assert [bytes_of(listing)["kept.jsonl"]] == [sound[0]["kept.jsonl"]]
    again = [path for _, path, _ in server.asked[before:]]
    assert not any("start=0&max_results=3" in path for path in again)  # the first page is there already


def test_a_page_that_stays_short_is_told(server: Arxiv, tmp_path: Path) -> None:
    server.faults = [("start=3", "short")] * 9
    listing, _ = run(server, tmp_path, files="none")
    assert len(kept(listing)) == 6
    assert list(left_out(listing).values()) == ["arXiv counts more papers than it lists"]


def test_a_server_that_hangs_and_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = _http.Client(0.0, silence=0.2, waits=(0.0,))
    with serving(Arxiv(dict(PAPERS))) as server:
        server.faults = [("/pdf/", "hang")] * 2
        with pytest.raises(DataError, match="no answer in 2 tries: timed out"):
            slow.get(f"{server.address}/pdf/1", bytes)
        with pytest.raises(_http.TooLarge):
            slow.get(f"{server.address}/pdf/1", bytes, most=100)
        with pytest.raises(_http.TooLarge):
            slow.download(f"{server.address}/pdf/1", tmp_path / "x.pdf", lambda start: None, most=100)
        assert not (tmp_path / "x.pdf").exists()
        address = server.address
    with pytest.raises(DataError, match="Connection refused") as error:
        slow.get(f"{address}/pdf/1", bytes)
    assert "goes on there" in str(error.value.remedy)


def test_a_wrong_query_is_told_in_arxivs_words(server: Arxiv, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="arXiv refuses the query: incorrect query"):
        run(server, tmp_path, query="broken(")


def test_papers_without_a_file(server: Arxiv, tmp_path: Path) -> None:
    server.files = {"pdf/2601.00002v2": b"<html>no PDF was made</html>"}
    server.faults = [("/pdf/2601.00001", "404")]
    _, files = run(server, tmp_path, licence_lookup=False, limit=3)
    assert left_out(files) == {
        "arxiv:2601.00001v2": "arXiv has no file of it",
        "arxiv:2601.00002v2": "arXiv gives a page in place of the file",
    }
    assert sorted(path.name for path in (files.path / "files").iterdir()) == ["2601.00003v2.pdf"]


def test_sources_become_one_file(server: Arxiv, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in {
            "ms.tex": "\\documentclass{article}\\begin{document}\\input{a}\\end{document}",
            "a.tex": "Hi",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    server.files = {
        "e-print/2601.00001v2": packed.getvalue(),
        "e-print/2601.00002v2": PDF,
        "e-print/2601.00003v2": b"%!PS",
    }
    _, files = run(server, tmp_path, licence_lookup=False, limit=3, files="source")
    tex, pdf = kept(files)
    assert Path(tex["file"]).read_text() == "\\documentclass{article}\\begin{document}Hi\\end{document}"
    assert (tex["form"], pdf["form"]) == ("tex", "pdf") and Path(pdf["file"]).read_bytes() == PDF
    assert tex["sha256"] == sha256(Path(tex["file"]).read_bytes()).hexdigest()
    assert left_out(files) == {"arxiv:2601.00003v2": "a source that is no LaTeX"}


@pytest.mark.parametrize(
    ("function", "instant"),
    [("page_of", 3), ("licence_of", 2), ("_is_pdf", 4)],
)
def test_killed_it_goes_on_to_the_same_bytes(
    server: Arxiv, tmp_path: Path, function: str, instant: int, sound: list[dict[str, bytes]]
) -> None:
    fields = {**ALL, "limit": 4, "address": server.address, "licence_address": server.address + "/oai"}
    killed_at(instant, tmp_path, tmp_path, arxiv.__name__, function, fields)
    assert [bytes_of(entry) for entry in collect(tmp_path, tmp_path, **fields)] == sound


def test_interrupted_it_asks_for_no_paper_twice(server: Arxiv, tmp_path: Path) -> None:
    calls: list[int] = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run(server, tmp_path, watcher=Watcher(stop=stop), limit=4)
    run(server, tmp_path, limit=4)
    pdfs = [path for _, path, _ in server.asked if path.startswith("/pdf/")]
    assert len(pdfs) == len(set(pdfs)) == 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"submitted_to": None}, "needs `submitted_to`"),
        ({"ids": ["2601.1"]}, "or `ids` alone"),
        ({"submitted_to": "January"}, "2026-01-31"),
        ({"submitted_from": "2026-02-01"}, "is after"),
        ({"sort": "relevance", "limit": 20_000}, "at most 10,000"),
        ({"licences": ["MIT"], "licence_lookup": False}, "needs `licence_lookup`"),
        ({"contact": "me\n@x"}, "e-mail"),
        ({"address": "export.arxiv.org"}, "an address such as"),
    ],
)
def test_mistakes_are_told(fields: dict[str, Any], said: str) -> None:
    given = {name: value for name, value in {**ALL, **fields}.items() if value is not None}
    with pytest.raises(ValidationError, match=said):
        spec_of(**given)


def test_a_day_may_be_yamls_own_and_is_in_the_key() -> None:
    import datetime

    spec = spec_of(**{**ALL, "submitted_to": datetime.date(2026, 1, 31)})
    assert arxiv.Listing(spec, "a").material() == arxiv.Listing(spec_of(**ALL), "b").material()  # type: ignore[arg-type]
    other = spec_of(**{**ALL, "files": "source"})
    assert arxiv.Listing(other, "a").material() == arxiv.Listing(spec, "a").material()  # type: ignore[arg-type]
    assert arxiv.Fetching(other, "a").material() != arxiv.Fetching(spec, "a").material()  # type: ignore[arg-type]
