"""What the tests of the data package share: the real Llama 3 tokenizer (or a skip) and masks made visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from statllama.data.masking import Tokens, show
from tests.conftest import SHARED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data")
    return folder


@pytest.fixture(scope="session")
def llama3(shared_data: Path) -> Any:
    """Llama 3's tokenizer with Llama 3.2's chat template."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(shared_data / "llama3-tokenizer")


def marked(tokenizer: Any, row: Mapping[str, Sequence[int]]) -> str:
    """A dataset row decoded, with the tokens that carry loss between ⟦ and ⟧."""
    return show(tokenizer, Tokens(list(row["input_ids"]), [label != -100 for label in row["labels"]]))


def turns(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """Messages: user and assistant in turn, after an optional system message."""
    start = [] if system is None else [{"role": "system", "content": system}]
    return start + [
        {"role": "assistant" if i % 2 else "user", "content": content} for i, content in enumerate(contents)
    ]
