"""The container of bundles: any files go in and come out, the same bytes each time."""

from __future__ import annotations

import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statllama.errors import StoreError, UsageError
from statllama.store.archive import is_archive, open_archive, write_archive

part = st.text("abcXYZ019_-+@", min_size=1, max_size=8).filter(lambda text: text[0] not in "-+")
names = st.lists(part, min_size=1, max_size=4).map("/".join)


def hashes(members: dict[str, bytes]) -> dict[str, dict[str, object]]:
    return {name: {"sha256": sha256(data).hexdigest(), "bytes": len(data)} for name, data in members.items()}


@settings(max_examples=60)
@given(members=st.dictionaries(names, st.binary(max_size=2000), min_size=1, max_size=6), about=st.text(max_size=20))
def test_files_come_out_as_they_went_in(members: dict[str, bytes], about: str) -> None:
    members = {name: data for name, data in members.items() if name.casefold() not in others(members, name)}
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        for path in (first, second):
            write_archive(path, {"about": about}, dict(reversed(members.items())), hashes(members))
        assert first.read_bytes() == second.read_bytes()
        assert is_archive(first)
        assert not is_archive(Path(folder)) and not is_archive(Path(folder) / "none")
        with open_archive(first) as archive:
            assert archive.manifest["about"] == about
            assert archive.size == sum(map(len, members.values()))
            for name, data in members.items():
                archive.extract(name, Path(folder) / "out" / sha256(name.encode()).hexdigest())
                assert archive.read(name) == data
                assert (Path(folder) / "out" / sha256(name.encode()).hexdigest()).read_bytes() == data
        with zipfile.ZipFile(first) as plain:  # it is a zip that any tool opens
            assert plain.testzip() is None
            assert set(plain.namelist()) == {"bundle.json", *members}


def others(members: dict[str, bytes], name: str) -> set[str]:
    return {other.casefold() for other in members if other != name} | {"bundle.json"}


def test_a_file_that_is_not_as_recorded_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"changed")
    with pytest.raises(StoreError, match="file is damaged"):
        write_archive(tmp_path / "a", {}, {"x": tmp_path / "file"}, hashes({"x": b"as it was"}))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(UsageError, match="file exists already"):
        write_archive(tmp_path / "file", {}, {}, {})
