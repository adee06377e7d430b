"""`evaluate.prompts`: each stack's greedy answers, made once, kept in the workspace, in no key."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from statllama.errors import EvaluationError, Interrupted, RecipeError
from statllama.evaluation import replies as module
from statllama.recipe import load_recipe
from statllama.runs import prompts, runner
from statllama.runs.chat import Conversation
from statllama.runs.plan import plan
from statllama.runs.watch.progress import RunProgress
from statllama.store import Store
from tests.conftest import stage

torch.set_num_threads(1)
Write = Callable[..., Path]
TEXTS = ["define the mean", "what is the mode of 3 and 5 and why is it", "<b>*x*</b>"]
ASKED = {"prompts": TEXTS, "prompt_tokens": 12}


def by_hand(base: Path, text: str, longest: int) -> tuple[str, bool]:
    """The likeliest token, again and again, over the whole text each time: no cache, no batch, no padding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    turns = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    ends, said = {tokenizer.eos_token_id, model.generation_config.eos_token_id}, list[int]()
    with torch.no_grad():
        while len(said) < longest:
            token = int(model(torch.tensor([[*ids, *said]])).logits[0, -1].argmax())
            if token in ends:
                return tokenizer.decode(said, skip_special_tokens=True).strip(), True
            said.append(token)
    return tokenizer.decode(said, skip_special_tokens=True).strip(), False


def test_answers_are_those_of_a_plain_loop(write_recipe: Write, base_folder: Path, tmp_path: Path) -> None:
    """Of the base, batched with padding, against token by token; a trained stack answers otherwise."""
    recipe = load_recipe(write_recipe([stage("a", train={"learning_rate": 0.05})], evaluate=ASKED))
    seen = RunProgress()
    runner.run(recipe, Store(tmp_path / "w"), seen)
    base, trained = seen.state.answers["base"], seen.state.answers["a"]
    assert [(a.text, a.ended) for a in base] == [by_hand(base_folder, text, 12) for text in TEXTS]
    assert [a.prompt for a in trained] == TEXTS and [a.text for a in trained] != [a.text for a in base]


def test_answered_once_and_in_no_key(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run takes the answers from the workspace; other prompts are asked, and train nothing again."""
    store, calls = Store(tmp_path / "w"), list[tuple[str, ...]]()
    whole = prompts.answers_to
    monkeypatch.setattr(prompts, "answers_to", lambda spec, *rest: calls.append(spec.prompts) or whole(spec, *rest))
    path, seen = write_recipe([stage("a", train={"steps": 2})], evaluate=ASKED), RunProgress()
    runner.run(load_recipe(path), store, seen)
    first = dict(seen.state.answers)
    runner.run(load_recipe(path), store, seen)
    assert len(calls) == 2 and seen.state.answers == first  # the base and one stage
    other = load_recipe(path, ["evaluate.prompts=[define it]"])
    assert [p.cached for p in plan(other, store)] == [True]
    runner.run(other, store, seen)
    assert calls[2:] == [("define it",), ("define it",)] and len(store.entries("results")) == 1


def test_a_stop_while_answering_is_obeyed(write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the run at once, publishes no answer, and the next run makes it."""
    encode = Conversation.prompt

    def stopped(self: Any, text: str) -> list[int]:
        os.kill(os.getpid(), signal.SIGINT)
        return encode(self, text)

    store, recipe = Store(tmp_path / "w"), load_recipe(write_recipe([stage("a", train={"steps": 2})], evaluate=ASKED))
    seen = RunProgress()
    with monkeypatch.context() as patch:
        patch.setattr(Conversation, "prompt", stopped)
        with pytest.raises(Interrupted):
            runner.run(recipe, store, seen)
    assert seen.state.outcome == "stopped" and store.entries("scores") == []
    runner.run(recipe, store, seen)
    assert set(seen.state.answers) == {"base", "a"}


def test_memory_that_runs_out_makes_smaller_batches(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts that fit one by one are answered one by one; one that does not fit alone is an error that says so."""
    whole, most = module.replies, 1

    def small(model: Any, tokenizer: Any, asked: Any, *rest: Any, **options: Any) -> Any:
        if len(asked) > most:
            raise MemoryError
        return whole(model, tokenizer, asked, *rest, **options)

    recipe = load_recipe(write_recipe([stage("a", train={"steps": 2})], evaluate=ASKED))
    apart, together = RunProgress(), RunProgress()
    runner.run(recipe, Store(tmp_path / "together"), together)
    monkeypatch.setattr(module, "replies", small)
    runner.run(recipe, Store(tmp_path / "apart"), apart)
    assert apart.state.answers["base"] == together.state.answers["base"]
    most = 0
    with pytest.raises(EvaluationError, match="out of memory while answering"):
        runner.run(recipe, Store(tmp_path / "none"), apart)


def test_a_prompt_that_does_not_fit(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("a")], evaluate={"prompts": ["mean " * 700], "prompt_tokens": 1024})
    with pytest.raises(EvaluationError, match="do not fit into the") as error:
        runner.run(load_recipe(path), Store(tmp_path / "w"), RunProgress())
    assert "mean mean" in error.value.message and "prompt_tokens" in str(error.value.remedy)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompts": [""]}, "prompts"),
        ({"prompts": ["  "]}, "evaluate.prompts[0]: is blank"),
        ({"prompts": "one"}, "prompts"),
        ({"prompts": ["x"] * 9}, "at most 8"),
        ({"prompts": [3]}, "prompts"),
        ({"prompts": ["x" * 4001]}, "4000"),
        ({"prompts": ["x"], "prompt_tokens": 0}, "prompt_tokens"),
        ({"prompts": ["x"], "prompt_tokens": 2000}, "1024"),
    ],
)
def test_what_is_no_prompt(write_recipe: Write, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(write_recipe([stage("a")], evaluate=fields))
    assert said in str(error.value)
