"""Real files with the real tokenizer; skipped where they are absent.

What a format makes of a row is compared with the tokenizer's own chat template on turns that are made here from the
raw row, and with TRL's assistant mask where TRL has a template for it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.checks import check_batch
from statllama.data.collate import RowCollator
from statllama.data.examples import Example, Preference
from statllama.data.formats import parse_row
from statllama.data.masking import Tokens, show
from statllama.data.prepare import prepare
from statllama.data.sources import resolved, rows
from statllama.data.tokenise import Pair, Tokeniser
from statllama.errors import DataError
from tests.data.test_tokenise import trl_template

DATE = "26 Jul 2024"
GLAIVE, DPO = "sharegpt_glaive_300.jsonl", "dpo_sharegpt_300.jsonl"
EMPTY_ANSWER = 1360  # the one row of the Alpaca file without an answer


def question(text: str, answer: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]


def alpaca(row: dict[str, str]) -> list[dict[str, Any]]:
    return question("\n\n".join(filter(None, (row["instruction"].strip(), row["input"].strip()))), row["output"])


def dolly(row: dict[str, str]) -> list[dict[str, Any]]:
    return question("\n\n".join(filter(None, (row["instruction"].strip(), row["context"].strip()))), row["response"])


def gsm8k(row: dict[str, str]) -> list[dict[str, Any]]:
    return question(row["question"], re.sub("<<.*?>>", "", row["answer"]))


def prompt_completion(row: dict[str, str]) -> list[dict[str, Any]]:
    return question(row["question"], row["answer"])


def sharegpt(row: dict[str, Any]) -> list[dict[str, Any]]:
    roles = {"human": "user", "gpt": "assistant", "observation": "tool", "system": "system"}
    turns: list[dict[str, Any]] = []
    for turn in row["conversations"]:
        if turn["from"] == "function_call":
            call = {"type": "function", "function": json.loads(turn["value"])}
            turns.append({"role": "assistant", "content": "", "tool_calls": [call]})
        else:
            turns.append({"role": roles[turn["from"]], "content": turn["value"]})
    return turns


def tools_of(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    found = json.loads(row.get("tools") or "[]")
    return [{"type": "function", "function": tool} for tool in found] or None


def learned_texts(tokenizer: Any, tokens: Tokens) -> list[str]:
    return [part.split("⟧")[0] for part in show(tokenizer, tokens).split("⟦")[1:]]


def said(turn: dict[str, Any]) -> str:
    """What Llama 3 writes for an assistant's turn."""
    if "tool_calls" not in turn:
        return str(turn["content"]).strip() + "<|eot_id|>"
    call = turn["tool_calls"][0]["function"]
    return f'{{"name": "{call["name"]}", "parameters": {json.dumps(call["arguments"], ensure_ascii=False)}}}<|eot_id|>'


def encoded(folder: Path, tokenizer: Any, source: SourceSpec, **options: Any) -> Iterator[tuple[Any, Example, Any]]:
    """(raw row, example, sequence) for every row that has an answer."""
    known = resolved(source, folder)
    tokeniser = Tokeniser(tokenizer, train_on="responses", max_length=1 << 20, **options)
    for number, (where, row) in enumerate(rows(known, folder), start=1):
        if source.path == "instruct_alpaca_2000.jsonl" and number == EMPTY_ANSWER:
            with pytest.raises(DataError, match=f"row {EMPTY_ANSWER}: the assistant turn is empty"):
                parse_row(known, row, where)
            continue
        example = parse_row(known, row, where)
        yield row, example, tokeniser.encode([(where, example)])[0][0]


RENAMED = {"prompt": "question", "completion": "answer"}
CONVERSATIONS = [
    ("alpaca", "instruct_alpaca_2000.jsonl", {}, alpaca),
    ("dolly", "instruct_dolly_format_500.jsonl", {}, dolly),
    ("gsm8k", "gsm8k_train_1000.jsonl", {}, gsm8k),
    ("prompt_completion", "gsm8k_train_1000.jsonl", RENAMED, prompt_completion),
    ("sharegpt", GLAIVE, {}, sharegpt),
]


@pytest.mark.parametrize(("format", "name", "columns", "turns_of"), CONVERSATIONS)
def test_ids_and_mask_are_the_chat_templates(
    shared_data: Path, llama3: Any, format: str, name: str, columns: dict[str, str], turns_of: Any
) -> None:
    source = SourceSpec(path=name, columns=columns)
    assert resolved(source, shared_data).format == format
    count = 0
    for row, _, tokens in encoded(shared_data, llama3, source):
        turns = turns_of(row)
        theirs = llama3.apply_chat_template(turns, tools=tools_of(row), date_string=DATE, return_dict=False)
        assert tokens.ids == theirs
        assert learned_texts(llama3, tokens) == [said(turn) for turn in turns if turn["role"] == "assistant"]
        count += 1
    assert count in (300, 500, 1000, 1999)


@pytest.mark.parametrize(("format", "name", "columns", "turns_of"), CONVERSATIONS[:4])
def test_mask_is_trls(
    shared_data: Path, llama3: Any, format: str, name: str, columns: dict[str, str], turns_of: Any
) -> None:
    """With TRL's Llama 3 template, which has no tools."""
    from trl.chat_template_utils import get_training_chat_template

    tokenizer = copy.deepcopy(llama3)
    tokenizer.chat_template = trl_template("llama3")
    training = get_training_chat_template(tokenizer)
    for row, _, tokens in encoded(shared_data, tokenizer, SourceSpec(path=name, columns=columns)):
        theirs = tokenizer.apply_chat_template(
            turns_of(row), chat_template=training, return_dict=True, return_assistant_tokens_mask=True
        )
        assert tokens.ids == theirs["input_ids"]
        assert tokens.learned == [bool(learned) for learned in theirs["assistant_masks"]]


def test_mask_of_tool_turns_is_trls(shared_data: Path, llama3: Any) -> None:
    """With Qwen 2.5's template, which TRL can mark; it also learns the line ends around a turn, as ChatML has them."""
    from trl.chat_template_utils import get_training_chat_template

    tokenizer = copy.deepcopy(llama3)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = trl_template("qwen2_5")
    training = get_training_chat_template(tokenizer)
    calls = 0
    for row, _, tokens in encoded(shared_data, tokenizer, SourceSpec(path=GLAIVE)):
        theirs = tokenizer.apply_chat_template(
            sharegpt(row), tools=tools_of(row), chat_template=training, return_dict=True,
            return_assistant_tokens_mask=True,
        )  # fmt: skip
        assert tokens.ids[1:] == theirs["input_ids"]  # after BOS, which this template does not write
        both = list(zip(tokens.ids[1:], tokens.learned[1:], theirs["assistant_masks"], strict=True))
        assert all(learned for _, mine, learned in both if mine)
        assert {tokenizer.decode([i]) for i, mine, learned in both if learned and not mine} <= {"\n"}
        calls += sum(text.startswith("<tool_call>") for text in learned_texts(tokenizer, tokens))
    assert calls == 211


def test_preferences_are_the_chat_templates(shared_data: Path, llama3: Any) -> None:
    source = SourceSpec(path=DPO)
    assert resolved(source, shared_data).format == "preference"
    for row, example, pair in encoded(shared_data, llama3, source):
        assert isinstance(example, Preference)
        assert isinstance(pair, Pair)
        prompt = sharegpt(row)
        theirs = llama3.apply_chat_template(prompt, date_string=DATE, add_generation_prompt=True, return_dict=False)
        assert pair.prompt == theirs
        for ids, answer in ((pair.chosen, row["chosen"]), (pair.rejected, row["rejected"])):
            turns = [*prompt, {"role": "assistant", "content": answer["value"]}]
            assert pair.prompt + ids == llama3.apply_chat_template(turns, date_string=DATE, return_dict=False)


def test_glossary_becomes_definitions(shared_data: Path, llama3: Any) -> None:
    source = SourceSpec(path="stats_glossary_openstax.jsonl", columns={"description": "definition"})
    assert resolved(source, shared_data).format == "definitions"
    for row, _, tokens in encoded(shared_data, llama3, source):
        (text,) = learned_texts(llama3, tokens)
        assert text.endswith(row["definition"].strip() + "<|eot_id|>")
        assert row["term"].strip() in show(llama3, tokens).split("⟦")[0]


def test_gsm8k_becomes_conversations(shared_data: Path, llama3: Any, tmp_path: Path) -> None:
    source = SourceSpec(path="gsm8k_train_1000.jsonl", format="prompt_completion", columns=RENAMED)
    prepared = prepare(
        "conversations", [source], root=shared_data, tokenizer=llama3, train_on="responses", max_length=512,
        packing=True, seed=1, cache=tmp_path,
    )  # fmt: skip
    (report,) = prepared.report.sources
    assert (report.rows_read, report.examples, report.truncated, report.dropped) == (1000, 1000, 0, {})
    assert 0.3 < report.share < 0.8
    assert prepared.report.utilisation > 0.95
    raw = [json.loads(line) for line in (shared_data / str(source.path)).read_text().splitlines()]
    answers = sorted(row["answer"].strip() + "<|eot_id|>" for row in raw)
    learned = []
    for row in prepared.dataset:
        tokens = Tokens(row["input_ids"], [label != -100 for label in row["labels"]])
        learned += learned_texts(llama3, tokens)
    assert sorted(learned) == answers
    batch = RowCollator(llama3.pad_token_id, "transformers")([prepared.dataset[i] for i in range(8)])
    check_batch(batch, llama3, kind="conversations", train_on="responses", max_length=512)


def test_tool_turns_pass_the_checks_of_a_batch(shared_data: Path, llama3: Any) -> None:
    source = SourceSpec(path=GLAIVE, format="sharegpt", limit=40)
    prepared = prepare(
        "conversations", [source], root=shared_data, tokenizer=llama3, train_on="responses", max_length=4096,
        packing=True, seed=1, cache=None,
    )  # fmt: skip
    batch = RowCollator(llama3.pad_token_id, "transformers")(list(prepared.dataset))
    check_batch(batch, llama3, kind="conversations", train_on="responses", max_length=4096)


def test_corpora_become_pieces(shared_data: Path, llama3: Any) -> None:
    names = ("stats_corpus_openstax.jsonl", "stats_corpus_openintro.jsonl")
    sources = [SourceSpec(path=name, format="text", limit=20) for name in names]
    prepared = prepare(
        "documents", sources, root=shared_data, tokenizer=llama3, train_on="all", max_length=1024, packing=True,
        seed=1, cache=None,
    )  # fmt: skip
    assert [s.rows_used for s in prepared.report.sources] == [20, 20]
    assert prepared.report.utilisation > 0.97
    assert all(s.share > 0.99 for s in prepared.report.sources)
    batch = RowCollator(llama3.pad_token_id, "unsloth")(list(prepared.dataset))
    check_batch(batch, llama3, kind="documents", train_on="all", max_length=1024)
