"""Ollama's Modelfile for a GGUF: the chat template in Go's syntax, and the stops. Loads no torch.

Ollama puts the tokenizer's own BOS before what its template writes, as the GGUF says: the template must not write it
too. Its templates cannot trim a text or tell the date, so texts are written as they come, and the date is the one that
the stages were trained with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from statllama.data.chat import Chat
from statllama.release.source import Source
from statllama.release.turns import Turns, turns_of
from statllama.runs.chat import Sampling
from statllama.store.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SAMPLING = {"temperature": Sampling().temperature, "repeat_penalty": 1.0}
"""Ollama's names for how `statllama chat` answers; Ollama itself samples, and makes repetition less likely."""
_UNKNOWN = """\
# The model's chat template has a shape that cannot be written in Ollama's language here, so there is no TEMPLATE below:
# Ollama would send your text to the model as it is. Use llama.cpp's server, which reads the template in the GGUF, or
# write a TEMPLATE by hand (https://github.com/ollama/ollama/blob/main/docs/template.md).
"""
_NONE = """\
# The model has no chat template: it continues the text that it is given.
"""


def modelfile(source: Source, gguf: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the Modelfile's text. `gguf`: the file, relative to the Modelfile, with forward slashes."""
    lines = [f"FROM ./{gguf.removeprefix('./')}", ""]
    if not source.chat_template:
        lines.append(_NONE)
    else:
        template = go_template(source.chat_template, tokenizer)
        lines.append(_UNKNOWN if template is None else f'TEMPLATE """{template}"""\n')
    lines += [f'PARAMETER stop "{stop}"' for stop in stop_texts(source, tokenizer)]
    lines += [f"PARAMETER {name} {value:g}" for name, value in SAMPLING.items()]
    return "\n".join(lines) + "\n"


def go_template(chat_template: str, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the chat template as Ollama's: what it renders equals the original's text, without the BOS that Ollama
    adds.

    None when the template has a shape that is not known here: see `turns.Turns`.
    """
    turns = turns_of(Chat(tokenizer, chat_template), tokenizer.bos_token)
    if turns is None:
        return None
    texts = [turns.start, turns.default, turns.generation, *turns.before.values(), *turns.after.values()]
    if any("{{" in text or "}}" in text or '"""' in text for text in texts):
        return None
    return ("" if adds_bos(tokenizer) else turns.start) + "".join(_go(turns))


def _go(turns: Turns) -> Iterator[str]:
    """Yield the template without white space of its own: outside its braces, each character is part of the prompt."""
    roles = ["system", "user", "assistant"]
    if turns.default:
        roles.remove("system")
        system = f"{turns.before['system']}{{{{ .System }}}}{turns.after['system']}"
        yield f"{{{{ if .System }}}}{system}{{{{ else }}}}{turns.default}{{{{ end }}}}"
    yield "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
    for i, role in enumerate(roles):
        yield f'{{{{ {"else if" if i else "if"} eq .Role "{role}" }}}}{turns.before[role]}{{{{ .Content }}}}'
        if role == "assistant":  # at the end it is a beginning that the model goes on with
            yield f"{{{{ if not $last }}}}{turns.after[role]}{{{{ end }}}}"
        else:
            yield turns.after[role]
    yield "{{ end }}"
    yield f'{{{{ if and $last (ne .Role "assistant") }}}}{turns.generation}{{{{ end }}}}{{{{ end }}}}'


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the tokenizer puts BOS before a text by itself, and so a GGUF of it does."""
    return tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]


def stop_ids(source: Source, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that end a reply: those that the base's configuration names, the tokenizer's eos, the end of a
    turn.
    """
    found: list[Any] = []
    for file in ("generation_config.json", "config.json"):
        settings = read_json(source.base / file)
        stated = settings.get("eos_token_id") if isinstance(settings, Mapping) else None
        if stated is not None:
            found = list(stated) if isinstance(stated, list) else [stated]
            break
    found.append(tokenizer.eos_token_id)
    if source.chat_template:
        found.append(Chat(tokenizer, source.chat_template).end_of_turn)
    return sorted({token for token in found if isinstance(token, int)})


def stop_texts(source: Source, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the texts of `stop_ids` that a Modelfile can hold."""
    texts = [tokenizer.convert_ids_to_tokens(token) for token in stop_ids(source, tokenizer)]
    return [text for text in texts if isinstance(text, str) and text and not set(text) & {'"', "\n"}]
