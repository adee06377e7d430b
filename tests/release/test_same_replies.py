"""chat, serve and the card answer alike: the same prompt, date, stops and choice of tokens, so the same reply.

The base's own settings ask for something else: they sample, and make repetition less likely.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.release.card_use import Reader
from statllama.release.certificate import Verified
from statllama.release.formats import release_format
from statllama.release.gguf import write_gguf
from statllama.release.merged import write_merged
from statllama.release.modelfile import modelfile
from statllama.release.serve import Listening, command, find_served
from statllama.release.source import Source
from statllama.runs.chat import Conversation, Sampling, stop_tokens, stream
from tests.conftest import SHARED, TEMPLATE, make_llama, make_tokenizer
from tests.release.test_serve import ask, free_port, nothing

DATED = (
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    + TEMPLATE.replace("{{- bos_token }}", "{{- bos_token + 'Today: ' + date_string }}")
)
QUESTION = 'what\'s the "mean" of `the` $sample \\ range?'
TOKENS = 24


LLAMA = SHARED / "data" / "llama3-tokenizer" / "chat_template.jinja"


@pytest.fixture(scope="module", params=["dated", "Llama 3.2's"])
def template(request: pytest.FixtureRequest) -> str:
    if request.param == "dated":
        return DATED
    if not LLAMA.is_file():
        pytest.skip("Llama 3.2's own template is not here")
    return LLAMA.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, template: str) -> Path:
    folder = tmp_path_factory.mktemp("same")
    tokenizer = make_tokenizer()
    model = make_llama(len(tokenizer), seed=3, initializer_range=0.3)
    tokenizer.chat_template = template
    settings = {"do_sample": True, "temperature": 5.0, "top_p": 0.9, "repetition_penalty": 1.8, "eos_token_id": [4]}
    model.generation_config.update(**settings)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    source = Source("small", folder / "base", folder / "base", template, (), ())
    for part in ("gguf", "merged"):
        (folder / "release" / part).mkdir(parents=True)
    write_gguf(source, folder / "release" / "gguf" / "small-f32.gguf", "f32")
    write_merged(source, folder / "release" / "merged", "f32")
    (folder / "release" / "Modelfile").write_text(modelfile(source, "gguf/small-f32.gguf", tokenizer))
    return folder / "release"


@pytest.fixture(scope="module")
def port(release: Path) -> Iterator[int]:
    """Of a server as `statllama serve` starts it."""
    pytest.importorskip("xllamacpp")
    number = free_port()
    made = command(find_served(str(release)), "llama.cpp", Listening(port=number, context=512), which=nothing)
    with subprocess.Popen(made, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and str(number) in server.stdout.readline()
        yield number
        server.terminate()


@pytest.fixture(scope="module")
def loaded(release: Path) -> tuple[Any, Any]:
    folder = release / "merged"
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def reader(template: str) -> Reader:
    return Reader("small", "path/to/base", None, template, QUESTION)


def examples(kind: str, name: str, template: str = DATED) -> list[str]:
    """The card's blocks of code on a form."""
    text = "\n\n".join(release_format(kind).use([Verified(name, kind, "f32", ())], reader(template)))
    return re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)


def test_one_question_has_one_reply(
    template: str, release: Path, port: int, loaded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of chat, of the server asked with the card's curl, and of the card's Python code."""
    model, tokenizer = loaded
    ids = Conversation(tokenizer, 512).prompt(QUESTION)
    chatted = "".join(stream(model, tokenizer, ids, 512, Sampling(max_tokens=TOKENS)))
    curl = shlex.split(examples("gguf", "gguf/small-f32.gguf", template)[1])
    assert curl[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    served = ask(port, "/v1/chat/completions", {**json.loads(curl[-1]), "max_tokens": TOKENS})
    said: list[str] = []
    monkeypatch.chdir(release)
    (code,) = examples("merged", "merged", template)
    exec(code.replace(f"max_new_tokens={Sampling().max_tokens}", f"max_new_tokens={TOKENS}"), {"print": said.append})
    assert chatted.strip() and [served["choices"][0]["message"]["content"], *said] == [chatted, chatted]


def test_one_question_has_one_prompt(template: str, port: int, loaded: tuple[Any, Any]) -> None:
    """With the date of training, whatever today is, and no system's turn."""
    _, tokenizer = loaded
    ids = Conversation(tokenizer, 512).prompt(QUESTION)
    assert re.search(r"Today(: | Date: )26 Jul 2024", tokenizer.decode(ids))
    messages = [{"role": "user", "content": QUESTION}]
    rendered = ask(port, "/apply-template", {"messages": messages})["prompt"]
    assert ask(port, "/tokenize", {"content": rendered, "add_special": True, "parse_special": True})["tokens"] == ids
    carded = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, **reader(template).date
    )
    assert carded["input_ids"] == ids


def test_stops_and_choice_of_tokens(release: Path, port: int, loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    settings = ask(port, "/props")["default_generation_settings"]["params"]
    chat = Sampling()
    assert (settings["temperature"], settings["repeat_penalty"]) == (chat.temperature, 1.0) == (0.0, 1.0)
    stops = stop_tokens(model, tokenizer)
    assert stops == [tokenizer.convert_tokens_to_ids("<|eot_id|>")] == model.generation_config.eos_token_id
    for stop in stops:
        body = {"prompt": [0], "n_predict": 2, "logit_bias": [[stop, 1e4]]}
        assert ask(port, "/completion", body)["stop_type"] == "eos"
    lines = (release / "Modelfile").read_text().splitlines()
    assert {"PARAMETER temperature 0", "PARAMETER repeat_penalty 1", 'PARAMETER stop "<|eot_id|>"'} <= set(lines)
    assert "SYSTEM" not in "".join(lines)


def test_commands_of_the_card_name_the_same_settings() -> None:
    (started, asked), (ollama,) = examples("gguf", "g.gguf")[:2], examples("gguf", "g.gguf")[2:]
    client, server = map(shlex.split, started.splitlines())
    assert (client[0], server[0]) == ("llama-cli", "llama-server") and client[1:] == server[1:]
    assert client[1:6] == ["-m", "g.gguf", "--jinja", "--temp", "0"]
    assert json.loads(client[client.index("--chat-template-kwargs") + 1]) == {"date_string": "26 Jul 2024"}
    assert QUESTION in asked.replace("'\"'\"'", "'").replace('\\"', '"').replace("\\\\", "\\")
    assert shlex.split(ollama)[-1] == QUESTION
    assert "--chat-template-kwargs" not in Reader("x", "b", None, TEMPLATE).llama_cpp  # it writes no date
