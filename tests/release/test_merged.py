"""Merged weights: bit for bit the dense merge cast to the type, in the files that Transformers itself would write."""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.errors import ExportError, StatllamaError, StoreError, UsageError
from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.stack import attach_frozen
from statllama.release import merged as merging
from statllama.release.kept import kept_shares
from statllama.release.merged import MergeReport, needed_bytes, write_merged
from statllama.release.source import Source
from statllama.store import files as checkpoints
from tests import reference
from tests.conftest import TEMPLATE, make_llama
from tests.release.making import save_base, save_stages, scales, source_of
from tests.small_models import ARCHITECTURES

TYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
IDS = reference.some_ids(320)
Q0 = "model.layers.0.self_attn.q_proj"


def prepared(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> tuple[Any, list[Path], Source]:
    """(base, folders of its stages, what is exported)."""
    base = save_base(folder / "base", dtype, **options)
    folders = save_stages(base.float(), folder / "stages")
    return base.to(dtype), folders, source_of(folder / "base", folders)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Path], Source]:
    """A float32 base with three very different stages."""
    return prepared(tmp_path_factory.mktemp("merged"))


def written(source: Source, folder: Path, dtype: str, **options: Any) -> MergeReport:
    folder.mkdir()
    return write_merged(source, folder, dtype, **options)


def dense(base: Any, folders: list[Path]) -> Any:
    """The base with the stages merged in float64, in float64."""
    return reference.merged(copy.deepcopy(base).double(), list(zip(folders, scales(), strict=True)))


def reloaded(folder: Path) -> Any:
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not any(info.values()), info
    return model


# ------------------------------------------------------------------ the weights


@pytest.mark.parametrize(
    ("stored", "shard", "tied", "dtype"),
    [
        (torch.bfloat16, "1GB", True, "bf16"),
        (torch.bfloat16, "100KB", False, "f16"),
        (torch.float32, "100KB", True, "f32"),
        (torch.float32, "1GB", False, "bf16"),
        (torch.float16, "1GB", True, "f16"),
    ],
)
def test_weights_and_files_are_those_of_the_dense_merge(
    tmp_path: Path, stored: torch.dtype, shard: str, tied: bool, dtype: str
) -> None:
    """The files are compared byte for byte with what Transformers writes for the dense float64 merge."""
    base, folders, source = prepared(tmp_path, stored, shard=shard, tie_word_embeddings=tied)
    wanted = dense(base, folders).float().to(TYPES[dtype])
    out, other = tmp_path / "out", tmp_path / "transformers"
    report = written(source, out, dtype, shard_bytes=90_000)
    wanted.save_pretrained(other, max_shard_size=90_000)
    names = sorted(p.name for p in other.glob("model*"))
    assert sorted(p.name for p in out.glob("model*")) == names and len(names) > 2
    for name in names:
        assert (out / name).read_bytes() == (other / name).read_bytes(), name
    model = reloaded(out)
    assert model.dtype is TYPES[dtype] and model.config.tie_word_embeddings is tied
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    stored_names = {n for file in report.files for n in load_file(out / file)}
    assert ("lm_head.weight" in stored_names) is not tied
    assert report.parameters == wanted.num_parameters()
    assert report.bytes == report.parameters * TYPES[dtype].itemsize


@pytest.mark.parametrize("block", [1, 1000])
def test_rows_may_come_in_any_pieces(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """One file when nothing is to be split, the same whatever the pieces."""
    base, folders, source = made
    monkeypatch.setattr(merging, "BLOCK", block)
    report = written(source, tmp_path / "out", "f32")
    assert report.files == ("model.safetensors",)
    dense(base, folders).float().save_pretrained(tmp_path / "other")
    name = "model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_weights_and_logits_of_each_architecture(kind: str, tmp_path: Path) -> None:
    """Biases and the norms of heads go along as they are."""
    base, folders, source = prepared(tmp_path, model_type=kind)
    written(source, tmp_path / "out", "f32")
    model, wanted = reloaded(tmp_path / "out"), dense(base, folders).float()
    assert model.state_dict().keys() == wanted.state_dict().keys()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    stack = attach_frozen(copy.deepcopy(base), source.adapters)
    assert reference.relative(reference.logits(model, IDS), reference.logits(stack, IDS)) < 2e-6


def test_logits_are_the_stacks(made: Any, tmp_path: Path) -> None:
    base, _, source = made
    wanted = reference.logits(attach_frozen(copy.deepcopy(base), source.adapters), IDS)
    for dtype, bound in (("f32", 2e-6), ("f16", 2e-3), ("bf16", 2e-2)):
        written(source, tmp_path / dtype, dtype)
        assert reference.relative(reference.logits(reloaded(tmp_path / dtype).float(), IDS), wanted) < bound
    assert reference.relative(reference.logits(base, IDS), wanted) > 0.1, "the stages do something"


def test_without_stages_it_is_the_base(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    report = written(replace(source, adapters=(), stages=()), tmp_path / "out", "f32")
    name = "model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (source.base / name).read_bytes()
    assert report.kept == {} and report.warnings == ()


def test_a_trained_head_is_merged_where_it_is_untied(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", tie_word_embeddings=False)
    a, b = torch.randn(2, 64), torch.randn(320, 2)
    head = Adapter({"lm_head": Slice(a, b, 1.0)})
    written(source_of(tmp_path / "base", adapters=[head]), tmp_path / "out", "f32")
    wanted = (base.lm_head.weight.double() + b.double() @ a.double()).float()
    assert torch.equal(reloaded(tmp_path / "out").lm_head.weight, wanted)


# ------------------------------------------------------------------ the other files


def test_the_folder_is_a_whole_model(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    out = tmp_path / "out"
    report = written(source, out, "bf16")
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (source.base, out))
    assert after == {**before, "dtype": "bfloat16"} and before["dtype"] == "float32"
    assert (out / "generation_config.json").read_bytes() == (source.base / "generation_config.json").read_bytes()
    one, two = AutoTokenizer.from_pretrained(source.base), AutoTokenizer.from_pretrained(out)
    talk = [{"role": "user", "content": "what is the mean?"}]
    assert one.apply_chat_template(talk, tokenize=False) == two.apply_chat_template(talk, tokenize=False)
    assert one("the median of 3").input_ids == two("the median of 3").input_ids
    size = sum(p.stat().st_size for p in out.iterdir())
    assert size <= needed_bytes(source, "bf16") <= size + (5 << 20)
    assert {p.name for p in out.iterdir()} >= {*report.files, "tokenizer.json", "chat_template.jinja"}


def test_the_releases_template_is_wherever_one_is_read(made: Any, tmp_path: Path) -> None:
    """Also in tokenizer_config.json, where older readers look, and by the older name of the type in config.json."""
    _, _, source = made
    base = tmp_path / "base"
    base.mkdir()
    for path in source.base.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    (base / "chat_template.jinja").unlink()
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": "old"}))
    config = json.loads((base / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    (base / "config.json").write_text(json.dumps(config))
    new = TEMPLATE + "{{- 'new' }}"
    written(replace(source, base=base, tokenizer=base, chat_template=new), tmp_path / "out", "f16")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == new
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == {**settings, "chat_template": new}
    assert reloaded(tmp_path / "out").dtype is torch.float16


def test_always_the_same_bytes(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    for name in ("one", "two"):
        written(source, tmp_path / name, "bf16", shard_bytes=90_000)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_progress_ends_at_the_total(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    seen: list[tuple[int, int]] = []
    report = written(source, tmp_path / "out", "bf16", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (report.bytes, report.bytes)


# ------------------------------------------------------------------ what the cast keeps


def ones(folder: Path) -> Any:
    """A bfloat16 base whose linear weights are all 1: neighbours are 2^-7 above and 2^-8 below."""
    model = make_llama(320)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "_proj" in name:
                parameter.fill_(1.0)
    model.to(torch.bfloat16).save_pretrained(folder)
    return model


def update(value: float, rows: slice = slice(None), module: str = Q0) -> Adapter:
    """Rank 1: `value` in some rows of a module, 0 in the others."""
    b = torch.zeros(64, 1)
    b[rows] = value
    return Adapter({module: Slice(torch.ones(1, 64), b, 1.0)})


ULP = 2.0**-7


@pytest.mark.parametrize(
    ("updates", "wanted"),
    [
        ([update(3 * ULP)], [1.0]),
        ([update(0.49 * ULP)], [0.0]),
        ([update(0.75 * ULP)], [4 / 3]),
        ([update(-0.2 * ULP)], [0.0]),
        # Half of the rows keep theirs: with equal norms half of the update is left.
        ([update(ULP / 8, slice(0, 32)), update(2 * ULP, slice(32, 64))], [0.0, 1.0]),
        # On the same weights: a small stage on a large one, in either order, and one that another lifts over the edge.
        ([update(2 * ULP), update(ULP / 8, slice(0, 32))], [1.0, 0.0]),
        ([update(ULP / 8, slice(0, 32)), update(2 * ULP)], [0.0, 1.0]),
        # In different modules.
        ([update(ULP), update(ULP / 4, module=Q0.replace("q_proj", "o_proj"))], [1.0, 0.0]),
        # The same direction twice: what is lost is lost by both.
        ([update(ULP / 8), update(ULP / 8)], [0.0, 0.0]),
        ([update(3 * ULP / 8), update(3 * ULP / 8)], [4 / 3, 4 / 3]),
        ([update(0.3 * ULP), update(0.1 * ULP), update(0.03 * ULP)], [0.0, 0.0, 0.0]),
        ([update(0.3 * ULP), update(0.1 * ULP), update(ULP, module=Q0.replace("q", "o"))], [0.0, 0.0, 1.0]),
        ([update(0.0), update(ULP)], [1.0, 1.0]),
    ],
)
def test_kept_shares_of_constructed_updates(tmp_path: Path, updates: list[Adapter], wanted: list[float]) -> None:
    ones(tmp_path / "base")
    report = written(source_of(tmp_path / "base", adapters=updates), tmp_path / "out", "bf16")
    assert list(report.kept.values()) == pytest.approx(wanted, abs=1e-6)
    assert len(report.warnings) == sum(abs(1 - share) > 0.1 for share in wanted)
    for stage, share in report.kept.items():
        if abs(1 - share) > 0.1:
            assert any(f"keeps {share:.0%} of what stage {stage!r} changed" in w for w in report.warnings)
    assert written(source_of(tmp_path / "base", adapters=updates), tmp_path / "f32", "f32").warnings == ()


def test_kept_shares_are_the_least_squares_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By numpy, on dense matrices, with stages that overlap."""
    monkeypatch.setattr(merging, "BLOCK", 1000)
    base = save_base(tmp_path / "base", torch.bfloat16)
    folders = save_stages(base.float(), tmp_path / "stages", size=2e-4)
    report = written(source_of(tmp_path / "base", folders), tmp_path / "out", "bf16")
    result = reloaded(tmp_path / "out").double()
    columns, changed = [], []
    adapted = sorted({m for folder in folders for m in reference.tensors(folder)})
    for folder, scale in zip(folders, scales(), strict=True):
        found = reference.tensors(folder)
        parts = [scale * (found[m][1] @ found[m][0]) if m in found else None for m in adapted]
        flat = [
            np.zeros(base.get_submodule(m).weight.numel()) if part is None else part.numpy().ravel()
            for m, part in zip(adapted, parts, strict=True)
        ]
        columns.append(np.concatenate(flat))
    for m in adapted:
        difference = result.get_submodule(m).weight - base.get_submodule(m).weight.double()
        changed.append(difference.detach().numpy().ravel())
    wanted, *_ = np.linalg.lstsq(np.stack(columns, 1), np.concatenate(changed), rcond=None)
    assert list(report.kept.values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert 0.05 < min(report.kept.values()) < 0.8, "some of it is lost"


@pytest.mark.parametrize(("size", "wanted"), [(1e-4, 0.09), (1e-3, 0.53), (3e-3, 0.93)])
def test_kept_shares_are_those_once_measured(tmp_path: Path, size: float, wanted: float) -> None:
    """A random LoRA of relative size 1e-4, 1e-3 and 3e-3 on normal weights: 0.09, 0.53 and 0.93 survive bfloat16."""
    draw = torch.Generator().manual_seed(0)
    weight = (torch.randn(512, 512, generator=draw) * 0.02).bfloat16().double()
    a, b = torch.randn(16, 512, generator=draw), torch.randn(512, 16, generator=draw)
    b *= size * weight.norm() / (b @ a).norm()
    whole = (b @ a).double()
    rounding = (weight + whole).bfloat16().double() - (weight + whole)
    gram, removed = whole.norm() ** 2, (rounding * whole).sum()
    assert kept_shares(gram.reshape(1, 1), removed.reshape(1))[0] == pytest.approx(wanted, abs=0.03)


# ------------------------------------------------------------------ what cannot be merged


def edited(base: Path, folder: Path, **tensors: torch.Tensor | None) -> Path:
    """A copy of a one-file base with tensors added or replaced, or left out where None."""
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    found = {**load_file(base / "model.safetensors"), **tensors}
    save_file(
        {n: t for n, t in found.items() if t is not None}, folder / "model.safetensors", metadata={"format": "pt"}
    )
    return folder


def configured(base: Path, **changes: Any) -> Path:
    """Change config.json in place."""
    path = base / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return base


def fails(source: Source, folder: Path, dtype: str = "bf16", kind: type[StatllamaError] = ExportError) -> str:
    """The message; nothing is left in the folder."""
    folder.mkdir()
    with pytest.raises(kind) as caught:
        write_merged(source, folder, dtype)
    assert not list(folder.iterdir())
    assert caught.value.remedy
    return str(caught.value)


def test_bases_that_do_not_fit(made: Any, tmp_path: Path) -> None:
    _, _, source = made
    whole = load_file(source.base / "model.safetensors")
    embedding, last = whole["model.embed_tokens.weight"], "model.norm.weight"
    nan = torch.full_like(whole[last], float("nan"))
    huge = whole[Q0 + ".weight"].clone()
    huge[3, 5] = 7e4
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("quantised (bitsandbytes)", "bf16", {}, {"quantization_config": {"quant_method": "bitsandbytes"}}),
        (f"{last}.absmax is of type U8", "bf16", {f"{last}.absmax": torch.zeros(3, dtype=torch.uint8)}, {}),
        (f"{last} holds NaN or infinity", "bf16", {last: nan}, {}),
        (f"{Q0}.weight holds 70000 once merged", "f16", {Q0 + ".weight": huge}, {}),
        ("lm_head.weight is missing", "bf16", {}, {"tie_word_embeddings": False}),
        ("config.json ties lm_head.weight to model.embed_tokens.weight, and they differ", "bf16",
         {"lm_head.weight": embedding * 1.001}, {}),
        (f"{last} is missing", "bf16", {last: None}, {}),
        ("model.embed_tokens.weight has shape (320, 64)", "bf16", {}, {"vocab_size": 400}),
        ("cannot build the model", "bf16", {}, {"model_type": "no-such-model"}),
    ]  # fmt: skip
    for i, (message, dtype, tensors, config) in enumerate(cases):
        base = configured(edited(source.base, tmp_path / f"base{i}", **tensors), **config)
        assert message in fails(replace(source, base=base), tmp_path / f"out{i}", dtype), message
    assert "choose bf16" in fails(replace(source, base=tmp_path / "base3"), tmp_path / "again", "f16")
    same = edited(source.base, tmp_path / "same", **{"lm_head.weight": embedding.clone()})
    written(replace(source, base=same), tmp_path / "tied", "f32")
    assert "lm_head.weight" not in load_file(tmp_path / "tied" / "model.safetensors")


def test_damaged_weights(made: Any, tmp_path: Path) -> None:
    model, _, source = made
    sharded = tmp_path / "sharded"
    model.save_pretrained(sharded, max_shard_size=100_000)
    shard = sorted(sharded.glob("model-*"))[1]
    content = shard.read_bytes()
    shard.write_bytes(content[:-4])
    assert "not a whole safetensors file" in fails(replace(source, base=sharded), tmp_path / "a")
    shard.write_bytes(b"{}")
    assert "not a whole safetensors file" in fails(replace(source, base=sharded), tmp_path / "b")
    shard.unlink()
    assert f"{shard.name} is missing" in fails(replace(source, base=sharded), tmp_path / "c")
    shard.write_bytes(content)
    index = sharded / "model.safetensors.index.json"
    body = json.loads(index.read_text())
    body["weight_map"]["ghost"] = shard.name
    index.write_text(json.dumps(body))
    assert "ghost is missing" in fails(replace(source, base=sharded), tmp_path / "d")
    body["weight_map"]["ghost"] = "../elsewhere"
    index.write_text(json.dumps(body))
    assert "'../elsewhere'" in fails(replace(source, base=sharded), tmp_path / "e")
    index.unlink()
    assert "neither model.safetensors nor" in fails(replace(source, base=sharded), tmp_path / "f")
    assert "config.json is missing" in fails(replace(source, base=tmp_path), tmp_path / "g")


def test_stages_that_do_not_fit(made: Any, tmp_path: Path) -> None:
    base, _, source = made
    head = Adapter({"lm_head": Slice(torch.zeros(1, 64), torch.zeros(320, 1), 1.0)})
    message = fails(replace(source, adapters=(head,), stages=("sft",)), tmp_path / "a")
    assert "'sft' adapts lm_head, whose weights this base ties to the embedding" in message
    wide = Adapter({Q0: Slice(torch.zeros(1, 96), torch.zeros(64, 1), 1.0)})
    message = fails(replace(source, adapters=(wide,), stages=("sft",)), tmp_path / "b")
    assert f"'sft' is for another base: it adapts {Q0} (64 x 96)" in message and "64 x 64" in message
    for i, options in enumerate(({"use_dora": True}, {"modules_to_save": ["lm_head"]})):
        config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **options)
        get_peft_model(copy.deepcopy(base), config).save_pretrained(tmp_path / f"odd{i}")
        with pytest.raises(StoreError, match="only plain LoRA"):
            load_adapter(tmp_path / f"odd{i}")


def test_unknown_type(made: Any, tmp_path: Path) -> None:
    assert "did you mean 'bf16'?" in fails(made[2], tmp_path / "out", "bf61", UsageError)


def test_too_little_disk(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "free_bytes", lambda path: 1000)
    assert "1,000 are free" in fails(made[2], tmp_path / "out", kind=StoreError)


def test_a_disk_that_fills_up_while_writing(made: Any, tmp_path: Path) -> None:
    """By a limit on the size of a file."""
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (tmp_path / "out").mkdir()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, old[1]))
        with pytest.raises(StoreError, match="larger than the limit"):
            write_merged(made[2], tmp_path / "out", "bf16", shard_bytes=90_000)
        assert not list((tmp_path / "out").iterdir())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("share", "shard"), [(0.5, 90_000), (1.0, 10**9)])
def test_a_killed_merge_is_no_model(made: Any, tmp_path: Path, share: float, shard: int) -> None:
    """In the middle of the shards, and with the last byte of the only file."""

    def kill(done: int, total: int) -> None:
        if done >= share * total:
            os.kill(os.getpid(), signal.SIGKILL)

    if (pid := os.fork()) == 0:
        try:
            write_merged(made[2], tmp_path, "bf16", shard_bytes=shard, progress=kill)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()}
    assert left and not left & {"config.json", "model.safetensors", "model.safetensors.index.json"}
    with pytest.raises((OSError, ValueError)):
        AutoModelForCausalLM.from_pretrained(tmp_path)


# ------------------------------------------------------------------ memory


def memory(what: str) -> int:
    """Bytes of this process: VmRSS now, or VmHWM, its peak since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_memory_is_bounded_by_a_part_of_the_largest_tensor(tmp_path: Path) -> None:
    """A base of 230 MB in one file, whose largest tensor has 84 MB, in less than half of that."""
    sizes = {"hidden_size": 4096, "intermediate_size": 512, "num_hidden_layers": 1, "num_attention_heads": 32}
    with torch.device("meta"):
        model = make_llama(10240, **sizes)
    tile = torch.randn(4096).bfloat16()
    tensors = {n: tile[: p.shape[-1]].expand(p.shape).clone() for n, p in model.named_parameters()}
    model.config.save_pretrained(tmp_path / "base")
    save_file(tensors, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    largest, total = max(t.nbytes for t in tensors.values()), sum(t.nbytes for t in tensors.values())
    assert largest > 80e6 and total > 2 * largest
    shapes = {n.removesuffix(".weight"): t.shape for n, t in tensors.items() if "_proj" in n}
    del tensors
    slices = {n: Slice(torch.randn(16, i), torch.randn(o, 16) * 1e-3, 1.0) for n, (o, i) in shapes.items()}
    (tmp_path / "out").mkdir()
    source = source_of(tmp_path / "base", adapters=[Adapter(slices)])
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory("VmRSS")
    write_merged(source, tmp_path / "out", "bf16")
    assert memory("VmHWM") - before < largest / 2
