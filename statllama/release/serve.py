"""`statllama serve`: the command line of a release's server. Loads no model itself.

GGUF goes to llama.cpp: its own `llama-server` where that is installed, else the same server out of xllamacpp
(`llamacpp_public.py`). Merged weights, or an adapter on its base, go to vLLM. What is served is the release as it was
verified, and the server takes the place of this process: signals, logs and exit codes are its own. It answers as
`statllama chat` does unless a request says otherwise: the likeliest token always, no system prompt, and in the chat
template the date of training.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NoReturn

from statllama.data.chat import DATE_STRING
from statllama.errors import ExportError, UsageError, near
from statllama.runs.chat import Sampling
from statllama.store.files import read_json

Engine = Literal["llama.cpp", "vllm"]
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""vLLM's values for --max-lora-rank: https://docs.vllm.ai/en/latest/features/lora.html"""
VARIABLES = {"date_string": DATE_STRING}
"""Variables of the chat template for llama.cpp; a template that writes no date does not read them."""
Which = Callable[[str], str | None]


@dataclass(frozen=True)
class Listening:
    """The server's address, and its name for the model."""

    host: str = "127.0.0.1"
    port: int = 8080
    context: int = 4096
    """Maximum tokens of a conversation: the size of the cache."""


@dataclass(frozen=True)
class Served:
    """A folder of a release, or a GGUF file by itself."""

    name: str
    gguf: tuple[Path, ...] = ()
    """Models, smallest first; GGUF LoRA files are not among them."""
    merged: Path | None = None
    adapter: Path | None = None
    forced: bool = False
    """It was published despite a failed verification."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """{type of a GGUF that failed and is not there: what to take instead}."""
    made_of: str = "RUN"
    """The target of `statllama export` that it was made of, as far as the release says it."""

    @property
    def for_vllm(self) -> str:
        """Return the forms that vLLM takes, in words."""
        return " and ".join(
            what for what, held in (("merged weights", self.merged), ("an adapter", self.adapter)) if held
        )

    @property
    def with_gguf(self) -> str:
        """Return the commands that make a release with GGUF of the same, and serve it."""
        out = shlex.quote(f"{self.name}-gguf")
        return f"statllama export {shlex.quote(self.made_of)} --out {out} --gguf q8_0 && statllama serve {out}"


def find_served(target: str) -> Served:
    """Return the release or GGUF file that `target` names. UsageError when it is neither."""
    path = Path(target).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return Served(path.stem, (path,))
    if not path.is_dir():
        raise UsageError(
            f"{target!r} is not a folder of a release or a GGUF file",
            remedy="release a run first: statllama export RUN --out DIR --gguf q4_k_m",
        )
    files = [file for file in path.glob("gguf/*.gguf") if not file.name.endswith("-lora.gguf")]
    merged, adapter = path / "merged", path / "adapter"
    certificate = _certificate(path / "verification.json")
    found = Served(
        name=_name(path),
        gguf=tuple(sorted(files, key=lambda file: (file.stat().st_size, file.name))),
        merged=merged if (merged / "config.json").is_file() else None,
        adapter=adapter if (adapter / "adapter_config.json").is_file() else None,
        forced=certificate.get("passed") is False,
        withheld={
            str(one.get("type")): str(one.get("instead"))
            for one in certificate.get("withheld", ())
            if one.get("kind") == "gguf"
        },
        made_of=str(certificate.get("made_of") or "RUN"),
    )
    if not (found.gguf or found.merged or found.adapter):
        raise UsageError(
            f"{path} holds no release: neither gguf/, merged/ nor adapter/ with a model",
            remedy="make one: statllama export RUN --out DIR --gguf q4_k_m",
        )
    return found


def _name(folder: Path) -> str:
    """Return the release's name, which its GGUF files begin with; else the folder's."""
    for file in sorted(folder.glob("gguf/*.gguf")):
        if not file.name.endswith("-lora.gguf"):
            return file.stem.rpartition("-")[0] or file.stem
    return folder.resolve().name


def _certificate(file: Path) -> dict[str, Any]:
    found = read_json(file) if file.is_file() else None
    return found if isinstance(found, dict) else {}


def choose(served: Served, engine: str | None) -> Engine:
    """Return the server for what the release holds: llama.cpp for GGUF, else vLLM. UsageError when it cannot be
    `engine`.
    """
    able: dict[Engine, str] = {}
    if served.gguf:
        able["llama.cpp"] = "GGUF"
    if served.merged or served.adapter:
        able["vllm"] = served.for_vllm
    for name, what in (("llama.cpp", "GGUF file (--gguf q4_k_m)"), ("vllm", "merged weights (--merged bf16)")):
        if engine == name and name not in able:
            raise UsageError(
                f"--with {engine} needs {what}: {served.name} has only {' and '.join(able.values())}",
                remedy=f"export one first: {served.with_gguf}" if name == "llama.cpp" else "leave out --with vllm",
            )
    if engine is not None and engine not in ("llama.cpp", "vllm"):
        raise UsageError(f"--with {engine!r}: {near(engine, ('llama.cpp', 'vllm'))}")
    return next(name for name in able if engine in (None, name))


def command(
    served: Served,
    engine: Engine,
    listening: Listening,
    gguf: str | None = None,
    extra: Sequence[str] = (),
    which: Which = shutil.which,
) -> list[str]:
    """Return the command line of the server. `gguf`: type of the file to serve; None: the smallest. `extra`: passed on.

    `which`: finds a program by its name. UsageError for a type that is not there; ExportError when the server is not
    installed, saying how to get it.
    """
    if engine == "llama.cpp":
        return _llama_cpp(served.name, _file(served, gguf), listening, extra, which)
    if gguf is not None:
        raise UsageError("--gguf chooses a file for llama.cpp; vLLM serves the merged weights")
    return _vllm(served, listening, extra, which)


def _file(served: Served, kind: str | None) -> Path:
    if kind is None:
        return served.gguf[0]
    kinds = {file.stem.rpartition("-")[2].lower(): file for file in served.gguf}
    if kind.lower() in served.withheld and kind.lower() not in kinds:
        raise UsageError(
            f"--gguf {kind}: it failed its verification, and {served.name} was released without it",
            remedy=served.withheld[kind.lower()],
        )
    if kind.lower() not in kinds:
        raise UsageError(f"--gguf {kind}: {served.name} has no such file; {near(kind.lower(), kinds)}")
    return kinds[kind.lower()]


def _llama_cpp(name: str, file: Path, listening: Listening, extra: Sequence[str], which: Which) -> list[str]:
    program = which("llama-server")
    if program is not None:
        options = {
            "--model": str(file),
            "--alias": name,
            "--host": listening.host,
            "--port": str(listening.port),
            "--ctx-size": str(listening.context),
            "--temp": f"{Sampling().temperature:g}",
            "--chat-template-kwargs": json.dumps(VARIABLES),
        }
        return [program, *(word for pair in options.items() for word in pair), "--jinja", *extra]
    if find_spec("xllamacpp") is None:
        raise ExportError(
            "llama.cpp's server is not installed: there is no `llama-server` on the PATH",
            remedy="pip install 'statllama[gguf]', or install llama.cpp (brew, winget, apt, or its releases)",
        )
    if extra:
        raise UsageError(
            f"{' '.join(extra)}: more arguments need llama.cpp's own `llama-server` on the PATH",
            remedy="remove them, or install llama.cpp: brew install llama.cpp, winget install llama.cpp",
        )
    settings = {
        "model": str(file),
        "name": name,
        "host": listening.host,
        "port": listening.port,
        "context": listening.context,
        "temperature": Sampling().temperature,
        "variables": {name: json.dumps(value) for name, value in VARIABLES.items()},
    }
    program = str(Path(__file__).with_name("llamacpp_public.py"))
    return [sys.executable, "-P", program, json.dumps(settings)]  # -P: this folder's gguf.py is not PyPI's gguf


def _vllm(served: Served, listening: Listening, extra: Sequence[str], which: Which) -> list[str]:
    program = which("vllm")
    if program is None:
        there = "serve its GGUF with --with llama.cpp" if served.gguf else f"export a GGUF first: {served.with_gguf}"
        raise ExportError(
            f"{served.name} holds {served.for_vllm}, which vLLM serves, and vLLM is not installed: there is no `vllm` "
            "on the PATH",
            remedy=f"{there}; or install vLLM in an environment of its own (Linux, a GPU): pip install vllm",
        )
    if served.merged is not None:
        model, offered = str(served.merged), ["--served-model-name", served.name]
    else:
        assert served.adapter is not None
        model, offered = _on_base(served.name, served.adapter)
    length = min(listening.context, _positions(Path(model)) or listening.context)
    return [
        *(program, "serve", model, *offered),
        *("--host", listening.host, "--port", str(listening.port), "--max-model-len", str(length)),
        *("--override-generation-config", json.dumps({"temperature": Sampling().temperature, "repetition_penalty": 1})),
        *extra,
    ]


def _on_base(name: str, adapter: Path) -> tuple[str, list[str]]:
    """Return the base that an adapter belongs to, and the options that put it there."""
    config = read_json(adapter / "adapter_config.json")
    if not isinstance(config, dict) or not isinstance(config.get("base_model_name_or_path"), str):
        raise UsageError(f"{adapter / 'adapter_config.json'} names no base model")
    if config.get("trainable_token_indices"):
        raise UsageError(
            "the adapter has rows of tokens (`lora.token_rows`), which vLLM does not take from an adapter",
            remedy="release merged weights: statllama export RUN --out DIR --merged bf16",
        )
    base, commit = config["base_model_name_or_path"], config.get("revision")
    if "/" not in base and not Path(base).is_dir():
        raise UsageError(
            f"the adapter's base {base!r} is a missing folder",
            remedy="cd to the folder above it, or release merged weights: statllama export RUN --out DIR --merged bf16",
        )
    rank = int(config["r"])  # of all modules: `adapter.py` writes no `rank_pattern`, which vLLM does not read
    most = next((allowed for allowed in RANKS if rank <= allowed), None)
    if most is None:
        raise UsageError(
            f"the adapter has rank {rank}, but vLLM takes at most {RANKS[-1]}",
            remedy="release merged weights (--merged bf16), or recompress it: --adapter --rank 256",
        )
    pinned = ["--revision", commit] if isinstance(commit, str) else []
    return base, [*pinned, "--enable-lora", "--max-lora-rank", str(most), "--lora-modules", f"{name}={adapter}"]


def _positions(model: Path) -> int | None:
    """Return the tokens that a model in a folder can look at; None when that is not known."""
    if not (model / "config.json").is_file():
        return None
    config: Any = read_json(model / "config.json")
    found = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return found if isinstance(found, int) else None


def hand_over(command: Sequence[str]) -> NoReturn:
    """Become the server. ExportError when it cannot be started."""
    try:
        if os.name == "posix":
            os.execv(command[0], list(command))
        sys.exit(subprocess.call(list(command)))  # Windows has no exec that keeps the console
    except OSError as error:
        raise ExportError(f"{command[0]} cannot be started: {error.strerror or error}") from error
