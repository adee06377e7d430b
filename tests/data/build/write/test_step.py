"""The step against a real server: rows, keys, replies of no use, kills, budgets."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from statllama.config.source import SourceSpec
from statllama.data.build.blocks import left_out_of, records_of
from statllama.data.build.chain import Here, Watcher, key_of, run_step
from statllama.data.build.records import Json
from statllama.data.build.server.asking import Reply, Request, Usage
from statllama.data.build.server.client import ServerError
from statllama.data.build.write.spec import WriteSpec
from statllama.data.build.write.step import Writer, writers
from statllama.data.formats import parse_row
from statllama.errors import DataError, Interrupted, UsageError
from statllama.store import Entry, Store
from tests.conftest import REPO
from tests.data.build.server.chat_api import Body, Said, completion, prompt_of, serving
from tests.data.build.write.documents import TEXT, document, documents, is_faulty, section, written


def spec(url: str | None = None, part: Json | None = None, **fields: Any) -> WriteSpec:
    server = {"model": "small", "url": url, **fields.pop("server", {})}
    made = {"server": server, "parts": {"qa": {"kind": "question_answer", "per_section": 3, **(part or {})}}, **fields}
    return WriteSpec.model_validate(made)


def writer(root: Path, url: str, part: Json | None = None, **fields: Any) -> Writer:
    options = {name: fields.pop(name) for name in ("accepted", "stop", "account") if name in fields}
    (made,) = writers(spec(url, part, **fields), root, root / "w" / "responses.sqlite", **options)
    return made


def run(root: Path, step: Writer, given: list[Json]) -> Entry:
    with Here() as here:
        return run_step(step, key_of(step, ["a"]), lambda: iter(given), Store(root / "w"), here, Watcher())


def bytes_of(entry: Entry) -> list[bytes]:
    return [(entry.path / name).read_bytes() for name in ("kept.jsonl", "left_out.jsonl")]


def test_rows_say_all_that_is_known_of_them(tmp_path: Path) -> None:
    given = [document("a", section(pages=[2, 3]), section(kind="references")), document("b")]
    with serving(written) as api:
        step = writer(tmp_path, api.url)
        entry = run(tmp_path, step, given)
    rows = list(records_of(entry))
    assert len(rows) == 6 and len({row["id"] for row in rows}) == 6 and rows[0]["id"] == "qa:file:a.md#0.0.0"
    for row in rows:
        assert row["part"] == "qa" and row["format"] == "question_answer" and row["context"] == TEXT
        assert set(row["row"]) == {"question", "answer"}
        parse_row(SourceSpec(path="-", format=row["format"]), row["row"], row["id"])
    turns = [(row["provenance"]["genre"], row["provenance"]["audience"]) for row in rows]
    assert len(set(turns[:3])) == 3 and turns[:3] != turns[3:]  # each section has an order of its own
    said = rows[0]["provenance"]
    response = said.pop("response")
    assert said.pop("genre") in step.spec.genres and said.pop("audience") in step.spec.audiences
    assert len(said.pop("prompt")) == len(response) == 64
    assert said == {
        "document": "file:a.md", "place": "a.md", "section": "Centre", "licence": "CC-BY-4.0", "pages": [2, 3],
        "kind": "question_answer", "model": "small", "quote": "The mean moves with every value.",
    }  # fmt: skip
    (left,) = left_out_of(entry)
    assert left["reason"] == "a section of a kind that is not written about"
    assert step.spent() == Usage(sum(len(prompt_of(body)) // 4 for body in api.bodies), 6 * 30)
    assert len({body["seed"] for body in api.bodies}) == 6


def test_the_key_is_of_what_decides_the_rows(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("Another prompt: {{ text }}")

    def key(url: str = "http://a/v1", part: Json | None = None, **fields: Any) -> str:
        return key_of(writer(tmp_path, url, part, **fields), ["a"])

    same = [
        key(), key("http://b:9/v1"), key(server={"parallel": 9, "per_minute": 5, "timeout": 1.0}),
        key(part={"give_up": None}), key(budget={"tokens": 5}), key(accepted=True),
    ]  # fmt: skip
    assert len(set(same)) == 1
    changed: list[Json] = [
        {"prompt": "mine.md"}, {"seed": 1}, {"temperature": 0.1}, {"max_tokens": 99}, {"per_section": 2},
        {"genres": ["exam"]}, {"audiences": ["a nurse"]}, {"max_words": 50}, {"min_words": 5}, {"attempts": 1},
        {"top_p": 0.5}, {"topics": ["mean"]}, {"sections": ["other"]}, {"kind": "cloze"},
    ]  # fmt: skip
    keys = {key(part=each) for each in changed} | {key(server={"model": "large"}), key()}
    assert len(keys) == len(changed) + 2
    step = writer(tmp_path, "http://a/v1")
    assert key_of(pickle.loads(pickle.dumps(step)), ["a"]) == key()  # noqa: S301


def test_the_same_bytes_however_many_are_asked_at_a_time(tmp_path: Path) -> None:
    """Replies come in any order, some of no use; the rows do not show it."""

    def say(body: Body) -> Said:
        return completion("{no JSON") if is_faulty(body, 3) else written(body)

    found = []
    for parallel in (1, 7):
        with serving(say) as api:
            root = tmp_path / str(parallel)
            found.append(bytes_of(run(root, writer(root, api.url, server={"parallel": parallel}), documents(6))))
    assert found[0] == found[1]


def test_a_reply_of_no_use_is_asked_for_again(tmp_path: Path) -> None:
    seeds: list[int] = []

    def say(body: Body) -> Said:
        seeds.append(body["seed"])
        return written(body, answer=["a list"]) if len(seeds) < 3 else written(body)

    with serving(say) as api:
        part = {"per_section": 1}
        assert len(list(records_of(run(tmp_path, writer(tmp_path, api.url, part), [document()])))) == 1
        assert len(seeds) == len(set(seeds)) == 3
        seeds.clear()
        entry = run(tmp_path, writer(tmp_path, api.url, {**part, "attempts": 2, "seed": 5}), [document()])
    assert len(api.bodies) == 5 and not list(records_of(entry))
    (left,) = left_out_of(entry)
    assert left["reason"] == "a value of another type in the reply" and "a list" in left["detail"]
    assert left["where"] == "file:a.md, section 1, window 1, row 1"


@pytest.mark.parametrize(
    ("said", "reason", "asked"),
    [
        (completion('{"quote": "The me', "length"), "a reply cut at max_tokens", 3),
        (Said(400, b"maximum context length is 512 tokens"), "a prompt too long for the model", 1),
        (completion("", "content_filter"), "a reply held back by the server's filter", 3),
    ],
)
def test_replies_that_are_none(tmp_path: Path, said: Said, reason: str, asked: int) -> None:
    with serving(lambda body: said) as api:
        entry = run(tmp_path, writer(tmp_path, api.url, {"per_section": 1}), [document()])
    assert [left["reason"] for left in left_out_of(entry)] == [reason] and len(api.bodies) == asked


@pytest.mark.parametrize("said", ["I would love to help!", None])
def test_a_model_that_never_says_anything_of_use_ends_it(tmp_path: Path, said: str | None) -> None:
    """Or that says the same to everything. What is not asked costs nothing."""
    canned = json.dumps({"quote": "a sentence of it", "question": "What is a mean?", "answer": "A centre."})
    with serving(lambda body: completion(said or canned)) as api:
        step = writer(tmp_path, api.url, {"give_up": 8, "attempts": 1, "per_section": 5}, server={"parallel": 2})
        with pytest.raises(DataError, match=r"\d+ rows in succession had no reply of use") as caught:
            run(tmp_path, step, documents(20))
        reason = " no JSON object in the reply" if said else " the same reply as to another request"
        assert reason in caught.value.message and len(api.bodies) <= 11
        assert "give_up: null" in str(caught.value.remedy)
        patient = writer(tmp_path, api.url, {"give_up": None, "attempts": 1, "per_section": 5})
        entry = run(tmp_path, patient, documents(2))
    assert entry.manifest["kept"] == (0 if said else 1)


KILL = """
    import sys
    from pathlib import Path
    from tests.data.build.write.documents import documents
    from tests.data.build.write.test_step import run, writer
    root = Path(sys.argv[1])
    run(root, writer(root, sys.argv[2], server={"parallel": int(sys.argv[3])}), documents(10))
"""


@pytest.mark.parametrize("parallel", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_killed_it_goes_on_and_asks_nothing_twice(tmp_path: Path, parallel: int) -> None:
    """The process is killed from within a request. Only what was under way is asked again."""
    processes: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def say(body: Body) -> Said:
        started.wait(10)
        if len(api.bodies) >= 14 and processes[0].poll() is None:
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
        return completion("{no JSON") if is_faulty(body, 5) else written(body)

    with serving(say) as api:
        argv = [sys.executable, "-c", textwrap.dedent(KILL), str(tmp_path), api.url, str(parallel)]
        processes.append(subprocess.Popen(argv, cwd=REPO, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        started.set()
        assert processes[0].wait(60) == -signal.SIGKILL
        assert not Store(tmp_path / "w").entries("steps")
        found = run(tmp_path, writer(tmp_path, api.url), documents(10))
        times = Counter(body["seed"] for body in api.bodies)
        repeated = sum(times.values()) - len(times)
        assert 1 <= repeated <= parallel and max(times.values()) == 2
        whole = run(tmp_path / "whole", writer(tmp_path / "whole", api.url), documents(10))
    assert bytes_of(found) == bytes_of(whole) and found.manifest["kept"] > 20


def test_another_run_asks_nothing(tmp_path: Path) -> None:
    """The rows are gone, the responses are not; and another build pays nothing for what this one has paid."""
    with serving(written) as api:
        step = writer(tmp_path, api.url)
        before = bytes_of(entry := run(tmp_path, step, documents(3)))
        Store(tmp_path / "w").remove(entry.path)
        spent, asked = step.spent(), len(api.bodies)
        assert bytes_of(run(tmp_path, step, documents(3))) == before
        assert len(api.bodies) == asked == 9 and step.spent() == spent
        other = writer(tmp_path, api.url, account="other")
        assert other.estimate(lambda: iter(documents(3))).answered == 9 and other.spent() == Usage()


def test_a_budget_stops_it_and_more_of_it_goes_on(tmp_path: Path) -> None:
    with serving(written) as api:
        estimated = writer(tmp_path, api.url).estimate(lambda: iter(documents(5)))
        assert estimated.requests == 15 and estimated.usage.completion == 15 * 1024
        with pytest.raises(DataError, match="15 requests may use more than the budget"):
            run(tmp_path, writer(tmp_path, api.url, budget={"tokens": 6000}), documents(5))
        assert not api.bodies
        with pytest.raises(DataError, match=r"budget is used up: [\d,]+ of 6,000 tokens"):
            run(tmp_path, writer(tmp_path, api.url, budget={"tokens": 6000}, accepted=True), documents(5))
        first = len(api.bodies)
        assert 0 < first < 15 and 2000 < writer(tmp_path, api.url).spent().tokens <= 6000
        entry = run(tmp_path, writer(tmp_path, api.url, budget={"tokens": 80_000}), documents(5))
    assert entry.manifest["kept"] == len(api.bodies) == 15


def test_a_server_that_goes_away_costs_nothing(tmp_path: Path) -> None:
    def say(body: Body) -> Said:
        return written(body) if len(api.bodies) <= 5 or back else Said(401, b"expired")

    back = False
    with serving(say) as api:
        step = writer(tmp_path, api.url, server={"parallel": 1})
        with pytest.raises(ServerError, match="STATLLAMA_SERVER_KEY"):
            run(tmp_path, step, documents(3))
        assert len(api.bodies) == 6
        back = True
        assert run(tmp_path, step, documents(3)).manifest["kept"] == 9
    assert len(api.bodies) == 10


def test_it_stops_when_the_user_says_so(tmp_path: Path) -> None:
    def stop() -> None:
        if len(api.bodies) >= 4:
            raise Interrupted("stopped")

    with serving(written) as api:
        with pytest.raises(Interrupted):
            run(tmp_path, writer(tmp_path, api.url, stop=stop, server={"parallel": 1}), documents(3))
        assert len(api.bodies) == 4 and run(tmp_path, writer(tmp_path, api.url), documents(3)).manifest["kept"] == 9
        assert len(api.bodies) == 9


class Batches:
    """A model of this process: it answers batches of two (a `Model` and its `Ask`)."""

    name = "stack 0123"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def open(self) -> Batches:
        return self

    def __enter__(self) -> Callable[[Callable[[], Request | None]], Iterator[tuple[Request, Reply]]]:
        return self.ask

    def __exit__(self, *_: object) -> None: ...

    def ask(self, take: Callable[[], Request | None]) -> Iterator[tuple[Request, Reply]]:
        while batch := [one for one in (take(), take()) if one is not None]:
            self.batches.append(len(batch))
            for one in reversed(batch):
                assert one.schema in one.spelled_out
                said = json.loads(written({"messages": [{"content": one.prompt}], "seed": one.seed}).body)
                yield one, Reply(said["choices"][0]["message"]["content"], "stop", Usage(10, 5))


def test_a_model_of_this_process_is_asked_the_same_way(tmp_path: Path) -> None:
    model = Batches()
    (step,) = writers(spec(), tmp_path, tmp_path / "w" / "responses.sqlite", model=model)
    entry = run(tmp_path, step, documents(3))
    assert entry.manifest["kept"] == 9 and model.batches == [2, 2, 2, 2, 1] and step.spent() == Usage(90, 45)
    assert {row["provenance"]["model"] for row in records_of(entry)} == {"stack 0123"}


def test_mistakes_in_the_spec(tmp_path: Path) -> None:
    for part, message in (
        ({"kind": "close"}, "did you mean 'cloze'"),
        ({"min_words": 900}, "above `max_words` 800"),
        ({"sections": ["method"]}, "methods"),
        ({"per_section": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(ValidationError, match=message):
            spec(part=part)
    with pytest.raises(UsageError, match="names no model") as caught:
        writers(spec().model_copy(update={"server": None}), tmp_path, tmp_path / "r")
    assert "server:" in str(caught.value.remedy)
