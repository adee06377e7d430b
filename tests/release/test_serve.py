"""serve hands over to real servers: what is chosen, with which arguments, and a server that really answers."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from statllama.cli import app as cli
from statllama.errors import ExportError, UsageError
from statllama.release.adapter import write_adapter
from statllama.release.gguf import write_gguf
from statllama.release.merged import write_merged
from statllama.release.serve import Listening, choose, command, find_served
from tests.release.making import save_base, save_stages, source_of


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all forms, as `export` lays it out."""
    folder = tmp_path_factory.mktemp("serve")
    model = save_base(folder / "base")
    source = source_of(folder / "base", save_stages(model, folder / "stages"))
    out = folder / "release"
    for part in ("gguf", "merged", "adapter"):
        (out / part).mkdir(parents=True)
    for kind in ("f16", "q8_0"):
        write_gguf(source, out / "gguf" / f"small-{kind}.gguf", kind)
    (out / "gguf" / "small-lora.gguf").write_bytes(b"")
    write_merged(source, out / "merged", "bf16")
    write_adapter(source, out / "adapter", base_name="acme/base", revision="0123abcd")
    return out


def nothing(name: str) -> str | None:
    return None


def installed(name: str) -> str | None:
    return f"/opt/{name}"


def test_the_smallest_gguf_goes_to_llama_server(release: Path) -> None:
    served = find_served(str(release))
    assert (served.name, [f.name for f in served.gguf]) == ("small", ["small-q8_0.gguf", "small-f16.gguf"])
    assert choose(served, None) == "llama.cpp" and choose(served, "vllm") == "vllm"
    made = command(served, "llama.cpp", Listening("0.0.0.0", 9000, 512), None, ["--threads", "4"], installed)
    assert made[0] == "/opt/llama-server"
    assert made[1:] == [
        *("--model", str(release / "gguf" / "small-q8_0.gguf"), "--alias", "small"),
        *("--host", "0.0.0.0", "--port", "9000", "--ctx-size", "512", "--temp", "0"),
        *("--chat-template-kwargs", '{"date_string": "26 Jul 2024"}', "--jinja", "--threads", "4"),
    ]
    assert str(release / "gguf" / "small-f16.gguf") in command(served, "llama.cpp", Listening(), "F16", (), installed)


def test_merged_weights_go_to_vllm_within_the_positions_of_the_model(release: Path) -> None:
    positions = json.loads((release / "merged" / "config.json").read_text())["max_position_embeddings"]
    made = command(find_served(str(release)), "vllm", Listening(context=positions + 1), which=installed)
    assert made == [
        *("/opt/vllm", "serve", str(release / "merged"), "--served-model-name", "small"),
        *("--host", "127.0.0.1", "--port", "8080", "--max-model-len", str(positions)),
        *("--override-generation-config", '{"temperature": 0.0, "repetition_penalty": 1}'),
    ]


def test_an_adapter_alone_goes_to_vllm_on_its_base(release: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").symlink_to(release / "adapter")
    served = find_served(str(tmp_path))
    assert choose(served, None) == "vllm"
    made = shlex.join(command(served, "vllm", Listening(), which=installed))
    rank = json.loads((release / "adapter" / "adapter_config.json").read_text())["r"]
    assert 8 < rank <= 16
    assert "vllm serve acme/base --revision 0123abcd --enable-lora --max-lora-rank 16 --lora-modules" in made
    assert f"{tmp_path.name}={tmp_path / 'adapter'}" in made


def with_config(folder: Path, **changes: Any) -> Path:
    (folder / "adapter").mkdir()
    config = {"base_model_name_or_path": "acme/base", "r": 8} | changes
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"r": 513}, "rank 513, but vLLM takes at most 512"),
        ({"base_model_name_or_path": "mybase"}, "'mybase' is a missing folder"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"trainable_token_indices": {"embed_tokens": [5]}}, "rows of tokens .* which vLLM does not take"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        command(find_served(str(with_config(tmp_path, **changes))), "vllm", Listening(), which=installed)


def test_what_cannot_be_served(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder of a release or a GGUF file") as caught:
        find_served("quickstart")
    assert "statllama export" in str(caught.value)
    with pytest.raises(UsageError, match="holds no release"):
        find_served(str(tmp_path))
    served = find_served(str(release))
    with pytest.raises(UsageError, match="no such file; allowed: f16, q8_0"):
        command(served, "llama.cpp", Listening(), "iq2", (), installed)
    with pytest.raises(UsageError, match=r"allowed: llama\.cpp, vllm"):
        choose(served, "tgi")
    with pytest.raises(UsageError, match="has only an adapter"):
        choose(find_served(str(with_config(tmp_path))), "llama.cpp")
    with pytest.raises(UsageError, match="--gguf chooses a file"):
        command(served, "vllm", Listening(), "f16", (), installed)
    with pytest.raises(ExportError, match="vLLM is not installed: there is no `vllm`"):
        command(served, "vllm", Listening(), which=nothing)


def test_an_adapter_alone_asks_for_a_gguf_first(release: Path, tmp_path: Path) -> None:
    """With the command, which names the run that the release is of."""
    (tmp_path / "adapter").symlink_to(release / "adapter")
    (tmp_path / "verification.json").write_text('{"passed": true, "made_of": "mine:sft"}')
    served = find_served(str(tmp_path))
    wanted = f"statllama export mine:sft --out {tmp_path.name}-gguf --gguf q8_0 && statllama serve {tmp_path.name}-gguf"
    with pytest.raises(ExportError, match="holds an adapter, which vLLM serves, and vLLM is not installed") as missing:
        command(served, choose(served, None), Listening(), which=nothing)
    with pytest.raises(UsageError, match=r"needs GGUF file .*: \S+ has only an adapter") as wrong:
        choose(served, "llama.cpp")
    assert f"export a GGUF first: {wanted}" in str(missing.value) and f"export one first: {wanted}" in str(wrong.value)


def test_without_llama_cpp(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = find_served(str(release))
    monkeypatch.setattr("statllama.release.serve.find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"pip install 'statllama\[gguf\]'"):
        command(served, "llama.cpp", Listening(), which=nothing)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["statllama", "serve", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_the_command_line_is_printed_and_a_forced_release_is_told(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (release / "verification.json").write_text('{"passed": false}')
    assert call(monkeypatch, str(release), "--dry-run", "--port", "9001", "--", "--threads", "2") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{program} --model ") and said.out.endswith("--jinja --threads 2\n")
    assert "despite a failed verification" in said.err
    (release / "verification.json").unlink()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(port: int, route: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{route}", data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def assert_a_page(port: int) -> None:
    """A chat page for browsers, which all take gzip; its script is there too, and comes from here."""

    def text(route: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{route}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            body = answer.read()
            return gzip.decompress(body).decode() if answer.headers["Content-Encoding"] == "gzip" else body.decode()

    page = text("")
    assert "<html" in page and "://" not in page.partition("<body")[2]
    script = re.search(r"[\w./-]+/bundle\.[\w-]+\.js", page)
    assert script is not None and "chat/completions" in text(script[0].removeprefix("./").lstrip("/"))


def test_a_real_server_answers_until_it_is_told_to_end(release: Path) -> None:
    pytest.importorskip("xllamacpp")
    port = free_port()
    made = command(find_served(str(release)), "llama.cpp", Listening(port=port, context=256), which=nothing)
    with subprocess.Popen(made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert f"small on http://127.0.0.1:{port} (a chat page; OpenAI's API below /v1)" in server.stdout.readline()
        for _ in range(50):
            try:
                models = ask(port, "/v1/models")
                break
            except urllib.error.URLError:
                time.sleep(0.2)
        assert [model["id"] for model in models["data"]] == ["small"]
        turns = [{"role": "user", "content": "the mean"}]
        assert_a_page(port)
        reply = ask(port, "/v1/chat/completions", {"messages": turns, "max_tokens": 4})
        assert reply["model"] == "small" and reply["usage"]["completion_tokens"] <= 4
        busy = subprocess.run(made, capture_output=True, text=True, timeout=60)
        assert busy.returncode == 1 and str(port) in busy.stderr and "Traceback" not in busy.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_server_takes_the_place_of_the_command(release: Path) -> None:
    """The same process id before and after: signals and exit codes are the server's own."""
    pytest.importorskip("xllamacpp")
    port = free_port()
    argv = [sys.executable, "-m", "statllama", "serve", str(release), "--port", str(port), "--context", "128"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and f":{port}" in server.stdout.readline()
        assert "llamacpp_public.py" in Path(f"/proc/{server.pid}/cmdline").read_text()
        server.terminate()
        assert server.wait(timeout=20) == 0
