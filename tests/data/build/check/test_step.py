"""The step in the real engine: what is kept and left out with which finding, the same bytes in any number of processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from statllama.config.keyed import keyed
from statllama.data.build.blocks import left_out_of, records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.check import CheckStep, Reply, Request, Spec, steps
from statllama.data.build.check.checks import check_module, check_names, different, form, numeric
from statllama.data.build.check.reading import EMPTY
from statllama.data.build.records import Json
from statllama.errors import DataError
from statllama.store import Entry, Store
from tests.data.build.check.rows import row

ALONE: Json = {"form": {}, "grounded": {}, "numeric": {}}


@dataclass(frozen=True)
class Says:
    """A server that says one thing, and counts its rounds."""

    text: str
    rounds: list[int] = field(default_factory=list)

    def material(self) -> Json:
        return {"model": self.text}

    def ask(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.rounds.append(len(requests))
        return [Reply(self.text) for _ in requests]


def records() -> list[Json]:
    return [
        row(name="good"),
        row(name="refusal", question="How many were asked?", answer="I cannot answer that."),
        row(name="wrong", question="How many adults are 0.26 of 400?", answer="248 / 400 = 0.26\nAnswer: 0.26"),
        row(name="empty", answer=" "),
        row(name="again"),
        row(name="nearly", question="Of the 400 adults that were asked what share reads the news?"),
    ]


def run(folder: Path, spec: Json, rows: Sequence[Json], jobs: int = 1, servers: Any = None) -> list[Entry]:
    """The steps one after another, as a build runs them."""
    store, entries, before = Store(folder), list[Entry](), ["rows"]
    for step in steps(Spec.model_validate(spec), servers or {}, folder):
        source = entries[-1] if entries else None

        def inputs(source: Entry | None = source) -> Iterator[Json]:
            return iter(rows) if source is None else records_of(source)

        with Here(jobs) as here:
            key = key_of(step, before)
            entries.append(run_step(step, key, inputs, store, here, Watcher()))
        before = [key]
    return entries


def kept(entries: Sequence[Entry]) -> list[str]:
    return [record["id"] for record in records_of(entries[-1])]


def reasons(entries: Sequence[Entry]) -> dict[str, str]:
    return {found["where"]: found["reason"] for entry in entries for found in left_out_of(entry)}


def test_rows_are_left_out_at_their_first_failure(tmp_path: Path) -> None:
    entries = run(tmp_path, {**ALONE, "different": {}}, records())
    assert kept(entries) == ["good", "nearly"]
    assert reasons(entries) == {
        "refusal": form.REFUSES, "wrong": numeric.ARITHMETIC, "empty": EMPTY, "again": different.SAME_QUESTION,
    }  # fmt: skip
    (refusal,) = [found for found in left_out_of(entries[0]) if found["where"] == "refusal"]
    assert list(refusal["record"]["provenance"]["checks"]) == ["form"]  # the dearer checks did not see it
    good = next(records_of(entries[-1]))
    assert set(good["provenance"]["checks"]) == {"form", "grounded", "numeric", "different"}
    assert good["row"] == records()[0]["row"] and good["context"] == records()[0]["context"]


def test_all_measures_every_check_of_every_row(tmp_path: Path) -> None:
    entries = run(tmp_path, {**ALONE, "different": {}, "all": True}, records())
    assert reasons(entries[:1]) == {}
    assert kept(entries) == ["good", "nearly"]
    found = {each["where"]: each["record"]["provenance"]["checks"] for each in left_out_of(entries[1])}
    assert set(found["refusal"]) == {"form", "grounded", "numeric", "different"}
    assert found["refusal"]["form"]["passed"] is False and found["refusal"]["numeric"]["passed"] is None
    assert reasons(entries) == reasons(run(tmp_path / "other", {**ALONE, "different": {}}, records()))


def test_blocks_and_processes_make_no_difference(tmp_path: Path) -> None:
    many = [{**record, "id": f"{record['id']}-{i}"} for i in range(4) for record in records()]
    spec = {**ALONE, "different": {}}
    one, two = (run(tmp_path / str(block), {**spec, "block": block}, many) for block in (5, 500))
    for left, right in zip(one, two, strict=True):
        for name in ("kept.jsonl", "left_out.jsonl"):
            assert (left.path / name).read_bytes() == (right.path / name).read_bytes()
    for step in steps(Spec.model_validate({**spec, "judge": {}}), {"one": Says("x")}, tmp_path):
        there = pickle.loads(pickle.dumps(step))  # as another process has it
        assert there.material() == step.material()
        assert there.name != "check:alone" or there.apply(many, None, tmp_path) == step.apply(many, None, tmp_path)


def test_a_repeat_of_what_was_left_out_stays(tmp_path: Path) -> None:
    wrong = row(name="first", answer="248 / 400 = 0.26\nAnswer: 0.26")
    entries = run(tmp_path, {**ALONE, "different": {}}, [wrong, row(name="second")])
    assert kept(entries) == ["second"]


def test_a_near_copy_of_a_repeat_is_compared_with_what_stays(tmp_path: Path) -> None:
    long = (
        "Of the 400 adults that were asked at random in this survey, what share reads the news on every day of a week"
    )
    rows = [row(name="a", question="One question here?"), row(name="b", question=f"{long}?"),
            row(name="c", question=f"{long}", answer="248 / 400 = 0.62\nAnswer: 0.62 or so")]  # fmt: skip
    assert reasons(run(tmp_path, {"different": {}}, rows)) == {"c": different.NEARLY}
    assert reasons(run(tmp_path, {"different": {"rows": "exact"}}, rows)) == {}


def test_semantic_copies_by_any_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is not at hand here: the embedder counts letters, which anagrams share."""

    def embed(texts: Sequence[str]) -> Any:
        counts = np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float)
        return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr("statllama.data.duplicates.sentence_embedder", lambda: embed)
    rows = [row(name="a", question="Is the least mean taken?", answer="Yes."),
            row(name="b", question="Taken is mean least the?", answer="Yes.")]  # fmt: skip
    assert reasons(run(tmp_path, {"different": {"rows": "semantic"}}, rows)) == {"b": different.NEARLY}


def test_two_rows_with_one_id_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two written rows have the id 'a'"):
        run(tmp_path, {"different": {}}, [row(name="a"), row(name="a", question="What else is there?")])


def test_a_server_sees_the_rows_of_a_block_together(tmp_path: Path) -> None:
    server = Says("0.62. Answer: 0.62")
    spec = {**ALONE, "answerable": {"times": 2}, "asked_block": 3}
    entries = run(tmp_path, spec, records(), servers={"one": server})
    assert kept(entries) == ["good", "again", "nearly"] and server.rounds == [6]


def test_a_check_that_asks_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`check.judge` asks a model, and the build has no server"):
        steps(Spec.model_validate({"judge": {}}), {}, tmp_path)
    with pytest.raises(DataError, match=r"`check.judge.server` is 'two'; allowed: one"):
        steps(Spec.model_validate({"judge": {"server": "two"}}), {"one": Says("")}, tmp_path)


def test_prompts_of_ones_own(tmp_path: Path) -> None:
    spec = Spec.model_validate({"judge": {"prompt": "mine.jinja"}})
    servers = {"one": Says("")}
    with pytest.raises(DataError, match="cannot be read"):
        steps(spec, servers, tmp_path)
    (tmp_path / "mine.jinja").write_text("Judge {{ qestion }}")
    with pytest.raises(DataError, match="no variable 'qestion' here; did you mean 'question'"):
        steps(spec, servers, tmp_path)
    (tmp_path / "mine.jinja").write_text("Judge {{ question")
    with pytest.raises(DataError, match="line 1"):
        steps(spec, servers, tmp_path)
    keys = set()
    for text in ("Judge {{ question }}", "Please judge {{ question }}"):
        (tmp_path / "mine.jinja").write_text(text)
        keys.add(key_of(steps(spec, servers, tmp_path)[0], []))
    assert len(keys) == 2


def key(spec: Json, servers: Any = None) -> str:
    return "".join(key_of(step, []) for step in steps(Spec.model_validate(spec), servers or {}, Path()))


def test_what_decides_is_in_the_key() -> None:
    assert key(ALONE) == key({**ALONE, "block": 3})
    others = [
        {"form": {}},
        {**ALONE, "all": True},
        {**ALONE, "grounded": {"similarity": 0.8}},
        {**ALONE, "different": {}},
    ]
    assert len({key(ALONE), *map(key, others)}) == 5
    asked = {"answerable": {}}
    assert key(asked, {"a": Says("x")}) != key(asked, {"a": Says("y")})


def test_every_check_is_a_file_and_says_what_it_is() -> None:
    assert set(check_names()) == set(Spec.model_fields) - {"all", "block", "asked_block"}
    assert [check_module(name).COST for name in check_names()] == sorted(check_module(n).COST for n in check_names())
    for name in check_names():
        module = check_module(name)
        assert module.KIND in ("alone", "together", "asked") and isinstance(module.NUMERICS, int)
        assert all(field.description for field in module.Spec.model_fields.values()), name
        assert Spec.model_fields[name].description


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"numeric": None}, "is empty: write {}"),
        ({"grounded": {"similarty": 0.9}}, "similarty"),
        ({"grounded": {"similarity": 1.1}}, "less than or equal to 1"),
        ({"judge": {"marks": {}}}, "at least 1"),
        ({"spelling": {}}, "spelling"),
    ],
)
def test_mistakes_in_the_yaml(spec: Json, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Spec.model_validate(spec)


def test_a_spec_of_its_own_words_is_the_same() -> None:
    spec = Spec.model_validate({**ALONE, "judge": {"marks": {"correct": 5}}})
    assert Spec.model_validate(spec.model_dump(exclude_none=True)) == spec
    assert list(spec.made()) == ["form", "grounded", "numeric", "judge"]
    assert keyed(spec.made()["judge"])["marks"] == {"correct": 5}
    assert all(isinstance(step, CheckStep) for step in steps(spec, {"a": Says("")}, Path()))
