"""Files and hub datasets: the same rows from every kind of file, and an error that helps for broken ones."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.json_array import array_items
from statllama.data.readers import read_file
from statllama.data.sources import fingerprint, pinned, resolve_commit, resolved, rows
from statllama.errors import DataError

ROWS = [{"text": "a"}, {"text": "zwei, ü 😀\nline"}, {"text": 'c "quoted"'}]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


texts = st.text(st.characters(exclude_categories=["Cs"]))


def source(name: str, **fields: Any) -> SourceSpec:
    return SourceSpec(path=name, format="text", **fields)


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [row for _, row in rows(source(name), folder)]


def fails(folder: Path, name: str, data: bytes | str) -> str:
    """The message about a file with these bytes."""
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(DataError) as caught:
        read(folder, name)
    assert caught.value.exit_code == 2
    assert name in str(caught.value)
    return str(caught.value)


def zst(data: bytes) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return sink.getvalue().to_pybytes()


def encoded(kind: str) -> bytes:
    if kind == "json":
        return json.dumps(ROWS, ensure_ascii=False, indent=1).encode()
    if kind == "jsonl":
        return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS).encode()
    if kind == "csv":
        return "".join(["text\n", "a\n", '"zwei, ü 😀\nline"\n', '"c ""quoted"""\n']).encode()
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *product(["json", "jsonl", "csv", "parquet"], ["as it is", "gz", "zst", "upper"]),
        *product(["json", "jsonl", "csv"], ["bom", "crlf"]),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str, change: str) -> None:
    data, name = encoded(kind), f"x.{kind}"
    if change == "gz":
        data, name = gzip.compress(data, mtime=0), f"{name}.gz"
    elif change == "zst":
        data, name = zst(data), f"{name}.zst"
    elif change == "bom":
        data = b"\xef\xbb\xbf" + data
    elif change == "crlf" and kind != "csv":  # in a quoted CSV cell the line end is data
        data = data.replace(b"\n", b"\r\n")
    elif change == "upper":
        name = name.upper()
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path, name) == ROWS


def test_where_names_file_row_and_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    places = [where for where, _ in rows(source("x.jsonl"), tmp_path)]
    assert places == [f"{tmp_path}/x.jsonl, row 1", f"{tmp_path}/x.jsonl, row 2 (line 3)"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(texts, texts | st.integers() | st.lists(texts))), st.integers(1, 40))
def test_array_is_read_in_blocks_of_any_size(tmp_path: Path, value: list[Any], size: int) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("statllama.data.textfiles.BLOCK", size)
        assert [item for _, item in array_items(path)] == value


def test_missing_file_names_folder_and_neighbours(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "trian.jsonl")
    text = str(caught.value)
    assert f"`trian.jsonl` is relative to {tmp_path}" in text
    assert "did you mean 'train.jsonl'?" in text
    with pytest.raises(DataError, match=r"the folder holds train\.jsonl"):
        read(tmp_path, "zzz.csv")
    with pytest.raises(DataError, match="there is no folder"):
        read(tmp_path, "sub/train.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no data file in this folder"):
        read(tmp_path, "folder")
    with pytest.raises(DataError, match="no file matches"):
        read(tmp_path, "**/*.csv")


def test_an_array_of_texts_is_one_of_documents(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('["one", "two"]', encoding="utf-8")
    assert list(read_file(tmp_path / "x.json")) == [(1, None, {"text": "one"}), (2, None, {"text": "two"})]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("x.jsonl", b"", ["the file is empty (0 bytes)"]),
        ("x.jsonl", b"\n\n", ["no rows"]),
        ("x.json", b"[]", ["no rows"]),
        ("x.csv", b"text\n", ["no rows"]),
        ("x.pdf", b"a", ["unknown extension '.pdf'", ".jsonl"]),
        ("x.jsnl", b"a", ["did you mean '.jsonl'"]),
        ("x.jsonl", b'{"a": 1}\n{"a": ', ["row 2 (line 2)", "not valid JSON", "cut off"]),
        ("x.jsonl", b'{"a": 1}\n{a: 1}\n', ["row 2 (line 2)", "at column 2"]),
        ("x.jsonl", b'[{"a": 1}]', ["a JSON array in a .jsonl file", "rename it to x.json"]),
        ("x.jsonl.gz", gzip.compress(b'[{"a": 1}]', mtime=0), ["rename it to x.json.gz"]),
        ("x.jsonl", b'{"a": 1}\n"text"\n', ["row 2", "not an object but a text"]),
        (
            "x.json",
            b'{"a": 1}\n{"a": 2}\n',
            ["starts with an object, but does not end with it", "rename it to x.jsonl"],
        ),
        ("x.json", b'"text"', ["not a JSON array of objects"]),
        ("x.json", b'[{"a": 1}, {"a": 2', ["ends inside row 2"]),
        ("x.json", b'[{"a": 1}, {"a": "x', ["ends inside row 2"]),
        ("x.json", b'[{"a": 1},', ["ends inside row 2"]),
        ("x.json", b'[{"a": 1}', ["ends inside row 2"]),
        ("x.json", b'[{"a": 1}, {a: 2}]', ["row 2", "not valid JSON", "{a: 2}"]),
        ("x.json", b'[{"a": 1} {"a": 2}]', ["no comma after row 1"]),
        ("x.json", b'[{"a": 1}, 7]', ["row 2", "not an object but 7"]),
        ("x.json", b'[{"a": 1}] []', ["more text after the array's end"]),
        ("x.csv", b"a,b\n1,2\n3\n", ["row 2 (line 3): 1 cell, not 2"]),
        ("x.csv", b"a,a\n1,2\n", ["names 'a' twice"]),
        ("x.csv", b'a\n"b" c\n', ["row 1 (line 2): not valid CSV"]),
        ("x.csv", b'a\n"b\n', ["row 1", "not valid CSV"]),
        ("x.parquet", b"PAR1 and not more", ["not a sound parquet file"]),
        ("x.jsonl.gz", b"plain", ["not a sound gzip file", "remove .gz"]),
        ("x.jsonl.zst", b"plain", ["not a sound zstd file", "remove .zst"]),
        (
            "x.jsonl",
            b'{"a": "ok"}\n{"a": "caf\xe9"}\n',
            ["byte at offset 22", "(line 2)", "iconv -f LATIN1 -t UTF-8"],
        ),
        ("x.json", b'[{"a": "caf\xe9"}]', ["byte at offset 11", "iconv"]),
        ("x.csv", b"a\ncaf\xe9\n", ["byte at offset 5", "iconv"]),
        ("x.jsonl", '{"a": 1}\n'.encode("utf-16"), ["byte at offset 0", "iconv -f UTF-16"]),
        ("x.jsonl", b'{"a": "ok"}\n{"a": ["n\\u0000"]}\n', ["row 2", "NUL character"]),
        ("x.jsonl", b'{"a": {"b": "\\ud83d"}}\n', ["row 1", "lone surrogate"]),
        ("x.csv", b"a\nx\x00y\n", ["row 1", "NUL character"]),
    ],
)
def test_broken_file_is_explained(tmp_path: Path, name: str, data: bytes, expected: list[str]) -> None:
    message = fails(tmp_path, name, data)
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("kind", "pack"), product(["json", "jsonl", "csv", "parquet", "txt"], [("gz", gzip.compress), ("zst", zst)])
)
def test_truncated_archive_is_explained(tmp_path: Path, kind: str, pack: tuple[str, Callable[[bytes], bytes]]) -> None:
    suffix, compress = pack
    data = compress(encoded("jsonl" if kind == "txt" else kind) * (1 if kind == "parquet" else 50))
    message = fails(tmp_path, f"x.{kind}.{suffix}", data[:-9])
    assert "the compressed file is cut off" in message
    assert ("gzip -t" if suffix == "gz" else "zstd -t") in message


def test_truncated_parquet_is_explained(tmp_path: Path) -> None:
    assert "or cut off" in fails(tmp_path, "x.parquet", encoded("parquet")[:-20])


def test_reading_is_lazy(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 10 + "broken\n")
    found = rows(source("x.jsonl"), tmp_path)
    assert [next(found)[1] for _ in range(10)] == [{"a": 1}] * 10
    with pytest.raises(DataError, match="row 11"):
        next(found)


def test_fingerprint_is_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"abc")
    assert fingerprint(source("x.jsonl"), tmp_path) == hashlib.sha256(b"abc").hexdigest()


def hub(**fields: Any) -> SourceSpec:
    return SourceSpec(**{"hub": "owner/name", "format": "text", **fields})


@pytest.mark.parametrize("offline", [False, True])
def test_hub_rows_are_streamed_from_the_resolved_commit(monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    import datasets

    asked: dict[str, Any] = {}

    def load(name: str, config: str | None, **options: Any) -> Any:
        asked.update(options, name=name, config=config)
        return datasets.IterableDataset.from_generator(lambda: iter([{"text": "a"}, {"text": "b"}]))

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("statllama.data.hub.resolve_commit", lambda *_: COMMIT)
    for _ in range(2):  # prepare reads twice
        found = list(rows(hub(config="c", split="test"), Path()))
        assert found == [(f"owner/name/c:test, row {i}", {"text": t}) for i, t in ((1, "a"), (2, "b"))]
    assert asked == {
        "name": "owner/name", "config": "c", "split": "test", "revision": COMMIT, "streaming": not offline
    }  # fmt: skip
    assert resolved(hub(format="auto"), Path()).format == "text"


def test_hub_that_breaks_off_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def broken() -> Any:
        yield {"text": "a"}
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: broken())
    monkeypatch.setattr("statllama.data.hub.resolve_commit", lambda *_: COMMIT)
    with pytest.raises(DataError, match=r"cannot be read after row 1 .*: reset by peer"):
        list(rows(hub(), Path()))


def test_hub_failure_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load(*_: Any, **__: Any) -> None:
        raise ValueError("BuilderConfig 'c' not found. Available: ['d']")

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr("statllama.data.hub.resolve_commit", lambda *_: COMMIT)
    with pytest.raises(DataError, match=r"owner/name at 0123456789ab .*BuilderConfig 'c' not found"):
        list(rows(hub(config="c"), Path()))


def test_commit_offline_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"cannot be reached .*nor the local cache") as caught:
        resolve_commit(hub())
    assert "use `path`" in str(caught.value)
    refs = tmp_path / "datasets--owner--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(COMMIT)
    prints = {fingerprint(s, tmp_path) for s in (hub(), hub(revision=COMMIT), hub(split="test"), hub(config="c"))}
    assert len(prints) == 3  # the commit alone does not tell splits and configurations apart
    assert resolve_commit(hub(revision=COMMIT[::-1])) == COMMIT[::-1]  # a commit names itself
    assert pinned(hub()).revision == COMMIT
    assert pinned(source("x.jsonl")) == source("x.jsonl")


def test_hub_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    answers: list[Callable[[], Any]] = []
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: answers.pop()())
    answers.append(lambda: type("Info", (), {"sha": COMMIT}))
    assert resolve_commit(hub()) == COMMIT

    def missing() -> Any:
        response = httpx.Response(404, request=httpx.Request("GET", "https://example.org"))
        raise RepositoryNotFoundError("no", response=response)

    def unreachable() -> Any:
        raise httpx.ConnectError("no route to host")

    for answer, said in ((missing, "the hub answered 404"), (unreachable, r"cannot be reached \(ConnectError\)")):
        answers.append(answer)
        with pytest.raises(DataError, match=said):
            resolve_commit(hub())


def test_data_package_loads_no_torch() -> None:
    code = "import sys, statllama.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
