"""What is kept of tries at rows, and how a chat template is opened for a model that asks itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.source import SourceSpec
from statllama.data.chat import Chat
from statllama.data.examples import Message
from statllama.data.generated import EMPTY, LOOP, REPEAT, Tries, Try, kept, read_prompts, reasons, repetition, spoken
from statllama.errors import DataError
from tests.conftest import TEMPLATE, WORDS, make_tokenizer, write_jsonl


def said(text: str, fault: str = "") -> Try:
    return Try(() if fault else (("user", "tell me"), ("assistant", text)), len(text), fault)


def texts(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=30)) for _ in range(count)]


# ------------------------------------------------------------------ what is kept


def test_repetition_is_seq_rep_4() -> None:
    """By hand: of 5 grams of `a b a b a b a b` 2 are distinct; a text of 3 tokens has none."""
    assert repetition([1, 2] * 4) == 1 - 2 / 5
    assert repetition(range(9)) == repetition([1, 1, 1]) == repetition([]) == 0.0
    assert repetition([7] * 104) == pytest.approx(1 - 1 / 101)


def test_faults_and_repeats_are_dropped_and_counted() -> None:
    one, other, third = texts(1, 3)
    near = f"{one} again"
    tries = [said(one), said("", EMPTY), said(one.upper()), said(other), said("x", LOOP), said(near), said(third)]
    assert kept(tries, 9) == [0, 3, 6]
    assert reasons(tries, [0, 3, 6], 9) == {EMPTY: 1, LOOP: 1, REPEAT: 2}
    assert kept(tries, 2) == [0, 3]
    assert reasons(tries, [0, 3], 2) == {EMPTY: 1, LOOP: 1, REPEAT: 1}, "what comes behind the last row is no repeat"
    assert kept([said("", EMPTY)], 3) == [] and reasons([said("", EMPTY)], [], 3) == {EMPTY: 1}
    assert spoken({EMPTY: 1, LOOP: 2000}) == f"2,000 {LOOP}, 1 {EMPTY}"


@given(st.lists(st.integers(0, 5), max_size=14), st.integers(1, 8), st.integers(0, 14))
def test_more_tries_never_change_the_rows_before(picks: list[int], count: int, cut: int) -> None:
    """Rows are a function of the tries in order: those of a part are the first ones of the whole, none comes twice."""
    pool = [*map(said, texts(2, 4)), said("", EMPTY), said("", LOOP)]
    tries = [pool[i] for i in picks]
    rows = kept(tries, count)
    assert rows == sorted(set(rows)) and len(rows) <= count
    assert kept(tries[:cut], count) == [number for number in rows if number < cut]
    assert kept(tries, count + 1)[:count] == rows
    assert len({tries[number].messages for number in rows}) == len(rows)
    every = kept(tries, len(tries) + 1)
    assert len(every) + sum(reasons(tries, every, len(tries) + 1).values()) == len(tries)
    assert len(every) == len({pick for pick in picks if pick < 4})


def test_tries_survive_a_kill(tmp_path: Path) -> None:
    """A line that was cut short is dropped with its whole batch, and the next one is written in its place."""
    file, pool, heeded = tmp_path / "tries.jsonl", [*map(said, texts(3, 3)), said("é\n", LOOP)], []
    tries = Tries(file, lambda: heeded.append(1))
    tries.add(pool[:2])
    tries.close()
    whole = file.read_bytes()
    file.write_bytes(whole + b'[{"messages": [["user", "te')
    again = Tries(file)
    assert again.known == pool[:2] and file.read_bytes() == whole
    again.add(pool[2:])
    again.close()
    assert Tries(file).known == pool and len(heeded) == 1
    assert [len(json.loads(line)) for line in file.read_text().splitlines()] == [2, 2]


# ------------------------------------------------------------------ prompts


def test_prompts_are_first_user_turns(tmp_path: Path) -> None:
    """Behind the system turn, each once, of all formats that have one; filters, limits and the seed hold."""
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one?"}]
    chat += [{"role": "assistant", "content": "1"}, {"role": "user", "content": "and two?"}]
    chat += [{"role": "assistant", "content": "2"}]
    write_jsonl(tmp_path / "chat.jsonl", [{"messages": chat}, {"messages": chat}])
    write_jsonl(tmp_path / "pairs.jsonl", [{"prompt": f"pair {i}?", "chosen": "a", "rejected": "b"} for i in range(6)])
    write_jsonl(tmp_path / "ask.jsonl", [{"prompt": "asked?", "answer": "3"}, {"prompt": "no", "answer": "4"}])
    sources = [
        SourceSpec(path="chat.jsonl", format="messages"),
        SourceSpec(path="pairs.jsonl", format="preference", limit=4),
        SourceSpec(path="ask.jsonl", format="prompt_answer", where={"prompt": r"\?"}),
    ]
    found = read_prompts(sources, tmp_path, 1)
    assert len(found) == 6 and Counter(len(turns) for turns in found) == {1: 5, 2: 1}
    assert (Message("system", "be brief"), Message("user", "one?")) in found
    assert (Message("user", "asked?"),) in found and (Message("user", "no"),) not in found
    assert read_prompts(sources, tmp_path, 1) == found != read_prompts(sources, tmp_path, 2)


def test_running_text_asks_nothing(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "text.jsonl", [{"text": "The mean."}])
    with pytest.raises(DataError, match=r"text\.jsonl, row 1: running text has no turn of a user"):
        read_prompts([SourceSpec(path="text.jsonl", format="text")], tmp_path, 0)


# ------------------------------------------------------------------ templates

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
CHATML += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
LLAMA2 = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
LLAMA2 += "{% else %} {{ m.content }}<|eot_id|>{% endif %}{% endfor %}"
HEADINGS = "{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n\n{% endfor %}### assistant:\n"


@pytest.mark.parametrize(
    ("template", "before", "stop"),
    [
        (TEMPLATE, None, "<|eot_id|>"),
        (CHATML, "<|im_start|>user\n", "<|im_end|>"),
        (LLAMA2, "[INST]", "[/INST]"),
        (HEADINGS, "### user:\n", "### assistant:"),
    ],
    ids=["llama-3", "chatml", "llama-2", "headings"],
)
def test_where_a_users_text_stands(template: str, before: str | None, stop: str) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    opening = Chat(tokenizer, template).opening()
    assert opening.stop == stop
    assert opening.before == before if before is not None else opening.before.endswith("<|end_header_id|>\n\n")


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}",
        "{{ bos_token }}chat{% for m in messages %}{{ m.content | upper }}<|eot_id|>{% endfor %}",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}<|start_header_id|>{{ m.content }}<|eot_id|>{{ m.content }}{% endfor %}",
    ],
    ids=["no header", "changed", "no end", "twice"],
)
def test_a_template_that_cannot_be_opened(template: str) -> None:
    with pytest.raises(DataError, match="cannot be made to write one") as caught:
        Chat(make_tokenizer(), template).opening()
    assert "replay.generations.prompts" in str(caught.value.remedy)
