"""Rows that the base or the parent writes itself: those of a loop by hand, written once, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from statllama.data import generated
from statllama.data.generated import NO_ROOM, REPEAT, repetition
from statllama.errors import DataError, RecipeError
from statllama.recipe import load_recipe
from statllama.runs import generating
from statllama.runs.generating import Writer
from statllama.runs.plan import plan
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.runs.watch.progress import RunProgress
from statllama.store import Entry, Store
from tests.conftest import REPO, stage, write_jsonl
from tests.running import Recorder, adapter_bytes, losses, run, statllama

torch.set_num_threads(1)
BASE = REPO / "recipes" / "quickstart" / "base"
"""A small instruct model: unlike a random one it asks, answers and comes to an end."""
QUESTIONS = [
    "What is the median of 3, 9 and 4?",
    "Where can we find an owl?",
    "Put 5, 9, 14 in order from largest to smallest.",
    "What is the mean of 2 and 6?",
    "Name the colour of grass.",
    "Count the letters of the word house.",
]
Write = Callable[..., Path]
SELF = {"count": 10, "max_tokens": 48}
GREEDY = {"count": 5, "max_tokens": 40, "temperature": 0.0, "prompts": [{"path": "ask.jsonl"}]}


@pytest.fixture
def recipe_with(tmp_path: Path) -> Write:
    """Writes a recipe of stages on the shipped base, with data and questions beside it."""
    rows = [json.loads(line) for line in (REPO / "recipes/quickstart/data/sft.jsonl").read_text().splitlines()[:24]]
    write_jsonl(tmp_path / "sft.jsonl", rows)
    answer = [{"role": "assistant", "content": "not read"}]
    asked = [{"messages": [{"role": "user", "content": text}, *answer]} for text in QUESTIONS]
    write_jsonl(tmp_path / "ask.jsonl", asked)

    def write(*stages: dict[str, Any], **fields: Any) -> Path:
        body = {"name": "tiny", "base": {"model": str(BASE), "quantization": "none"}, "stages": list(stages), **fields}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(body, sort_keys=False))
        return path

    return write


def learner(name: str = "one", written: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A small stage that replays generations."""
    train = {"steps": 2, "max_length": 192, "micro_tokens": 2048, **fields.pop("train", {})}
    replay = {"generations": dict(written or SELF), **fields.pop("replay", {})}
    return stage(name, train=train, replay=replay, **fields)


def session_of(path: Path, workspace: Path, *overrides: str, told: Any = None) -> Session:
    return Session(load_recipe(path, overrides), Store(workspace), told or Recorder(), StopSignal())


def written(path: Path, workspace: Path, *overrides: str, told: Any = None) -> Entry:
    """The rows of a recipe's first stage, on the base; nothing is trained."""
    session = session_of(path, workspace, *overrides, told=told)
    return session.replays.generations.make(session.recipe.trained[0], ())


def rows_in(entry: Entry) -> list[tuple[str, str]]:
    """(user's text, answer) of each row."""
    rows = [json.loads(line)["messages"] for line in (entry.path / "rows.jsonl").read_text().splitlines()]
    assert all([turn["role"] for turn in row] == ["user", "assistant"] for row in rows)
    return [(row[0]["content"], row[1]["content"]) for row in rows]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The batches of tries that are written from here on, 8 at a time."""
    found: list[list[int]] = []
    write = Writer.write

    def watched(self: Writer, numbers: Iterable[int]) -> Any:
        found.append(list(numbers))
        return write(self, found[-1])

    for module in ("generated", "generations"):
        name = f"statllama.data.{module}" if module == "generated" else f"statllama.runs.{module}"
        monkeypatch.setattr(f"{name}.ROWS", 8)
    monkeypatch.setattr(Writer, "write", watched)
    return found


# ------------------------------------------------------------------ by hand


class ByHand:
    """A plain model, one row at a time, without cache, batch or padding."""

    def __init__(self, model: Any = None) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = model or AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
        self.model.eval()
        self.tokenizer = AutoTokenizer.from_pretrained(BASE)
        self.end = self.tokenizer.convert_tokens_to_ids("<|eot_id|>")

    def goes_on(self, text: str, longest: int, numbers: Any = None, top_p: float = 1.0) -> tuple[str, list[int]] | None:
        """What comes after a text, and its tokens without the end of turn; None without one. `numbers`: one a token,
        which picks it by the inverse of the distribution, sorted by token, of the likeliest that hold `top_p`.
        """
        ids, said = self.tokenizer(text, add_special_tokens=False).input_ids, list[int]()
        for place in range(longest):
            with torch.no_grad():
                logits = self.model(torch.tensor([[*ids, *said]])).logits[0, -1].double()
            token = int(logits.argmax())
            if numbers is not None:
                shares = logits.softmax(-1).numpy()
                order = np.argsort(-shares)
                nucleus = order[: int(np.searchsorted(np.cumsum(shares[order]), top_p)) + 1]
                inside = np.zeros_like(shares)
                inside[nucleus] = shares[nucleus]
                token = int(np.searchsorted(np.cumsum(inside), numbers[place] * inside.sum(), side="right"))
            if token == self.end:
                return self.tokenizer.decode(said).strip(), said
            said.append(token)
        return None

    def answers(self, question: str, longest: int, **how: Any) -> tuple[str, list[int]] | None:
        turns = [{"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.goes_on(text, longest, **how)


def test_greedy_answers_are_those_of_a_plain_loop(recipe_with: Write, tmp_path: Path) -> None:
    """To the user's prompts, batched with padding against token by token; and the loaded base is as it was."""
    told = Recorder()
    session = session_of(recipe_with(learner(written=GREEDY)), tmp_path / "w", told=told)
    entry = session.replays.generations.make(session.recipe.trained[0], ())
    hand = ByHand()
    wanted = {text: hand.answers(text, 40) for text in QUESTIONS}
    assert dict(rows_in(entry)).items() <= {text: said[0] for text, said in wanted.items() if said}.items()
    assert len(rows_in(entry)) == 5 or len(rows_in(entry)) == sum(said is not None for said in wanted.values())
    assert any("rows of 6 tries" in note for note in told.notes)
    session.loaded.base("auto").check_unchanged()


def test_what_it_asks_itself_is_that_of_a_plain_loop(recipe_with: Write, tmp_path: Path) -> None:
    """Magpie by hand: both turns drawn token by token from the numbers of the try, out of the nucleus."""
    entry = written(recipe_with(learner(written=SELF)), tmp_path / "w")
    hand, rows = ByHand(), list[tuple[str, str]]()
    head = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    for number in range(entry.manifest["tries"]):
        ask, answer = (np.random.default_rng([42, purpose, number]).random(48) for purpose in (0, 1))
        question = hand.goes_on(head, 48, ask, 0.95)
        if question is None or not question[0] or repetition(question[1]) > 0.5:
            continue
        said = hand.answers(question[0], 48, numbers=answer, top_p=0.95)
        if said is not None and said[0] and repetition(said[1]) <= 0.5:
            rows.append((question[0], said[0]))
        if len(rows) == 10:
            break
    assert rows_in(entry) == rows, "no two of them are alike"
    assert entry.manifest["rows"] == 10 and entry.manifest["by"] == "base"


# ------------------------------------------------------------------ once, and the same


def test_rows_depend_on_their_settings_alone(recipe_with: Write, tmp_path: Path, batches: list[list[int]]) -> None:
    """Not on the budget, on the rows that are asked for besides, or on the name and the steps of the stage."""
    path = recipe_with(learner(written=SELF))
    whole = written(path, tmp_path / "w")
    again = written(path, tmp_path / "v", "stages.one.train.micro_tokens=200", "stages.one.train.steps=9")
    assert (again.key, rows_in(again)) == (whole.key, rows_in(whole))
    more = written(path, tmp_path / "v", "stages.one.replay.generations.count=12")
    assert rows_in(more)[:10] == rows_in(whole) and more.key != whole.key
    other = written(path, tmp_path / "v", "stages.one.train.seed=7")
    assert other.key != whole.key and not set(rows_in(other)) & set(rows_in(whole))
    done = len(batches)
    assert written(path, tmp_path / "v").key == whole.key and len(batches) == done, "written once"


def test_memory_that_runs_out_changes_no_row(
    recipe_with: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from statllama.errors import TrainingError
    from statllama.evaluation import replies as module

    path, made = recipe_with(learner(written=SELF)), module.replies
    whole, most = rows_in(written(path, tmp_path / "w")), 8

    def short(model: Any, tokenizer: Any, prompts: list[list[int]], *rest: Any, **options: Any) -> Any:
        if len(prompts) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(model, tokenizer, prompts, *rest, **options)

    monkeypatch.setattr(module, "replies", short)
    assert rows_in(written(path, tmp_path / "v")) == whole
    most = 0
    with pytest.raises(TrainingError, match="out of memory while the model writes a single row"):
        written(path, tmp_path / "u")


def test_a_killed_writing_goes_on(
    recipe_with: Write, tmp_path: Path, batches: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the batches that are done; a line that the kill cut short is written again."""
    path = recipe_with(learner(written={**SELF, "count": 20}))
    whole, all_batches = written(path, tmp_path / "w"), list(batches)
    assert len(all_batches) >= 3
    write = Writer.write

    def stops(self: Writer, numbers: range) -> Any:
        if numbers[0] >= 16:
            raise ConnectionError
        return write(self, numbers)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", stops)
        with pytest.raises(ConnectionError):
            written(path, tmp_path / "v")
    (file,) = (tmp_path / "v" / "partial").glob("cache-*/tries.jsonl")
    file.write_bytes(file.read_bytes() + b'[{"messages": [["user"')
    assert not list((tmp_path / "v").glob("cache/*/rows.jsonl")), "nothing half-written"
    batches.clear()
    again = written(path, tmp_path / "v")
    assert batches == all_batches[2:]
    assert (again.path / "rows.jsonl").read_bytes() == (whole.path / "rows.jsonl").read_bytes()
    assert again.manifest["tries"] == whole.manifest["tries"]


def test_stages_share_what_is_written(recipe_with: Write, tmp_path: Path, batches: list[list[int]]) -> None:
    """Two stages, the second on the first: the base writes once, before the first one trains; `parent` of a base stage
    is the base.
    """
    told = Recorder()
    one = learner("one", written={**SELF, "by": "parent"}, parents="base")
    results = run(recipe_with(one, learner("two", parents=["one"])), tmp_path / "w", reporter=told)
    count = len(batches)
    assert sum("generations of the base: 10 rows of" in note for note in told.notes) == 1
    parts = [manifest(results[name])["data"]["replayed"]["parts"][0] for name in ("one", "two")]
    assert parts[0]["generated"] == parts[1]["generated"]
    assert parts[0]["sources"][0]["name"] == "10 generations of the base"
    run(recipe_with(one, learner("two", parents=["one"], train={"steps": 3})), tmp_path / "w")
    assert len(batches) == count


def manifest(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())
    return found


# ------------------------------------------------------------------ the parent


def test_the_parent_writes_once_it_is_trained(recipe_with: Write, tmp_path: Path) -> None:
    """What a plain merged model says, greedily, and not what the base does."""
    from transformers import AutoModelForCausalLM

    from tests.reference import merged

    first = stage("first", train={"steps": 4, "max_length": 192, "micro_tokens": 2048, "learning_rate": 5e-3})
    second = learner("second", written={**GREEDY, "by": "parent"}, parents=["first"])
    path, seen = recipe_with(first, second), RunProgress()
    results = run(path, tmp_path / "w", reporter=seen)
    part = manifest(results["second"])["data"]["replayed"]["parts"][0]
    assert part["generated"]["by"] == "parent" and part["sources"][0]["name"] == "5 generations of the parent"
    entry = Store(tmp_path / "w").verify("cache", part["generated"]["kept_in"])
    base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    hand = ByHand(merged(base, [(results["first"], 8 / 4)]))
    rows = dict(rows_in(entry))
    assert rows == {text: said[0] for text in rows if (said := hand.answers(text, 40))}
    plain = ByHand()
    assert any(rows[text] != (plain.answers(text, 40) or ("",))[0] for text in rows)
    run(path, tmp_path / "w", "stages.first.train.steps=5")
    assert len(list((tmp_path / "w").glob("cache/*/rows.jsonl"))) == 2, "of another parent they are others"


# ------------------------------------------------------------------ training


def test_the_model_is_held_to_its_own_rows(recipe_with: Write, tmp_path: Path) -> None:
    """Without any general data: an anchor on what the base wrote, whose rows are not learned."""
    one = learner("one", replay={"weight": 0.0}, anchor={"on": "replay", "coefficient": 2.0}, train={"steps": 3})
    path, seen = recipe_with(one), RunProgress()
    kinds = set()
    seen.changed = lambda soon: kinds.add(seen.state.activity.kind) if seen.state.activity else None
    result = run(path, tmp_path / "w", reporter=seen)["one"]
    steps = json.loads((result / "history.json").read_text())
    assert steps[0]["anchor_kl"] == 0.0 and steps[-1]["anchor_kl"] > 0 and "replay_loss" not in steps[0]
    assert "generating" in kinds
    replayed = manifest(result)["data"]["replayed"]
    assert replayed["rows"] == 10 and replayed["parts"][0]["stage"] is None
    told = replayed["parts"][0]["generated"]
    assert told["rows"] == told["asked_for"] == 10 and told["tries"] >= 10 and told["tokens"] > 50
    sample = replayed["parts"][0]["sources"][0]["sample"]
    assert sample.endswith("<|eot_id|>⟧"), "a row ends with the end of the assistant's turn"
    assert manifest(result)["config"]["replay"]["generations"]["count"] == 10
    page = tmp_path / "page.html"
    assert statllama("report", path, "--out", page, "--workspace", tmp_path / "w", cwd=tmp_path).returncode == 0


def test_it_stands_beside_data_and_stages(recipe_with: Write, tmp_path: Path) -> None:
    """And in dpo, whose rows are pairs."""
    write_jsonl(
        tmp_path / "dpo.jsonl",
        [{"prompt": text, "chosen": f"it is {i}", "rejected": "no"} for i, text in enumerate(QUESTIONS)],
    )
    first = stage("first", train={"steps": 1, "max_length": 192, "micro_tokens": 2048})
    general = [{"path": "ask.jsonl", "format": "messages"}]
    both = {"data": general, "stages": ["first"], "train_on": "all"}
    second = learner("second", replay=both, train={"steps": 1})
    third = {**learner("third", train={"steps": 1}), "type": "dpo", "data": [{"path": "dpo.jsonl"}]}
    results = run(recipe_with(first, second, third), tmp_path / "w")
    parts = manifest(results["second"])["data"]["replayed"]["parts"]
    assert [part["stage"] for part in parts] == [None, "first", None]
    assert ["generated" in part for part in parts] == [False, False, True]
    written = parts[2]["sources"][0]
    assert written["supervised_tokens"] > 0.8 * written["tokens"], "`train_on: all`"
    assert "replay_loss" in json.loads((results["third"] / "history.json").read_text())[0]


def test_a_share_of_nothing_is_the_plain_stage(recipe_with: Write, tmp_path: Path, batches: list[list[int]]) -> None:
    """Bit for bit and by the same key; nothing is written for it."""
    sizes = {"train": {"steps": 2, "max_length": 192, "micro_tokens": 2048}}
    plain = run(recipe_with(stage("one", **sizes)), tmp_path / "w")["one"]
    path = recipe_with(learner("one", replay={"share": 0.0}))
    assert plan(load_recipe(path), Store(tmp_path / "v"))[0].key == plain.name
    other = run(path, tmp_path / "v")["one"]
    assert adapter_bytes(other) == adapter_bytes(plain) and losses(other) == losses(plain)
    assert batches == []


# ------------------------------------------------------------------ what is left out


def test_copies_of_questions_are_left_out(recipe_with: Write, tmp_path: Path) -> None:
    """Also where the stage's own data would stop the run, unless they are to be ignored; in the key."""
    from tests.data.test_contamination import BAKER, benchmark

    benchmark(tmp_path / "eval")
    asked = [{"prompt": text, "answer": ""} for text in [BAKER, *QUESTIONS]]
    write_jsonl(tmp_path / "ask.jsonl", [row | {"answer": "x"} for row in asked])
    fields = {"evaluate": {"tasks": ["exam"], "limit": 1}}
    path = recipe_with(learner(written={**GREEDY, "count": 7}), **fields)
    session = session_of(path, tmp_path / "w")
    spec = session.recipe.trained[0]
    entry = session.replays.generations.make(spec, ())
    assert any(BAKER.split()[0] in text for text, _ in rows_in(entry))
    replay = session.prepare(spec).replay
    assert replay is not None and len(replay) == len(rows_in(entry)) - 1
    (part,) = replay.as_json(1)["parts"]
    assert part["generated"]["left_out"] == {"copies a benchmark question": 1}
    keys = {}
    for how in ("stop", "drop", "ignore"):
        changed = load_recipe(path, [f"stages.one.decontaminate={how}"])
        keys[how] = plan(changed, Store(tmp_path / "w"))[0]
    assert keys["stop"].key == keys["drop"].key != keys["ignore"].key
    assert "drops" in keys["stop"].material["stage"] and "drops" not in keys["ignore"].material["stage"]


def test_too_few_rows_stop_the_run_before_it_trains(recipe_with: Write, tmp_path: Path) -> None:
    """With what was dropped for which reason; more than half are enough, and said."""
    told = Recorder()
    first = stage("zero", train={"steps": 1, "max_length": 192, "micro_tokens": 2048})
    path = recipe_with(first, learner("one", written={**SELF, "max_tokens": 2}))
    with pytest.raises(DataError, match=r"one: 10 generations of the base: only 0 rows of 40 tries .* without an end"):
        run(path, tmp_path / "w", reporter=told)
    assert not told.steps and not list((tmp_path / "w").glob("results/*"))
    same = [{"messages": [{"role": "user", "content": QUESTIONS[i % 4]}, {"role": "assistant", "content": "-"}]}
            for i in range(9)]  # fmt: skip
    write_jsonl(tmp_path / "ask.jsonl", same)
    entry = written(recipe_with(learner(written={**GREEDY, "count": 6})), tmp_path / "w", told=told)
    assert entry.manifest["tries"] == 4 and 3 <= entry.manifest["rows"] <= 4
    assert any("rows of 4 tries" in note and "no more was tried" in note for note in told.notes)


def test_prompts_without_room_and_with_control_tokens_are_not_asked(recipe_with: Write, tmp_path: Path) -> None:
    long, control = "word " * 200, "say <|eot_id|> now"
    write_jsonl(tmp_path / "ask.jsonl", [{"prompt": text, "answer": "x"} for text in [*QUESTIONS, long, control]])
    entry = written(recipe_with(learner(written={**GREEDY, "count": 7})), tmp_path / "w")
    assert entry.manifest["dropped"][NO_ROOM] == 1
    assert entry.manifest["dropped"][generated.CONTROL] == 1
    assert not {long, control} & {text for text, _ in rows_in(entry)}


def test_alike_rows_are_dropped(recipe_with: Write, tmp_path: Path) -> None:
    """Asked again with little to vary, it says the same again."""
    write_jsonl(
        tmp_path / "ask.jsonl", [{"prompt": QUESTIONS[1], "answer": "x"}, {"prompt": QUESTIONS[3], "answer": "y"}]
    )
    asked = {"count": 3, "max_tokens": 40, "top_p": 0.2, "prompts": [{"path": "ask.jsonl"}]}
    entry = written(recipe_with(learner(written=asked)), tmp_path / "w")
    assert entry.manifest["dropped"][REPEAT] > 0 and len(set(rows_in(entry))) == len(rows_in(entry)) <= 3


# ------------------------------------------------------------------ what cannot be meant


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"count": 0}, "greater than or equal to 1"),
        ({"count": 4, "by": "child"}, "'base' or 'parent'"),
        ({"count": 4, "temperature": 0.0}, "`temperature` 0 without `prompts`"),
        ({"count": 4, "temperature": -1.0}, "greater than or equal to 0"),
        ({"count": 4, "top_p": 0.0}, "greater than 0"),
        ({"count": 4, "max_tokens": 192}, "leaves no room for a prompt in rows of `train.max_length` 192"),
        ({"count": 4, "max_tokens": 9, "prompts": [{"path": "gone.jsonl"}]}, "no such file"),
        ({"count": 4, "prompts": [{"path": "ask.jsonl", "holdout": 0.5}]}, "takes no `holdout`"),
        ({"count": 4, "max_tokens": 300}, "leaves no room for a prompt in rows of `train.max_length` 192"),
        ({"count": 4, "prompt": []}, "unknown key"),
    ],
)
def test_what_is_refused_at_once(fields: dict[str, Any], says: str, recipe_with: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_with(learner(written=fields)))
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1 and caught.value.problems[0].line


def test_the_default_length_fits_short_rows(recipe_with: Write) -> None:
    """As grpo's does: a default of the code is no fault of the user's."""
    written = load_recipe(recipe_with(learner(written={"count": 4}))).trained[0].generated
    assert written is not None and written.max_tokens == 96
    long = load_recipe(recipe_with(learner(written={"count": 4}, train={"max_length": 512}))).trained[0].generated
    assert long is not None and long.max_tokens == 256


def test_grpo_replays_none(recipe_with: Write) -> None:
    rewards = {"rewards": [{"name": "length", "target": 4}], "generations": 2}
    one = stage("one", "grpo", **rewards, data=[{"problems": {"count": 4, "form": "grpo"}}])
    with pytest.raises(RecipeError, match="a grpo stage has a KL term of its own"):
        load_recipe(recipe_with({**one, "replay": {"generations": SELF}}))


def test_what_the_data_check_refuses(recipe_with: Write, tmp_path: Path, batches: list[list[int]]) -> None:
    """Prompts without a user's turn, a base without a chat template, and one that cannot be opened."""
    write_jsonl(tmp_path / "text.jsonl", [{"text": "The mean is a sum over a count."}])
    path = recipe_with(learner(written={"count": 4, "max_tokens": 40, "prompts": [{"path": "text.jsonl"}]}))
    said = statllama("data", "check", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 1 and "running text has no turn of a user" in " ".join(said.stdout.split())
    closed = tmp_path / "closed.jinja"
    turns = "{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}"
    closed.write_text(turns + "{% if add_generation_prompt %}>{% endif %}")
    session = session_of(recipe_with(learner()), tmp_path / "w", f"base.chat_template={closed}")
    with pytest.raises(DataError, match="cannot be made to write one"):
        session.replay(session.recipe.trained[0])
    session.loaded.tokenizer.chat_template = None
    with pytest.raises(DataError, match="needs a chat template"):
        session.replay(session.recipe.trained[0])
    assert batches == []


# ------------------------------------------------------------------ what is told


def test_a_row_can_be_looked_at(recipe_with: Write, tmp_path: Path) -> None:
    """Once it is written; a stage that replays none, and a row that is not there, are told."""
    path, workspace = recipe_with(learner("one"), stage("two", train={"max_length": 192})), tmp_path / "w"
    asked = ("data", "preview", path, "--generations", "--workspace", workspace)
    assert "not written yet" in statllama(*asked, cwd=tmp_path).stderr
    entry = written(path, workspace)
    said = statllama(*asked, "--row", "2", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "rows.jsonl, row 2" in "".join(said.stdout.splitlines()) and len(rows_in(entry)) == 10
    assert "has 10 rows, no row 11" in " ".join(statllama(*asked, "--row", "11", cwd=tmp_path).stderr.split())
    told = statllama(*asked, "--stage", "two", cwd=tmp_path).stderr
    assert "stage two replays no generations; stages that do: one" in " ".join(told.split())


def test_plan_and_check_write_nothing(recipe_with: Write, tmp_path: Path, batches: list[list[int]]) -> None:
    """They say what will be written, and count it in the forecast; a data check passes without it."""
    path = recipe_with(
        stage("zero", train={"steps": 1, "max_length": 192}), learner("one", written={**SELF, "by": "parent"})
    )
    said = statllama("plan", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "one replays 1 rows in each step (10 generations of the parent, weight 0.5)" in " ".join(said.stdout.split())
    assert statllama("data", "check", path, "--workspace", tmp_path / "w", cwd=tmp_path).returncode == 0
    assert batches == [] and not list((tmp_path / "w").glob("cache/*/rows.jsonl"))


def test_writing_is_in_the_forecast(recipe_with: Write, tmp_path: Path) -> None:
    """As tokens that are decoded, until the rows are there."""
    session = session_of(recipe_with(learner(written=SELF)), tmp_path / "w")
    spec = session.recipe.trained[0]
    before = session.timing.stage_work(spec)
    assert 0 < before["low"].read.decoded < before["usual"].read.decoded < before["high"].read.decoded
    awaited = session.prepare(spec).replay
    assert awaited is not None and len(awaited) == 10 and awaited.lengths.tokens.max() <= 192
    session.replays.generations.make(spec, ())
    later = session_of(recipe_with(learner(written=SELF)), tmp_path / "w")
    assert later.timing.stage_work(later.recipe.trained[0])["high"].read.decoded == 0
    replay = later.prepare(later.recipe.trained[0]).replay
    assert replay is not None and replay.awaited is None
    assert awaited.lengths.tokens.max() >= replay.lengths.tokens.max()


def test_another_version_writes_other_rows(recipe_with: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raised GENERATIONS changes the keys of stages that replay some, and of no others."""
    from statllama.runs import generations, keys

    plain, with_rows = recipe_with(stage("one")), None
    before = plan(load_recipe(plain), Store(tmp_path / "w"))[0].key
    with_rows = recipe_with(learner("one"))
    old = plan(load_recipe(with_rows), Store(tmp_path / "w"))[0]
    written_before = session_of(with_rows, tmp_path / "w").replays.generations.key(
        load_recipe(with_rows).trained[0], ()
    )
    for module in (keys, generations):
        monkeypatch.setattr(module, "GENERATIONS", generated.GENERATIONS + 1)
    new = plan(load_recipe(with_rows), Store(tmp_path / "w"))[0]
    assert new.key != old.key and "how this version of statllama writes them" in keys.difference(
        old.material, new.material
    )
    session = session_of(with_rows, tmp_path / "w")
    assert session.replays.generations.key(session.recipe.trained[0], ()) != written_before
    assert plan(load_recipe(recipe_with(stage("one"))), Store(tmp_path / "w"))[0].key == before
    assert generating.ASKING != generating.ANSWERING
