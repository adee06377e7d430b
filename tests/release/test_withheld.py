"""A form that fails does not keep the others back: what passes is published, what is missing is named everywhere."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from statllama.cli import app as cli
from statllama.errors import ExportError, UsageError
from statllama.release import gguf as writer
from statllama.release import gguf_lora
from statllama.release.certificate import Certificate, Check, Verified
from statllama.release.formats import orders
from statllama.release.gguf import write_gguf
from statllama.release.of_what import stands
from statllama.release.serve import Listening, command, find_served
from statllama.release.source import Source
from statllama.release.verify_gguf import InGguf
from statllama.release.withhold import withhold
from statllama.release.write import needed_bytes, write_orders
from statllama.runs.reporting import Reporter
from tests.conftest import conversations, stage, write_jsonl
from tests.reference import Lora
from tests.release.making import fewer_questions, save_base, save_stages, source_of
from tests.running import run

torch.set_num_threads(1)
Command = Callable[..., tuple[int, str]]
WIDE = {"hidden_size": 256, "intermediate_size": 512}  # rows of whole blocks: else llama.cpp takes larger types


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one gentle stage on a base whose weights came from a q4_k_m GGUF: they lie on its grid, and a change
    that is smaller than half a step of it is rounded away.
    """
    folder = tmp_path_factory.mktemp("grid")
    save_base(folder / "base", **WIDE)
    write_gguf(source_of(folder / "base"), folder / "base.gguf", "q4_k_m")
    file, weights = InGguf(folder / "base.gguf"), folder / "base" / "model.safetensors"
    on_grid = {
        name: file.rows(name, 0, len(tensor)).reshape(tensor.shape).contiguous()
        for name, tensor in load_file(weights).items()
    }
    save_file(on_grid, weights, {"format": "pt"})
    write_jsonl(folder / "sft.jsonl", conversations(8))
    recipe = {
        "name": "gentle",
        "base": {"model": str(folder / "base"), "quantization": "none"},
        "stages": [stage("one", train={"steps": 2, "learning_rate": 1e-3})],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run(folder / "recipe.yaml", folder / "w")
    return folder / "w"


@pytest.fixture
def export(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Command]:
    """Runs `statllama export gentle` in an empty folder; (exit code, what it printed)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def call(*arguments: object) -> tuple[int, str]:
        argv = ["statllama", "export", "gentle", *map(str, arguments), "--workspace", str(workspace)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    with fewer_questions():
        yield call


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_type_that_loses_a_stage_does_not_withhold_the_others(export: Command) -> None:
    """Met in a trial: q4_k_m on a base of 4-bit weights loses what q8_0 and the adapter keep."""
    code, said = export("--out", "out", "--adapter", "--gguf", "q8_0,q4_k_m")
    assert code == 1, said
    out = Path("out")
    held, lost = "gguf/gentle-one-q8_0.gguf", "gguf/gentle-one-q4_k_m.gguf"
    assert held in names(out) and lost not in names(out) and "adapter/adapter_model.safetensors" in names(out)
    assert sorted(p.name for p in Path().iterdir()) == ["out"]
    sums = dict(reversed(line.split("  ", 1)) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in sums}
    assert set(sums) == names(out) - {"SHA256SUMS"}
    assert (out / "Modelfile").read_text().startswith(f"FROM ./{held}\n")

    body = json.loads((out / "verification.json").read_text())
    assert body["schema"] == 1 and body["passed"] is True
    assert [one["name"] for one in body["artefacts"]] == ["adapter", held] and body["artefacts"][1]["passed"]
    (withheld,) = body["withheld"]
    assert (withheld["name"], withheld["kind"], withheld["type"], withheld["passed"]) == (lost, "gguf", "q4_k_m", False)
    failed = {check["name"] for check in withheld["checks"] if check["required"] and not check["passed"]}
    assert {"stage one", "modules"} <= failed
    assert withheld["instead"] == f"take {held}, which passed"
    assert body.pop("made_of") == "gentle:one"
    # A run that wants the same forms, or those that it got, has this release; with others it has not.
    of = body.pop("of")
    assert [form["type"] for form in of["forms"]] == ["f32", "q8_0", "q4_k_m"]
    assert stands(out, of) and stands(out, of | {"forms": of["forms"][:2]})
    with pytest.raises(UsageError, match="holds other forms"):
        stands(out, of | {"forms": of["forms"][1:]})
    assert json.loads(json.dumps(Certificate.from_json(body).to_json())) == body

    assert f"{lost}: stage one" in said and "1 of 3 files failed" in said and f"take {held}" in said
    text = (out / "README.md").read_text()
    contents = text.partition("## Contents")[2].partition("## How to run it")[0]
    assert f"| `{held}` |" in contents and f"| `{lost}` |" not in contents
    assert f"- `{lost}`: stage one" in contents and "which passed" in contents
    assert f"-m {held}" in text and f"-m {lost}" not in text and "THIS RELEASE FAILED" not in text
    assert "**FAILED**" in text.partition("## Verification")[2]

    served = find_served("out")
    assert not served.forced and [file.name for file in served.gguf] == [Path(held).name]
    with pytest.raises(UsageError, match="failed its verification") as refused:
        command(served, "llama.cpp", Listening(), "q4_k_m")
    assert refused.value.remedy == f"take {held}, which passed"


def test_nothing_is_published_when_nothing_passes(export: Command) -> None:
    code, said = export("--out", "out", "--gguf", "q4_k_m")
    assert code == 1 and "it is not published" in said and "stage one" in said
    assert not list(Path().iterdir())


def test_force_publishes_what_failed_beside_what_passed(export: Command) -> None:
    """Commands in the card and the Modelfile name the file that passed."""
    code, said = export("--out", "out", "--gguf", "q8_0,q4_k_m", "--force")
    assert code == 0 and "failed:" in said, said
    body = json.loads(Path("out/verification.json").read_text())
    assert body["passed"] is False and body["withheld"] == []
    assert [one["passed"] for one in body["artefacts"]] == [True, False]
    top = Path("out/README.md").read_text().partition("## ")[0]
    assert "THIS RELEASE FAILED ITS VERIFICATION" in top and "Passed: `gguf/gentle-one-q8_0.gguf`" in top
    assert Path("out/Modelfile").read_text().startswith("FROM ./gguf/gentle-one-q8_0.gguf\n")
    assert find_served("out").forced


def test_an_incomplete_release_is_not_uploaded(export: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo, **options: calls.append(repo) or repo)
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **options: calls.append("upload"))
    code, said = export("--out", "out", "--adapter", "--gguf", "q4_k_m", "--push", "me/mine")
    assert code == 1 and calls == [] and "hf upload me/mine" in said
    assert Path("out/adapter").is_dir() and not Path("out/gguf").exists() and not Path("out/Modelfile").exists()


def test_a_stage_lost_in_one_lora_withholds_the_files_that_are_asked_with_it(
    trained: tuple[Path, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of single stages are compared together; the file of the whole stack passes by itself."""
    whole = gguf_lora.write_gguf_lora

    def halved(adapter: object, layout: object, path: Path, name: str) -> None:
        if path.name.endswith("-two-two-lora.gguf"):
            slices = {m: replace(part, scaling=part.scaling / 2) for m, part in adapter.slices.items()}  # type: ignore[attr-defined]
            adapter = replace(adapter, slices=slices)  # type: ignore[type-var]
        whole(adapter, layout, path, name)  # type: ignore[arg-type]

    monkeypatch.setattr(gguf_lora, "write_gguf_lora", halved)
    store = trained[1]
    argv = ["statllama", "export", "tiny", "--out", str(tmp_path / "out"), "--gguf-lora"]
    monkeypatch.setattr(sys, "argv", [*argv, "--workspace", str(store.root)])  # type: ignore[attr-defined]
    with fewer_questions(), pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr()
    assert left.value.code == 1, said
    body = json.loads((tmp_path / "out" / "verification.json").read_text())
    assert [one["name"] for one in body["artefacts"]] == ["gguf/tiny-two-lora.gguf"]
    withheld = {one["name"]: one for one in body["withheld"]}
    assert withheld.keys() == {"gguf/tiny-two-one-lora.gguf", "gguf/tiny-two-two-lora.gguf"}
    failed = {
        name: {check["name"]: check["detail"] for check in one["checks"] if check["required"] and not check["passed"]}
        for name, one in withheld.items()
    }
    assert "update" in failed["gguf/tiny-two-two-lora.gguf"]
    assert "update" not in failed["gguf/tiny-two-one-lora.gguf"]
    assert all("tiny-two-two-lora.gguf" in why for why in failed["gguf/tiny-two-one-lora.gguf"].values())


# ------------------------------------------------------------------ what cannot be written


@pytest.fixture(scope="module")
def beyond_f16(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A base with a number that f16 cannot hold, which shows when that tensor is written."""
    folder = tmp_path_factory.mktemp("beyond")
    model = save_base(folder / "base", tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight[-1, 0] = 7e4
    model.save_pretrained(folder / "base")
    return source_of(folder / "base", save_stages(model, folder / "stages", {"sft": Lora(r=2, alpha=4.0)}))


def test_a_form_that_cannot_be_written_leaves_the_others(beyond_f16: Source, tmp_path: Path) -> None:
    wanted = orders(adapter=True, merged="f16", gguf=["f16", "bf16"])
    written = write_orders(beyond_f16, wanted, tmp_path, Reporter().exporting)
    assert [one.name for one in written.artefacts] == ["adapter", "gguf/small-bf16.gguf"]
    assert names(tmp_path) == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "gguf/small-bf16.gguf",
    }
    assert not (tmp_path / "merged").exists()
    assert [one.name for one in written.unwritten] == ["merged", "gguf/small-f16.gguf"]
    for one in written.unwritten:
        assert [check.name for check in one.checks] == ["written"] and not one.passed
        assert "65504" in one.checks[0].detail and "bf16" in one.checks[0].detail


def test_an_error_of_all_forms_is_the_error(beyond_f16: Source, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="ends at 65504") as raised:
        write_orders(beyond_f16, orders(merged="f16"), tmp_path, Reporter().exporting)
    assert raised.value.remedy == "choose bf16"
    with pytest.raises(ExportError, match=r"merged: .*\n  gguf/small-f16.gguf: "):
        write_orders(beyond_f16, orders(merged="f16", gguf="f16"), tmp_path, Reporter().exporting)
    assert not names(tmp_path)


def test_what_can_be_told_before_is_refused_before(beyond_f16: Source, tmp_path: Path) -> None:
    """A tokenizer that llama.cpp lacks: no adapter is written to find that out."""
    body = json.loads((beyond_f16.base / "tokenizer.json").read_text())
    body["pre_tokenizer"] = {"type": "Whitespace"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(body))
    (tmp_path / "tokenizer_config.json").write_text((beyond_f16.base / "tokenizer_config.json").read_text())
    source = replace(beyond_f16, tokenizer=tmp_path)
    assert needed_bytes(source, orders(adapter=True, merged="f32")) > 100_000
    for given in ({"gguf": "q8_0"}, {"gguf": "q9_9"}, {"merged": "fp8"}):
        with pytest.raises((ExportError, UsageError)):
            needed_bytes(source, orders(adapter=True, **given))
    alone = replace(beyond_f16, adapters=(), stages=())
    for given in ({"adapter": True}, {"lora": True}):
        with pytest.raises(ExportError, match="has no adapter"):
            needed_bytes(alone, orders(**given))


def test_without_llama_cpp_a_gguf_is_refused_before(export: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be verified, which is not worth an hour of writing; `--force` publishes it unverified."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    code, said = export("--out", "out", "--adapter", "--gguf", "q8_0")
    assert code == 1 and "is not installed" in said and "statllama[gguf]" in said and not list(Path().iterdir())
    code, said = export("--out", "out", "--gguf", "q8_0", "--force")
    assert code == 0 and "loads: ExportError: llama.cpp" in said


def test_a_disk_that_fills_stops_the_export(
    beyond_f16: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the form's fault, so the other forms are not published without it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "quantise", full)
    with pytest.raises(Exception, match=r"No space left|disk") as raised:
        write_orders(beyond_f16, orders(adapter=True, gguf="q8_0"), tmp_path, Reporter().exporting)
    assert not isinstance(raised.value, ExportError)


# ------------------------------------------------------------------ what to take instead


GOOD, BAD = (Check("weights", True),), (Check("weights", False),)


def certified(*judged: tuple[str, str, bool]) -> Certificate:
    return Certificate(
        tuple(Verified(f"{kind}/{type_}", kind, type_, GOOD if good else BAD) for kind, type_, good in judged)
    )


@pytest.mark.parametrize(
    ("others", "failed", "instead"),
    [
        ([("gguf", "f16"), ("gguf", "q5_k_m"), ("gguf", "q2_k")], ("gguf", "q4_k_m"), "take gguf/q5_k_m,"),
        ([("gguf", "q2_k")], ("gguf", "q4_k_m"), "take gguf/q2_k,"),
        ([("adapter", "f32")], ("gguf", "q4_k_m"), "--gguf q8_0"),
        ([("adapter", "f32")], ("gguf", "q8_0"), "--gguf f16"),
        ([("adapter", "f32")], ("gguf", "f32"), "--merged bf16"),
        ([("adapter", "f32")], ("merged", "bf16"), "take the adapter in adapter/,"),
        ([("gguf", "f16")], ("merged", "bf16"), "--merged f32"),
        ([("merged", "bf16")], ("adapter", "f32"), "take the merged weights in merged/,"),
        ([("merged", "bf16")], ("gguf-lora", "f32"), "--gguf q8_0"),
        ([("gguf", "f16")], ("gguf-lora", "f32"), "take gguf/f16,"),
    ],
)
def test_what_to_take_instead(others: list[tuple[str, str]], failed: tuple[str, str], instead: str) -> None:
    certificate = certified(*((*one, True) for one in others), (*failed, False))
    parted = withhold(certificate, (), force=False)
    assert parted.passed and len(parted.artefacts) == len(others)
    assert instead in parted.withheld[0].instead
    forced = withhold(certificate, (), force=True)
    assert not forced.passed and forced.withheld == () and instead in forced.artefacts[-1].instead
    unwritten = withhold(certified(*((*one, True) for one in others)), certificate.artefacts[-1:], force=True)
    assert unwritten.passed and instead in unwritten.withheld[0].instead


def test_a_certificate_of_an_older_release_is_read() -> None:
    body = certified(("adapter", "f32", True)).to_json()
    del body["withheld"]
    for one in body["artefacts"]:
        del one["instead"]
    assert Certificate.from_json(body) == certified(("adapter", "f32", True))
