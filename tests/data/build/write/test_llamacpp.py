"""Against the real server of llama.cpp, which holds replies to the schema whatever the model's weights are."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from statllama.data.build.blocks import left_out_of
from statllama.data.build.server.client import hosted
from statllama.data.build.server.parsing import parsed
from statllama.data.build.server.spec import ServerSpec
from statllama.data.build.write.kinds import kind_names
from statllama.release import llamacpp_public
from statllama.release.gguf import write_gguf
from tests.data.build.server.chat_api import request, taking
from tests.data.build.write.documents import document
from tests.data.build.write.test_step import run, writer
from tests.release.making import save_base, source_of
from tests.release.test_serve import ask, free_port

pytest.importorskip("xllamacpp")
OPTIONS = ["it depends on the sample", "the median", "the mean \\ $\\mu$"]
SCHEMA = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": {"enum": ["first", "second"]}, "minItems": 2, "maxItems": 3},
        "answer": {"enum": OPTIONS},
    },
    "required": ["steps", "answer"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model of random weights."""
    folder = tmp_path_factory.mktemp("llamacpp")
    save_base(folder / "base", max_position_embeddings=8192)
    write_gguf(source_of(folder / "base"), folder / "small.gguf", "f16")
    port = free_port()
    settings = {
        "model": str(folder / "small.gguf"), "name": "small", "host": "127.0.0.1", "port": port, "context": 8192,
        "temperature": 1.0, "variables": {},
    }  # fmt: skip
    argv = [sys.executable, llamacpp_public.__file__, json.dumps(settings)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdout.readline()
        for _ in range(100):
            try:
                ask(port, "/v1/models")
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
        server.terminate()


def test_replies_follow_the_schema_and_are_counted(url: str) -> None:
    with hosted(ServerSpec(model="small", url=url, parallel=2)).open() as asks:
        asked = [request(f"Which is robust, {i}?", i, schema=json.dumps(SCHEMA), max_tokens=200) for i in range(4)]
        found = list(asks(taking(asked)))
        short = list(asks(taking([request("Which?", schema=json.dumps(SCHEMA), max_tokens=2)])))
        long = list(asks(taking([request("word " * 20_000)])))
    assert len(found) == 4
    for _, reply in found:
        said = parsed(reply.text)
        assert reply.ended == "stop" and said is not None
        assert list(said) == ["steps", "answer"] and said["answer"] in OPTIONS
        assert 2 <= len(said["steps"]) <= 3 and set(said["steps"]) <= {"first", "second"}
        assert reply.usage is not None and 0 < reply.usage.completion <= 200 and reply.usage.prompt > 0
    assert short[0][1].ended == "length" and short[0][1].usage is not None and short[0][1].usage.completion == 2
    assert long[0][1].ended == "too long" and "context" in long[0][1].text


@pytest.mark.parametrize("kind", kind_names())
def test_the_whole_step(kind: str, url: str, tmp_path: Path) -> None:
    """A model that knows nothing never comes to an end. Some replies end within a character, at which the server fails;
    those are asked for without the schema.
    """
    step = writer(tmp_path, url, {"kind": kind, "per_section": 2, "max_tokens": 24, "attempts": 1})
    entry = run(tmp_path, step, [document()])
    left = list(left_out_of(entry))
    assert entry.manifest["kept"] + len(left) == 2 and step.spent().completion <= 48
    assert {each["reason"] for each in left} <= {"a reply cut at max_tokens", "a reply that the server could not read"}
