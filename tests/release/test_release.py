"""export as a user calls it: what is published, what is refused, and that nothing half-made stays."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.cli import app as cli
from statllama.errors import StoreError, UsageError
from statllama.release import merged as writer
from statllama.release import release as releases
from statllama.release.licences import duties_of
from statllama.release.names import release_name
from statllama.release.source import Source
from statllama.runs.targets import find_subject
from statllama.store import Store
from statllama.store.new_folder import new_folder
from tests.reference import logits, merged, some_ids

torch.set_num_threads(1)
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    trained: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Runs `statllama export` in an empty folder; (exit code, what it printed)."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: object) -> tuple[int, str]:
        argv = ["statllama", "export", *map(str, arguments), "--workspace", str(trained[1].root)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    return call


def test_a_release_is_the_stack(command: Command, trained: tuple[Path, Store], base_folder: Path) -> None:
    code, said = command("tiny", "--out", "out")
    assert code == 0, said
    out = Path("out")
    names = {p.relative_to(out).as_posix() for p in out.rglob("*")}
    assert {"adapter/adapter_model.safetensors", "merged/config.json", "README.md", "verification.json"} <= names
    assert sorted(p.name for p in Path().iterdir()) == ["out"]  # no lock and no partial folder stay
    certificate = json.loads((out / "verification.json").read_text())
    assert certificate["passed"] and {a["name"] for a in certificate["artefacts"]} == {"adapter", "merged"}
    sums = dict(reversed(line.split("  ", 1)) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {n for n in names if (out / n).is_file()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest

    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    subject = find_subject("tiny", trained[1])
    adapters = [(trained[1].root / "results" / key, 2.0) for key in subject.stack("two").keys]  # alpha 8, r 4
    ids = some_ids(300)
    expected = logits(merged(base, adapters), ids)
    whole = AutoModelForCausalLM.from_pretrained(out / "merged", dtype=torch.float32)
    assert (logits(whole, ids) - expected).abs().max() < 0.05  # bf16
    assert AutoTokenizer.from_pretrained(out / "merged")("mean").input_ids
    assert torch.allclose(logits(PeftModel.from_pretrained(base, out / "adapter"), ids), expected, atol=1e-4)
    store = trained[1]
    assert find_subject("out", store).base.model == str((out / "merged").absolute())
    everything = "".join(p.read_text(errors="replace") for p in out.rglob("*") if p.suffix in (".md", ".json"))
    assert str(trained[1].root) not in everything and str(base_folder) not in everything


def test_what_is_there_is_never_overwritten(command: Command) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    code, said = command("tiny", "--out", "out")
    assert code == 2 and "exists already" in said and Path("out/mine.txt").read_text() == "mine"
    code, said = command("tiny", "--out", "no/such/out")
    assert code == 2 and "there is no folder" in said


def test_what_a_killed_export_left_is_removed(command: Command) -> None:
    Path(".out.partial/merged").mkdir(parents=True)
    Path(".out.partial/merged/model.safetensors").write_bytes(b"half")
    Path("out").mkdir()  # empty: may be taken
    code, said = command("tiny", "--out", "out", "--adapter")
    assert code == 0, said
    assert sorted(p.name for p in Path().iterdir()) == ["out"]
    assert not Path("out/merged").exists()


def test_a_release_that_differs_is_not_published(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage lost on the way into the merged weights: the verification sees it."""
    whole = writer.write_merged

    def without_the_last(source: Source, *arguments: object, **options: object) -> object:
        fewer = replace(source, adapters=source.adapters[:1], stages=source.stages[:1])
        return whole(fewer, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "write_merged", without_the_last)
    code, said = command("tiny", "--out", "out", "--merged", "f32")
    assert code == 1 and "does not behave like the trained stack" in said and "merged: " in said
    assert not list(Path().iterdir())
    code, said = command("tiny", "--out", "out", "--merged", "f32", "--force")
    assert code == 0 and "failed:" in said
    assert not json.loads(Path("out/verification.json").read_text())["passed"]
    assert "verification" in Path("out/README.md").read_text().lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--merged", "fp8"), "cannot be written in 'fp8'"),
        (("--gguf", "q4_x"), "q4_"),
        (("--name", "a/b"), "letters, digits"),
        (("--stage", "three"), "has no stage 'three'"),
        (("--scale", "one"), "expected STAGE=FACTOR"),
        (("--stage", "base"), "has no adapter to export"),
    ],
)
def test_wrong_input_leaves_nothing(command: Command, arguments: tuple[str, ...], message: str) -> None:
    code, said = command("tiny", "--out", "out", *arguments)
    assert code in (1, 2) and message in said and "Traceback" not in said
    assert not list(Path().iterdir())


def test_a_full_disk_is_said_before_anything_is_written(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, needed: int) -> None:
        assert needed > 100_000
        raise StoreError("the disk has less")

    monkeypatch.setattr(releases, "require_bytes", full)
    code, said = command("tiny", "--out", "out")
    assert code == 1 and "the disk has less" in said and not list(Path().iterdir())


def test_names_that_a_licence_asks_for(trained: tuple[Path, Store], tmp_path: Path) -> None:
    subject = find_subject("tiny", trained[1])
    duties = duties_of(tmp_path, "unsloth/Llama-3.2-3B-Instruct")
    assert release_name(subject, "two", None, duties) == "Llama-tiny-two"
    assert release_name(subject, "two", "llama-stats", duties) == "llama-stats"
    with pytest.raises(UsageError, match="begins with 'Llama'"):
        release_name(subject, "two", "stats", duties)
    plain = duties_of(tmp_path, "me/other")
    assert release_name(subject, "two (one x 0.5)", None, plain) == "tiny-two-one-x-0.5"


def test_a_push_says_no_token(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    calls: list[tuple[str, dict[str, object]]] = []

    def refuse(self: HfApi, repo: str, **kwargs: object) -> str:
        calls.append((repo, kwargs))
        raise OSError("Authorization: Bearer hf_secret")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    code, said = command("tiny", "--out", "out", "--adapter", "--push", "me/mine")
    assert code == 1 and "the hub cannot be reached" in said and "hf_secret" not in said
    assert calls == [("me/mine", {"private": True, "exist_ok": True})]
    assert Path("out/README.md").exists()  # the release stays


def test_another_process_that_makes_the_same_release(command: Command) -> None:
    with new_folder(Path("out")):
        code, said = command("tiny", "--out", "out", "--adapter")
    assert code == 1 and "another process is making" in said
