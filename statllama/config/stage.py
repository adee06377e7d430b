"""The fields of every stage, and of every stage that trains. What a type adds is in `statllama/stages/<type>.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import AddedLater, Unkeyed
from statllama.config.lora import LoraSpec
from statllama.config.protect import AnchorSpec, DriftSpec, GenerationsSpec, ReplaySpec
from statllama.config.selection import PREFIX
from statllama.config.source import SourceSpec
from statllama.config.spec import Name, Spec
from statllama.config.train import TrainSpec


class StageSpec(Spec):
    """The fields of every stage. `TrainingSpec` and `statllama/stages/<type>.py` add to them."""

    name: Annotated[Name, Unkeyed()]
    """Unique in the recipe; names the adapter in reports. Not in the key."""
    type: str
    """Name of a module in statllama/stages."""
    parents: Annotated[
        Literal["base"] | Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None, Unkeyed()
    ] = None
    """Stages stacked below, in order. None: the stage before; `base`: nothing but the base model. Not in the key by
    name: their keys are."""

    @field_validator("name", mode="after")
    @classmethod
    def _not_the_base(cls, value: str) -> str:
        if value == "base":
            raise ValueError("`base` is the base model, in `parents` and in the scorecard: give the stage another name")
        return value

    @field_validator("parents", mode="before")
    @classmethod
    def _base_or_names(cls, value: object) -> object:
        names = value if isinstance(value, list | tuple) else ()
        if value is None or value == "base" or (names and all(isinstance(name, str) for name in names)):
            return value
        said = f"[{value}]" if isinstance(value, str) else "[sft]"
        raise ValueError(f"should be `base` or a list of stages, as in `parents: {said}`")

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the names of the stages that must exist before this one: its parents, and the siblings that it
        blends.
        """
        parents = () if self.parents is None or self.parents == "base" else self.parents
        return (*parents, *self.siblings)

    @property
    def siblings(self) -> tuple[str, ...]:
        """Return the names of the siblings that a blend is made of, without standing on them."""
        return ()

    @property
    def chosen_on(self) -> tuple[str, ...]:
        """Return what its adapter is chosen on among others, as scorecards name it: those scores are no tests of it."""
        return ()

    @classmethod
    def fitting(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a stage's fields, not yet validated, with another value for each default of the code that does not go
        with them.
        """
        return fields


class TrainingSpec(StageSpec):
    """The fields of every stage that trains an adapter on data."""

    data: Annotated[tuple[SourceSpec, ...], Field(min_length=1, strict=False)]
    """The mixture."""
    deduplicate: Literal["none", "exact", "near", "semantic"] = "none"
    """Leave out rows that repeat an earlier one, across all sources: `exact` the same text, `near` about the same words
    (MinHash), `semantic` about the same meaning (needs sentence-transformers)."""
    decontaminate: Annotated[Literal["stop", "drop", "ignore"], Unkeyed()] = "stop"
    """Action for a row that copies a question of a benchmark in `evaluate.tasks`: stop with a report, drop the row, or
    ignore it. A row that may ask it in other words is reported and stays. Not in the key: the benchmarks whose
    questions are dropped are."""
    lora: LoraSpec = LoraSpec()
    train: TrainSpec = TrainSpec()
    drift: DriftSpec | None = None
    """Ends the stage early when it has moved the model too far. None: it runs to its last step."""
    replay: Annotated[ReplaySpec | None, AddedLater()] = None
    """Rows of other data beside the stage's own in every step. None: none."""
    anchor: Annotated[AnchorSpec | None, AddedLater()] = None
    """A pull back to the stack that the stage is trained on. None: none."""

    @classmethod
    def fitting(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Measure drift several times in a stage of fewer steps than `drift.every` is by default, and let a model
        write shorter texts for rows that are shorter than `replay.generations.max_tokens` is by default.
        """
        train, drift, replay = fields.get("train"), fields.get("drift"), fields.get("replay")
        steps, length = (train.get(name) if isinstance(train, dict) else None for name in ("steps", "max_length"))
        usual = DriftSpec.model_fields["every"].default
        if type(steps) is int and 0 < steps < usual and isinstance(drift, dict) and "every" not in drift:
            fields = {**fields, "drift": {**drift, "every": max(1, steps // 5)}}
        written = replay.get("generations") if isinstance(replay, dict) else None
        usual = GenerationsSpec.model_fields["max_tokens"].default
        if type(length) is int and 1 < length <= usual and isinstance(written, dict) and "max_tokens" not in written:
            assert isinstance(replay, dict)
            fields = {**fields, "replay": {**replay, "generations": {**written, "max_tokens": length // 2}}}
        return fields

    @model_validator(mode="after")
    def _weights_for_all(self) -> Self:
        if len({source.weight is None for source in self.data}) == 2:
            raise ValueError("`weight` is set for some sources only: set it for all of them or for none")
        return self

    @property
    def data_options(self) -> dict[str, Any]:
        """Return the arguments with which `data.prepare` makes the stage's rows."""
        train = self.train
        return {
            "train_on": self.train_on,  # type: ignore[attr-defined]
            "max_length": train.max_length,
            "packing": train.packing,
            "seed": train.seed,
        }

    @property
    def kept_slices(self) -> int:
        """Return the slices that a checkpoint holds beside the one in training: a cap on drift's, a selection's."""
        return (self.drift is not None) + (self.train.select is not None)

    @property
    def selects_on(self) -> str | None:
        """Return what its best step is selected on, as a scorecard names it; None where it publishes its last one."""
        select = self.train.select
        return None if select is None else PREFIX + self.name if select.holdout == "" else select.on

    @property
    def chosen_on(self) -> tuple[str, ...]:
        """Return what its best step is selected on."""
        return () if self.selects_on is None else (self.selects_on,)

    @property
    def replayed(self) -> int:
        """Return the rows that each step replays, with a gradient of any kind from them."""
        used = self.replay is not None and (self.replay.strength > 0 or self.anchored_on == "replay")
        return self.replay.rows(self.train.batch_size) if self.replay is not None and used else 0

    @property
    def anchored_on(self) -> str:
        """Return where the anchor is taken, `own` or `replay`; empty where none acts."""
        return self.anchor.on if self.anchor is not None and self.anchor.acts else ""

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """Return all sources that the stage names: its own, those that it replays, and those of prompts for that."""
        prompts = self.replay.generations.prompts if self.replay and self.replay.generations else ()
        return (*self.data, *(self.replay.data if self.replay is not None else ()), *prompts)

    @property
    def generated(self) -> GenerationsSpec | None:
        """Return the rows that a model writes for it to replay; None without, and where none is replayed."""
        return self.replay.generations if self.replay is not None and self.replayed else None

    @property
    def rows_are(self) -> str:
        """Return the noun that `train.batch_size` counts, in the plural."""
        return "rows"

    def rows_per_epoch(self, rows: int) -> int:
        """Return the rows that go through the model in one pass over `rows` prepared rows. DataError for too few."""
        return rows

    @model_validator(mode="after")
    def _protected(self) -> Self:
        replay, anchor = self.replay, self.anchor
        if anchor is not None and anchor.on == "replay" and (replay is None or not replay.share):
            lacks = "has no `replay`" if replay is None else "replays no row (`share` is 0)"
            raise ValueError(
                f"`anchor.on` is replay, and the stage {lacks}: give `replay: {{data: [{{path: FILE}}]}}`, or `replay: "
                "{generations: {count: 200}}` for rows that the model writes itself, or write `on: own`"
            )
        if replay is not None and replay.share and replay.weight == 0 and (anchor is None or anchor.on == "own"):
            raise ValueError(
                "`replay.weight` is 0 and no anchor is taken on these rows, so they change nothing: raise `weight`, or "
                "add `anchor: {on: replay, coefficient: 1.0}`"
            )
        written = replay.generations if replay is not None else None
        if written is not None and written.max_tokens >= self.train.max_length:
            raise ValueError(
                f"`replay.generations.max_tokens` {written.max_tokens} leaves no room for a prompt in rows of "
                f"`train.max_length` {self.train.max_length}: lower it, or raise `train.max_length`"
            )
        return self

    @model_validator(mode="after")
    def _cap_is_measured(self) -> Self:
        if self.drift and self.train.steps is not None and self.drift.every > self.train.steps:
            raise ValueError(
                f"`drift.every` {self.drift.every} is above `train.steps` {self.train.steps}, so drift would be "
                "measured at the end alone"
            )
        return self


Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]
