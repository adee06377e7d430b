"""Ollama's Modelfile: what its template renders is what the model was trained on."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from statllama.data.chat import TEMPLATE_VARIABLES, Chat
from statllama.release.modelfile import go_template, modelfile, stop_texts
from statllama.release.source import Source
from statllama.release.turns import turns_of
from tests.conftest import SHARED, TEMPLATE, make_tokenizer
from tests.release.go_templates import ollama_data, render, with_go

REAL = SHARED / "data" / "llama3-tokenizer"
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGED = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% if loop.index == 2 %}{{ messages[0]['content'] }}"
    "{% endif %}{{ m['content'] }} [/INST]{% elif m['role'] == 'assistant' %} {{ m['content'] }}</s>{% endif %}"
    "{% endfor %}"
)
SYSTEM = {"role": "system", "content": "Answer in one line."}
ASK = {"role": "user", "content": 'What is "the mean" of 3 and 5?\n\n{{ not a template }}'}
REPLY = {"role": "assistant", "content": "4 <b>∑x/n</b>"}
MORE = {"role": "user", "content": "and the median?"}
TALKS = [[ASK], [SYSTEM, ASK], [SYSTEM, ASK, REPLY, MORE], [ASK, REPLY, MORE], [ASK, REPLY, MORE, REPLY, ASK]]


def parsed(text: str) -> dict[str, list[str]]:
    """The commands of a Modelfile, as Ollama reads them: a value in three quotes may have several lines."""
    found: dict[str, list[str]] = {}
    for name, long, short in re.findall(r'^([A-Z]+) (?:"""(.*?)"""|([^\n]*))$', text, re.MULTILINE | re.DOTALL):
        found.setdefault(name, []).append(long or short)
    return found


def expected(tokenizer: Any, template: str, talk: list[dict[str, str]]) -> str:
    """What Transformers writes, the assistant to speak, without the BOS that Ollama puts there itself."""
    text = tokenizer.apply_chat_template(
        talk, chat_template=template, tokenize=False, add_generation_prompt=True, **TEMPLATE_VARIABLES
    )
    return text.removeprefix(tokenizer.bos_token)


def source(folder: Path, template: str | None) -> Source:
    return Source("tiny", folder, folder, template, (), ())


@cache
def templates() -> list[tuple[str, Any]]:
    small = make_tokenizer()
    found = [(TEMPLATE, small), (CHATML, small)]
    if REAL.is_dir():
        from transformers import AutoTokenizer

        real = AutoTokenizer.from_pretrained(REAL)
        found.append((real.chat_template, real))
    return found


def test_the_template_renders_what_transformers_renders(tmp_path: Path) -> None:
    """By an evaluator of its own, and by real Go where that is installed."""
    asked, wanted = [], []
    for template, tokenizer in templates():
        go = go_template(template, tokenizer)
        assert go is not None
        for talk in TALKS:
            asked.append((go, ollama_data(talk)))
            wanted.append(expected(tokenizer, template, talk))
    assert [render(*one) for one in asked] == wanted
    assert with_go(asked, tmp_path) in (None, wanted)


def test_an_assistant_turn_at_the_end_is_left_open() -> None:
    """Ollama has the model go on with it."""
    tokenizer = make_tokenizer()
    go = go_template(TEMPLATE, tokenizer)
    assert go is not None
    text = tokenizer.apply_chat_template([ASK, REPLY], tokenize=False, continue_final_message=True)
    assert render(go, ollama_data([ASK, REPLY])) == text.removeprefix(tokenizer.bos_token)


def test_bos_is_never_repeated() -> None:
    """The GGUF says that the tokenizer adds it; only where it does not must the template write it."""
    from tokenizers import processors

    for template, tokenizer in templates():
        assert tokenizer.bos_token not in (go_template(template, tokenizer) or "")
    silent = make_tokenizer()
    silent.backend_tokenizer.post_processor = processors.ByteLevel()
    go = go_template(TEMPLATE, silent)
    assert go is not None
    assert render(go, ollama_data([ASK])) == silent.bos_token + expected(silent, TEMPLATE, [ASK])


@pytest.mark.parametrize("template", [MERGED, TEMPLATE.replace("m['content']", "m['content'] | upper"), "{{ 1 / 0 }}"])
def test_other_shapes_are_refused_with_a_note(template: str, base_folder: Path) -> None:
    """No TEMPLATE is better than one that differs from what was trained."""
    tokenizer = make_tokenizer()
    assert go_template(template, tokenizer) is None
    text = modelfile(source(base_folder, template), "gguf/tiny.gguf", tokenizer)
    assert "TEMPLATE" not in parsed(text)
    assert "# Ollama would send your text to the model as it is" in text


def test_a_template_with_braces_of_go_is_refused() -> None:
    tokenizer = make_tokenizer()
    assert go_template(TEMPLATE.replace("<|eot_id|>", "<|eot_id|>{{ '{{' }}").replace("'{{ '", "'"), tokenizer) is None


def test_modelfile(base_folder: Path, tmp_path: Path) -> None:
    """What is in it, and nothing more: no system prompt, and how `statllama chat` replies, not the base."""
    tokenizer = make_tokenizer()
    found = parsed(modelfile(source(base_folder, TEMPLATE), "gguf/tiny-q4_k_m.gguf", tokenizer))
    assert found["FROM"] == ["./gguf/tiny-q4_k_m.gguf"]
    assert found["TEMPLATE"] == [go_template(TEMPLATE, tokenizer)]
    greedy = ["temperature 0", "repeat_penalty 1"]
    assert found["PARAMETER"] == ['stop "<|eot_id|>"', *greedy]
    assert found.keys() == {"FROM", "TEMPLATE", "PARAMETER"}
    settings = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 4], "max_length": 99}
    (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    found = parsed(modelfile(source(tmp_path, TEMPLATE), "gguf/tiny.gguf", tokenizer))
    stops = ['stop "<|end_of_text|>"', 'stop "<|eot_id|>"']
    assert found["PARAMETER"] == [*stops, *greedy]


def test_the_end_of_a_turn_is_a_stop_though_no_configuration_says_so(tmp_path: Path) -> None:
    """A base whose configuration names `<|end_of_text|>` alone is one whose chat never stops."""
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "<|end_of_text|>"
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 1}))
    assert stop_texts(source(tmp_path, TEMPLATE), tokenizer) == ["<|end_of_text|>", "<|eot_id|>"]
    assert stop_texts(source(tmp_path, None), tokenizer) == ["<|end_of_text|>"]


def test_a_base_without_a_template(tmp_path: Path) -> None:
    text = modelfile(source(tmp_path, None), "gguf/tiny.gguf", make_tokenizer())
    assert "no chat template" in text
    assert "TEMPLATE" not in parsed(text)


def test_turns() -> None:
    """What the shape says of a turn, on the small tokenizer's template."""
    tokenizer = make_tokenizer()
    chat = Chat(tokenizer, TEMPLATE)
    turns = turns_of(chat, tokenizer.bos_token)
    assert turns is not None
    assert turns.before["user"] == "<|start_header_id|>user<|end_header_id|>\n\n"
    assert set(turns.after.values()) == {"<|eot_id|>"}
    assert (turns.start, turns.default, turns.generation) == ("<|begin_of_text|>", "", turns.before["assistant"])
    assert chat.end_of_turn == tokenizer.convert_tokens_to_ids("<|eot_id|>")
    assert Chat(tokenizer, CHATML).end_of_turn is None  # its marks are no tokens of this tokenizer
