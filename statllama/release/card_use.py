"""What a card's section on use is written with. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

_CHAT = """\
messages = [{"role": "user", "content": "What does a p-value of 0.03 mean?"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
"""
_TEXT = """\
inputs = tokenizer("The mean of a sample is", return_tensors="pt")
"""
_REPLY = """\
output = model.generate(**inputs.to(model.device), max_new_tokens=256)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""


@dataclass(frozen=True)
class Reader:
    """Whom the card tells how to run the release, in the release's folder."""

    name: str
    """Name of the release."""
    base: str
    """Hub id of the base, or a name for the reader's own folder."""
    commit: str | None = None
    """Commit of the hub id."""
    chat: bool = True
    """Whether the tokenizer has a chat template."""

    @property
    def ask(self) -> str:
        """Return Python code that asks `model` with `tokenizer` and prints the reply."""
        return (_CHAT if self.chat else _TEXT) + _REPLY
