"""The card's section on use: commands and code with the release's own file names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from statllama.release.markdown import block, code


@dataclass(frozen=True)
class Contents:
    """What lies in a release, relative to its folder."""

    name: str
    """Of the release."""
    adapter: bool = False
    merged: str = ""
    """Type of the merged weights (`bf16`); empty: there are none."""
    gguf: tuple[str, ...] = ()
    """Names of the models below gguf/."""
    lora: tuple[str, ...] = ()
    """Names of the GGUF LoRA files below gguf/."""
    modelfile: bool = False
    licences: tuple[str, ...] = ()
    """Names of the licence files."""
    chat: bool = True
    """Whether the tokenizer has a chat template."""


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
_MERGED = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("merged")
model = AutoModelForCausalLM.from_pretrained("merged", dtype="auto", device_map="auto")
"""
_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({base})
model = AutoModelForCausalLM.from_pretrained({base}, dtype="auto", device_map="auto")
model = PeftModel.from_pretrained(model, "adapter")
"""


def use_section(contents: Contents, base: str, commit: str | None) -> Iterator[str]:
    """Yield how to use the release. `base`: hub id, or a name for the reader's folder. `commit`: of the hub id."""
    yield "## How to run it"
    yield "All paths are relative to this folder."
    ask = (_CHAT if contents.chat else _TEXT) + _REPLY
    if contents.merged:
        yield f"**Transformers**, with the merged weights ({contents.merged}):"
        yield block(_MERGED + ask, "python")
    if contents.adapter:
        yield "**PEFT**, with the adapter on the base:"
        named = repr(base) + (f", revision={commit!r}" if commit else "")
        yield block((_ADAPTER.format(base=named) + ask).replace("'", '"'), "python")
    if contents.gguf:
        yield "**llama.cpp** (a chat in the terminal, or a server with a web page and an OpenAI-compatible API):"
        yield block("\n".join(_llama_cpp(contents.gguf[-1], contents.chat)), "sh")
        if len(contents.gguf) > 1:
            yield f"Also there: {', '.join(code(f'gguf/{name}') for name in contents.gguf[:-1])}."
    if contents.lora:
        yield "**llama.cpp with the base and a LoRA** (BASE.gguf: the base's original weights as GGUF):"
        yield block("\n".join(f"llama-cli -m BASE.gguf --lora gguf/{name}" for name in contents.lora), "sh")
        if len(contents.lora) > 1:
            yield "Each file holds the stages in its name: one, or all of them together."
    if contents.modelfile:
        yield "**Ollama**:"
        name = contents.name.lower()
        yield block(f"ollama create {name} -f Modelfile\nollama run {name}", "sh")


def _llama_cpp(name: str, chat: bool) -> Sequence[str]:
    if not chat:
        return [f'llama-completion -m gguf/{name} -p "The mean of a sample is"']
    return [f"llama-cli -m gguf/{name} --jinja", f"llama-server -m gguf/{name} --jinja"]
