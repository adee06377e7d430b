"""Mistakes and misfortunes through the real command line: what is said, where, how to mend it, the exit code."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from statllama.cli import app as cli
from statllama.cli.console.run import ConsoleReporter
from statllama.train import training
from statllama.train.step import StepTrainer
from statllama.train.trainer import StageTrainer
from tests.conftest import REPO, conversations, preferences, stage, write_jsonl
from tests.reference import relative
from tests.running import adapter_bytes, losses, run, verified

torch.set_num_threads(1)
Write = Callable[..., Path]


@dataclass(frozen=True)
class Said:
    """What a command printed, on both streams, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`statllama ARGUMENTS` in this process, with a workspace of its own. Never shows a traceback."""
    monkeypatch.setenv("STATLLAMA_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.delenv("STATLLAMA_DEBUG", raising=False)

    def call(*arguments: str | Path) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["statllama", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Said(int(left.value.code or 0), printed.out, printed.err)

    return call


def has(said: Said, code: int, *parts: str) -> None:
    """The command left with that code and its error output holds all those parts."""
    assert said.code == code, said
    for part in parts:
        assert part in said.err, (part, said.err)
    assert "error:" in said.err


def nothing_published(tmp_path: Path) -> bool:
    return not list((tmp_path / "w").glob("results/*"))


# ------------------------------------------------------------------ the recipe

RECIPES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "unknown key": (
        [stage("sft", train={"learning_rte": 1e-3})],
        ["line @learning_rte:", "stages[0].train.learning_rte (stage sft)", "unknown key",
         "did you mean 'learning_rate'"],
    ),
    "wrong type": (
        [stage("sft", train={"steps": "six"})],
        ["line @steps: six", "stages[0].train.steps (stage sft)", "valid integer", "got 'six'"],
    ),
    "negative": (
        [stage("sft", train={"learning_rate": -1.0})],
        ["stages[0].train.learning_rate", "greater than or equal to 0", "got -1.0"],
    ),
    "unknown type": (
        [stage("sft"), {**stage("dop", "dpo"), "type": "dop"}],
        ["stages[1].type", "unknown stage type 'dop': did you mean 'dpo'?"],
    ),
    "unknown parent": (
        [stage("sft"), stage("more", parents=["stf"])],
        ["stages[1].parents (stage more)", "unknown stage 'stf': did you mean 'sft'?"],
    ),
    "cycle": (
        [stage("a", parents=["b"]), stage("b", parents=["a"])],
        ["these stages are each other's ancestors: a, b", "break the cycle in their `parents`"],
    ),
    "duplicate name": ([stage("a"), stage("a")], ["stages[1].name", "a stage named 'a' already exists"]),
    "packing with dpo": (
        [stage("a", "dpo", train={"packing": True})],
        ["stages[0]", "packing is for cpt and sft", "set `packing: false`"],
    ),
    "dora": (
        [stage("a", lora={"dora": True})],
        ["stages[0].lora.dora", "DoRA rescales the whole weight", "cannot be stacked"],
    ),
    "steps and epochs": (
        [stage("a", train={"epochs": 2})],
        ["stages[0].train", "give `epochs` or `steps`, not both: set the unwanted one to null"],
    ),
    "micro-batch": (
        [stage("a", train={"batch_size": 6, "micro_batch_size": 4})],
        ["stages[0].train.micro_batch_size", "has replaced it: write `micro_tokens: 256` (4 rows of 64)"],
    ),
    "missing file": (
        [stage("sft", data=[{"path": "stf.jsonl", "format": "messages"}])],
        ["stages[0].data[0].path (stage sft)", "no such file", "'sft.jsonl'",
         "--set stages.sft.data.0.path=FILE"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_wrong_recipe(name: str, write_recipe: Write, command: Command, tmp_path: Path) -> None:
    stages, parts = RECIPES[name]
    path = write_recipe(stages)
    lines = path.read_text().splitlines()
    for part in parts:
        if part.startswith("line @"):
            (number,) = (i for i, line in enumerate(lines, 1) if part.removeprefix("line @") in line)
            parts = [f"line {number}, ", *(p for p in parts if p != part)]
    has(command("run", path), 2, str(path), *parts)
    assert not (tmp_path / "w").exists()


def test_an_evaluation_that_counts_a_pass_in_rows(write_recipe: Write, command: Command) -> None:
    path = write_recipe([stage("a")], evaluate={"batch_size": 32, "max_length": 512})
    has(
        command("plan", path), 2, "evaluate.batch_size", "has replaced it: write `micro_tokens: 16384` (32 rows of 512)"
    )


def test_all_mistakes_are_told_at_once(write_recipe: Write, command: Command) -> None:
    path = write_recipe([stage("a", train={"steps": "x", "stps": 1}), stage("a", "dpo")], nmae="x")
    has(command("plan", path), 2, "stages[0].train.steps", "stages[0].train.stps", "nmae", "3 errors")


def test_no_such_recipe_and_wrong_options(command: Command, write_recipe: Write) -> None:
    has(command("run", "quikstart"), 2, "no recipe 'quikstart'", "did you mean 'quickstart'?")
    path = write_recipe([stage("sft")])
    has(command("run", path, "--untill", "x"), 2, "No such option", "--until")
    has(command("run", path, "--until", "stf"), 2, "no stage 'stf'", "did you mean 'sft'?")
    has(command("run", path, "--set", "nonsense"), 2, "expected key=value")
    has(command("run", path, "--set", "stages.stf.train.steps=1"), 2, "did you mean 'sft'?")
    has(command("runn"), 2, "runn")


# ------------------------------------------------------------------ the data


def _messages(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": r, "content": "some text"} for r in roles]}


def _lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GOOD = conversations(3)
PAIRS = preferences(3)
SAME = {"prompt": "what ?", "chosen": "the same", "rejected": "the same"}
DATA: dict[str, tuple[str, bytes, list[str]]] = {
    "empty": ("sft", b"", ["the file is empty (0 bytes)"]),
    "no rows": ("sft", b"\n\n", ["sft.jsonl: no rows"]),
    "truncated": ("sft", _lines(GOOD)[:-30], ["row 3", "not valid JSON", "may be cut off"]),
    "missing column": ("sft", _lines([*GOOD, {"text": "x"}]), ["row 4", "'messages'", "columns"]),
    "no assistant": ("sft", _lines([GOOD[0], _messages("user")]), ["row 2", "no assistant turn"]),
    "role order": (
        "sft",
        _lines([GOOD[0], _messages("user", "user", "assistant")]),
        ["row 2", "wrong order of roles", "message 2 is user after user", "expected assistant"],
    ),
    "unknown role": ("sft", _lines([_messages("usr", "assistant")]), ["row 1", "did you mean 'user'?"]),
    "empty turn": (
        "sft",
        _lines([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}]),
        ["row 1", "assistant turn is empty"],
    ),
    "same answers": ("dpo", _lines([*PAIRS, SAME]), ["row 4", "chosen equals rejected", "remove the row"]),
    "not UTF-8": ("sft", _lines(GOOD) + b'{"messages": "caf\xe9"}\n', ["not UTF-8", "line 4", "iconv -f"]),
    "control token": (
        "cpt",
        _lines([{"text": "a"}, {"text": "b <|eot_id|> c"}]),
        ["row 2", "'<|eot_id|>'", "control token"],
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_wrong_data(name: str, write_recipe: Write, command: Command, tmp_path: Path) -> None:
    """Found before a model is loaded, with file and row."""
    kind, content, parts = DATA[name]
    path = write_recipe([stage("first"), stage("second", kind)])
    (tmp_path / "ok.jsonl").write_bytes((tmp_path / "sft.jsonl").read_bytes())
    (tmp_path / f"{kind}.jsonl").write_bytes(content)
    has(command("run", path, "--set", "stages.first.data.0.path=ok.jsonl"), 2, f"{kind}.jsonl", *parts)
    assert nothing_published(tmp_path)


def test_rows_that_are_too_long(write_recipe: Write, command: Command, tokenizer: Any, tmp_path: Path) -> None:
    """`max_length` below the shortest prompt; the message has the rendered example and the length to exceed."""
    path = write_recipe([stage("sft", train={"max_length": 12})])
    turns = [row["messages"][:1] for row in conversations(48)]
    lengths = [
        len(tokenizer.apply_chat_template(t, add_generation_prompt=True, tokenize=True, return_dict=False))
        for t in turns
    ]
    said = command("run", path)
    has(said, 2, "max_length 12 is below the shortest prompt", f"({min(lengths)} tokens)",
        "<|start_header_id|>user", f"set `train.max_length` above {min(lengths)}")  # fmt: skip
    assert nothing_published(tmp_path)
    said = command("run", path, "--set", f"stages.sft.train.max_length={min(lengths) + 1}")
    assert said.code == 0


def test_a_source_without_a_supervised_token(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    """One of two sources gives nothing to learn: it is named, with its first example."""
    words = " ".join(["mean of the sample"] * 60)
    long = [{"messages": [{"role": "user", "content": words}, {"role": "assistant", "content": "x"}]}]
    write_jsonl(tmp_path / "long.jsonl", long)
    sources = [{"path": name, "format": "messages"} for name in ("sft.jsonl", "long.jsonl")]
    path = write_recipe([stage("sft", data=sources)])
    has(command("run", path), 2, "long.jsonl", "no token carries loss", "mean of the sample")
    pairs = [{"prompt": "what", "chosen": "the mean is x", "rejected": "the mean is y"}]
    write_jsonl(tmp_path / "dpo.jsonl", pairs)
    path = write_recipe([stage("dpo", "dpo", train={"max_length": 23})])
    said = command("run", path)
    has(said, 2, "dpo.jsonl", "no token carries loss", "chosen equals rejected once cut to max_length: 1")


def test_a_tokenizer_without_a_chat_template(
    write_recipe: Write, command: Command, base_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    path = write_recipe([stage("sft")])
    has(command("run", path, "--set", f"base.model={folder}"), 2, "no chat template", "base.chat_template")


# ------------------------------------------------------------------ the base and the machine


def test_a_base_without_the_target_modules(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    path = write_recipe([stage("sft", lora={"target_modules": ["q_proj", "c_attn"]})])
    has(command("run", path), 1, "no linear module 'c_attn'", "down_proj", "lora.target_modules")
    assert nothing_published(tmp_path)


def test_a_base_that_is_not_there(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    path = write_recipe([stage("sft")])
    has(command("run", path, "--set", "base.model=./nowhere"), 2, "base.model", "no such file or folder")
    said = command("run", path, "--set", "base.model=someone/some-llama")
    has(
        said,
        1,
        "someone/some-llama",
        "cannot be reached",
        "neither the workspace nor the local cache",
        "--set base.model=FOLDER",
    )
    (tmp_path / "empty").mkdir()
    has(command("run", path, "--set", f"base.model={tmp_path / 'empty'}"), 1, "holds none of config.json")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    said = command("run", path, "--set", f"base.model={tmp_path / 'half'}")
    has(said, 2, "base.model", f"{tmp_path / 'half'} names no architecture", "supported: llama, mistral")
    (tmp_path / "half" / "config.json").write_text('{"model_type": "llama"}')
    has(command("run", path, "--set", f"base.model={tmp_path / 'half'}"), 1, "holds no weights in safetensors")


def test_an_8_bit_optimizer_on_the_cpu(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    path = write_recipe([stage("sft", train={"optimizer": "adamw_8bit"})])
    has(command("run", path), 1, "stage sft: optimizer adamw_8bit needs CUDA",
        "--set stages.sft.train.optimizer=adamw_torch")  # fmt: skip
    assert nothing_published(tmp_path)


def test_one_of_several_processes(
    write_recipe: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `torchrun --nproc-per-node 2 -m statllama run` starts it: refused before anything is read or written."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = write_recipe([stage("sft")])
    for arguments in (("run", path), ("eval", path, "--task", "ap_statistics")):
        has(command(*arguments), 2, "WORLD_SIZE is 2", "without torchrun", "--devices 2")
    assert not (tmp_path / "w" / "results").exists()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert command("run", path, "--set", "stages.sft.train.steps=1").code == 0


def test_an_unknown_benchmark(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    path = write_recipe([stage("sft")], evaluate={"tasks": ["ap_statistic"]})
    said = command("run", path)
    has(said, 2, "unknown benchmark 'ap_statistic': did you mean 'ap_statistics'", "`evaluate.tasks` names benchmarks")
    assert nothing_published(tmp_path)


# ------------------------------------------------------------------ training that fails


def plant(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any, Any, Any], Any]) -> None:
    """Let `spoil(trainer, inputs, step)` stand for every training step; `step()` is the real one."""
    real = StageTrainer.training_step

    def step(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return spoil(self, inputs, lambda: real(self, model, inputs, *args, **kwargs))

    monkeypatch.setattr(StageTrainer, "training_step", step)


def test_a_loss_that_is_not_a_number(
    write_recipe: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops at the step, keeps the last sound checkpoint, and goes on from it to the unbroken run's bits."""
    path = write_recipe([stage("sft")])
    with monkeypatch.context() as planted:
        plant(planted, lambda t, inputs, step: step() * (float("nan") if t.state.global_step == 4 else 1.0))
        said = command("run", path)
    has(said, 1, "stage sft: loss nan", "at step 5 of 6", "the last sound checkpoint is step 4",
        "lower the learning rate", "--set stages.sft.train.learning_rate=0.0025")  # fmt: skip
    assert nothing_published(tmp_path)
    assert len(list((tmp_path / "w").glob("partial/*/checkpoints/checkpoint-4/sealed.json"))) == 1
    said = command("run", path)
    assert said.code == 0
    assert "resuming from the checkpoint of step 4" in said.out
    (broken,) = (tmp_path / "w" / "results").iterdir()
    whole = run(path, tmp_path / "whole")["sft"]
    assert adapter_bytes(broken) == adapter_bytes(whole)
    assert losses(broken) == losses(whole)


def test_a_broken_base_and_a_wild_learning_rate(
    write_recipe: Write, command: Command, base_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    weights = load_file(folder / "model.safetensors")
    next(t for n, t in weights.items() if "up_proj" in n)[0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path = write_recipe([stage("sft"), stage("dpo", "dpo")])
    has(command("run", path, "--set", f"base.model={folder}"), 1, "stage sft: loss nan", "at step 1 of 6",
        "none saved")  # fmt: skip
    said = command("run", path, "--set", "stages.sft.train.learning_rate=1e30")
    has(said, 1, "stage sft: loss", "of 6", "lower the learning rate")
    assert nothing_published(tmp_path)


def out_of_memory(monkeypatch: pytest.MonkeyPatch, above: int, since: int = 0) -> None:
    """Fails as CUDA does in the backward pass of a forward pass of more than `above` tokens, from step `since` on."""
    real = StepTrainer.pass_step

    def failing(self: Any, model: Any, batch: Any, counted: Any) -> Any:
        loss = real(self, model, batch, counted)  # leaves gradients behind
        if batch["input_ids"].numel() > above and self.state.global_step >= since:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss

    monkeypatch.setattr(StepTrainer, "pass_step", failing)


@pytest.mark.parametrize(
    ("kind", "since"), [("sft", 0), pytest.param("cpt", 3, marks=pytest.mark.slow), ("dpo", 3), ("kto", 3)]
)
def test_out_of_memory_takes_the_step_again_in_smaller_passes(
    kind: str, since: int, write_recipe: Write, command: Command, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also in the middle of a run; nothing remains of the failed try, and the result is the unbroken one's."""
    train = {"micro_tokens": 8192, "learning_rate": 1e-3, "adam_epsilon": 1e-4}
    path = write_recipe([stage("one", kind, train=train)])
    with monkeypatch.context() as planted:
        out_of_memory(planted, 130, since)
        said = command("run", path)
    assert said.code == 0
    assert re.search(r"out of memory in a forward pass of [\d,]+ tokens: this step is taken again", said.out)
    assert "resuming" not in said.out
    (got,) = (tmp_path / "w" / "results").iterdir()
    wanted = run(path, tmp_path / "whole")["one"]
    assert losses(got) == pytest.approx(losses(wanted), abs=1e-5)
    ours, theirs = (load_file(x / "adapter_model.safetensors") for x in (got, wanted))
    assert max(relative(ours[n], theirs[n]) for n in theirs) < 2e-4
    mine, other = (json.loads((x / "manifest.json").read_text())["metrics"] for x in (got, wanted))
    assert mine["tokens"] == other["tokens"]
    assert mine["micro_tokens"] <= 130 < other["micro_tokens"] == 8192


def test_out_of_memory_at_one_row(
    write_recipe: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory(monkeypatch, 0)
    has(command("run", write_recipe([stage("sft")])), 1, "stage sft: out of memory in a forward pass of",
        "a single row or pair", "--set stages.sft.train.max_length=32")  # fmt: skip
    assert nothing_published(tmp_path)


# ------------------------------------------------------------------ the disk and the workspace


def test_a_full_disk(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    """Any file over 50 KB fails to be written: the optimizer's state does, in a checkpoint."""
    path = write_recipe([stage("sft")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        said = command("run", path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    has(
        said,
        1,
        "cannot use",
        "bytes are free on that disk",
        "free space there, or use a workspace on another",
    )
    assert nothing_published(tmp_path)
    assert command("run", path).code == 0
    (got,) = (tmp_path / "w" / "results").iterdir()
    assert adapter_bytes(got) == adapter_bytes(run(path, tmp_path / "whole")["sft"])


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own, where mounting works."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True)
    if tried.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_workspace(write_recipe: Write, command: Command, mounted: Path) -> None:
    path = write_recipe([stage("sft")])
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    said = command("run", path, "--workspace", mounted / "w")
    has(said, 1, "cannot use", str(mounted), "read-only", "use a workspace on another disk")


def test_a_workspace_that_is_a_file(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = write_recipe([stage("sft")])
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        has(command("run", path, "--workspace", place), 2, str(tmp_path / "file"), "is not a folder",
            "use another workspace")  # fmt: skip


def test_a_damaged_parent_is_made_again(write_recipe: Write, command: Command, tmp_path: Path) -> None:
    path = write_recipe([stage("sft"), stage("more")])
    assert command("run", path, "--until", "sft").code == 0
    (result,) = (tmp_path / "w" / "results").iterdir()
    file = result / "adapter_model.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    said = command("run", path)
    assert said.code == 0 and re.search(r"adapter_model\.safetensors is\s+damaged, so it is\s+made\s+again", said.out)
    assert file.read_bytes() == good
    assert len(list(verified(tmp_path / "w"))) == 2


SLOW_RUN = """
import sys, time
from pathlib import Path
from statllama.train.trainer import StageTrainer
real, started = StageTrainer.training_step, Path(sys.argv[1])
def step(self, *args, **kwargs):
    started.touch()
    while not started.with_suffix(".go").exists():
        time.sleep(0.05)
    return real(self, *args, **kwargs)
StageTrainer.training_step = step
from statllama import cli
sys.argv = ["statllama", "run", *sys.argv[2:]]
cli.main()
"""


def test_two_runs_at_once(
    write_recipe: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--no-wait` says who holds the stage; otherwise the second waits and takes the first's result."""
    path, mark = write_recipe([stage("sft")]), tmp_path / "mark"
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", SLOW_RUN, str(mark), str(path), "--workspace", str(tmp_path / "w")]
    first = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not mark.exists() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mark.exists(), first.stderr and first.stderr.read()
        said = command("run", path, "--no-wait")
        has(said, 1, "results/", f"is held by process {first.pid} on", "wait until it ends, or stop it")

        def never(*_: Any) -> None:
            raise AssertionError("the second run must not train")

        monkeypatch.setattr(training, "run", never)
        write_json = ConsoleReporter.waiting

        def waiting(self: Any, what: str) -> Any:
            tell = write_json(self, what)

            def on_wait(holder: Any) -> None:
                tell(holder)
                mark.with_suffix(".go").touch()  # now the first may go on

            return on_wait

        monkeypatch.setattr(ConsoleReporter, "waiting", waiting)
        said = command("run", path)
        assert said.code == 0, said
        assert str(first.pid) in said.out
        assert "wait" in said.out
        assert first.wait(60) == 0
    finally:
        first.kill()
        first.wait()
    assert len(list(verified(tmp_path / "w"))) == 1
