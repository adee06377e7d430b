"""GGUF files in real llama.cpp: the tokenizer's tokens, Transformers' probabilities, LoRA as the merge, ends."""

from __future__ import annotations

import copy
import json
import random
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import TokenType
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.errors import ExportError
from statllama.release import gguf as writing
from statllama.release.gguf import write_gguf
from statllama.release.gguf_lora import write_gguf_loras
from statllama.release.gguf_vocab import Vocabulary, read_vocabulary
from statllama.release.llamacpp import LlamaCpp
from statllama.release.source import Source
from tests import reference
from tests.conftest import REPO, SHARED, SPECIAL, make_llama, make_tokenizer
from tests.reference import Lora
from tests.release.gguf_reading import metadata, numbers, swap
from tests.release.making import STAGES, save_base, save_stages, scales, source_of
from tests.release.test_gguf import BASES, LLAMA3
from tests.small_models import make_qwen_tokenizer

pytest.importorskip("xllamacpp")

QUICKSTART = REPO / "recipes" / "quickstart" / "base"
REAL = SHARED / "data" / "llama3-tokenizer"
ALPHABETS = (
    "abcdefgh XYZ",
    "  \t\n\r\u00a0\u2003\u3000\u200b\u0085",
    "0123456789٣४Ⅷ½²",
    "'s'LL're've'MſK ",
    "éüñßøåÅ\u0301\u0308Ӓ̈ǅʰªº",
    "中文日本語한국어",
    "😀👩\u200d👩👧🇩🇪❤️",
    "αβγδ ∑∫√≤ עברית العربية हिन्दी ไทย",
    "{}[]()<>=+-*/_.,;:!?\"'`|\\@#$%^&~\n  ",
    "\x00\x01\x7f\ufffd\ue000\U000e0001",
)
TEXTS = (
    "",
    "def f(x):\n\tif x > 10_000:\n\t\treturn x ** 2  # doesn't\n",
    "I'LL won't THEY'RE it's 12345678 3.14159 1e-7",
    "   three spaces\n\n\n\ntwo  lines \r\n end ",
    "hello <|eot_id|>  x<|begin_of_text|>\n<|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id <|begin_of_text|> |> <|eot_id|><|eot_id|>",
)


def strings() -> list[str]:
    """300 short texts: of one alphabet, of several, of any characters, and with special tokens among them."""
    draw = random.Random(0)
    found = list(TEXTS)
    while len(found) < 200:
        chosen = draw.sample(ALPHABETS, draw.choice([1, 1, 3, 10]))
        found.append("".join(draw.choice(draw.choice(chosen)) for _ in range(draw.choice([1, 3, 12, 40]))))
    while len(found) < 280:
        codes = [draw.randrange(draw.choice([0x250, 0x3000, 0x10000, 0x110000])) for _ in range(draw.choice([1, 2, 6]))]
        found.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
    while len(found) < 300:
        found.append(draw.choice(SPECIAL).join(draw.sample(found[:200], 3)))
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Source, Path]]:
    """(dense merge, source, folder) of a small base of `test_gguf.BASES`."""
    made: dict[str, tuple[Any, Source, Path]] = {}

    def get(name: str) -> tuple[Any, Source, Path]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            base = save_base(folder / "base", **BASES[name])
            folders = save_stages(base, folder / "stages", size=0.2)
            dense = reference.merged(base, list(zip(folders, scales(), strict=True)))
            made[name] = dense, source_of(folder / "base", folders), folder
        return made[name]

    return get


@pytest.fixture(scope="module")
def quickstart() -> tuple[Any, Any, Source]:
    """The shipped base in float32, its tokenizer, and what is exported."""
    template = (QUICKSTART / "chat_template.jinja").read_text(encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(QUICKSTART, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(QUICKSTART), Source("quick", QUICKSTART, QUICKSTART, template, (), ())


def ids(count: int, vocabulary: int = 320) -> list[int]:
    """BOS and random tokens."""
    return [0, *reference.some_ids(vocabulary, 1, count, seed=5)[0].tolist()]


def logprobs(model: Any, tokens: list[int]) -> np.ndarray[Any, Any]:
    """Transformers' log-probabilities after each token, (tokens, vocabulary)."""
    found = reference.logits(model, torch.tensor([tokens]))[0]
    return torch.log_softmax(found.double(), -1).numpy()


def off(llama: LlamaCpp, wanted: np.ndarray[Any, Any], tokens: list[int], at: tuple[int, ...]) -> tuple[float, float]:
    """Over the positions `at`: largest difference of a log-probability, largest KL(wanted || llama.cpp) in nats."""
    worst, divergence = 0.0, 0.0
    for position in at:
        got = llama.next_token(tokens[: position + 1], wanted.shape[1])
        assert sorted(got.tokens) == list(range(wanted.shape[1]))
        one = wanted[position, got.tokens]
        worst = max(worst, float(np.abs(one - got.logprobs).max()))
        divergence = max(divergence, float((np.exp(one) * (one - got.logprobs)).sum()))
    return worst, divergence


# ------------------------------------------------------------------ tokens


def write_small_tokenizer(folder: Path) -> None:
    make_tokenizer().save_pretrained(folder)


def write_without_ignore_merges(folder: Path) -> None:
    shutil.copytree(QUICKSTART, folder, dirs_exist_ok=True)
    rules = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    rules["model"]["ignore_merges"] = False
    (folder / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")


def write_user_tokens(folder: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<answer>", " of the "])
    tokenizer.save_pretrained(folder)


def write_qwen(folder: Path) -> None:
    make_qwen_tokenizer().save_pretrained(folder)


def write_single_digits(folder: Path) -> None:
    """SmolLM2's rules."""
    write_small_tokenizer(folder)
    rules = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    digits = {"type": "Digits", "individual_digits": True}
    rules["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, rules["pre_tokenizer"]]}
    (folder / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")


@pytest.mark.parametrize(
    ("prepare", "pre"),
    [
        (write_qwen, "qwen2"),
        (write_single_digits, "smollm"),
        (write_small_tokenizer, "gpt-2"),
        (lambda folder: shutil.copytree(QUICKSTART, folder, dirs_exist_ok=True), "llama-bpe"),
        (write_without_ignore_merges, "smaug-bpe"),
        (write_user_tokens, "gpt-2"),
    ],
)
def test_tokens_are_the_tokenizers(prepare: Callable[[Path], object], pre: str, tmp_path: Path) -> None:
    prepare(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    make_llama(2056, num_hidden_layers=1).save_pretrained(tmp_path / "base")  # rows without a piece, too
    write_gguf(Source("t", tmp_path / "base", tmp_path, None, (), ()), tmp_path / "a.gguf", "f16")
    assert metadata(tmp_path / "a.gguf")["tokenizer.ggml.pre"] == pre
    texts = [*strings(), "say <answer> of the<answer> of the mean", "<think>a</think>", "e\u0301"]
    if pre == "qwen2":  # llama.cpp does not bring text into its normal form
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        for text in texts:
            assert llama.tokens(text) == tokenizer(text).input_ids, ascii(text)
            assert llama.tokens(text, add_special=False) == tokenizer(text, add_special_tokens=False).input_ids
        plain = "the mean of 12\n"
        assert llama.text(llama.tokens(plain, add_special=False)) == plain


def test_a_tokenizer_without_bos_gets_none(tmp_path: Path) -> None:
    save_base(tmp_path / "base")
    rules = json.loads((tmp_path / "base" / "tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "base" / "tokenizer.json").write_text(json.dumps(rules | {"post_processor": None}), encoding="utf-8")
    write_gguf(source_of(tmp_path / "base"), tmp_path / "a.gguf", "f16")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        for text in strings()[:20]:
            assert llama.tokens(text) == tokenizer(text).input_ids


@pytest.mark.skipif(not REAL.exists(), reason="no shared data")
def test_the_real_tokenizer_and_a_llama_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """128,256 pieces, llama3 scaling, grouped queries, tied: vocabulary, tokens, chats and probabilities."""
    read: list[Vocabulary] = []
    monkeypatch.setattr(writing, "read_vocabulary", lambda *a: read.append(read_vocabulary(*a)) or read[0])
    tokenizer = AutoTokenizer.from_pretrained(REAL)
    special = {"bos_token_id": 128_000, "eos_token_id": 128_009, "pad_token_id": 128_004}
    model = make_llama(len(tokenizer), rope_parameters=LLAMA3, **special)
    model.save_pretrained(tmp_path)
    write_gguf(Source("real", tmp_path, REAL, tokenizer.chat_template, (), ()), tmp_path / "a.gguf", "f32")
    assert read[0].pre == "llama-bpe" and read[0].add_bos and len(read[0].merges) == 280_147
    control = [i for i, kind in enumerate(read[0].types) if kind == TokenType.CONTROL]
    assert control == list(range(128_000, 128_256)) and read[0].special["eot"] == read[0].special["eos"] == 128_009
    tokens = tokenizer("The mean of 3, 5 and 10 is 6. " * 12).input_ids
    wanted = logprobs(model, tokens)
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        for text in strings():
            assert llama.tokens(text) == tokenizer(text).input_ids, ascii(text)
        for position in (0, 7, len(tokens) - 1):
            got = llama.next_token(tokens[: position + 1], 1000)
            np.testing.assert_allclose(got.logprobs, wanted[position, got.tokens], atol=2e-5)
            assert set(got.tokens) >= set(np.argsort(-wanted[position])[:900])
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a mean?"}]
        rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, date_string="26 Jul 2024")
        assert llama.tokens(tokenizer.decode(rendered["input_ids"][1:])) == rendered["input_ids"]


# ------------------------------------------------------------------ probabilities


@pytest.mark.parametrize("name", BASES)
def test_float32_predicts_as_the_dense_merge_does(name: str, small: Callable[[str], tuple[Any, Source, Path]]) -> None:
    """Far beyond the 64 positions that llama3 scaling starts from: without its factors the last one is off by 0.1."""
    dense, source, folder = small(name)
    write_gguf(source, folder / "f32.gguf", "f32")
    tokens = ids(400)
    with LlamaCpp(folder / "f32.gguf", context=512) as llama:
        worst, _ = off(llama, logprobs(dense, tokens), tokens, (0, 5, 63, 200, 400))
    assert worst < 3e-5


BOUNDS = {"f16": 1e-4, "bf16": 1e-3, "q8_0": 5e-3, "q6_k": 0.02, "q5_k_m": 0.05, "q4_k_m": 0.2, "q4_0": 0.3}


@pytest.mark.parametrize("kind", BOUNDS)
def test_smaller_types_predict_nearly_so(kind: str, quickstart: tuple[Any, Any, Source], tmp_path: Path) -> None:
    model, tokenizer, source = quickstart
    write_gguf(source, tmp_path / "a.gguf", kind)
    tokens = tokenizer("The mean of a sample is its sum over its size.\n\nThe median is the middle value.").input_ids
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        _, divergence = off(llama, logprobs(model, tokens), tokens, (0, 3, 9, len(tokens) - 1))
    assert divergence < BOUNDS[kind]


def test_llamacpp_computes_on_what_gguf_dequantises(quickstart: tuple[Any, Any, Source], tmp_path: Path) -> None:
    """Transformers with the numbers of a q8_0 file is nearer to llama.cpp on that file than it is with its own."""
    model, tokenizer, source = quickstart
    write_gguf(source, tmp_path / "a.gguf", "q4_k_m")
    same = copy.deepcopy(model)
    found = numbers(tmp_path / "a.gguf")
    with torch.no_grad():
        for layer, block in enumerate(same.model.layers):
            for part, names in ((block.self_attn, "qkvo"), (block.mlp, ("gate", "up", "down"))):
                for letter in names:
                    ours = (
                        "attn_output"
                        if letter == "o"
                        else f"attn_{letter}"
                        if part is block.self_attn
                        else f"ffn_{letter}"
                    )
                    rows = found[f"blk.{layer}.{ours}.weight"]
                    heads = {"q": 4, "k": 2}.get(letter)
                    if heads:  # undo the order: where each row went
                        went = swap(np.arange(len(rows))[:, None], heads)[:, 0]
                        rows = rows[np.argsort(went)]
                    getattr(part, f"{letter}_proj").weight.copy_(torch.from_numpy(rows.copy()))
        same.model.embed_tokens.weight.copy_(torch.from_numpy(found["token_embd.weight"].copy()))
    tokens = tokenizer("The mean of a sample is its sum over its size.").input_ids
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        _, with_file = off(llama, logprobs(same, tokens), tokens, (3, len(tokens) - 1))
        _, with_base = off(llama, logprobs(model, tokens), tokens, (3, len(tokens) - 1))
    assert with_file < 2e-3 and with_file < with_base / 5


# ------------------------------------------------------------------ replies


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_greedy_replies_are_equal_and_end(kind: str, quickstart: tuple[Any, Any, Source], tmp_path: Path) -> None:
    model, tokenizer, source = quickstart
    write_gguf(source, tmp_path / "a.gguf", kind)
    asked = ["What is the mean of 2, 4 and 6?", "What is the median of 1, 5 and 9?", "Who are you?"]
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        for question in asked:
            messages = [{"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
            assert llama.tokens(llama.render(messages)) == prompt, "one BOS, from the file's own template"
            whole = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)[
                0, len(prompt) :
            ].tolist()
            wanted = whole[:-1] if whole[-1] == tokenizer.eos_token_id else whole
            got = llama.generate(prompt, 40)
            assert got.tokens == tuple(wanted) and got.text == tokenizer.decode(wanted)
            assert got.ended == (whole[-1] == tokenizer.eos_token_id)
        assert llama.ends_at(tokenizer.eos_token_id) and not llama.ends_at(100)


# ------------------------------------------------------------------ LoRA


@pytest.fixture(scope="module")
def loras(small: Callable[[str], tuple[Any, Source, Path]]) -> Iterator[tuple[LlamaCpp, Path, list[Path]]]:
    """llama.cpp with the base and all LoRA files of its stack, switched off; the stages' folder, and the files."""
    _, source, folder = small("tied")
    write_gguf(Source("base", source.base, source.base, None, (), ()), folder / "base.gguf", "f32")
    files = write_gguf_loras(source, folder)
    with LlamaCpp(folder / "base.gguf", [(file, 0.0) for file in files]) as llama:
        yield llama, folder / "stages", files


@pytest.mark.parametrize(
    ("factors", "stages"),
    [
        ((0, 0, 0, 0), {}),
        ((1, 0, 0, 0), {"cpt": 1.0, "sft": 1.0, "dpo": 1.0}),
        ((0, 1, 0, 0), {"cpt": 1.0}),
        ((0, 0, 1, 0), {"sft": 1.0}),  # rsLoRA
        ((0, 1, 1, 1), {"cpt": 1.0, "sft": 1.0, "dpo": 1.0}),
        ((0, 0, 0.5, -1), {"sft": 0.5, "dpo": -1.0}),
    ],
)
def test_loras_on_the_base_are_the_dense_merge(
    factors: tuple[float, ...], stages: dict[str, float], loras: tuple[LlamaCpp, Path, list[Path]]
) -> None:
    llama, folder, files = loras
    assert [f.name for f in files] == [f"small{stage}-lora.gguf" for stage in ("", "-cpt", "-sft", "-dpo")]
    base = AutoModelForCausalLM.from_pretrained(folder.parent / "base")
    dense = reference.merged(base, [(folder / name, STAGES[name].scale * times) for name, times in stages.items()])
    tokens = ids(90)
    llama.set_scales(factors)
    worst, _ = off(llama, logprobs(dense, tokens), tokens, (0, 40, 90))
    assert worst < 3e-5
    if stages:
        assert off(llama, logprobs(base, tokens), tokens, (40,))[0] > 0.05


def test_what_a_lora_file_says(loras: tuple[LlamaCpp, Path, list[Path]]) -> None:
    _, folder, files = loras
    whole, cpt, sft, dpo = (metadata(file) for file in files)
    for said in (whole, cpt, sft, dpo):
        assert said["general.type"] == "adapter" and said["adapter.type"] == "lora"
        assert said["general.architecture"] == "llama"
    assert cpt["adapter.lora.alpha"] == 12.0 and dpo["adapter.lora.alpha"] == 3.0
    assert sft["adapter.lora.alpha"] == pytest.approx(7 / 5**0.5 * 5), "rsLoRA: alpha / sqrt(r) times r"
    assert whole["adapter.lora.alpha"] == 13.0, "the folded rank: all scales are in B"
    tensors = numbers(files[2])
    assert {name.split(".")[2] for name in tensors} == {"attn_q", "attn_v", "ffn_down"}
    a, b = reference.tensors(folder / "sft")["model.layers.1.self_attn.q_proj"]
    assert np.array_equal(tensors["blk.1.attn_q.weight.lora_a"], a.float().numpy())
    assert np.array_equal(tensors["blk.1.attn_q.weight.lora_b"], swap(b.float().numpy(), 4))


def test_a_lora_whose_factor_is_zero_does_nothing(tmp_path: Path) -> None:
    """llama.cpp takes an alpha of 0 to mean that there is none, and multiplies by 1."""
    base = save_base(tmp_path / "base")
    folder = save_stages(base, tmp_path, {"sft": Lora()}, size=0.3)
    source = source_of(tmp_path / "base", folder)
    for part in source.adapters[0].slices.values():
        object.__setattr__(part, "scaling", 0.0)
    (file,) = write_gguf_loras(source, tmp_path)
    assert metadata(file)["adapter.lora.alpha"] != 0
    assert all(not rows.any() for name, rows in numbers(file).items() if name.endswith("lora_b"))


# ------------------------------------------------------------------ failures


def test_what_llamacpp_says_when_it_cannot_load(
    small: Callable[[str], tuple[Any, Source, Path]], tmp_path: Path
) -> None:
    _, source, _ = small("tied")
    write_gguf(source, tmp_path / "a.gguf", "f16")
    whole = (tmp_path / "a.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "renamed.gguf").write_bytes(whole.replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    (tmp_path / "junk.gguf").write_bytes(b"junk")
    for name, says in (
        ("none", "No such file"),
        ("cut", "corrupted or incomplete"),
        ("renamed", "attn_q"),
        ("junk", "GGUF"),
    ):
        with pytest.raises(ExportError, match=f"{name}.gguf.*{says}"):
            LlamaCpp(tmp_path / f"{name}.gguf")
    with pytest.raises(ExportError, match=r"a\.gguf with .*junk\.gguf"):
        LlamaCpp(tmp_path / "a.gguf", [(tmp_path / "junk.gguf", 1.0)])
    with LlamaCpp(tmp_path / "a.gguf") as llama:
        with pytest.raises(ExportError, match="refused /completion"):
            llama.next_token([], 5)
        with pytest.raises(ValueError):
            llama.set_scales([1.0])
        llama._process.kill()
        llama._process.wait()
        with pytest.raises(ExportError, match="stopped at /tokenize"):
            llama.tokens("a")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"pip install 'statllama\[gguf\]'"):
        LlamaCpp(tmp_path / "a.gguf")
