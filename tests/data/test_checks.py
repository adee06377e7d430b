"""The checks of a collated batch: silent for what `prepare` makes, and loud for each kind of damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.config.source import SourceSpec
from statllama.data.checks import check_batch
from statllama.data.collate import RowCollator
from statllama.data.prepare import prepare
from statllama.errors import DataError
from tests.conftest import TEMPLATE, conversations, make_tokenizer, preferences, write_jsonl

BOS, END_OF_TEXT, EOT = 0, 1, 4


def made(folder: Path, tokenizer: Any, kind: Any, rows: list[dict[str, Any]], format: str, **options: Any) -> Any:
    write_jsonl(folder / "x.jsonl", rows)
    sources = [SourceSpec(path="x.jsonl", format=format)]
    settings = {
        "train_on": "responses",
        "max_length": 128,
        "packing": False,
        "seed": 1,
        "cache": None,
        **options,
    }
    return prepare(kind, sources, root=folder, tokenizer=tokenizer, **settings).dataset


def batch_of(folder: Path, tokenizer: Any, backend: Any = "transformers", **options: Any) -> dict[str, Any]:
    dataset = made(folder, tokenizer, "conversations", conversations(6), "messages", **options)
    return RowCollator(tokenizer.pad_token_id, backend)(list(dataset))


def pair_batch(rows: list[dict[str, list[int]]]) -> dict[str, Any]:
    """A batch as TRL's DataCollatorForPreference makes it: the chosen sequences, then the rejected ones."""
    sides = [(r["prompt_ids"], r[side]) for side in ("chosen_ids", "rejected_ids") for r in rows]
    width = max(len(prompt) + len(answer) for prompt, answer in sides)

    def stacked(values: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([v + [fill] * (width - len(v)) for v in values])

    return {
        "input_ids": stacked([p + a for p, a in sides], 5),
        "attention_mask": stacked([[1] * len(p + a) for p, a in sides], 0),
        "completion_mask": stacked([[0] * len(p) + [1] * len(a) for p, a in sides], 0),
    }


def check(batch: dict[str, Any], tokenizer: Any, kind: Any = "conversations", **options: Any) -> None:
    check_batch(batch, tokenizer, **{"kind": kind, "train_on": "responses", "max_length": 128, **options})


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("backend", ["transformers", "unsloth"])
@pytest.mark.parametrize("train_on", ["responses", "all"])
@pytest.mark.parametrize("max_length", [128, 50])
def test_sound_batches_pass(
    tmp_path: Path, tokenizer: Any, packing: bool, backend: Any, train_on: str, max_length: int
) -> None:
    options: dict[str, Any] = {"packing": packing, "train_on": train_on, "max_length": max_length}
    batch = batch_of(tmp_path, tokenizer, backend, **options)
    check(batch, tokenizer, train_on=train_on, max_length=max_length)


def test_sound_documents_and_pairs_pass(tmp_path: Path, tokenizer: Any) -> None:
    documents = made(tmp_path, tokenizer, "documents", [{"text": "mean " * 99}], "text", max_length=32, packing=True)
    check(RowCollator(5, "transformers")(list(documents)), tokenizer, "documents", train_on="all", max_length=32)
    pairs = made(tmp_path, tokenizer, "preferences", preferences(4), "preference")
    batch = pair_batch(list(pairs))
    check(batch, tokenizer, "preferences")
    last = batch["completion_mask"][0].nonzero().max()
    batch["input_ids"][0, last] = 30
    with pytest.raises(DataError, match="does not end with the end-of-turn token"):
        check(batch, tokenizer, "preferences")


def damage(batch: dict[str, Any], change: str) -> dict[str, Any]:
    ids, labels = batch["input_ids"], batch["labels"]
    content = int((labels[0] != -100).nonzero()[0])
    end = int((labels[0] == EOT).nonzero()[0])
    if change == "no bos":
        ids[0, 0] = 30
    elif change == "two bos":
        ids[0, 1] = BOS
    elif change == "later bos":
        ids[0, 7] = BOS
    elif change == "first":
        labels[0, 0] = BOS
    elif change == "shifted":
        labels[0, content] = 31 if int(labels[0, content]) != 31 else 32
    elif change == "no end":
        labels[0, end] = -100
    elif change == "early end":
        ids[0, content] = labels[0, content] = EOT
    elif change == "nothing":
        labels[0] = -100
    return batch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no bos", "does not begin with BOS"),
        ("two bos", "begins with two BOS"),
        ("later bos", "a BOS after its start"),
        ("first", "first token carries loss"),
        ("shifted", "is another token"),
        ("no end", "does not end with the end-of-turn token"),
        ("early end", "an end-of-turn token before its end"),
        ("nothing", "no token carries loss"),
    ],
)
def test_damage_is_found_and_shown(tmp_path: Path, tokenizer: Any, change: str, message: str) -> None:
    batch = damage(batch_of(tmp_path, tokenizer), change)
    with pytest.raises(DataError, match=message) as caught:
        check(batch, tokenizer)
    assert "example 1 of the batch" in str(caught.value)
    assert "user<|end_header_id|>" in str(caught.value)


def turns(count: int, format: str = "messages") -> dict[str, Any]:
    """A row with so many questions, each answered; as `prompt_completion` all but the last answer is prompt."""
    said = [
        {"role": role, "content": f"{word} {i}"}
        for i in range(count)
        for role, word in (("user", "q"), ("assistant", "a"))
    ]
    return {"messages": said} if format == "messages" else {"prompt": said[:-1], "completion": said[-1:]}


def learned_turns(labels: torch.Tensor) -> list[tuple[int, int]]:
    """[start, stop) of each run of tokens with loss."""
    edges = torch.diff((labels != -100).int(), prepend=torch.zeros(1), append=torch.zeros(1))
    return list(zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("turn", [1, 2])
def test_a_turn_that_lost_its_mask_is_found(tmp_path: Path, tokenizer: Any, packing: bool, turn: int) -> None:
    dataset = made(tmp_path, tokenizer, "conversations", [turns(3), turns(3)], "messages", packing=packing)
    batch = RowCollator(tokenizer.pad_token_id, "transformers")(list(dataset))
    check(batch, tokenizer)
    start, stop = learned_turns(batch["labels"][0])[turn]
    batch["labels"][0, start:stop] = -100
    with pytest.raises(DataError, match="an assistant turn after a learned one carries no loss"):
        check(batch, tokenizer)


def test_turns_of_a_prompt_need_no_loss(tmp_path: Path, tokenizer: Any) -> None:
    rows = [turns(3, "prompt_completion"), turns(1, "prompt_completion")]
    dataset = made(tmp_path, tokenizer, "conversations", rows, "prompt_completion")
    batch = RowCollator(tokenizer.pad_token_id, "transformers")(list(dataset))
    assert sorted(len(learned_turns(labels)) for labels in batch["labels"]) == [1, 1]
    check(batch, tokenizer)


@pytest.mark.parametrize("length", range(24, 60))
def test_a_turn_may_be_cut_anywhere(tmp_path: Path, tokenizer: Any, length: int) -> None:
    """Also right behind its header, where nothing of it is left to learn."""
    dataset = made(tmp_path, tokenizer, "conversations", [turns(4)], "messages", max_length=length)
    check(RowCollator(tokenizer.pad_token_id, "transformers")(list(dataset)), tokenizer, max_length=length)


def test_a_header_in_words_may_be_quoted(tmp_path: Path) -> None:
    """Without a special token in it, a header may also stand in what a user writes."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{- bos_token }}{%- for m in messages %}{{ m['role'] + ': ' + m['content'] + '<|eot_id|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ 'assistant: ' }}{%- endif %}"
    )
    said = [("user", "a"), ("assistant", "b"), ("user", "what does assistant: mean"), ("assistant", "c")]
    rows = [{"messages": [{"role": role, "content": content} for role, content in said]}]
    dataset = made(tmp_path, tokenizer, "conversations", rows, "messages")
    check(RowCollator(tokenizer.pad_token_id, "transformers")(list(dataset)), tokenizer)


def test_a_packed_example_that_lost_its_mask_is_no_padding(tmp_path: Path, tokenizer: Any) -> None:
    batch = batch_of(tmp_path, tokenizer, packing=True)
    start, stop = learned_turns(batch["labels"][0])[1]
    batch["labels"][0, start:stop] = -100
    with pytest.raises(DataError, match="no token carries loss"):
        check(batch, tokenizer)


def test_bos_that_opens_every_turn_is_no_fault(tmp_path: Path) -> None:
    """In some families (SmolLM2) BOS is the token that opens a turn."""
    tokenizer = make_tokenizer()
    tokenizer.bos_token = "<|start_header_id|>"
    tokenizer.chat_template = TEMPLATE.replace("{{- bos_token }}", "")
    check(batch_of(tmp_path, tokenizer), tokenizer)
    batch = batch_of(tmp_path, tokenizer)
    batch["input_ids"][0, 1] = tokenizer.bos_token_id
    with pytest.raises(DataError, match="begins with two BOS"):
        check(batch, tokenizer)


def test_missing_end_is_found_when_everything_is_learned(tmp_path: Path, tokenizer: Any) -> None:
    batch = batch_of(tmp_path, tokenizer, train_on="all")
    batch["input_ids"][batch["input_ids"] == EOT] = 30
    batch["labels"][batch["labels"] == EOT] = 30
    with pytest.raises(DataError, match="does not end with the end-of-turn token"):
        check(batch, tokenizer, train_on="all")


def test_packed_batch_without_position_ids_is_one_example(tmp_path: Path, tokenizer: Any) -> None:
    """Damage of a packed batch: positions that do not restart leave a BOS in the middle."""
    batch = batch_of(tmp_path, tokenizer, packing=True)
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1]).expand_as(batch["input_ids"])
    with pytest.raises(DataError, match="a BOS after its start"):
        check(batch, tokenizer)
