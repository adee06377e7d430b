"""The posts of a Stack Exchange dump, each question with its answers.

A question and its answers may stand gigabytes apart. Two passes with what is needed in memory would take hundreds of
bytes a post, gigabytes for a large site; so one pass puts the posts into a scratch database of SQLite on the disk,
about as large as the unpacked dump, and a second one reads them in order. A killed build makes the database again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from statllama.data.build.collect._xml import XmlError, each
from statllama.data.build.records import Json
from statllama.data.textfiles import explained, open_bytes
from statllama.errors import DataError, StoreError
from statllama.store.files import temporary_folder

QUESTION, ANSWER = "1", "2"
_NUMBERS = ("Score", "AcceptedAnswerId", "OwnerUserId")
_TEXTS = ("CreationDate", "ClosedDate", "DeletionDate", "OwnerDisplayName", "ContentLicense", "Title", "Tags", "Body")
_COLUMNS = ("id", "question", *_NUMBERS, *_TEXTS)
_BATCH = 1000


def questions(path: Path, limit: int | None) -> Iterator[Json]:
    """Yield {question, answers} in the order of the questions' ids, with the question None where it is not in the dump;
    the first `limit` of them. Without a limit {line, problem} follows of posts that are broken or of another kind.

    DataError for a file that is cut off or no dump, StoreError when the scratch disk is full.
    """
    with temporary_folder() as folder, closing(sqlite3.connect(folder / "posts.sqlite")) as database:
        try:
            database.executescript(_SCHEMA)
            _fill(database, path)
            yield from _in_order(database, limit)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot use the scratch database in {folder}: {error}",
                remedy="set TMPDIR to a folder on a disk with as much space as the unpacked dump takes",
            ) from None


_SCHEMA = f"""
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE; PRAGMA cache_size = -4000;
    CREATE TABLE posts (id INTEGER PRIMARY KEY, question INTEGER NOT NULL,
                        {", ".join(f"{name} INTEGER" for name in _NUMBERS)},
                        {", ".join(f"{name} TEXT" for name in _TEXTS)});
    CREATE TABLE problems (line INTEGER, problem TEXT);
"""


def _fill(database: sqlite3.Connection, path: Path) -> None:
    insert = f"INSERT OR IGNORE INTO posts VALUES ({', '.join('?' * len(_COLUMNS))})"

    def take(found: Mapping[str, str], line: int) -> None:
        row = _row(found)
        problem = row if isinstance(row, str) else None
        if not isinstance(row, str) and not database.execute(insert, row).rowcount:
            problem = "a post whose id stands twice"
        if problem is not None:
            database.execute("INSERT INTO problems VALUES (?, ?)", (line, problem))

    with explained(path), open_bytes(path) as file:
        try:
            root = each(file, "row", take)
        except XmlError as error:
            raise DataError(
                f"{path}: not sound XML, or cut off: {error}", remedy="download or unpack the dump again"
            ) from None
    if root != "posts":
        raise DataError(f"{path}: <{root}> in place of <posts>", remedy="give the dump's Posts.xml")
    database.execute("CREATE INDEX by_question ON posts (question, id)")
    database.commit()


def _row(found: Mapping[str, str]) -> tuple[Any, ...] | str:
    """Return a post as a row of the table, or what is wrong with it."""
    kind = found.get("PostTypeId")
    if kind not in (QUESTION, ANSWER):
        return "a post that is neither question nor answer" if kind else "a post without its kind"
    try:
        name = int(found["Id"])
        question = name if kind == QUESTION else int(found["ParentId"])
        numbers = [int(found[each]) if found.get(each) else None for each in _NUMBERS]
    except (KeyError, ValueError):
        return "a post with a number that is missing or none"
    if not all(abs(number or 0) < 2**63 for number in (name, question, *numbers)):
        return "a post with a number that is missing or none"
    return (name, question, *numbers, *(found.get(each) for each in _TEXTS))


def _in_order(database: sqlite3.Connection, limit: int | None) -> Iterator[Json]:
    count = 0
    group: list[Json] = []
    for row in database.execute(f"SELECT {', '.join(_COLUMNS)} FROM posts ORDER BY question, id"):
        post = dict(zip(_COLUMNS, row, strict=True))
        if group and group[0]["question"] != post["question"]:
            if limit is not None and count >= limit:
                return
            count += 1
            yield _grouped(group)
            group = []
        group.append(post)
    if group and (limit is None or count < limit):
        yield _grouped(group)
    if limit is None:
        for line, problem in database.execute("SELECT line, problem FROM problems ORDER BY rowid"):
            yield {"line": line, "problem": problem}


def _grouped(posts: list[Json]) -> Json:
    question = next((post for post in posts if post["id"] == post["question"]), None)
    return {"question": question, "answers": [post for post in posts if post is not question]}
