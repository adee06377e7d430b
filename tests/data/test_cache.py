"""What is kept of prepared data: written small, read back the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.data.cache import kept, prune, read_rows, write_rows
from statllama.store import Store
from statllama.store.canonical import digest
from tests.conftest import REPO

ids = st.lists(st.tuples(st.integers(0, 128_255), st.booleans()), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(ids, min_size=1, max_size=12))
def test_any_rows_come_back(tmp_path: Path, rows: list[list[tuple[int, bool]]]) -> None:
    written = [
        {
            "input_ids": np.array([token for token, _ in row], dtype=np.int32),
            "labels": np.array([token if learned else -100 for token, learned in row], dtype=np.int32),
            "seq_lengths": np.array([len(row)], dtype=np.int32),
        }
        for row in rows
    ]
    assert write_rows(tmp_path / "data.arrow", written, ("input_ids", "labels", "seq_lengths")) == len(rows)
    found = list(read_rows(tmp_path / "data.arrow"))
    assert found == [{name: values.tolist() for name, values in row.items()} for row in written]


def test_many_batches_and_no_file_left_behind(tmp_path: Path) -> None:
    rows = [{"prompt_ids": np.full(i % 7 + 1, i, dtype=np.int32)} for i in range(1000)]
    write_rows(tmp_path / "data.arrow", rows, ("prompt_ids",))
    before = set(os.listdir("/tmp")) if os.path.isdir("/tmp") else set()
    dataset = read_rows(tmp_path / "data.arrow")
    assert not [name for name in set(os.listdir("/tmp")) - before if name.startswith("statllama-")]
    assert dataset[777] == {"prompt_ids": [777] * (777 % 7 + 1)} and len(dataset) == 1000


def test_kept_data_are_listed_and_pruned_by_age(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [digest(i) for i in range(3)]
    for age, key in enumerate(keys):
        with store.hold("cache", key):
            (store.fresh_out("cache", key) / "data").write_bytes(b"x" * (age + 1))
            entry = store.publish("cache", key, {"what": "chosen rows", "sources": [f"{age}.jsonl"]})
        made = time.time() - age * 1000
        os.utime(entry.path / "manifest.json", (made, made))
    assert [(item.entry.key, item.size) for item in kept(store)] == [(keys[2], 3), (keys[1], 2), (keys[0], 1)]
    with store.hold("cache", keys[2]):  # in use
        assert [item.entry.key for item in prune(store, older_than=500)] == [keys[1]]
    assert [item.entry.key for item in prune(store, older_than=0)] == [keys[2], keys[0]]
    assert kept(store) == [] and not any((tmp_path / "cache").iterdir())


def test_no_room_to_unpack(tmp_path: Path) -> None:
    """In a process that may write files of one page only: the message names the folder and what to do."""
    rows = [{"prompt_ids": np.arange(4000, dtype=np.int32) % 7} for _ in range(20)]
    write_rows(tmp_path / "data.arrow", rows, ("prompt_ids",))
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "import datasets\n"
        "from statllama.data.cache import read_rows\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "read_rows(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data.arrow")]
    env = {**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert f"{tmp_path} has no room to unpack" in ended.stderr and "set TMPDIR" in ended.stderr
