"""The engine of `data build`: blocks that survive a kill, the same bytes in whatever processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.blocks import KEPT, LEFT_OUT, block_folder, left_out_of, records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.records import Json, Kept, LeftOut, Outcome
from statllama.errors import DataError, Interrupted
from statllama.store import Store
from tests.conftest import REPO


@dataclass(frozen=True)
class Halve:
    """Keeps even numbers, writes a file for each that is divisible by 10, and notes every call in a log."""

    log: str = ""
    name: str = "halve"
    block: int = 4
    threads: bool = False
    die_at: int = -1

    def material(self) -> Mapping[str, Any]:
        return {"name": "halve", "numerics": 1, "block": self.block}

    def plan(self, inputs: Callable[[], Iterator[Json]]) -> Any:
        return {"count": sum(1 for _ in inputs())}

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        for record in records:
            n = record["n"]
            if self.log:
                with open(self.log, "a") as log:
                    log.write(f"{n}\n")
            if n == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if n % 2:
                yield LeftOut("odd", f"number {n}", detail=str(n))
                continue
            made: Json = {"half": n // 2, "of": plan["count"]}
            if n % 10 == 0:
                (files / f"{n}.txt").write_text(str(n))
                made["file"] = f"files/{n}.txt"
            yield Kept(made)


def numbers(count: int) -> Callable[[], Iterator[Json]]:
    return lambda: ({"n": n} for n in range(count))


def run(store: Store, step: Halve, count: int = 21, jobs: int = 1, watcher: Watcher | None = None) -> Path:
    with Here(jobs) as here:
        return run_step(step, key_of(step, ["a"]), numbers(count), store, here, watcher or Watcher()).path


def bytes_of(folder: Path) -> dict[str, bytes]:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: (folder / name).read_bytes() for name in sorted(names) if name != "manifest.json"}


def test_what_goes_on_and_what_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = run(store, Halve())
    (entry,) = store.entries("steps")
    assert entry.path == path
    found = list(records_of(entry))
    assert [record["half"] for record in found] == list(range(11)) and found[0]["of"] == 21
    assert [Path(record["file"]).read_text() for record in found if "file" in record] == ["0", "10", "20"]
    assert [each["detail"] for each in left_out_of(entry)] == [str(n) for n in range(1, 21, 2)]
    assert (
        entry.manifest["records"] == 21 and entry.manifest["kept"] == 11 and entry.manifest["left_out"] == {"odd": 10}
    )


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    run(Store(tmp_path), Halve(log))
    before = Path(log).read_text()
    run(Store(tmp_path), Halve(log))
    assert Path(log).read_text() == before


def test_processes_make_the_same_bytes(tmp_path: Path) -> None:
    one, three = run(Store(tmp_path / "one"), Halve()), run(Store(tmp_path / "three"), Halve(), jobs=3)
    assert bytes_of(one) == bytes_of(three)


def test_interrupted_between_blocks_it_goes_on(tmp_path: Path) -> None:
    log, calls = str(tmp_path / "log"), []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run(Store(tmp_path / "w"), Halve(log), watcher=Watcher(stop=stop))
    path = run(Store(tmp_path / "w"), Halve(log))
    assert Path(log).read_text().split() == [str(n) for n in range(21)]  # each number once
    assert bytes_of(path) == bytes_of(run(Store(tmp_path / "other"), Halve()))


@pytest.mark.parametrize("die_at", [0, 7, 20])
def test_killed_it_goes_on_to_the_same_bytes(tmp_path: Path, die_at: int) -> None:
    script = f"""
        from pathlib import Path
        from statllama.store import Store
        from tests.data.build.test_chain import Halve, run
        run(Store(Path({str(tmp_path / "w")!r})), Halve(die_at={die_at}))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=REPO, check=False)
    assert ended.returncode == -signal.SIGKILL
    store = Store(tmp_path / "w")
    assert not store.entries("steps")
    assert bytes_of(run(store, Halve())) == bytes_of(run(Store(tmp_path / "other"), Halve()))


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was killed") as error:
        run(Store(tmp_path), Halve(die_at=5), jobs=2)
    assert "--jobs 1" in str(error.value.remedy)


@pytest.mark.parametrize("name", [KEPT, LEFT_OUT, "files/0.txt"])
def test_a_damaged_block_is_made_again(tmp_path: Path, name: str) -> None:
    store, step = Store(tmp_path / "w"), Halve()

    def stop() -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run(store, step, watcher=Watcher(stop=stop))
    (working,) = store.listed("partial")
    (block_folder(working, 0) / name).write_bytes(b"damaged")
    assert bytes_of(run(store, step)) == bytes_of(run(Store(tmp_path / "other"), Halve()))


def test_another_setting_or_input_is_another_key() -> None:
    keys = {key_of(Halve(), ["a"]), key_of(Halve(block=5), ["a"]), key_of(Halve(), ["b"]), key_of(Halve(), ["a", "b"])}
    assert len(keys) == 4 and key_of(Halve(log="x", name="other"), ["a"]) in keys


@dataclass(frozen=True)
class Broken(Halve):
    """Keeps what is no text."""

    def apply(self, records: Sequence[Json], plan: Any, files: Path) -> Iterator[Outcome]:
        yield Kept({"text": "lone \ud800 surrogate"})


def test_text_that_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text"):
        run(Store(tmp_path), Broken())
