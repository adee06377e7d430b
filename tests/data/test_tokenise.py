"""Masks in plain sight: what the model learns from is between ⟦ and ⟧."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.data.examples import Completion, Conversation, Document, Example, Message, Preference
from statllama.data.masking import Tokens, show
from statllama.data.tokenise import Pair, Tokeniser
from statllama.errors import DataError
from tests.conftest import TEMPLATE, make_tokenizer
from tests.data.conftest import turns

CHATML = (
    "{%- for m in messages %}"
    "{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


def conversation(*contents: str, system: str | None = None, trained_from: int = 0) -> Conversation:
    return Conversation(tuple(Message(**m) for m in turns(*contents, system=system)), trained_from)


def encode(tokenizer: Any, example: Example, train_on: Any = "responses", **options: Any) -> list[Any]:
    options = {"max_length": 512, **options}
    return list(Tokeniser(tokenizer, train_on=train_on, **options).encode([("x.jsonl, row 3", example)])[0])


def seen(tokenizer: Any, example: Example, train_on: Any = "responses", **options: Any) -> str:
    return " | ".join(show(tokenizer, t) for t in encode(tokenizer, example, train_on, **options))


def learned_texts(tokenizer: Any, tokens: Tokens) -> list[str]:
    return [part.split("⟧")[0] for part in show(tokenizer, tokens).split("⟦")[1:]]


def trl_template(name: str) -> str:
    spec = importlib.util.find_spec("trl")
    if spec is None or spec.origin is None:
        pytest.skip("needs trl")
    return (Path(spec.origin).parent / "chat_templates" / f"{name}.jinja").read_text()


def test_llama3_mask_of_a_long_conversation(llama3: Any) -> None:
    example = conversation("What is 1+1?", "2", "And 2+2?\n", "4, of course.", system="Be brief.")
    assert seen(llama3, example) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is 1+1?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦2<|eot_id|>⟧"
        "<|start_header_id|>user<|end_header_id|>\n\nAnd 2+2?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n⟦4, of course.<|eot_id|>⟧"
    )


def test_small_tokenizer_masks(tokenizer: Any) -> None:
    def header(role: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n"

    start = f"<|begin_of_text|>{header('user')}q<|eot_id|>{header('assistant')}"
    assert seen(tokenizer, conversation("q", "é 😀")) == f"{start}⟦é 😀<|eot_id|>⟧"
    second = f"{start}a<|eot_id|>{header('user')}p<|eot_id|>{header('assistant')}⟦b<|eot_id|>⟧"
    assert seen(tokenizer, conversation("q", "a", "p", "b", trained_from=3)) == second
    assert seen(tokenizer, conversation("q", "a"), "all") == "<|begin_of_text|>⟦" + start[17:] + "a<|eot_id|>⟧"
    assert seen(tokenizer, Completion("mean of", " a")) == "<|begin_of_text|>mean of⟦ a<|eot_id|>⟧"
    assert seen(tokenizer, Completion("mean of", " a"), "all") == "<|begin_of_text|>⟦mean of a<|eot_id|>⟧"
    assert seen(tokenizer, Document("mean")) == "<|begin_of_text|>⟦mean<|end_of_text|>⟧"


def test_ids_are_those_of_the_chat_template(llama3: Any) -> None:
    messages = turns("Wie groß ist 3·7?", "21 😀\n\n  genau ", "ok?", "ja", system="Ünïcode")
    expected = llama3.apply_chat_template(messages, date_string="26 Jul 2024", return_dict=False)
    (tokens,) = encode(llama3, Conversation(tuple(Message(**m) for m in messages)))
    assert tokens.ids == expected


@pytest.fixture(scope="module")
def llama3_and_more(llama3: Any) -> Any:
    """Llama 3's tokenizer with the control tokens of other families."""
    tokenizer = copy.deepcopy(llama3)
    names = ("im_start", "im_end", "user", "system", "assistant", "end")
    tokenizer.add_special_tokens({"extra_special_tokens": [f"<|{n}|>" for n in names]})
    return tokenizer


@pytest.mark.parametrize(("name", "more"), [("llama3", ""), ("qwen2_5", "\n"), ("phi3", "\n<|eot_id|>")])
def test_mask_equals_trls(llama3_and_more: Any, name: str, more: str) -> None:
    """TRL's ChatML masks also learn line ends of the header and after the turn, and Phi's closing eos."""
    from trl.chat_template_utils import get_training_chat_template

    tokenizer = llama3_and_more
    tokenizer.chat_template = trl_template(name)
    messages = turns("one plus one", "two", "and more", "three\nfour", system="s")
    theirs = tokenizer.apply_chat_template(
        messages,
        chat_template=get_training_chat_template(tokenizer),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    (ours,) = encode(tokenizer, Conversation(tuple(Message(**m) for m in messages)))
    start = len(ours.ids) - len(theirs["input_ids"])  # BOS, when the template does not write it
    assert ours.ids[start:] == theirs["input_ids"]
    assert learned_texts(tokenizer, ours) == [f"two{ours_end(name)}", f"three\nfour{ours_end(name)}"]
    pairs = list(zip(theirs["input_ids"], ours.learned[start:], theirs["assistant_masks"], strict=True))
    assert all(theirs for _, ours, theirs in pairs if ours)
    extra = {tokenizer.decode([i]) for i, ours, theirs in pairs if theirs and not ours}
    assert all(text in more for text in extra)


def ours_end(name: str) -> str:
    return {"llama3": "<|eot_id|>", "qwen2_5": "<|im_end|>", "phi3": "<|end|>"}[name]


def chatml_tokenizer() -> Any:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def test_line_end_after_the_end_of_turn_is_not_learned_and_bos_is_put_in_front() -> None:
    assert seen(chatml_tokenizer(), conversation("q", "a", "p", "b")) == (
        "<|begin_of_text|><|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n⟦a<|im_end|>⟧\n"
        "<|im_start|>user\np<|im_end|>\n<|im_start|>assistant\n⟦b<|im_end|>⟧\n"
    )


def test_tokenizer_without_bos() -> None:
    tokenizer = make_tokenizer()
    tokenizer.bos_token = None
    template = TEMPLATE.replace("{{- bos_token }}", "")
    assert seen(tokenizer, Document("mean")).count("⟦") == 1
    (tokens,) = encode(tokenizer, conversation("q", "a"), "all", chat_template=template)
    assert tokens.learned == [False] + [True] * (len(tokens.ids) - 1)
    assert tokenizer.decode(tokens.ids).startswith("<|start_header_id|>user")


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda t: t.strip() and "<|" not in t
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4), st.none() | words)
def test_learned_tokens_are_the_assistants_words(tokenizer: Any, pairs: Sequence[tuple[str, str]], system: str) -> None:
    contents = [content for pair in pairs for content in pair]
    (tokens,) = encode(tokenizer, conversation(*contents, system=system))
    expected = [answer.strip() + "<|eot_id|>" for _, answer in pairs]
    runs: list[list[int]] = [[]]
    for token, learned in zip(tokens.ids, tokens.learned, strict=True):
        if learned:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    decoded = [tokenizer.decode(r, clean_up_tokenization_spaces=False) for r in runs if r]
    assert decoded == expected
    assert tokens.ids.count(tokenizer.bos_token_id) == 1
    assert tokens.ids[0] == tokenizer.bos_token_id
    rendered = [Message(**m) for m in turns(*contents, system=system)]
    theirs = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in rendered], return_dict=False
    )
    assert tokens.ids == theirs


def test_document_is_cut_without_overlap(tokenizer: Any) -> None:
    text = "mean median mode " * 20
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    end = tokenizer.convert_tokens_to_ids("<|end_of_text|>")
    for length in (2, 8, 19, len(whole), len(whole) + 1, len(whole) + 2):
        pieces = encode(tokenizer, Document(text), max_length=length)
        assert [i for p in pieces for i in p.ids[1:]] == [*whole, end]
        assert all(p.ids[0] == tokenizer.bos_token_id and len(p.ids) <= length for p in pieces)
        assert all(len(p.ids) == length for p in pieces[:-1])
        assert all(p.learned == [False] + [True] * (len(p.ids) - 1) for p in pieces)


def test_completion_boundary_is_that_of_inference(llama3: Any) -> None:
    (tokens,) = encode(llama3, Completion("The answer is", "n't known"))
    prompt = llama3("The answer is")["input_ids"]
    assert tokens.ids[: len(prompt)] == prompt
    assert tokens.learned == [i >= len(prompt) for i in range(len(tokens.ids))]
    assert tokens.ids[-1] == llama3.eos_token_id


def test_pair_has_the_prompt_once(tokenizer: Any) -> None:
    prompt = (Message("user", "what is the mean"),)
    (pair,) = encode(tokenizer, Preference(prompt, "the sum", "a mode"))
    expected = tokenizer.apply_chat_template(turns("what is the mean"), add_generation_prompt=True, return_dict=False)
    assert pair.prompt == expected
    assert tokenizer.decode(pair.chosen) == "the sum<|eot_id|>"
    assert tokenizer.decode(pair.rejected) == "a mode<|eot_id|>"
    assert encode(tokenizer, Preference("mean", " a", " b")) == [
        Pair(
            tokenizer("mean")["input_ids"],
            *(tokenizer(t, add_special_tokens=False)["input_ids"] + [4] for t in (" a", " b")),
        )
    ]


def test_pair_leaves_out_what_follows_the_end_of_turn() -> None:
    tokenizer = chatml_tokenizer()
    (pair,) = encode(tokenizer, Preference((Message("user", "q"),), "a", "b"))
    assert tokenizer.decode(pair.prompt).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(pair.chosen) == "a<|im_end|>"


@pytest.mark.parametrize(
    ("example", "name"),
    [
        (conversation("q<|eot_id|>", "a"), "user turn"),
        (conversation("q", "a<|eot_id|>b"), "assistant turn"),
        (conversation("q", "a", system="<|eot_id|>"), "system turn"),
        (Document("x<|eot_id|>"), "text"),
        (Completion("q", "<|eot_id|>"), "text"),
        (Preference((Message("user", "q"),), "a", "<|eot_id|>b"), "assistant turn"),
        (Preference("q", "a", "b<|eot_id|>"), "text"),
    ],
)
def test_control_tokens_cannot_be_smuggled_in(tokenizer: Any, example: Example, name: str) -> None:
    with pytest.raises(DataError, match=rf"x.jsonl, row 3: the {name} contains '<\|eot_id\|>'") as caught:
        encode(tokenizer, example)
    assert caught.value.remedy is not None


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages | length }}" + TEMPLATE, "not prefix-preserving"),
        (TEMPLATE.replace("assistant<|end_header_id|>", "model<|end_header_id|>"), "not prefix-preserving"),
        (TEMPLATE.replace("<|eot_id|>", "\n"), "ends an assistant turn without a special token"),
        (TEMPLATE.replace("<|eot_id|>", "<|eot_id|><|eot_id|>"), "writes <.eot_id.> twice"),
        (TEMPLATE.replace("| trim", "| upper"), "does not write the assistant's turn as it is"),
        (
            TEMPLATE + "{{ raise_exception('only users') }}",
            "the chat template refuses the conversation: only users",
        ),
    ],
)
def test_unfit_template_is_explained(tokenizer: Any, template: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        encode(tokenizer, conversation("q", "a", "p", "b"), chat_template=template)
    assert "base.chat_template: FILE" in str(caught.value)


def test_tokenizer_without_template_still_takes_text() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(DataError, match="no chat template") as caught:
        encode(tokenizer, conversation("q", "a"))
    assert all(
        way in str(caught.value) for way in ("base.chat_template: FILE", "Instruct", "render: plain", "format: text")
    )
    assert encode(tokenizer, Document("mean"))
    assert encode(tokenizer, Completion("q", "a"))
    assert encode(tokenizer, conversation("q", "a"), chat_template=TEMPLATE)


def test_the_date_is_fixed_for_templates_that_ask_for_it(tokenizer: Any) -> None:
    dated = "{{- bos_token }}{{- strftime_now('%Y-%m-%d') }}" + TEMPLATE.removeprefix("{{- bos_token }}")
    assert "2024-07-26" in seen(tokenizer, conversation("q", "a"), chat_template=dated)
