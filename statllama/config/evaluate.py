"""The recipe's section `evaluate:`: benchmarks, how they are asked, and the gates that a stage must hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import Unkeyed
from statllama.config.source import SourceSpec
from statllama.config.spec import Count, Name, Spec
from statllama.config.train import replaced_by_tokens
from statllama.errors import near

Prompt = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]


class GateSpec(Spec):
    """The loss that a stage may cause on a benchmark. A number alone is the budget."""

    budget: Annotated[float, Field(le=0, ge=-100)]
    """Allowed change of the score, in points: -2.0 lets a stage lose two of a hundred."""
    against: Literal["base", "parent"] = "base"
    """Stack to measure the change from."""
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Level of two one-sided tests: the gate is broken when one shows a loss beyond the budget, held when the other
    shows that there is none, else undecided."""
    on_break: Literal["stop", "parent"] = "stop"
    """`stop` the run, or leave the stage out and train later stages on its `parent`."""
    on_undecided: Literal["continue", "stop"] = "continue"
    """`continue`, or `stop` the run where the items cannot tell whether the gate is held."""
    stages: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Stages that the gate holds. None: all."""


class EvaluateSpec(Spec):
    """Benchmarks run on the base and after each stage. Not in any stage's key."""

    tasks: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of lm-eval tasks under eval/."""
    domain: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Tasks that the stages should raise; the others measure what is kept. None: the first task."""
    data: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    """{task: local file with its questions}, instead of the task's own data; or {task: {split: file}}. Absolute, or
    relative to the recipe; .jsonl, .json, .csv or .parquet, with the columns of the dataset that it replaces."""
    limit: Count | None = None
    """Score only the first items of each task, up to this number (the scorecard then says so)."""
    micro_tokens: Count = 4096
    """Token budget of a forward pass, padding included; a longer row is a pass by itself. Replies made together hold
    up to four times as many, each with its prompt and its greatest length. Halved when memory runs out. It changes
    rounding, not what is asked."""
    max_length: Count = 4096
    """Maximum number of context tokens; lm-eval cuts longer prompts on the left."""
    chat_template: bool = True
    """Put prompts through the tokenizer's chat template."""
    fewshot_as_turns: bool = True
    """With `chat_template`: each few-shot example is a user turn and an assistant turn."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1234
    """Seed of few-shot sampling."""
    holdouts: Annotated[dict[Name, SourceSpec], Unkeyed()] = Field(default_factory=dict)
    """{name: a source} of further rows that every stack is scored on, beside the stages' own `holdout`: running text,
    conversations or preference pairs. No stage is trained on them or on copies of them. Not in the key of a score,
    which has the rows instead."""
    gates: dict[str, GateSpec] = Field(default_factory=dict)
    """{task: the loss that a stage may cause on it}, such as `{gsm8k: -2.0}`."""
    prompts: Annotated[tuple[Prompt, ...], Field(strict=False, max_length=8), Unkeyed()] = ()
    """Questions of your own, up to 8, that the base and each stage answer once, greedily: the answers stand beside each
    other in the report and in the page of `run --watch`. Not in the key: they change no result and no score."""
    prompt_tokens: Annotated[int, Field(ge=1, le=1024), Unkeyed()] = 200
    """Tokens of an answer to one of `prompts`, at most. Not in the key."""

    @model_validator(mode="before")
    @classmethod
    def _replaced(cls, value: Any) -> Any:
        if isinstance(value, dict) and "batch_size" in value:
            raise replaced_by_tokens(cls, "batch_size", value)
        return value

    @field_validator("gates", mode="before")
    @classmethod
    def _budgets(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        number = {int, float}
        return {task: {"budget": gate} if type(gate) in number else gate for task, gate in value.items()}

    @field_validator("data", mode="before")
    @classmethod
    def _files(cls, value: object) -> object:
        for task, place in value.items() if isinstance(value, dict) else ():
            names = place.values() if isinstance(place, dict) and place else (place,)
            if not all(isinstance(name, str) and name for name in names):
                raise ValueError(f"`data.{task}` should be a file, or files by split, as in `{{test: FILE}}`")
        return value

    @model_validator(mode="after")
    def _of_tasks(self) -> Self:
        for field in ("data", "gates"):
            for task in getattr(self, field):
                if task not in self.tasks:
                    raise ValueError(
                        f"`{field}` names {task!r}, which `tasks` does not score: {near(task, self.tasks)}"
                    )
        return self
