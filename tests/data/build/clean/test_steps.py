"""The steps together: keys, processes, memory."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.blocks import records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.clean.benchmarks import Benchmarks
from statllama.data.build.clean.boilerplate import Boilerplate
from statllama.data.build.clean.filters import Filters
from statllama.data.build.clean.language import detector_version
from statllama.data.build.clean.repeats import Repeats
from statllama.data.build.clean.spec import BoilerplateSpec, CleanSpec, LengthSpec
from statllama.data.build.clean.steps import steps
from statllama.data.build.records import Json
from statllama.errors import DataError
from statllama.store import Store
from tests.data.build.clean.test_language import LANGUAGES
from tests.data.build.clean.writing import MORE, PROSE, document, row, section

FOOT = "Journal of Worked Examples, volume {}, page {}"


def given(count: int) -> Iterator[Json]:
    """Documents and rows of all kinds, a few of which repeat."""
    for i in range(count):
        own = f"The value of group {i} was {i * 7 % 13} and that of group {i + 1} was {i * 5 % 11}, as we saw. "
        name = f"d{i:05d}"
        yield document(
            name,
            section(f"{own * 2}{PROSE}\n{FOOT.format(i, i)}", f"Part of {name}"),
            section(LANGUAGES["de"] if i % 5 == 0 else f"{MORE} {own} Ask ann{i}@uni-ulm.de.", "Two", 2),
            section("[1] Lee, 1999", "References", kind="references"),
        )
        yield row(f"r{i:05d}", prompt=f"What is {i % 15} + 3?", completion=f"It is {i % 15 + 3}.")


def test_the_steps_of_a_spec() -> None:
    made = steps(CleanSpec(tasks=["ap_statistics"]), Path())
    assert [step.name for step in made] == ["clean", "clean:duplicates", "clean:boilerplate"]
    assert len(steps(CleanSpec(contamination="ignore", duplicates="none", boilerplate=None), Path())) == 1


def run(store: Store, jobs: int, count: int) -> list[Path]:
    spec = CleanSpec(tasks=["quickstart_stats"])
    paths, keys, inputs = [], ["start"], lambda: given(count)
    with Here(jobs) as here:
        for whole in steps(spec, Path()):
            step = replace(whole, block=14)  # type: ignore[type-var]
            keys.append(key_of(step, keys[-1:]))
            entry = run_step(step, keys[-1], inputs, store, here, Watcher())
            paths.append(entry.path)
            inputs = lambda entry=entry: records_of(entry)  # type: ignore[misc]  # noqa: E731
    return paths


def test_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    one, two = run(Store(tmp_path / "one"), 1, 21), run(Store(tmp_path / "two"), 2, 21)
    for a, b in zip(one, two, strict=True):
        for name in ("kept.jsonl", "left_out.jsonl"):
            assert (a / name).read_bytes() == (b / name).read_bytes() and (a / name).stat().st_size
    lost = [left["reason"] for path in one for left in map(json.loads, (path / "left_out.jsonl").open())]
    assert {
        "section: references",
        "section: language is not en",
        "replaced: e-mail address",
        "row: repeats an earlier one",
        "lines: the same in many places",
    } <= set(lost)


KEYED: list[dict[str, Any]] = [
    {"drop_sections": []},
    {"length": {"section": 21}},
    {"language": "de"},
    {"language_certainty": 0.7},
    {"quality": None},
    {"quality": {"most_hashes": 0.2}},
    {"quality": {"most_in_top_ngram": [0.3, 0.3, 0.2]}},
    {"pii": "keep"},
    {"pii_kinds": ["email"]},
    {"suspects": False},
    {"contamination": "ignore"},
    {"tasks": ["ap_statistics", "quickstart_stats"]},
]


def test_what_is_in_a_key() -> None:
    def key(step: Any) -> str:
        return key_of(step, ["a"])

    plain = {"tasks": ["ap_statistics"]}
    keys = [key(steps(CleanSpec(**plain | fields), Path())[0]) for fields in [{}, *KEYED]]
    assert len(set(keys)) == len(keys)
    unlike = {"duplicates": "exact", "boilerplate": None}  # of other steps
    assert key(steps(CleanSpec(**plain | unlike), Path())[0]) == keys[0]
    assert key(Repeats("near")) != key(Repeats("exact"))
    specs = [BoilerplateSpec(), BoilerplateSpec(documents=11), BoilerplateSpec(notices=False)]
    boilerplate = [Boilerplate(spec, LengthSpec()) for spec in specs] + [Boilerplate(specs[0], LengthSpec(section=5))]
    assert len(set(map(key, boilerplate))) == 4
    assert key(Boilerplate(specs[0], LengthSpec(row=9))) == key(boilerplate[0])


def test_where_questions_lie_is_not_in_the_key(tmp_path: Path) -> None:
    line = json.dumps({"question": PROSE, "answer": "1"}) + "\n"
    keys = set()
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text(line.replace("standard", "other") if name == "c" else line)
        spec = CleanSpec(tasks=["gsm8k"], benchmarks={"gsm8k": str(tmp_path / f"{name}.jsonl")})
        keys.add(key_of(steps(spec, Path())[0], []))
    assert len(keys) == 2


def test_without_the_detector_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(DataError) as error:
        detector_version()
    assert "pip install 'statllama[build]'" in str(error.value.remedy)


def peak(count: int) -> int:
    """Most bytes that the steps allocate for so many documents, which are made as they are read."""
    spec = CleanSpec(contamination="ignore", language=None)
    tracemalloc.start()
    for step in (Filters(spec, Benchmarks(), block=4), Boilerplate(BoilerplateSpec(), LengthSpec(), block=4)):
        plan = step.plan(lambda: given(count))
        records = given(count)
        while part := [record for _, record in zip(range(step.block), records, strict=False)]:
            for _ in step.apply(part, plan, Path()):
                pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_documents() -> None:
    peak(8)  # what is remembered of words
    assert peak(32) < 1.1 * peak(8)
