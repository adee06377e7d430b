"""From files to datasets: what comes out, what the report says, and that a kept result is used again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.cache import tokenizer_hash
from statllama.data.prepare import Prepared, prepare
from statllama.data.report import MixtureReport
from statllama.errors import DataError
from tests.conftest import REPO, conversations, make_tokenizer, preferences, write_jsonl
from tests.data.conftest import marked

DEFAULTS: dict[str, Any] = {
    "train_on": "responses",
    "max_length": 128,
    "packing": False,
    "seed": 7,
    "cache": None,
}


def source(name: str, format: str = "messages", **fields: Any) -> SourceSpec:
    return SourceSpec(path=name, format=format, **fields)


def make(folder: Path, tokenizer: Any, kind: Any, *sources: SourceSpec, **options: Any) -> Prepared:
    return prepare(kind, sources, root=folder, tokenizer=tokenizer, **{**DEFAULTS, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "chat.jsonl", conversations(20))
    write_jsonl(tmp_path / "pairs.jsonl", preferences(10))
    write_jsonl(tmp_path / "plain.jsonl", [{"prompt": f"mean of {i}", "completion": f" is {i}"} for i in range(6)])
    write_jsonl(tmp_path / "text.jsonl", [{"text": f"the mean of {i} " * 9} for i in range(5)])
    return tmp_path


def rows_of(prepared: Prepared) -> list[dict[str, list[int]]]:
    return list(prepared.dataset)


def test_conversations_and_their_report(folder: Path, tokenizer: Any) -> None:
    chat, plain = (
        source("chat.jsonl", limit=8),
        source("plain.jsonl", "prompt_completion", render="plain", repeat=2),
    )
    prepared = make(folder, tokenizer, "conversations", chat, plain)
    data, report = rows_of(prepared), prepared.report
    assert prepared.dataset.column_names == ["input_ids", "labels", "seq_lengths"]
    assert [(s.name, s.rows_read, s.rows_used, s.examples) for s in report.sources] == [
        ("chat.jsonl", 20, 8, 8),
        ("plain.jsonl", 6, 12, 12),
    ]
    assert report.rows == report.examples == len(data) == 20
    assert report.tokens == sum(len(r["input_ids"]) for r in data)
    assert report.supervised_tokens == sum(label != -100 for r in data for label in r["labels"])
    assert report.utilisation == pytest.approx(report.tokens / (20 * 128))
    assert all(0 < s.share < 1 and not s.truncated and not s.dropped for s in report.sources)
    assert report.sources[1].sample == "<|begin_of_text|>mean of 0⟦ is 0<|eot_id|>⟧"
    assert sorted(marked(tokenizer, r) for r in data if len(r["input_ids"]) < 20)[::2] == [
        f"<|begin_of_text|>mean of {i}⟦ is {i}<|eot_id|>⟧" for i in range(6)
    ]
    assert all(r["seq_lengths"] == [len(r["input_ids"])] for r in data)
    assert MixtureReport.from_json(json.loads(json.dumps(report.as_json()))) == report


def test_packing_keeps_every_example(folder: Path, tokenizer: Any) -> None:
    plain = rows_of(make(folder, tokenizer, "conversations", source("chat.jsonl")))
    packed = make(folder, tokenizer, "conversations", source("chat.jsonl"), packing=True)
    examples = []
    for row in rows_of(packed):
        assert len(row["input_ids"]) == sum(row["seq_lengths"]) <= 128
        start = 0
        for length in row["seq_lengths"]:
            examples.append((row["input_ids"][start : start + length], row["labels"][start : start + length]))
            start += length
    assert sorted(examples) == sorted((r["input_ids"], r["labels"]) for r in plain)
    assert packed.report.rows < packed.report.examples == 20


def test_documents_and_preferences(folder: Path, tokenizer: Any) -> None:
    documents = make(folder, tokenizer, "documents", source("text.jsonl", "text"), max_length=16, train_on="all")
    assert documents.report.sources[0].rows_used == 5
    assert documents.report.examples == len(documents.dataset) > 5
    assert all(len(r["input_ids"]) <= 16 and r["input_ids"][0] == 0 for r in rows_of(documents))
    pairs = make(folder, tokenizer, "preferences", source("pairs.jsonl", "preference"))
    assert pairs.dataset.column_names == ["prompt_ids", "chosen_ids", "rejected_ids"]
    assert pairs.report.examples == len(pairs.dataset) == 10
    first = rows_of(pairs)[0]
    assert tokenizer.decode(first["prompt_ids"]).endswith("assistant<|end_header_id|>\n\n")
    assert tokenizer.decode(first["chosen_ids"]).startswith("the mean is")
    assert "chosen: <|begin_of_text|>" in pairs.report.sources[0].sample
    assert 0 < pairs.report.utilisation < 1


def test_text_joins_conversations_only_when_everything_is_learned(folder: Path, tokenizer: Any) -> None:
    both = source("chat.jsonl"), source("text.jsonl", "text")
    prepared = make(folder, tokenizer, "conversations", *both, train_on="all")
    assert prepared.report.sources[1].examples == 5
    with pytest.raises(DataError, match=r"text.jsonl, row 1: format text gives a document") as caught:
        make(folder, tokenizer, "conversations", *both)
    assert "train_on: all" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "format", "message"),
    [
        ("documents", "chat.jsonl", "messages", "gives a conversation, but this stage needs documents"),
        (
            "documents",
            "plain.jsonl",
            "prompt_completion",
            "gives a conversation, but this stage needs documents",
        ),
        (
            "conversations",
            "pairs.jsonl",
            "preference",
            "gives a preference, but this stage needs conversations",
        ),
        ("preferences", "chat.jsonl", "messages", "gives a conversation, but this stage needs preferences"),
        ("conversations", "chat.jsonl", "prompt_completion", "no column 'prompt'"),
        ("conversations", "chat.jsonl", "mesages", "unknown format 'mesages'; did you mean 'messages'"),
    ],
)
def test_rows_of_another_kind_are_refused(
    folder: Path, tokenizer: Any, kind: str, name: str, format: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make(folder, tokenizer, kind, source(name, format))


@pytest.mark.parametrize(
    ("kind", "name", "format", "type_"),
    [
        ("conversations", "pairs.jsonl", "preference", "dpo"),
        ("questions", "pairs.jsonl", "preference", "dpo"),
        ("conversations", "judged.jsonl", "judged", "kto"),
        ("preferences", "judged.jsonl", "judged", "kto"),
        ("conversations", "text.jsonl", "text", "cpt"),
        ("preferences", "chat.jsonl", "messages", "sft"),
        ("judgements", "plain.jsonl", "prompt_completion", "sft"),
        ("documents", "chat.jsonl", "messages", "sft"),
        ("preferences", "asked.jsonl", "prompt_answer", "grpo"),
        ("conversations", "asked.jsonl", "prompt_answer", "grpo"),
    ],
)
def test_rows_of_another_kind_name_the_stage_type_that_learns_from_them(
    folder: Path, tokenizer: Any, kind: str, name: str, format: str, type_: str
) -> None:
    write_jsonl(folder / "judged.jsonl", [{"prompt": "q", "completion": "a", "label": True}])
    write_jsonl(folder / "asked.jsonl", [{"prompt": "q", "answer": "a"}])
    with pytest.raises(DataError, match="but this stage needs") as caught:
        make(folder, tokenizer, kind, source(name, format))
    assert f"are learned by a stage of `type: {type_}`" in (caught.value.remedy or "").replace(
        "is learned", "are learned"
    )


def test_what_is_cut_and_left_out_is_counted(tmp_path: Path, tokenizer: Any) -> None:
    lengths = (1, 40, 2, 40, 3)
    rows = [{"prompt": "q " * n, "completion": "mean " * 30} for n in lengths]
    write_jsonl(tmp_path / "x.jsonl", rows)
    report = make(
        tmp_path, tokenizer, "conversations", source("x.jsonl", "prompt_completion", repeat=3), max_length=40
    ).report
    (only,) = report.sources
    assert (only.rows_used, only.examples) == (15, 9)
    assert only.dropped == {"prompt longer than max_length": 6}
    assert only.truncated == 9
    assert only.tokens == 9 * 40


def test_a_source_with_nothing_to_learn_is_an_error_that_shows_it(folder: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError) as caught:
        make(folder, tokenizer, "conversations", source("chat.jsonl"), max_length=16)
    text = str(caught.value)
    assert "chat.jsonl: max_length 16 is below the shortest prompt" in text
    assert "<|end_header_id|>\n\n⟦the" in text
    assert "train.max_length" in text
    with pytest.raises(DataError, match="max_length 16 is below the shortest prompt"):
        make(folder, tokenizer, "preferences", source("pairs.jsonl", "preference"), max_length=16)
    with pytest.raises(DataError, match="preference pairs cannot be packed"):
        make(folder, tokenizer, "preferences", source("pairs.jsonl", "preference"), packing=True)


def test_same_seed_same_bytes(folder: Path, tokenizer: Any) -> None:
    sources = source("chat.jsonl", limit=9), source("plain.jsonl", "prompt_completion")

    def content(name: str, **options: Any) -> bytes:
        make(folder, tokenizer, "conversations", *sources, cache=folder / name, **options)
        (path,) = (folder / name / "cache").glob("*/data.arrow")
        return path.read_bytes()

    first = content("a", packing=True)
    assert first == content("b", packing=True)
    assert first != content("c", packing=True, seed=8)


class Untouched:
    """A tokenizer that can be described but not used."""

    def __init__(self, tokenizer: Any) -> None:
        self.backend_tokenizer = tokenizer.backend_tokenizer
        self.special_tokens_map = tokenizer.special_tokens_map
        self.chat_template = tokenizer.chat_template


def test_kept_result_is_used_without_tokenising(folder: Path, tokenizer: Any) -> None:
    cache = folder / "work"
    first = make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=cache)
    again = make(folder, Untouched(tokenizer), "conversations", source("chat.jsonl"), cache=cache)
    assert rows_of(again) == rows_of(first)
    assert again.report == first.report
    # The place of the file is not in the key; its bytes are.
    (folder / "moved").mkdir()
    (folder / "chat.jsonl").rename(folder / "moved" / "chat2.jsonl")
    moved = make(folder, Untouched(tokenizer), "conversations", source("moved/chat2.jsonl"), cache=cache)
    assert moved.report.sources[0].name == "moved/chat2.jsonl"
    write_jsonl(folder / "moved" / "chat2.jsonl", conversations(21))
    with pytest.raises(AttributeError):
        make(folder, Untouched(tokenizer), "conversations", source("moved/chat2.jsonl"), cache=cache)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"max_length": 127},
        {"packing": True},
        {"train_on": "all"},
        {"chat_template": "{{ bos_token }}x"},
    ],
)
def test_every_option_is_in_the_key(folder: Path, tokenizer: Any, change: dict[str, Any]) -> None:
    make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=folder / "work")
    with pytest.raises(AttributeError):
        make(
            folder,
            Untouched(tokenizer),
            "conversations",
            source("chat.jsonl"),
            cache=folder / "work",
            **change,
        )


def test_tokenizer_hash_follows_the_rules_not_the_last_call() -> None:
    one, two = make_tokenizer(), make_tokenizer()
    before = tokenizer_hash(one)
    one(["a", "b c"], padding=True, truncation=True, max_length=4)
    assert tokenizer_hash(one) == before == tokenizer_hash(two)
    two.add_tokens(["zzz"])
    assert tokenizer_hash(two) != before
    one.eos_token = "<|end_of_text|>"
    assert tokenizer_hash(one) != before


def test_failure_leaves_no_result_and_damage_is_mended(folder: Path, tokenizer: Any) -> None:
    cache = folder / "work"
    rows = [*conversations(3), {"messages": []}]
    write_jsonl(folder / "bad.jsonl", rows)
    with pytest.raises(DataError, match="row 4"):
        make(folder, tokenizer, "conversations", source("bad.jsonl"), cache=cache)
    assert not list(cache.glob("cache/*"))
    first = make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=cache)
    (path,) = cache.glob("cache/*/data.arrow")
    good = path.read_bytes()
    middle = len(good) // 2
    for harmed in (good[:100], good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :], None):
        path.unlink() if harmed is None else path.write_bytes(harmed)
        notes: list[str] = []
        again = make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=cache, note=notes.append)
        assert path.read_bytes() == good and again.dataset[:] == first.dataset[:]
        (note,) = notes
        assert "data.arrow is" in note and "made again" in note


@pytest.mark.parametrize("step", ["mix", "encode_source", "write_rows", "write_json"])
def test_stopped_at_any_step_it_leaves_no_result(
    folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    cache = folder / "work"
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["statllama.data.prepare"], step, stop)
        with pytest.raises(KeyboardInterrupt):
            make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=cache)
    kept = [json.loads(file.read_text())["what"] for file in cache.glob("cache/*/manifest.json")]
    assert "tokenised data" not in kept and len(kept) <= (0 if step == "write_json" else 1)
    prepared = make(folder, tokenizer, "conversations", source("chat.jsonl"), cache=cache)
    assert len(prepared.dataset) == 20
    assert not list(cache.glob("partial/*"))


def test_two_at_once_make_it_once(folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["statllama.data.prepare"]
    made: list[int] = []
    mix = module.mix  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "mix", lambda *args: made.append(1) or mix(*args))
    with ThreadPoolExecutor(2) as pool:
        tasks = [
            pool.submit(make, folder, tokenizer, "conversations", source("chat.jsonl"), cache=folder / "work")
            for _ in range(2)
        ]
        first, second = (task.result() for task in tasks)
    assert rows_of(first) == rows_of(second)
    assert made == [1]


def test_a_hub_dataset_is_resolved_once(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that moves while data are prepared must not mix two versions."""
    import datasets
    from huggingface_hub import HfApi

    commits = iter(f"{i:040x}" for i in range(9))
    asked: list[str] = []

    def load(*_: Any, revision: str, **__: Any) -> list[Any]:
        asked.append(revision)
        return conversations(4)

    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: type("Info", (), {"sha": next(commits)}))
    monkeypatch.setattr(datasets, "load_dataset", load)
    hub = SourceSpec(hub="owner/name", format="messages")
    assert make(tmp_path, tokenizer, "conversations", hub, cache=tmp_path / "work").report.rows == 4
    assert set(asked) == {f"{0:040x}"}
    make(tmp_path, tokenizer, "conversations", hub, cache=tmp_path / "work")
    assert asked[-1] == f"{1:040x}"


def test_progress_is_told(folder: Path, tokenizer: Any) -> None:
    told: list[tuple[str, int, int]] = []
    make(folder, tokenizer, "conversations", source("chat.jsonl", limit=5), progress=lambda *a: told.append(a))
    assert told[-1] == ("tokenise chat.jsonl", 5, 5)


def test_the_same_bytes_from_any_number_of_workers(
    folder: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under another hash seed, and whichever process makes them: this one, with one worker, and two others."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from transformers import PreTrainedTokenizerFast\n"
        "from statllama.data.prepare import prepare\n"
        "from statllama.data.select import Guard\n"
        "from statllama.config.source import SourceSpec\n"
        "sources = [SourceSpec(path='chat.jsonl', weight=2.0), SourceSpec(path='plain.jsonl', weight=1.0)]\n"
        "tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])\n"
        "prepare('conversations', sources, root=Path('.'), tokenizer=tokenizer,\n"
        "        train_on='responses', max_length=64, packing=True, seed=5, cache=Path(sys.argv[2]),\n"
        "        guard=Guard(deduplicate='near'))\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["", str(base_folder), "work1"])
    exec(script, {})
    for workers, hash_seed in (("2", "1"), ("4", "2")):
        env = {**os.environ, "RAYON_NUM_THREADS": workers, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPO)}
        env["TOKENIZERS_PARALLELISM"] = "true"
        command = [sys.executable, "-c", script, str(base_folder), f"work{workers}"]
        subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    made = []
    for workers in ("1", "2", "4"):
        files = sorted((folder / f"work{workers}").glob("cache/*/[dks]*"))
        made.append({f"{file.parent.name}/{file.name}": file.read_bytes() for file in files})
    assert made[0] == made[1] == made[2] and any(name.endswith("data.arrow") for name in made[0])
