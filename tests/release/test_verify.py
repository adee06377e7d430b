"""Verification passes what is sound and catches every planted defect, in real files, real PEFT and real llama.cpp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.layout import Layout
from statllama.release import gguf as writing
from statllama.release import prompts
from statllama.release import verify as verifying
from statllama.release.adapter import write_adapter
from statllama.release.artefact import Artefact
from statllama.release.certificate import Certificate, Verified
from statllama.release.exam import Exam
from statllama.release.forms import InTransformers
from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from statllama.release.merged import write_merged
from statllama.release.mixture import KINDS
from statllama.release.modelfile import stop_ids
from statllama.release.source import Source
from statllama.release.verify import checks_of, verify
from statllama.release.verify_checks import observe
from tests.conftest import REPO, SHARED, make_llama
from tests.reference import Lora
from tests.release.making import fewer_questions, opened, save_stages

REAL = SHARED / "data" / "llama3-tokenizer"
STAGES = {
    "cpt": Lora(r=6, alpha=12.0),
    "sft": Lora(r=5, alpha=7.0, rslora=True, modules=("q_proj", "v_proj", "down_proj")),
    "dpo": Lora(r=2, alpha=3.0, modules=("q_proj", "o_proj", "gate_proj")),
}
ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The quickstart's trained base with llama3 RoPE (grouped-query attention, tied embeddings), and three stages."""
    folder = tmp_path_factory.mktemp("verify")
    base = Path(shutil.copytree(REPO / "recipes" / "quickstart" / "base", folder / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"rope_parameters": ROPE}))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    folders = save_stages(model, folder / "stages", STAGES, size=0.01)
    template = (base / "chat_template.jinja").read_text()
    return Source("small", base, base, template, tuple(map(load_adapter, folders)), tuple(STAGES))


def make(source: Source, folder: Path, name: str, kind: str, type_: str) -> Artefact:
    """Write an artefact with the product's own writers."""
    path = folder / name
    if kind == "gguf":
        write_gguf(source, path, type_)
        return Artefact(name, "gguf", path, type_)
    path.mkdir()
    if kind == "merged":
        write_merged(source, path, type_)
        return Artefact(name, "merged", path, type_)
    write_adapter(source, path)
    return Artefact(name, "adapter", path, type_)


def loras(source: Source, folder: Path) -> list[Artefact]:
    """The stack as GGUF LoRA, then each stage of it."""
    folder.mkdir()
    return [Artefact(file.name, "gguf-lora", file, "f32") for file in write_gguf_loras(source, folder)]


# ------------------------------------------------------------------ what is sound


def test_a_sound_release_passes(source: Source, tmp_path: Path) -> None:
    """The certificate says what was compared, and comes back from JSON."""
    wanted = [("adapter", "f32"), ("merged", "bf16"), ("gguf", "q4_k_m")]
    artefacts = [make(source, tmp_path, f"{kind}-{type_}", kind, type_) for kind, type_ in wanted]
    artefacts += loras(source, tmp_path / "lora")
    steps: list[str] = []
    with fewer_questions():
        certificate = verify(source, artefacts, opened(source), opened(source), steps.append)
    assert certificate.failures() == []
    assert certificate.passed
    assert steps[1:-1] == [artefact.name for artefact in artefacts]
    body = json.loads(json.dumps(certificate.to_json()))
    assert body["passed"] is True and len(body["protocol"]["prompts"]) == 64
    assert Certificate.from_json(body) == certificate
    assert {"torch", "transformers", "peft", "gguf", "xllamacpp"} <= certificate.versions.keys()
    by_name = {check.name: check for check in certificate.reference}
    assert by_name["divergence"].value == pytest.approx(0, abs=1e-9)  # here both are the same stack
    verified = {artefact.name: {c.name: c for c in artefact.checks} for artefact in certificate.artefacts}
    assert verified["gguf-q4_k_m"]["divergence"].value > verified["merged-bf16"]["divergence"].value > 0
    assert "4 of 4 replies are the same" in verified["adapter-f32"]["greedy text"].detail
    assert [path.name for path in (tmp_path / "lora").iterdir() if path.is_dir()] == []  # the base's GGUF is gone


@pytest.mark.slow
def test_every_type_passes_when_it_is_sound(source: Source, tmp_path: Path) -> None:
    """With all questions."""
    artefacts = [make(source, tmp_path, f"merged-{type_}", "merged", type_) for type_ in ("f32", "bf16", "f16")]
    artefacts += [make(source, tmp_path, f"gguf-{type_}", "gguf", type_) for type_ in KINDS]
    certificate = verify(source, artefacts, opened(source))
    assert certificate.failures() == []
    assert certificate.protocol["texts"] >= 200
    cost = [{c.name: c for c in one.checks}["divergence"].value for one in certificate.artefacts if one.kind == "gguf"]
    assert cost == sorted(cost) or cost[0] < 1e-6 < cost[3] < cost[-1]


@pytest.mark.slow
def test_the_real_tokenizer(tmp_path: Path) -> None:
    """128,256 tokens: a thousand of them are asked for at each position."""
    if not REAL.is_dir():
        pytest.skip("the real tokenizer is not here")
    tokenizer = AutoTokenizer.from_pretrained(REAL)
    ids = {"bos_token_id": 128000, "eos_token_id": 128009, "pad_token_id": 128004}
    model = make_llama(128256, hidden_size=256, max_position_embeddings=1024, rope_parameters=ROPE, **ids)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    folders = save_stages(model, tmp_path / "stages", STAGES)
    base, template = tmp_path / "base", tokenizer.chat_template
    source = Source("real", base, base, template, tuple(map(load_adapter, folders)), tuple(STAGES))
    kinds = [("merged", "bf16"), ("gguf", "f16"), ("gguf", "q4_k_m")]
    artefacts = [make(source, tmp_path, f"{kind}-{type_}", kind, type_) for kind, type_ in kinds]
    certificate = verify(source, artefacts, opened(source))
    assert certificate.failures() == []


def test_nothing_verified_is_not_passed() -> None:
    assert not Certificate(()).passed
    assert not Verified("gguf/x.gguf", "gguf", "f16", ()).passed


# ------------------------------------------------------------------ planted defects


def dropped(source: Source) -> Source:
    """Without its last, smallest stage."""
    return replace(source, adapters=source.adapters[:-1], stages=source.stages[:-1])


def rescaled(source: Source) -> Source:
    """One stage as if rsLoRA's scale were plain LoRA's."""
    first, second, third = source.adapters
    slices = {
        name: Slice(part.A, part.B, part.scaling / part.A.shape[0] ** 0.5) for name, part in second.slices.items()
    }
    return replace(source, adapters=(first, Adapter(slices), third))


def swapped(source: Source) -> Source:
    """Two modules of one stage have each other's B."""
    *others, last = source.adapters
    one, two = (f"model.layers.{layer}.self_attn.q_proj" for layer in (0, 1))
    slices = dict(last.slices)
    slices[one], slices[two] = replace(slices[one], B=slices[two].B), replace(slices[two], B=slices[one].B)
    return replace(source, adapters=(*others, Adapter(slices)))


SOURCES: dict[str, Callable[[Source], Source]] = {"dropped": dropped, "rescaled": rescaled, "swapped": swapped}


def flip(path: Path, offset: int, bit: int) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def flip_safetensors(path: Path, name: str, bit: int) -> None:
    """Flip a bit of the third number of a tensor."""
    header = int.from_bytes(path.read_bytes()[:8], "little")
    entry = json.loads(path.read_bytes()[8 : 8 + header])[name]
    size = {"F32": 4, "BF16": 2, "F16": 2}[entry["dtype"]]
    flip(path, 8 + header + entry["data_offsets"][0] + 2 * size + bit // 8, bit % 8)


def flip_gguf(path: Path, name: str, byte: int, bit: int) -> None:
    """Flip a bit of a tensor's data."""
    tensor = next(t for t in GGUFReader(path).tensors if t.name == name)
    flip(path, int(tensor.data_offset) + byte, bit)


def write_defects(source: Source, folder: Path) -> list[Artefact]:
    """Every defect in every kind of artefact that can have it, named `kind-type-defect`."""
    made = []
    for kind, type_ in (("adapter", "f32"), ("merged", "bf16"), ("gguf", "f16"), ("gguf", "q4_k_m")):
        for defect, change in SOURCES.items():
            made.append(make(change(source), folder, f"{kind}-{type_}-{defect}", kind, type_))
        made.append(make(source, folder, f"{kind}-{type_}-flipped", kind, type_))
    flip_safetensors(
        folder / "adapter-f32-flipped" / "adapter_model.safetensors",
        "base_model.model.model.layers.2.mlp.up_proj.lora_B.weight",
        21,  # a digit of the mantissa: the number changes by at most a quarter
    )
    flip_safetensors(folder / "merged-bf16-flipped" / "model.safetensors", "model.layers.1.mlp.up_proj.weight", 3)
    flip_gguf(folder / "gguf-f16-flipped", "blk.1.ffn_up.weight", 4, 5)
    flip_gguf(folder / "gguf-q4_k_m-flipped", "blk.1.ffn_up.weight", 3 * 144 + 20, 7)  # of one number of 4 bits
    for type_ in ("f16", "q4_k_m"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Layout, "rope_factors", lambda self: None)
            made.append(make(source, folder, f"gguf-{type_}-rope", "gguf", type_))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Layout, "rope_order", lambda self, name: None)
            made.append(make(source, folder, f"gguf-{type_}-order", "gguf", type_))
    read = writing.read_vocabulary
    for defect, changes in (
        ("pre", {"pre": "gpt-2"}),
        ("types", {"types": (1,) * 2048}),
        ("bos", {"add_bos": False}),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writing, "read_vocabulary", lambda *a, changes=changes: replace(read(*a), **changes))
            made.append(make(source, folder, f"gguf-f16-{defect}", "gguf", "f16"))
    for defect, change in SOURCES.items():
        made.append(replace(loras(change(source), folder / defect)[0], name=f"gguf-lora-{defect}"))
    made.append(make(source, folder, "merged-f16-stops", "merged", "f16"))
    (folder / "merged-f16-stops" / "generation_config.json").write_text('{"eos_token_id": 2043}')
    made.append(make(source, folder, "merged-f16-damaged", "merged", "f16"))
    whole = (folder / "merged-f16-damaged" / "model.safetensors").read_bytes()
    (folder / "merged-f16-damaged" / "model.safetensors").write_bytes(whole[:-1000])
    return made


@pytest.fixture(scope="module")
def planted(source: Source, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artefact]:
    """{name: artefact with that defect}."""
    return {artefact.name: artefact for artefact in write_defects(source, tmp_path_factory.mktemp("defects"))}


@pytest.fixture(scope="module")
def examiner(source: Source, planted: dict[str, Artefact]) -> Iterator[Exam]:
    """What verification checks with, so that a test can stop where a defect is caught."""
    with fewer_questions(), opened(source)() as (model, tokenizer):
        form = InTransformers(model, tokenizer)
        asked = prompts.rows(tokenizer, 480)
        observed = observe(form, verifying.strings(tokenizer), asked, stop_ids(source, tokenizer))
        with Exam(source, observed, tokenizer, "cpu", tuple(planted.values())) as one:
            yield one


CAUGHT = {
    "adapter-f32-dropped": {"update", "logits", "divergence"},
    "adapter-f32-rescaled": {"update"},
    "adapter-f32-swapped": {"update"},
    "adapter-f32-flipped": {"update"},
    "merged-bf16-dropped": {"weights"},
    "merged-bf16-rescaled": {"weights"},
    "merged-bf16-swapped": {"weights"},
    "merged-bf16-flipped": {"weights"},
    "merged-f16-stops": {"stops"},
    "merged-f16-damaged": {"loads"},
    "gguf-f16-dropped": {"weights"},
    "gguf-f16-rescaled": {"weights"},
    "gguf-f16-swapped": {"weights"},
    "gguf-f16-flipped": {"weights"},
    "gguf-f16-rope": {"metadata"},
    "gguf-f16-order": {"weights"},
    "gguf-f16-pre": {"token ids", "rendered chats"},
    "gguf-f16-types": {"metadata", "token ids", "rendered chats"},
    "gguf-f16-bos": {"metadata", "token ids"},
    "gguf-lora-dropped": {"update"},
    "gguf-lora-rescaled": {"update"},
    "gguf-lora-swapped": {"update"},
    "gguf-q4_k_m-dropped": {"stage dpo"},
    "gguf-q4_k_m-rescaled": {"stage sft"},
    "gguf-q4_k_m-swapped": {"modules"},
    "gguf-q4_k_m-flipped": {"weights"},
    "gguf-q4_k_m-rope": {"metadata", "llama.cpp"},  # and by what it predicts, though it rounds so much more
    "gguf-q4_k_m-order": {"weights"},
}


@pytest.mark.parametrize("name", CAUGHT)
def test_every_planted_defect_is_caught(examiner: Exam, planted: dict[str, Artefact], name: str) -> None:
    """By the checks that are there for it: asked in order, until all of them have failed."""
    wanted = set(CAUGHT[name])
    seen = []
    for check in checks_of(examiner, planted[name]):
        seen.append(str(check))
        if check.required and not check.passed:
            wanted.discard(check.name)
        if not wanted:
            return
    raise AssertionError((wanted, seen))


def test_no_defect_is_left_untested(planted: dict[str, Artefact]) -> None:
    assert planted.keys() == CAUGHT.keys()


def test_a_defect_fails_the_release(source: Source, planted: dict[str, Artefact]) -> None:
    """And the certificate says where."""
    with fewer_questions():
        certificate = verify(source, [planted["merged-f16-damaged"]], opened(source))
    assert not certificate.passed
    assert certificate.failures()[0].startswith("merged-f16-damaged: loads: SafetensorError")
    assert Certificate.from_json(certificate.to_json()) == certificate
