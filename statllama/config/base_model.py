"""The base model of a recipe."""

from __future__ import annotations

from typing import Literal

from statllama.config.spec import Spec


class BaseModelSpec(Spec):
    """The frozen model that all adapters are stacked on."""

    model: str
    """Folder (absolute, or relative to the recipe) or hub id `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit on the hub; resolved to a commit before anything is keyed. None: `main`."""
    quantization: Literal["nf4", "none"] = "nf4"
    """`nf4`: 4-bit NormalFloat with double quantisation (QLoRA). `none`: as stored."""
    tokenizer: str | None = None
    """Folder or hub id of another tokenizer. None: the model's own."""
    chat_template: str | None = None
    """Path of a Jinja chat template that replaces the tokenizer's own. None: the tokenizer's."""
