"""The tokenizer in GGUF: pieces, types, special ids, the name of the rules; and tokenizers that have no such name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from statllama.errors import ExportError, ModelError
from statllama.model.pre_tokenizers import LLAMA3_WORDS, name_of
from statllama.release.gguf import write_gguf
from statllama.release.gguf_vocab import read_vocabulary
from tests.conftest import REPO, SPECIAL, make_tokenizer
from tests.release.gguf_reading import metadata
from tests.release.making import save_base, source_of

QUICKSTART = REPO / "recipes" / "quickstart" / "base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The folder after `change` of its tokenizer.json."""
    rules = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(rules)
    (folder / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")
    return folder


def rules_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def test_pieces_and_types_of_the_small_tokenizer(folder: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<answer>"])
    tokenizer.save_pretrained(folder)
    found = read_vocabulary(folder, 330)
    assert found.pre == "gpt-2" and len(found.tokens) == len(found.types) == 330
    by_id = {i: piece for piece, i in tokenizer.get_vocab().items()}
    assert all(found.tokens[i] == piece for i, piece in by_id.items())
    kinds = {gguf.TokenType.CONTROL: set(SPECIAL), gguf.TokenType.USER_DEFINED: {"<answer>"}}
    for kind, names in kinds.items():
        assert {found.tokens[i] for i, t in enumerate(found.types) if t == kind} == names
    unused = [i for i, t in enumerate(found.types) if t == gguf.TokenType.UNUSED]
    assert unused == list(range(321, 330)) and found.tokens[329] == "[PAD329]" and len(set(found.tokens)) == 330
    assert found.special == {"bos": 0, "eos": 4, "eot": 4, "pad": 5}
    assert found.add_bos and not found.add_eos
    merges = rules_of(folder)["model"]["merges"]
    assert [tuple(m.split(" ")) for m in found.merges] == [tuple(m) for m in merges] and merges


def test_add_bos_is_what_the_tokenizer_does_and_always_written(folder: Path, tmp_path: Path) -> None:
    """Left out, llama.cpp guesses by the pre-tokenizer's name: no for gpt-2, yes for llama-bpe."""
    save_base(tmp_path / "base")
    source = source_of(tmp_path / "base")
    for adds in (True, False):
        if not adds:
            changed(tmp_path / "base", lambda rules: rules.update(post_processor=None))
        file = tmp_path / f"{adds}.gguf"
        write_gguf(source, file, "q8_0")
        said = metadata(file)
        assert said["tokenizer.ggml.add_bos_token"] is adds and said["tokenizer.ggml.add_eos_token"] is False
    assert said["tokenizer.ggml.model"] == "gpt2" and said["tokenizer.ggml.pre"] == "gpt-2"
    ids = {key.split(".")[-1]: value for key, value in said.items() if key.endswith("_id")}
    assert ids == {"bos_token_id": 0, "eos_token_id": 4, "eot_token_id": 4, "padding_token_id": 5}


def test_the_quickstart_base_is_cut_like_llama_3() -> None:
    found = read_vocabulary(QUICKSTART, 2048)
    assert found.pre == "llama-bpe" and gguf.TokenType.UNUSED not in found.types


def test_without_ignore_merges_llama_3s_rules_have_another_name() -> None:
    rules = rules_of(QUICKSTART)
    rules["model"]["ignore_merges"] = False
    assert name_of(rules, "x") == "smaug-bpe"


def _digits(rules: dict[str, Any]) -> None:
    rules["pre_tokenizer"] = {"type": "Digits", "individual_digits": True}


def _pairs(rules: dict[str, Any]) -> None:
    words = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}{1,2}")
    split = {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    rules["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, bytes_]}


STRANGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "normaliser": (lambda r: r.update(normalizer={"type": "NFC"}), 'normaliser {"type": "NFC"}'),
    "prefix space": (lambda r: r["pre_tokenizer"].update(add_prefix_space=True), "add_prefix_space"),
    "digits": (_digits, "individual_digits"),
    "pairs of digits": (_pairs, r"llama-bpe, smaug-bpe"),
    "ignore_merges": (lambda r: r["model"].update(ignore_merges=True), "ignore_merges=True"),
    "byte fallback": (lambda r: r["model"].update(byte_fallback=True), "byte-level BPE"),
    "decoder": (lambda r: r.update(decoder={"type": "Metaspace"}), "byte-level BPE"),
    "suffix": (lambda r: r["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
    "no pre-tokenizer": (lambda r: r.update(pre_tokenizer=None), "pre-tokenizer null"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_rules_that_llamacpp_has_no_name_for(name: str, folder: Path) -> None:
    change, says = STRANGE[name]
    rules = rules_of(folder)
    change(rules)
    with pytest.raises(ModelError, match="GGUF cannot hold this tokenizer") as refused:
        name_of(rules, "the tokenizer")
    assert says in refused.value.message and "the tokenizer" in refused.value.message


def test_a_refused_tokenizer_says_what_to_export_instead(folder: Path) -> None:
    changed(folder, STRANGE["digits"][0])
    with pytest.raises(ExportError, match="GGUF cannot hold this tokenizer") as refused:
        read_vocabulary(folder, 320)
    assert "merged weights" in str(refused.value.remedy)


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_added_tokens_that_take_their_surroundings(flag: str, folder: Path) -> None:
    changed(folder, lambda rules: rules["added_tokens"][2].update({flag: True}))
    with pytest.raises(ExportError, match=f"start_header_id.*{flag}"):
        read_vocabulary(folder, 320)


def test_more_pieces_than_the_embedding_has_rows(folder: Path) -> None:
    with pytest.raises(ExportError, match=r"the tokenizer has token 319 .*, the embedding has 319 rows"):
        read_vocabulary(folder, 319)


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="tokenizer"):
        read_vocabulary(tmp_path, 320)
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExportError, match="tokenizer"):
        read_vocabulary(tmp_path, 320)
