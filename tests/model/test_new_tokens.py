"""A base with new tokens, as Transformers alone loads it; then a recipe on it, from training to chat."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from statllama.errors import ModelError, StatllamaError, UsageError
from statllama.model.new_tokens import extend_base
from tests.release.making import save_base

torch.set_num_threads(1)
WORDS = ("<|stat|>", "p-value")


@pytest.mark.parametrize(("tied", "dtype"), [(True, torch.float32), (False, torch.bfloat16)])
def test_rows_are_means_and_the_rest_is_untouched(tied: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    save_base(tmp_path / "base", dtype, tie_word_embeddings=tied)
    (tmp_path / "base" / "LICENSE").write_text("mine")
    done = extend_base(str(tmp_path / "base"), WORDS, tmp_path / "new")
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype="auto").state_dict()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "new", dtype="auto")
    after, count = model.state_dict(), len(AutoTokenizer.from_pretrained(tmp_path / "base"))
    old, new = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("base", "new"))
    assert len(new) == count + 2 == done.rows == model.config.vocab_size and done.before == count
    assert new("the p-value of <|stat|>", add_special_tokens=False)["input_ids"].count(count + 1) == 1
    assert old("a mean b")["input_ids"] == new("a mean b")["input_ids"]
    assert new.chat_template == old.chat_template and (tmp_path / "new" / "LICENSE").read_text() == "mine"
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype is dtype and torch.equal(after[name][: len(tensor)], tensor), name
        if "embed" in name or "lm_head" in name:
            for i, word in enumerate(WORDS):
                parts = old(word, add_special_tokens=False)["input_ids"]
                assert len(parts) > 1
                assert torch.equal(after[name][count + i], tensor[parts].double().mean(0).to(dtype))
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    record = json.loads((tmp_path / "new" / "new_tokens.json").read_text())
    assert record["tokens"]["p-value"]["id"] == count + 1


def test_spare_rows_are_used(tmp_path: Path) -> None:
    """A base with rows for more tokens than its tokenizer has grows by none."""
    from tests.conftest import make_llama, make_tokenizer

    tokenizer = make_tokenizer()
    make_llama(len(tokenizer) + 8).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    done = extend_base(str(tmp_path / "base"), WORDS, tmp_path / "new")
    assert done.rows == done.before == len(tokenizer) + 8
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "new")
    parts = tokenizer("p-value", add_special_tokens=False)["input_ids"]
    matrix = model.model.embed_tokens.weight
    assert torch.allclose(matrix[len(tokenizer) + 1], matrix[parts].mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no new token is named"),
        (("",), "it is empty"),
        ((" a",), "begins or ends with a space"),
        (("ab", "ab"), "named twice"),
        (("<|stat|>", "<|stat|>s"), "is a part of"),
        (("<|eot_id|>",), r"'<\|eot_id\|>' is a token of .* already"),
    ],
)
def test_texts_that_cannot_be_tokens(words: Any, said: str, base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        extend_base(str(base_folder), words, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_base_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        extend_base(str(tmp_path / "nowhere"), WORDS, tmp_path / "new")


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    from statllama.cli import app as cli

    monkeypatch.setattr(sys, "argv", ["statllama", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    shown = capsys.readouterr()
    assert not left.value.code, shown
    return " ".join(shown.out.split())


def test_a_recipe_with_new_tokens(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """cpt trains the rows, sft and dpo stand on them, and a release of all formats is verified."""
    import yaml

    from tests.conftest import conversations, preferences, write_jsonl

    monkeypatch.chdir(tmp_path)
    out = said(monkeypatch, capsys, "tokens", str(base_folder), *WORDS, "--out", "base")
    assert "p-value id" in out and 'lora: {token_rows: ["<|stat|>", "p-value"]}' in out
    write_jsonl(tmp_path / "d.jsonl", [{"text": f"<|stat|> the p-value of sample {i} is {i}"} for i in range(16)])
    write_jsonl(tmp_path / "c.jsonl", conversations(16))
    write_jsonl(tmp_path / "p.jsonl", preferences(16))
    train = {"steps": 3, "batch_size": 4, "max_length": 250, "learning_rate": 0.01}
    rows = {"token_rows": list(WORDS), "r": 4}
    stages = [
        {"name": "cpt", "type": "cpt", "data": [{"path": "d.jsonl"}], "train": dict(train), "lora": rows},
        {"name": "sft", "type": "sft", "data": [{"path": "c.jsonl"}], "train": dict(train),
         "lora": {"token_rows": ["p-value"], "r": 2}, "drift": {"max": 100.0, "every": 2}},
        {"name": "dpo", "type": "dpo", "data": [{"path": "p.jsonl"}], "train": dict(train), "lora": {"r": 2}},
    ]  # fmt: skip
    body = {"name": "n", "base": {"model": "base", "quantization": "none"}, "stages": stages}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(body))
    place = ("--workspace", str(tmp_path / "w"))
    said(monkeypatch, capsys, "run", "r.yaml", *place)
    again = said(monkeypatch, capsys, "plan", "r.yaml", *place)
    assert again.count("cached") >= 3
    formats = ("--adapter", "--merged", "bf16", "--gguf", "q8_0")
    said(monkeypatch, capsys, "export", "n", "--out", "out", *formats, *place)
    assert json.loads((tmp_path / "out" / "verification.json").read_text())["passed"]
    body["stages"][0]["lora"]["token_rows"] = ["p-value"]  # type: ignore[index]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(body))
    assert "lora.token_rows" in said(monkeypatch, capsys, "plan", "r.yaml", *place)
    body["stages"][0]["lora"]["token_rows"] = ["<|sta|>"]  # type: ignore[index]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(body))
    from statllama.recipe import load_recipe
    from statllama.runs import runner
    from statllama.store import Store
    from tests.running import Recorder

    with pytest.raises(StatllamaError, match=r"no token '<\|sta\|>': did you mean '<\|stat\|>'"):
        runner.run(load_recipe(tmp_path / "r.yaml"), Store(tmp_path / "w"), Recorder())
