"""What a card's section on use is written with. Loads no torch.

The examples answer as `statllama chat` does, and as the release was verified: no system prompt, the date that the
stages were trained with where the chat template writes one, the likeliest token always, no penalty on repetition.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from statllama.data.chat import DATE_STRING
from statllama.release.card_question import ANY
from statllama.runs.chat import Sampling

DATED = ("date_string", "strftime_now")
"""Variables of a chat template that writes a date."""
_CHAT = """\
messages = [{{"role": "user", "content": {question}}}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True{variables}
)
"""
_TEXT = """\
inputs = tokenizer("The mean of a sample is", return_tensors="pt")
"""
_REPLY = """\
output = model.generate(**inputs.to(model.device), max_new_tokens={most}, do_sample=False, repetition_penalty=1.0)
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
    template: str | None = None
    """Text of the chat template; None: the tokenizer has none."""
    question: str = ANY
    """The question that the examples ask."""

    @property
    def chat(self) -> bool:
        """Return whether the model can be talked to."""
        return self.template is not None

    @property
    def date(self) -> dict[str, str]:
        """Return the variables that make the chat template write the date of training; none where it writes none."""
        return {"date_string": DATE_STRING} if any(name in (self.template or "") for name in DATED) else {}

    @property
    def ask(self) -> str:
        """Return Python code that asks `model` with `tokenizer` and prints the reply."""
        variables = "".join(f", {name}={json.dumps(value)}" for name, value in self.date.items())
        question = json.dumps(self.question, ensure_ascii=False)
        asking = _CHAT.format(question=question, variables=variables) if self.chat else _TEXT
        return asking + _REPLY.format(most=Sampling().max_tokens)

    @property
    def llama_cpp(self) -> str:
        """Return the options with which llama.cpp answers so: its own defaults sample, and write today's date."""
        dated = f" --chat-template-kwargs {shlex.quote(json.dumps(self.date))}" if self.date else ""
        return f"--jinja --temp {Sampling().temperature:g}{dated}"

    @property
    def request(self) -> str:
        """Return the body of a question to OpenAI's API, in JSON, as a word of a shell's command line."""
        body = {"messages": [{"role": "user", "content": self.question}]}
        return shlex.quote(json.dumps(body, ensure_ascii=False))
