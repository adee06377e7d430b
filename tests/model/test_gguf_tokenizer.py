"""A tokenizer, to GGUF and back: the same ids for any text, special tokens, template and ends."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import AutoTokenizer

from statllama.errors import ModelError
from statllama.model.gguf_import import read_source, write_base
from statllama.model.gguf_import.tokenizer import Tokenizer, read_tokenizer
from statllama.model.pre_tokenizers import PRE_TOKENIZERS
from statllama.release.prompts import strings
from tests.model.gguf_making import SPECIAL, TEMPLATE, TEXTS, make_rules, rewrite, write_model

ALPHABETS = (
    "abc XYZ",
    " \t\n\r\u00a0\u3000",
    "0123456789٣½①",
    "'s'LL're",
    "éß\u0301\u0308",
    "平均😀👍🏽",
    "{}<>|_.,;:!?",
)
KEY = "tokenizer.ggml."


def texts(tokenizer: Any) -> list[str]:
    """Those of the verification, and 200 random ones of one or several alphabets, with special tokens among them."""
    draw = random.Random(0)
    pieces = [*ALPHABETS, *TEXTS, *SPECIAL, "<think>"]
    found = []
    for _ in range(200):
        chosen = draw.sample(pieces, draw.choice([1, 2, 4]))
        drawn = draw.choices(chosen, k=draw.choice([3, 30]))
        parts = [part if part in SPECIAL else draw.choice(part) for part in drawn]
        found.append("".join(parts))
    return [*strings(tokenizer), *found, ""]


@pytest.mark.parametrize("add_bos", [False, True])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rules", PRE_TOKENIZERS)
def test_ids_of_every_text(rules: str, first: bool, add_bos: bool, tmp_path: Path) -> None:
    """Special tokens first, among the pieces, as SmolLM2 has them, or behind them, as Llama 3 and Qwen do."""
    own = make_rules(rules, first, add_bos)
    name = "qwen2" if rules == "qwen2" else "llama3"
    path = write_model(tmp_path, "f16", name, own)
    (tmp_path / "back").mkdir()
    write_base(read_source(path), tmp_path / "back")
    before, back = AutoTokenizer.from_pretrained(tmp_path / "base"), AutoTokenizer.from_pretrained(tmp_path / "back")
    assert len(back) == len(before) == len(own) and back.get_vocab() == before.get_vocab()
    for text in texts(own):
        for special in (False, True):
            wanted = before(text, add_special_tokens=special).input_ids
            assert back(text, add_special_tokens=special).input_ids == wanted, ascii(text)
        assert back.decode(wanted) == before.decode(wanted)
        assert back.decode(wanted, skip_special_tokens=True) == before.decode(wanted, skip_special_tokens=True)
    pair = ("a mean", "of two")
    assert back(*pair).input_ids == before(*pair).input_ids
    for role in ("bos", "eos", "pad", "unk"):
        assert getattr(back, f"{role}_token_id") == getattr(before, f"{role}_token_id")
    assert back.chat_template == TEMPLATE and back.model_max_length == 512
    added = {i: (str(token), token.special) for i, token in before.added_tokens_decoder.items()}
    assert {i: (str(token), token.special) for i, token in back.added_tokens_decoder.items()} == added


def fields_of(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Metadata of a file with 700 rows, a good hundred of them without a token."""
    return fields_of(write_model(tmp_path_factory.mktemp("fields"), "f16", tokenizer=make_rules("smollm")))


def read(fields: dict[str, Any], without: tuple[str, ...] = (), **changes: Any) -> Tokenizer:
    left = {key: value for key, value in fields.items() if key.removeprefix(KEY) not in without}
    return read_tokenizer({**left, **{KEY + key: value for key, value in changes.items()}}, "it", 700)


def test_rows_without_a_token_have_none(fields: dict[str, Any]) -> None:
    tokenizer = read(fields)
    assert len(tokenizer.pieces) < 550 and not any(piece.startswith("[PAD") for piece in tokenizer.pieces)
    assert tokenizer.special == {"bos": 1, "eos": 2, "pad": 0}
    assert "pad" not in read(fields, padding_token_id=699).special, "an unused row is no pad token"
    assert read(fields, unknown_token_id=0).special["unk"] == 0


def test_what_a_file_leaves_out_is_what_llamacpp_takes(fields: dict[str, Any]) -> None:
    left_out = ("add_bos_token",)
    assert read(fields, left_out, pre="llama-bpe").add_bos and read(fields, left_out, pre="llama3").add_bos
    assert not read(fields, left_out).add_bos and not read(fields, left_out, pre="qwen2").add_bos
    assert not read(fields, ("add_eos_token",)).add_eos
    normal = read(fields, ("token_type",))
    assert not normal.added and len(normal.pieces) == 700


def test_where_replies_end(fields: dict[str, Any]) -> None:
    assert read(fields).ends == (2, 0), "eos, then <|endoftext|>, which llama.cpp knows by its name"
    assert read(fields, eot_token_id=40, eom_token_id=41).ends == (2, 40, 41, 0)
    types = [1 if kind == 3 else kind for kind in fields[KEY + "token_type"]]
    assert read(fields, token_type=types).ends == (2,), "a token of text ends nothing"
    assert read(fields, eot_token_id=7000).ends == (2, 0)


def test_eos_after_each_text(tmp_path: Path) -> None:
    path = write_model(tmp_path, "f16", tokenizer=make_rules("gpt-2", add_bos=True))
    both = rewrite(path, tmp_path / "a.gguf", {KEY + "add_eos_token": True})
    (tmp_path / "back").mkdir()
    write_base(read_source(both), tmp_path / "back")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "back")
    inside = tokenizer("a mean", add_special_tokens=False).input_ids
    assert tokenizer("a mean").input_ids == [1, *inside, 2]
    assert tokenizer("a mean", "a mean").input_ids == [1, *inside, 2, 1, *inside, 2]


def test_no_template_and_other_ones(fields: dict[str, Any]) -> None:
    assert read(fields).chat_template == TEMPLATE
    left = {key: value for key, value in fields.items() if key != "tokenizer.chat_template"}
    assert read(left).chat_template is None


def test_a_flag_that_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"it: tokenizer\.ggml\.add_bos_token is 1 instead of true or false"):
        read(fields, add_bos_token=1)
