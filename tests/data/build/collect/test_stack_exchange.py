"""Questions with answers, and pairs of answers, from a dump of posts."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pyarrow
import pytest
from pydantic import ValidationError

from statllama.config.source import SourceSpec
from statllama.data.build.collect import stack_exchange
from statllama.data.formats import parse_row
from statllama.errors import DataError, StoreError
from tests.data.build.collect.running import REPO, bytes_of, collect, kept, killed_at, left_out, spec_of

LONG = "<p>Because the variance of the mean is $\\sigma^2/n$, it shrinks.</p>"


def post(id: int, kind: int, **fields: Any) -> str:
    given = {
        "Id": id,
        "PostTypeId": kind,
        "Score": 5,
        "CreationDate": "2019-01-01T00:00:00.000",
        "Body": LONG,
        **fields,
    }
    return (
        "  <row "
        + " ".join(f"{name}={quoteattr(str(value))}" for name, value in given.items() if value is not None)
        + " />"
    )


def question(id: int, **fields: Any) -> str:
    return post(id, 1, **{"Title": f"Why {id}?", "Tags": "<mean><anova>", "Body": f"<p>Why <b>{id}</b>?</p>", **fields})


def answer(id: int, parent: int, **fields: Any) -> str:
    return post(id, 2, **{"ParentId": parent, "Body": LONG.replace("Because", f"Because {id}"), **fields})


def write(path: Path, *rows: str, head: str = "", tail: str = "</posts>") -> Path:
    data = ("<?xml version='1.0' encoding='utf-8'?>\n" + head + "<posts>\n" + "\n".join(rows) + "\n" + tail).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = pyarrow.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return path


def one(root: Path, jobs: int = 1, **fields: Any) -> Any:
    given = {
        "type": "stack_exchange",
        "path": "Posts.xml",
        "site": "stats.stackexchange.com",
        "min_chars": 20,
        **fields,
    }
    return collect(root / "w", root, jobs, **given)[0]


@pytest.mark.parametrize("name", ["Posts.xml", "Posts.xml.gz", "Posts.xml.zst"])
def test_a_question_with_its_accepted_answer(tmp_path: Path, name: str) -> None:
    rows = [
        answer(9, 1, Score=1, OwnerUserId=7, ContentLicense="CC BY-SA 4.0"),  # far from its question, and before it
        answer(3, 1, Score=90, CreationDate="2012-01-01"),
        question(1, AcceptedAnswerId=9, OwnerDisplayName="Ada", CreationDate="2010-07-19T19:12:12.510"),
    ]
    write(tmp_path / name, *rows)
    (row,) = kept(one(tmp_path, path=name))
    assert row["row"] == {
        "question": "Why 1?\n\nWhy **1**?",
        "answer": "Because 9 the variance of the mean is $\\sigma^2/n$, it shrinks.",
    }
    assert (row["part"], row["format"], row["id"]) == (
        "questions",
        "question_answer",
        "stack_exchange:stats.stackexchange.com/1:9",
    )
    assert row["provenance"] == {
        "document": "stack_exchange:stats.stackexchange.com/1",
        "place": "https://stats.stackexchange.com/q/1",
        "licence": "CC-BY-SA-2.5 AND CC-BY-SA-4.0",
        "section": "Why 1?",
        "attribution": [
            {"place": "https://stats.stackexchange.com/q/1", "votes": 5, "author": "Ada", "licence": "CC-BY-SA-2.5"},
            {"place": "https://stats.stackexchange.com/a/9", "votes": 1, "licence": "CC-BY-SA-4.0",
             "author": "https://stats.stackexchange.com/users/7"},
        ],
        "tags": ["mean", "anova"],
        "accepted": True,
    }  # fmt: skip
    parse_row(SourceSpec(path="x", format=row["format"]), row["row"], "row")


def test_pairs_that_votes_tell_apart(tmp_path: Path) -> None:
    rows = [
        question(1, AcceptedAnswerId=4),
        *(answer(i, 1, Score=s) for i, s in ((2, 20), (3, 16), (4, 1), (5, 2), (6, -3))),
    ]
    rows += [question(10), answer(11, 10, Score=6), answer(12, 10, Score=2)]
    write(tmp_path / "Posts.xml", *rows)
    entry = one(tmp_path, part=None, pairs_part="votes", pairs=3)
    assert [row["id"].partition("/")[2] for row in kept(entry)] == [
        "1:2:5",
        "1:2:6",
        "1:3:5",
    ]  # what was accepted, never
    assert left_out(entry) == {"stack_exchange:stats.stackexchange.com/10": "no two answers 5 votes apart"}
    first = kept(entry)[0]
    assert first["row"]["chosen"].startswith("Because 2 ") and first["row"]["rejected"].startswith("Because 5 ")
    example = parse_row(SourceSpec(path="x", format=first["format"]), first["row"], "row")
    assert example.chosen == first["row"]["chosen"]  # type: ignore[union-attr]
    assert [each["votes"] for each in first["provenance"]["attribution"]] == [5, 20, 2]


def test_what_is_left_out_and_why(tmp_path: Path) -> None:
    rows = [
        question(1, ClosedDate="2020-01-01"), question(2, Score=0), question(3, Tags="|r|homework|"),
        question(4, Body="<p>See <img src='x'></p>"), question(5, DeletionDate="2020-01-01"), question(6),
        answer(60, 6, Score=2), question(7, AcceptedAnswerId=70), answer(70, 7, Body="<p>Short.</p>"),
        answer(71, 7, Score=2), answer(80, 8), post(90, 5), "<row Id='x' PostTypeId='1'/>", "<row PostTypeId='2'/>",
        question(7), question(12, Title=None), question(13), answer(130, 13, Score=3), "<row/>",
        question(10, Tags="<r>"), f"<row Id='{2**70}' PostTypeId='1'/>",
    ]  # fmt: skip
    write(tmp_path / "Posts.xml", *rows)
    entry = one(tmp_path, tags=["mean", "homework"], tags_without=["homework"])
    assert [row["provenance"]["document"][-2:] for row in kept(entry)] == ["13"]
    assert entry.manifest["left_out"] == {
        "a post with a number that is missing or none": 3,
        "no accepted answer, and none with 3 votes": 2,
        "a post that is neither question nor answer": 1,
        "a post whose id stands twice": 1,
        "a post without its kind": 1,
        "a question that was closed": 1,
        "a question that was deleted": 1,
        "a question with an image": 1,
        "a question with fewer than 1 votes": 1,
        "a question with no tag among mean, homework": 1,
        "a question with the tag homework": 1,
        "a question without title or text": 1,
        "an answer of fewer than 20 characters": 1,
        "an answer whose question is not in the dump": 1,
    }
    assert "Posts.xml, line 15" in left_out(entry)
    assert (
        len(kept(one(tmp_path, closed=True, images=True, min_score=-9, limit=3))) == 0
    )  # of the first three questions


def test_licences(tmp_path: Path) -> None:
    write(
        tmp_path / "Posts.xml",
        question(1, CreationDate="2011-04-07T23:59:59.9"),
        answer(2, 1, CreationDate="2018-05-01"),
    )
    assert list(left_out(one(tmp_path, licences=["CC-BY-SA-3.0", "CC-BY-SA-4.0"])).values()) == [
        "licence CC-BY-SA-2.5 is not among CC-BY-SA-3.0, CC-BY-SA-4.0"
    ]
    assert len(kept(one(tmp_path, licences=["CC BY-SA 2.5", "CC BY-SA 3.0"]))) == 1


BOMB = '<!DOCTYPE posts [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("head", "tail", "said"),
    [
        (BOMB, "</posts>", "line 2: a document type"),
        ('<!DOCTYPE posts SYSTEM "file:///etc/passwd">', "</posts>", "a document type"),
        ("", "", "not sound XML, or cut off: no element found"),
        ("", "<row Id='1' </posts>", "not sound XML.*line 4"),
    ],
)
def test_a_dump_that_is_no_dump(tmp_path: Path, head: str, tail: str, said: str) -> None:
    write(tmp_path / "Posts.xml", question(1), head=head, tail=tail)
    with pytest.raises(DataError, match=said):
        one(tmp_path)


def test_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "Users.xml").write_text("<users><row Id='1'/></users>")
    with pytest.raises(DataError, match="<users> in place of <posts>"):
        one(tmp_path, path="Users.xml")
    with pytest.raises(DataError, match="7z is not read") as error:
        one(tmp_path, path="stats.7z")
    assert "7z x stats.7z Posts.xml" in str(error.value.remedy)
    with pytest.raises(DataError, match="no file of a dump"):
        one(tmp_path, path="Posts.xml")
    for fields, said in (({"part": None}, "`part`, `pairs_part` or both"), ({"pairs_part": "questions"}, "are both"),
                         ({"site": "https://x"}, "pattern")):  # fmt: skip
        with pytest.raises(ValidationError, match=said):
            spec_of("stack_exchange", path="x", **{"site": "a.com", **fields})


def test_a_full_scratch_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "Posts.xml", *(question(i) for i in range(200)))
    schema = "PRAGMA max_page_count = 6;" + stack_exchange.questions.__globals__["_SCHEMA"]
    monkeypatch.setitem(stack_exchange.questions.__globals__, "_SCHEMA", schema)
    with pytest.raises(StoreError, match="full") as error:
        one(tmp_path)
    assert "TMPDIR" in str(error.value.remedy)


def test_killed_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    rows = [post for i in range(300) for post in (question(i), answer(1000 + i, i), answer(3000 - i, i, Score=30))]
    write(tmp_path / "Posts.xml", *rows)
    fields = {"type": "stack_exchange", "path": "Posts.xml", "site": "a.com", "pairs_part": "votes", "min_chars": 20}
    (sound,) = collect(tmp_path / "sound", tmp_path, **fields)
    killed_at(250, tmp_path / "w", tmp_path, stack_exchange.__name__, "_rows", fields)
    assert bytes_of(collect(tmp_path / "w", tmp_path, **fields)[0]) == bytes_of(sound)
    assert len(kept(sound)) == 600


def test_memory_is_flat_in_the_size_of_the_dump(tmp_path: Path) -> None:
    """Ten times the posts, the same peak: measured by the kernel in a process of its own."""
    script = f"""
        import resource
        from pathlib import Path
        from statllama.data.build.collect._posts import questions
        peaks = []
        for name in ("warm", "small", "large"):
            assert sum(1 for _ in questions(Path({str(tmp_path)!r}, name + ".xml"), None))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        print(peaks[2] - peaks[1])
    """
    for name, count in (("warm", 300), ("small", 310), ("large", 3000)):
        write(tmp_path / f"{name}.xml", *(question(i, Body="word " * 800) for i in range(count)))
    grown = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=REPO, check=True, capture_output=True)
    assert int(grown.stdout) < 5_000  # KiB, of which SQLite's cache may take 4,000; the larger dump has 12,000 KiB more
