"""The whole way, offline: papers from a server that speaks as arXiv does, a dump, a forum; a model behind a server that
writes and is asked again; checks; a recipe that trains on what is left. Killed at any instant, the same bytes.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from statllama.cli.build import review
from statllama.config.shipped import shipped_recipes
from statllama.data.build.blocks import left_out_of
from statllama.data.build.build import Made, reviewed, run
from statllama.data.build.chain import Here, Watcher
from statllama.data.build.review import Verdict, append, draw
from statllama.data.build.spec import load_build
from statllama.errors import RecipeError, UsageError
from statllama.recipe import load_recipe
from statllama.runs.reporting import Reporter
from statllama.runs.runner import run as run_recipe
from statllama.store import Store
from tests.conftest import REPO, stage, write_jsonl
from tests.data.build.collect import arxiv_server
from tests.data.build.collect.test_papers import OLD
from tests.data.build.collect.test_stack_exchange import answer, question
from tests.data.build.collect.test_stack_exchange import write as write_posts
from tests.data.build.server.chat_api import ChatApi, Said, completion, prompt_of, serving

pytest.importorskip("py3langid")
pytest.importorskip("pypdfium2")
PARAGRAPHS = (
    "The sample mean of {n} measurements is the sum of all of them divided by {n}, and it estimates the mean of the "
    "population without bias. Its standard error is the standard deviation divided by the square root of {n}.",
    "When the {n} measurements come from two groups, the difference between the two means is judged by its own "
    "standard error. A confidence interval for that difference says which values the data do not speak against.",
    "A test with few measurements has little power, so a difference that it does not find may still be there. For "
    "that reason the number of measurements was set to {n} before any of them was made, and it was not changed.",
)
ROUNDS = 10
"""Kills of the test that has the bytes compared."""


def paper(path: Path, typesetting: Any, number: int) -> bytes:
    """A paper of two columns as PDF."""
    parts = [typesetting.Part("title", f"On the mean of {number} measurements")]
    for heading, text in zip(("1 Introduction", "2 Methods", "3 Results"), PARAGRAPHS, strict=True):
        parts += [typesetting.Part("heading", heading), typesetting.Part("text", text.format(n=number))]
    typesetting.typeset(parts, path, typesetting.Look(columns=2, header="A journal of means"))
    return path.read_bytes()


@pytest.fixture(scope="module")
def arxiv(tmp_path_factory: pytest.TempPathFactory, typesetting: Any) -> Iterator[arxiv_server.Arxiv]:
    folder = tmp_path_factory.mktemp("arxiv")
    papers = {f"2401.0000{n}": (f"2024-01-0{n}", arxiv_server.BY) for n in (1, 2, 3)}
    files = {f"pdf/{name}v2": paper(folder / f"{i}.pdf", typesetting, 20 + i) for i, name in enumerate(papers)}
    with arxiv_server.serving(arxiv_server.Arxiv(papers, files)) as served:
        yield served


def says(body: dict[str, Any]) -> Said:
    """A model that quotes the section's first sentence; of one paper it invents a quotation, of one it is wrong."""
    prompt = prompt_of(body)
    text = re.search(r"<text>\n(.*?)\n</text>", prompt, re.DOTALL)
    if text is None:  # a check asks again
        return completion("Answer: 4" if "2 + 2" in prompt else "I do not know.")
    quote = re.split(r"(?<=\.) ", " ".join(text[1].split()))[0]
    number = next(iter(re.findall(r"\b2\d\b", text[1])), "0")
    made = {"quote": quote, "question": f"How is the mean of {number} measurements found ({len(text[1])})?"}
    made["answer"] = f"Half of {number} is {number} / 2 = {int(number) / 2:g}, and {quote[0].lower()}{quote[1:]}"
    if number == "21":
        made["quote"] = "Nothing of the kind stands in the paper, whatever anyone says about it."
    if number == "22":
        made["answer"] = f"Half of {number} is {number} / 2 = {int(number):g}, and {quote[0].lower()}{quote[1:]}"
    return completion(json.dumps(made))


@pytest.fixture(scope="module")
def model() -> Iterator[ChatApi]:
    with serving(says) as api:
        yield api


def write_build(folder: Path, arxiv: arxiv_server.Arxiv, model: ChatApi, **fields: Any) -> Path:
    """A build of all sources, with its files."""
    sections = zip(("Methods", "Results"), PARAGRAPHS[1:], strict=True)
    body_text = [{"section": name, "text": text.format(n=24)} for name, text in sections]
    write_jsonl(folder / "dump.jsonl", [OLD | {"paper_id": "1", "body_text": body_text}])
    with open(folder / "dump.jsonl", "a") as dump:
        dump.write('{"paper_id": "2", "abstract": [{"text": "cut off he\n')
    long = "<p>The mean is what the sum of all values comes to when each of the values gets an equal share of it.</p>"
    write_posts(folder / "Posts.xml", question(1), answer(2, 1, Score=9, Body=long), answer(3, 1, Score=1))
    body: dict[str, Any] = {
        "name": "papers",
        "collect": [
            {
                "type": "arxiv", "query": "mean", "files": "pdf",
                "submitted_from": "2024-01-01", "submitted_to": "2024-12-31",
                "address": arxiv.address, "licence_address": f"{arxiv.address}/oai", "seconds_between": 0.0,
            },
            {"type": "papers", "path": "dump.jsonl"},
            {
                "type": "stack_exchange", "path": "Posts.xml", "site": "stats.example.com",
                "part": "forum", "min_chars": 20,
            },
        ],
        "clean": {"tasks": ["ap_statistics"], "duplicates": "exact", "length": {"document": 20}},
        "write": {
            "server": {"model": "small", "url": model.url, "parallel": 2},
            "parts": {"qa": {"kind": "question_answer", "min_words": 20}},
        },
        "check": {"grounded": {}, "numeric": {}, "different": {}},
        "mix": {"all": {"of": ["qa", "forum"]}},
        **fields,
    }  # fmt: skip
    file = folder / "papers.data.yaml"
    file.write_text(yaml.safe_dump(body, sort_keys=False))
    return file


def build(file: Path, workspace: Path, jobs: int = 1) -> Made:
    with Here(jobs) as here:
        made = run(load_build(file), Store(workspace), here, Watcher())
    assert made is not None
    return made


def rows(made: Made, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.folder / f"{part}.jsonl").read_text().splitlines()]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "build.json"}


def test_from_papers_to_a_trained_stage(
    tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi, base_folder: Path
) -> None:
    file = write_build(tmp_path, arxiv, model)
    made = build(file, tmp_path / "w")
    documents = rows(made, "documents")
    assert len(documents) == 4 and all("Its standard error" in each["text"] for each in documents[:3])
    assert "A journal of means" not in "".join(each["text"] for each in documents)  # the running head
    assert {each["provenance"]["collector"] for each in documents} == {"arxiv", "papers"}
    assert documents[0]["provenance"]["licence"] == "CC-BY-4.0"
    (forum,) = rows(made, "forum")
    assert "equal share" in forum["answer"] and forum["provenance"]["licence"] == "CC-BY-SA-4.0"
    written = rows(made, "qa")
    assert written and {re.findall(r"of (\d+) meas", each["question"])[0] for each in written} == {"20", "24"}
    for each in written:
        provenance = each["provenance"]
        assert provenance["model"] == "small" and provenance["checks"]["grounded"]["passed"]
    reasons = [
        each["reason"] for entry in Store(tmp_path / "w").entries("steps") for each in left_out_of(entry)
        if entry.manifest["name"] == "check:alone"
    ]  # fmt: skip
    assert len(reasons) == 6  # three sections with an invented quotation, three with a wrong figure
    assert made.record["parts"]["all"]["rows"] == len(written) + 1

    recipe = tmp_path / "r.yaml"
    source = {"built": "papers.data.yaml", "part": "qa"}
    stages = [
        stage("sft", data=[source], train={"steps": 1}),
    ]
    body = {"name": "r", "base": {"model": str(base_folder), "quantization": "none"}, "stages": stages}
    recipe.write_text(yaml.safe_dump(body))
    loaded = load_recipe(recipe)
    run_recipe(loaded, Store(tmp_path / "w"), Reporter())
    assert len(Store(tmp_path / "w").entries("results")) == 1

    asked = len(model.bodies)
    assert build(file, tmp_path / "w").record == made.record and len(model.bodies) == asked  # nothing is done twice
    file.write_text(file.read_text().replace("numeric: {}", "numeric: {}\n  form: {}"))
    with pytest.raises(RecipeError, match="has changed since it was built"):
        load_recipe(recipe)
    build(file, tmp_path / "w")
    assert len(model.bodies) == asked  # only the checks are made again
    assert load_recipe(recipe).trained


def test_the_same_bytes_in_processes(tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    file = write_build(one, arxiv, model)
    here = bytes_of(build(file, tmp_path / "w1").folder)
    (one / "papers.built").rename(two)
    assert bytes_of(build(file, tmp_path / "w2", jobs=2).folder) == here


@pytest.mark.slow
def test_killed_at_ten_instants_it_makes_the_same_bytes(
    tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi
) -> None:
    file = write_build(tmp_path, arxiv, model)
    whole = build(file, tmp_path / "unbroken").folder
    wanted = bytes_of(whole)
    whole.rename(tmp_path / "kept")
    asked = len(model.bodies)
    argv = ["statllama", "data", "build", str(file), "--workspace", str(tmp_path / "w")]
    code = f"import sys; sys.argv = {argv!r}\nfrom statllama.cli import main; main()"
    chance = random.Random(5)
    for _ in range(ROUNDS):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(1.0, 6.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert bytes_of(tmp_path / "papers.built") == wanted
    assert len(model.bodies) - asked <= asked + 2 * ROUNDS  # at most what was under way is asked again


def test_a_check_asks_the_model_again(tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi) -> None:
    file = write_build(tmp_path, arxiv, model, check={"grounded": {}, "answerable": {"times": 1, "by_model": False}})
    before = len(model.bodies)
    made = build(file, tmp_path / "w")
    again = [body for body in model.bodies[before:] if "<text>" not in prompt_of(body)]
    assert again and all("response_format" not in body for body in again)
    assert made.record["steps"][-1]["name"] == "check:asked"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"collect": [{"type": "arxive"}]}, "unknown collector 'arxive'"),
        ({"collect": []}, "at least one collector"),
        ({"mix": {"all": {"of": ["qu"]}}}, "no part 'qu'"),
        ({"mix": {"qa": {"of": ["forum"]}}}, "there is a part 'qa' already"),
        ({"mix": {"all": {"of": ["documents", "qa"]}}}, "do not go into one part"),
        ({"clean": {"langage": "en"}}, "unknown key"),
        ({"write": None}, "there is no `write`"),
    ],
)
def test_a_wrong_file_is_told(
    tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError) as error:
        load_build(write_build(tmp_path, arxiv, model, **fields))
    assert said in str(error.value)


def test_a_person_looks_at_what_was_kept_and_left_out(
    tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_build(tmp_path, arxiv, model)
    with pytest.raises(UsageError, match="has no result here"):
        review(str(file), workspace=tmp_path / "w")
    build(file, tmp_path / "w")
    page = tmp_path / "page.html"
    review(str(file), out=page, kept=30, left_out=10, seed=0, workspace=tmp_path / "w")
    assert "Half of 21" in page.read_text() and "Half of 20" in page.read_text()
    sample = draw(*reviewed(load_build(file), Store(tmp_path / "w"))).items
    at = "2026-12-01T00:00:00.000Z"
    said = [Verdict(each.row["id"], each.digest, "keep" if each.kept else "drop", "me", at) for each in sample]
    append(tmp_path / "from_page.jsonl", said)
    review(str(file), verdicts=tmp_path / "from_page.jsonl", kept=30, left_out=10, seed=0, workspace=tmp_path / "w")
    printed = capsys.readouterr().out
    assert f"{len(sample)} new verdicts" in printed and "100" in printed
    assert len((tmp_path / "papers.verdicts.jsonl").read_text().splitlines()) == len(sample)


def test_the_build_that_ships_can_be_read() -> None:
    build = load_build(REPO / "recipes" / "data" / "papers.data.yaml")
    assert build.parts == ("documents", "questions", "problems", "pairs", "graded")
    assert "data/papers.data" not in shipped_recipes() and "data/papers" not in shipped_recipes()


def test_what_a_person_changed_is_not_replaced(tmp_path: Path, arxiv: arxiv_server.Arxiv, model: ChatApi) -> None:
    file = write_build(tmp_path, arxiv, model)
    (tmp_path / "papers.built").mkdir()
    (tmp_path / "papers.built" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no build wrote it"):
        build(file, tmp_path / "w")
    assert (tmp_path / "papers.built" / "notes.txt").read_text() == "mine"
