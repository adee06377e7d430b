"""Questions: what rows become, which columns reach the rewards, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.source import ProblemsSpec, SourceSpec
from statllama.data.examples import Completion, Conversation, Document, Message, Preference, Question
from statllama.data.formats import parse_row, recognise
from statllama.data.prepare import prepare
from statllama.data.questions import RESERVED, QuestionRules, as_question, packed_question, unpacked_question
from statllama.errors import DataError
from tests.conftest import write_jsonl

ASKED = (Message("user", "mean of 1 and 3?"),)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def source(format: str, **fields: Any) -> SourceSpec:
    return SourceSpec(path="x.jsonl", format=format, **fields)


def parsed(format: str, row: dict[str, Any], **fields: Any) -> Any:
    return parse_row(source(format, **fields), row, "x.jsonl, row 1")


@pytest.mark.parametrize(
    ("format", "row", "columns"),
    [
        ("question_answer", {"question": "q?", "reasoning": " r ", "answer": " 2 "}, {"answer": "2", "reasoning": "r"}),
        ("question_answer", {"question": "q?", "answer": "2"}, {"answer": "2", "reasoning": ""}),
        ("gsm8k", {"question": "q?", "answer": "48/2 = <<48/2=24>>24\n#### 24"},
         {"answer": "24", "reasoning": "48/2 = 24"}),
        ("prompt_answer", {"prompt": "q?", "answer": 2, "tolerance": 0.1, "tags": ["a"]},
         {"answer": "2", "tolerance": 0.1, "tags": ["a"]}),
        ("prompt_answer", {"prompt": [{"role": "user", "content": "q?"}], "answer": "2"}, {"answer": "2"}),
        ("messages", {"messages": [{"role": "user", "content": "q?"}, {"role": "assistant", "content": "2"}]}, {}),
    ],
)  # fmt: skip
def test_rows_as_questions(format: str, row: dict[str, Any], columns: dict[str, Any]) -> None:
    question = as_question(parsed(format, row), QuestionRules())
    assert question.prompt == (Message("user", "q?"),)
    assert dict(question.columns) == columns


def test_the_answer_is_still_learned_in_sft() -> None:
    """The same rows make the same conversations as before they could be questions."""
    example = parsed("question_answer", {"question": "q?", "answer": "2"})
    assert isinstance(example, Conversation) and example.messages[-1] == Message("assistant", "2")


def test_only_the_last_turn_is_left_out() -> None:
    turns = (*ASKED, Message("assistant", "2"), Message("user", "why?"), Message("assistant", "so"))
    assert as_question(Conversation(turns), QuestionRules()).prompt == turns[:3]


def test_a_system_turn_is_put_first() -> None:
    rules = QuestionRules(system="Be brief.")
    question = as_question(Question(ASKED, {"answer": "2"}), rules)
    assert question.prompt == (Message("system", "Be brief."), *ASKED)
    with pytest.raises(DataError, match="a system turn of its own"):
        as_question(question, rules)
    with pytest.raises(DataError, match="a plain prompt takes no `system` turn"):
        as_question(Completion("The mean is", " 2"), rules)


@pytest.mark.parametrize("columns", [{}, {"answer": None}, {"reasoning": "r"}, {"answer": " "}])
def test_a_column_that_a_reward_needs(columns: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no 'answer', which a reward needs; columns for rewards: "):
        as_question(Question(ASKED, columns), QuestionRules(columns=("answer",)))


@pytest.mark.parametrize("example", [Document("text"), Preference(ASKED, "2", "3")])
def test_what_is_no_question(example: Any) -> None:
    with pytest.raises(DataError, match="is no question"):
        as_question(example, QuestionRules())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "answer": True}, "answer is true/false, expected a text or a number"),
        ({"prompt": "q", "answer": ["2"]}, "answer is a list"),
        ({"prompt": " ", "answer": "2"}, "the user turn is empty"),
        ({"prompt": [{"role": "assistant", "content": "q"}], "answer": "2"}, "wrong order of roles"),
        ({"prompt": 3, "answer": "2"}, "prompt is a number"),
    ],
)
def test_broken_rows(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"x.jsonl, row 1: {message}"):
        parsed("prompt_answer", row)


@pytest.mark.parametrize(
    ("row", "format"),
    [
        ({"prompt": "q", "answer": "2"}, "prompt_answer"),
        ({"prompt": "q", "answer": "2", "topic": "means"}, "prompt_answer"),
        ({"prompt": "q", "chosen": "2", "rejected": "3", "answer": "2"}, "preference"),
        ({"prompt": "q", "completion": "2", "answer": "2"}, "prompt_completion"),
        ({"question": "q", "answer": "2"}, "question_answer"),
    ],
)
def test_recognised(row: dict[str, Any], format: str) -> None:
    assert recognise(row, {}) == format


@given(st.text(min_size=1).filter(str.strip), st.dictionaries(st.text().filter(lambda n: n not in RESERVED), VALUES))
def test_questions_come_back_whole(text: str, columns: dict[str, Any]) -> None:
    chat = unpacked_question(packed_question(Question((Message("user", text),), columns)))
    assert chat == {**columns, "prompt": [{"role": "user", "content": text}]}
    assert unpacked_question(packed_question(Question(text, columns))) == {**columns, "prompt": text}


def test_names_that_trl_keeps_for_itself_are_left_out() -> None:
    found = unpacked_question(packed_question(Question(ASKED, {"images": [1], "completion_ids": [2], "answer": "2"})))
    assert set(found) == {"prompt", "answer"}


def test_prepared_questions(tokenizer: Any, tmp_path: Path) -> None:
    """Prompts as the chat template writes them, in the mixture's order; plain ones after BOS as they are."""
    write_jsonl(tmp_path / "a.jsonl", [{"question": f"q{i}?", "answer": str(i)} for i in range(3)])
    write_jsonl(tmp_path / "b.jsonl", [{"prompt": "The mean is", "answer": "2"}])
    sources = [
        SourceSpec(path="a.jsonl"),
        SourceSpec(path="b.jsonl", render="plain"),
        SourceSpec(problems=ProblemsSpec(count=2, form="grpo", topics=("means",))),
    ]
    found = prepare(
        "questions", sources, root=tmp_path, tokenizer=tokenizer, train_on="responses", max_length=600, packing=False,
        seed=0, cache=tmp_path / "w", questions=QuestionRules(columns=("answer",)),
    )  # fmt: skip
    assert sorted(found.dataset.column_names) == ["prompt_ids", "question"]
    assert [s.examples for s in found.report.sources] == [3, 1, 2] and found.report.supervised_tokens == 0
    for row in found.dataset:
        values = unpacked_question(row["question"])
        if isinstance(values["prompt"], str):
            wanted = [tokenizer.bos_token_id, *tokenizer("The mean is", add_special_tokens=False)["input_ids"]]
        else:
            wanted = tokenizer.apply_chat_template(values["prompt"], add_generation_prompt=True, return_dict=False)
        assert row["prompt_ids"] == wanted and row["prompt_ids"].count(tokenizer.bos_token_id) == 1
        assert values["answer"]
    with pytest.raises(DataError, match="questions cannot be packed"):
        prepare(
            "questions", sources, root=tmp_path, tokenizer=tokenizer, train_on="responses", max_length=60,
            packing=True, seed=0, cache=None,
        )  # fmt: skip


def test_a_template_without_a_header_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"question": "q?", "answer": "2"}])
    template = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    with pytest.raises(DataError, match="writes no assistant's header after the prompt"):
        prepare(
            "questions", [SourceSpec(path="a.jsonl")], root=tmp_path, tokenizer=tokenizer, train_on="responses",
            max_length=60, packing=False, seed=0, cache=None, chat_template=template,
        )  # fmt: skip
