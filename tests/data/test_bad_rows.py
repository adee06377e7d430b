"""Data as they are found: each fault is a clear error with file and row, or is handled as it is documented."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from statllama.config.source import SourceSpec
from statllama.data.examples import Conversation, Document
from statllama.data.formats import parse_row
from statllama.data.prepare import prepare
from statllama.data.sources import resolved, rows
from statllama.errors import DataError
from tests.data.conftest import turns
from tests.data.test_sources import zst

CHAT = {"messages": turns("q", "a")}
PANDAS = "[{'role': 'user', 'content': 'q'}, {'role': 'assistant', 'content': 'a'}]"


def examples(folder: Path, name: str, **fields: Any) -> list[Any]:
    """The examples of a file, in the format of its first row."""
    source = resolved(SourceSpec(path=name, **fields), folder)
    return [parse_row(source, row, where) for where, row in rows(source, folder)]


def fails(folder: Path, name: str, **fields: Any) -> str:
    with pytest.raises(DataError) as caught:
        examples(folder, name, **fields)
    assert caught.value.remedy
    return str(caught.value)


def write(folder: Path, *found: Any, name: str = "x.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))
    return name


def write_csv(folder: Path, *found: dict[str, str]) -> str:
    import csv

    with (folder / "x.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return "x.csv"


def test_mixed_formats_in_one_file(tmp_path: Path) -> None:
    name = write(tmp_path, CHAT, {"prompt": "q", "completion": "a"})
    message = fails(tmp_path, name)
    assert "x.jsonl, row 2: no column 'messages', which format messages needs; columns found: prompt" in message


def test_openai_and_sharegpt_turns_in_one_column(tmp_path: Path) -> None:
    name = write(tmp_path, CHAT, {"messages": [{"from": "human", "value": "q"}]})
    assert "x.jsonl, row 2: messages, message 1 has no role and content (got keys from, value)" in fails(tmp_path, name)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"text": "a"}, {"text": ["a"]}, "row 2: text is a list, expected text"),
        ({"text": "a"}, {"text": {"a": 1}}, "row 2: text is an object"),
        (CHAT, {"messages": "q and a"}, "row 2: messages is a text, expected a list of messages"),
        ({"prompt": "q", "completion": "a"}, {"prompt": "q", "completion": turns("q", "a")}, "row 2: one of prompt"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, {"conversations": "q"},
         "row 2: conversations is a text, expected a list of turns"),
        ({"problem": "p", "steps": ["a"]}, {"problem": "p", "steps": [["a"]]}, "row 2: step 1 is a list"),
        ({"term": "t", "description": "d"}, {"term": "t", "description": ["d"]}, "row 2: description is a list"),
    ],
)  # fmt: skip
def test_column_that_is_sometimes_another_type(tmp_path: Path, first: Any, second: Any, expected: str) -> None:
    assert f"{tmp_path}/x.jsonl, {expected}" in fails(tmp_path, write(tmp_path, first, second))


def test_bom_and_crlf_change_nothing(tmp_path: Path) -> None:
    line = json.dumps(CHAT)
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + f"{line}\r\n\r\n{line}\r\n".encode())
    (tmp_path / "y.csv").write_bytes(b"\xef\xbb\xbfinstruction,output\r\ni,o\r\n")
    assert len(examples(tmp_path, "x.jsonl")) == 2
    assert [m.content for m in examples(tmp_path, "y.csv")[0].messages] == ["i", "o"]


@pytest.mark.parametrize(("text", "expected"), [("\ud83d", "a lone surrogate"), ("a\x00b", "a NUL character")])
def test_text_that_no_tokenizer_takes(tmp_path: Path, text: str, expected: str) -> None:
    name = write(tmp_path, CHAT, {"messages": turns("q", text)})
    assert f"{tmp_path}/x.jsonl, row 2: {expected}" in fails(tmp_path, name)


TOOL_ROW = {
    "conversations": [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": "SPOT"}}'},
        {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "a"},
    ],
    "tools": '[{"name": "f"}]',
}


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"messages": turns("SPOT", "a")}, "user turn"),
        ({"messages": turns("q", "SPOT")}, "assistant turn"),
        ({"messages": turns("q", "a", system="SPOT")}, "system turn"),
        (TOOL_ROW, "assistant turn"),
        ({**TOOL_ROW, "conversations": turns("q", "a"), "tools": '[{"name": "f", "description": "SPOT"}]'}, "text"),
    ],
)
def test_text_of_a_control_token_is_refused(tmp_path: Path, tokenizer: Any, row: dict[str, Any], where: str) -> None:
    if isinstance(row.get("conversations"), list) and "role" in row["conversations"][0]:
        row = {"messages": row["conversations"], "tools": row["tools"]}
    spotted = json.loads(json.dumps(row).replace("SPOT", "so <|eot_id|> far"))
    source = SourceSpec(path=write(tmp_path, spotted))
    with pytest.raises(DataError) as caught:
        prepare(
            "conversations", [resolved(source, tmp_path)], root=tmp_path, tokenizer=tokenizer, train_on="responses",
            max_length=512, packing=False, seed=1, cache=None,
        )  # fmt: skip
    assert f"x.jsonl, row 1: the {where} contains '<|eot_id|>'" in str(caught.value)


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet", "txt", "jsonl.zst"])
def test_ten_megabytes_in_one_row(tmp_path: Path, kind: str) -> None:
    text = 'The mean of 1 and 3 is 2, \\ "it" is.\n' * 280_000
    path = tmp_path / f"x.{kind}"
    line = json.dumps({"text": text})
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([{"text": text}]), path)
    elif kind == "csv":
        write_csv(tmp_path, {"text": text})
    else:
        written = {"json": f"[{line}]", "txt": text}.get(kind, line).encode()
        path.write_bytes(zst(written) if kind.endswith("zst") else written)
    start = time.monotonic()
    assert examples(tmp_path, path.name) == [Document(text)]
    assert time.monotonic() - start < 20  # a reader that looks at it again for each block takes minutes


def test_json_that_is_jsonl_and_the_reverse(tmp_path: Path) -> None:
    write(tmp_path, CHAT, CHAT, name="x.json")
    assert "rename it to x.jsonl" in fails(tmp_path, "x.json")
    (tmp_path / "y.jsonl").write_text(json.dumps([CHAT, CHAT]))
    assert "rename it to y.json" in fails(tmp_path, "y.jsonl")
    (tmp_path / "z.jsonl").write_text(json.dumps([CHAT, CHAT], indent=1))
    assert "rename it to z.json" in fails(tmp_path, "z.jsonl")
    (tmp_path / "w.jsonl").write_text(json.dumps(CHAT, indent=1))
    assert "w.jsonl, row 1 (line 1): not valid JSON" in fails(tmp_path, "w.jsonl")


def test_turns_in_csv_are_json(tmp_path: Path) -> None:
    expected = examples(tmp_path, write(tmp_path, CHAT))
    assert examples(tmp_path, write_csv(tmp_path, {"messages": json.dumps(CHAT["messages"])})) == expected
    user, assistant = map(json.dumps, CHAT["messages"])
    assert examples(tmp_path, write_csv(tmp_path, {"0": user, "1": assistant, "2": ""})) == expected
    asked = write_csv(tmp_path, {"prompt": f"[{user}]", "completion": f"[{assistant}]"})
    assert examples(tmp_path, asked) == [Conversation(expected[0].messages, trained_from=1)]
    pair = {"conversations": '[{"from": "human", "value": "q"}]', "chosen": '{"from": "gpt", "value": "a"}'}
    (made,) = examples(tmp_path, write_csv(tmp_path, {**pair, "rejected": '{"from": "gpt", "value": "b"}'}))
    assert (made.chosen, made.rejected) == ("a", "b")


@pytest.mark.parametrize("format", ["messages", "prompt_completion"])
def test_turns_in_pythons_notation_are_refused(tmp_path: Path, format: str) -> None:
    """What pandas writes for a list: taken as text it would be learned letter by letter."""
    row = {"messages": PANDAS} if format == "messages" else {"prompt": PANDAS, "completion": "a"}
    message = fails(tmp_path, write_csv(tmp_path, row), format=format)
    assert "x.csv, row 1" in message
    assert "turns that are neither JSON nor a list" in message
    assert "json.dumps" in message


@pytest.mark.parametrize("text", ["[1, 2] is the sample", "[1, 2]", '{"a": 1}', "{", "[]"])
def test_text_that_looks_like_json_stays_text(tmp_path: Path, text: str) -> None:
    (example,) = examples(tmp_path, write(tmp_path, {"prompt": text, "completion": "a"}))
    assert example.messages[0].content == text


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"from": "humn", "value": "q"}, "turn 1: unknown speaker 'humn'; did you mean 'human'"),
        ({"from": "human"}, "turn 1 has no from and value (got keys from)"),
        ("q", "turn 1 has no from and value (got a text)"),
        ({"from": "function_call", "value": "f(x)"}, "turn 1: value is a text that is not JSON: 'f(x)'"),
        ({"from": "function_call", "value": '{"name": "f"}'}, "turn 1: not a tool call"),
        ({"from": "function_call", "value": '{"name": "f", "arguments": "x"}'}, "turn 1: arguments is a text that"),
        ({"from": "gpt", "value": "a"}, "wrong order of roles: message 1 is assistant"),
    ],
)
def test_bad_sharegpt_turn_is_named(tmp_path: Path, turn: Any, expected: str) -> None:
    name = write(tmp_path, {"conversations": [turn, {"from": "gpt", "value": "a"}]})
    assert f"x.jsonl, row 1: {expected}" in fails(tmp_path, name, format="sharegpt").replace("conversations, ", "")


def test_two_system_prompts_and_bad_tools_are_named(tmp_path: Path) -> None:
    speech = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    name = write(tmp_path, {"conversations": speech, "system": "s"})
    assert [m.role for m in examples(tmp_path, name)[0].messages] == ["system", "user", "assistant"]
    assert "both system prompts" in fails(tmp_path, write(tmp_path, {"conversations": speech, "system": "t"}))
    (made,) = examples(tmp_path, write(tmp_path, {"conversations": speech[1:], "system": "t"}))
    assert made.messages[0].content == "t"
    for tools, expected in (("[{}]", "tools, entry 1 is not a tool"), ("f(x)", "tools is a text that is not JSON")):
        assert expected in fails(tmp_path, write(tmp_path, {"conversations": speech, "tools": tools}))


def test_template_that_would_leave_tools_out_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    """The small tokenizer's template knows nothing of tools."""

    def refused(row: dict[str, Any]) -> str:
        source = resolved(SourceSpec(path=write(tmp_path, row)), tmp_path)
        with pytest.raises(DataError) as caught:
            prepare(
                "conversations", [source], root=tmp_path, tokenizer=tokenizer, train_on="responses", max_length=512,
                packing=False, seed=1, cache=None,
            )  # fmt: skip
        return str(caught.value)

    assert "row 1: the chat template does not write the tools, so" in refused(TOOL_ROW)
    without = {"conversations": TOOL_ROW["conversations"]}
    assert "row 1: the chat template does not write the assistant's tool call as it is: 'f'" in refused(without)
