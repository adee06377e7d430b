"""`train: false` and OpenAI's `weight: 0` on a message: it is context, and carries no loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.checks import check_batch
from statllama.data.collate import RowCollator
from statllama.data.formats import parse_row
from statllama.data.prepare import Prepared, prepare
from statllama.data.tokenise import Tokeniser
from statllama.errors import DataError
from tests.conftest import make_tokenizer, stage, write_jsonl
from tests.data.conftest import marked
from tests.running import losses, run

torch.set_num_threads(1)
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
TURN = HEADER + "{}<|eot_id|>"


def talk(*learned: bool | None, key: str = "train", off: Any = False) -> list[dict[str, Any]]:
    """Questions, each with an answer; `learned`: of each answer (None: nothing is said of it)."""
    rows: list[dict[str, Any]] = []
    for i, keep in enumerate(learned):
        more = {} if keep is None else {key: (not off if keep else off)}
        rows += [{"role": "user", "content": f"what {i}"}, {"role": "assistant", "content": f"mean {i}", **more}]
    return rows


def made(folder: Path, tokenizer: Any, row: dict[str, Any], format: str = "messages", **options: Any) -> Prepared:
    write_jsonl(folder / "x.jsonl", [row])
    settings = {"train_on": "responses", "max_length": 128, "packing": False, "seed": 1, "cache": None, **options}
    sources = [SourceSpec(path="x.jsonl", format=format)]
    return prepare("conversations", sources, root=folder, tokenizer=tokenizer, **settings)


def expected(*learned: bool) -> str:
    """The rendered conversation with ⟦ and ⟧ around what carries loss, written by hand."""
    text = "<|begin_of_text|>"
    for i, keep in enumerate(learned):
        answer = f"mean {i}<|eot_id|>"
        text += TURN.format("user", f"what {i}") + HEADER.format("assistant") + (f"⟦{answer}⟧" if keep else answer)
    return text


@pytest.mark.parametrize(("key", "off"), [("train", False), ("weight", 0), ("weight", 0.0)])
def test_a_message_that_is_not_learned_carries_no_loss(tmp_path: Path, tokenizer: Any, key: str, off: Any) -> None:
    learned = (True, False, None, False)
    prepared = made(tmp_path, tokenizer, {"messages": talk(*learned, key=key, off=off)})
    assert marked(tokenizer, prepared.dataset[0]) == expected(True, False, True, False)
    assert (prepared.report.left_out, prepared.report.sources[0].left_out) == (2, 2)


def test_sharegpt_says_it_the_same_way(tmp_path: Path, tokenizer: Any) -> None:
    names = {"user": "human", "assistant": "gpt"}
    turns = [
        {"from": names[m["role"]], "value": m["content"], **({"train": m["train"]} if "train" in m else {})}
        for m in talk(False, True)
    ]
    prepared = made(tmp_path, tokenizer, {"conversations": turns}, "sharegpt")
    assert marked(tokenizer, prepared.dataset[0]) == expected(False, True)


@given(
    st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6).filter(lambda found: False in found or found)
)
def test_any_choice_of_turns(learned: list[bool | None]) -> None:
    row = {"messages": talk(*learned)}
    source, tokenizer = SourceSpec(path="x.jsonl", format="messages"), TOKENIZER
    if not any(keep is not False for keep in learned):
        with pytest.raises(DataError, match="no assistant turn to learn"):
            parse_row(source, row, "x")
        return
    (((tokens,),)) = Tokeniser(tokenizer, train_on="responses", max_length=512).encode(
        [("x", parse_row(source, row, "x"))]
    )
    labels = [i if keep else -100 for i, keep in zip(tokens.ids, tokens.learned, strict=True)]
    assert marked(tokenizer, {"input_ids": tokens.ids, "labels": labels}) == expected(
        *(k is not False for k in learned)
    )


TOKENIZER = make_tokenizer()


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (talk(False, False), "no assistant turn to learn, so it teaches nothing: all say `train: false`"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5}], "`weight` is 0.5"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": "no"}], "`train` is 'no'"),
        (
            [{"role": "user", "content": "a", "train": True}, {"role": "assistant", "content": "b"}],
            "`train: true` on the user turn; only the assistant's turns are learned",
        ),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": True, "weight": 0}],
            "`train: true` and `weight: 0` contradict each other",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, tokenizer: Any, messages: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        made(tmp_path, tokenizer, {"messages": messages})
    assert "x.jsonl" in caught.value.message


def test_it_has_no_meaning_where_all_tokens_are_learned(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError, match="but `train_on: all` takes loss on every token"):
        made(tmp_path, tokenizer, {"messages": talk(False, True)}, train_on="all")


def test_an_answer_that_is_compared_cannot_say_it(tmp_path: Path, tokenizer: Any) -> None:
    ask, answers = talk(None)[:1], ({"role": "assistant", "content": "b", "train": False}, talk(None)[1])
    row = {"prompt": ask, "chosen": [answers[0]], "rejected": [answers[1]]}
    with pytest.raises(DataError, match="chosen says `train: false`"):
        parse_row(SourceSpec(path="x.jsonl", format="preference"), row, "x")


@pytest.mark.parametrize("packing", [False, True])
def test_the_check_of_a_batch_still_holds(tmp_path: Path, tokenizer: Any, packing: bool) -> None:
    """Turns without loss pass where the data have such; loss that begins inside a turn, or has no end, never does."""
    prepared = made(tmp_path, tokenizer, {"messages": talk(True, False, True)}, packing=packing)
    batch = RowCollator(tokenizer.pad_token_id, "transformers")(list(prepared.dataset))
    options: dict[str, Any] = {"kind": "conversations", "train_on": "responses", "max_length": 128}
    check_batch(batch, tokenizer, **options, left_out=True)
    with pytest.raises(DataError, match="an assistant turn after a learned one carries no loss"):
        check_batch(batch, tokenizer, **options)
    start = next(i for i, label in enumerate(batch["labels"][0].tolist()) if label != -100)
    batch["labels"][0, start] = -100
    with pytest.raises(DataError, match="its loss begins inside a turn"):
        check_batch(batch, tokenizer, **options, left_out=True)


def test_a_stage_trains_on_such_rows(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Its loss is that of the rows whose later turns are not there: what comes after a token cannot bear on it."""
    path = write_recipe([stage("one", train={"steps": 2})])
    short = [talk(None) for _ in range(8)]
    write_jsonl(tmp_path / "sft.jsonl", [{"messages": rows + talk(None, False)[2:]} for rows in short])
    found = losses(run(path, tmp_path / "w")["one"])
    write_jsonl(tmp_path / "sft.jsonl", [{"messages": rows} for rows in short])
    assert found == pytest.approx(losses(run(path, tmp_path / "w2")["one"]), abs=1e-5)
