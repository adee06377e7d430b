"""Group relative policy optimisation (arXiv 2402.03300) against the parent stack.

For each prompt the model writes several completions; rewards judge them, and a completion counts by how much better it
is than its siblings. The reference policy is the stack without the new slice, never the bare base: the first batch of
every run, resumed ones too, asserts that, and that the KL divergence from it is 0 before the first step. The defaults
are the paper's algorithm; `loss: dapo` or `dr_grpo`, `beta: 0.0` and `epsilon_high` are what was proposed later.

`batch_size` counts completions: an optimizer step takes `batch_size / generations` prompts. The token budget, which
splits them into batches to generate and into forward passes, changes rounding alone: each token is drawn with a number
of its own (`evaluation.sampling`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from statllama.config.keyed import AddedLater
from statllama.config.precedence import nearest_multiple
from statllama.config.spec import Count, NonNegative, Positive
from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.data.questions import QuestionRules
from statllama.errors import DataError, near
from statllama.rewards import (
    REWARDS_VERSION,
    AnyReward,
    RewardSpec,
    build,
    libraries,
    local,
    required_columns,
    reward_names,
)

if TYPE_CHECKING:
    from pathlib import Path

    from statllama.train.job import Job

NUMERICS = 3
DATA_KIND = "questions"


class Spec(TrainingSpec):
    """`grpo` adds the rewards, how completions are generated, and the loss."""

    type: Literal["grpo"]
    rewards: Annotated[tuple[AnyReward, ...], Field(min_length=1, strict=False)]
    """Rewards that judge completions, each with its options and a `weight`; the weighted sum counts."""
    generations: int = 8
    """Completions per prompt, 2 or more; must divide `train.batch_size`."""
    max_completion_length: Count = 512
    """Maximum tokens of a completion; longer ones are cut, and counted."""
    max_prompt_length: Count | None = None
    """Maximum tokens of a prompt; rows with a longer one are skipped, and counted. None: `train.max_length`
    less `max_completion_length`."""
    system: str | None = None
    """Text of a system turn before each prompt, such as the layout of an answer. None: no such turn."""
    temperature: Positive = 1.0
    """Temperature of sampling, and of the log-probabilities in the loss."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample from the likeliest tokens that hold this share of the probability. 1: from all."""
    beta: NonNegative = 0.04
    """Strength of the pull towards the parent stack (KL divergence). 0: none, and no reference is computed."""
    loss: Literal["grpo", "dapo", "dr_grpo"] = "grpo"
    """Averaging of tokens. `grpo`: in each completion, then over completions; `dapo` (arXiv 2503.14476): over all
    tokens of a step; `dr_grpo` (arXiv 2503.20783): sum over a constant, so that length has no influence."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the standard deviation of the prompt's rewards, of the whole step's, or by nothing."""
    epsilon: Positive = 0.2
    """The ratio of new to old probability is clipped to 1 - epsilon ... 1 + epsilon. Used with `iterations` > 1."""
    epsilon_high: Positive | None = None
    """Upper clip instead of `epsilon` (DAPO's 0.28). None: the same."""
    iterations: Count = 1
    """Optimizer steps on each batch of completions."""
    importance_sampling_level: Annotated[Literal["token", "sequence"], AddedLater()] = "token"
    """Ratio of new to old probability: of each token, or one of the whole completion, its tokens' geometric mean (GSPO,
    arXiv 2507.18071). `sequence` goes with `loss: grpo`, differs from `token` with `iterations` > 1 alone, and needs a
    narrow clip: the paper has `epsilon: 3e-4` and `epsilon_high: 4e-4`."""
    mask_truncated_completions: Annotated[bool, AddedLater()] = False
    """Learn nothing from completions cut at `max_completion_length` (arXiv 2503.14476, section 3.4): they have no loss,
    but their rewards count in their siblings' advantages, and they themselves in a mean over completions."""

    @classmethod
    def fitting(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Let the default batch be a multiple of the `generations` that are set, or these divide the batch that is,
        and the default completion leave room for a prompt.
        """
        fields = super().fitting(fields)
        train = fields.get("train", {})
        if not isinstance(train, dict):
            return fields
        batch, length = (train.get(name, TrainSpec.model_fields[name].default) for name in ("batch_size", "max_length"))
        group = fields.get("generations", cls.model_fields["generations"].default)
        if type(batch) is int and type(group) is int and group > 1 and batch > 1 and batch % group:
            if "batch_size" not in train:
                fields = {**fields, "train": {**train, "batch_size": nearest_multiple(batch, group)}}
            elif "generations" not in fields:
                divisors = [n for n in range(2, group) if batch % n == 0]
                fields = {**fields, **({"generations": divisors[-1]} if divisors else {})}
        default = cls.model_fields["max_completion_length"].default
        if "max_completion_length" not in fields and type(length) is int and default >= length:
            fields = {**fields, "max_completion_length": length // 2}
        return fields

    @field_validator("rewards", mode="before")
    @classmethod
    def _known_rewards(cls, value: object) -> object:
        for item in value if isinstance(value, list | tuple) else ():
            name = item.get("name") if isinstance(item, dict) else getattr(item, "name", None)
            if name not in reward_names():
                raise ValueError(f"unknown reward {name!r}: {near(str(name), reward_names())}")
        return value

    @field_validator("generations", mode="after")
    @classmethod
    def _has_siblings(cls, value: int) -> int:
        if value < 2:
            raise ValueError(
                f"{value} completion per prompt: each is compared with the others of its prompt, so there must be 2 or "
                "more"
            )
        return value

    @model_validator(mode="after")
    def _grpo_rules(self) -> Self:
        train = self.train
        if self.replay is not None or self.anchor is not None:
            raise ValueError(
                "`replay` and `anchor` are for cpt, sft, dpo and kto: a grpo stage has a KL term of its own, `beta`, "
                "towards the stack that it is trained on"
            )
        if train.packing:
            raise ValueError("packing is for cpt and sft; completions are trained unpacked: set `packing: false`")
        if train.neftune_alpha is not None:
            raise ValueError(
                "`train.neftune_alpha` is not for grpo: its loss is in ratios of the probabilities of what was written "
                "without noise"
            )
        if train.batch_size % self.generations:
            lower = max(1, train.batch_size // self.generations) * self.generations
            raise ValueError(
                f"`train.batch_size` {train.batch_size} counts completions and is not a multiple of `generations` "
                f"{self.generations}: set it to {lower} or {lower + self.generations}"
            )
        room = train.max_length - self.max_completion_length
        if room < (self.max_prompt_length or 1):
            asked = f" and `max_prompt_length` {self.max_prompt_length}" if self.max_prompt_length else ""
            raise ValueError(
                f"`max_completion_length` {self.max_completion_length}{asked} do not fit into `train.max_length` "
                f"{train.max_length}, which holds a prompt and its completion"
            )
        if self.importance_sampling_level == "sequence" and self.loss != "grpo":
            raise ValueError(
                f"`importance_sampling_level: sequence` with `loss: {self.loss}` would weigh each completion by its "
                "length, against GSPO's definition: set `loss: grpo`"
            )
        if not any(reward.weight for reward in self.rewards):
            raise ValueError("all rewards have weight 0, so nothing would be learned: give one a `weight` above 0")
        if len({label(reward) for reward in self.rewards}) < len(self.rewards):
            raise ValueError("two of the `rewards` have the same name")
        return self

    @property
    def train_on(self) -> str:
        """Return `responses`: the prompt is masked; the completions count."""
        return "responses"

    @property
    def prompts_per_step(self) -> int:
        """Return the number of different prompts per optimizer step."""
        return self.train.batch_size // self.generations

    @property
    def prompt_limit(self) -> int:
        """Return the tokens of the longest prompt that is used."""
        return self.max_prompt_length or self.train.max_length - self.max_completion_length

    @property
    def data_options(self) -> dict[str, Any]:
        """Return the arguments as for any stage; `max_length` is that of a prompt."""
        needed = tuple(column for reward in self.rewards for column in required_columns(reward))
        rules = QuestionRules(self.system, needed)
        return {**super().data_options, "max_length": self.prompt_limit, "questions": rules}

    @property
    def rows_are(self) -> str:
        """Return the noun, as for any stage."""
        return "completions"

    def rows_per_epoch(self, rows: int) -> int:
        """Return the completions of one pass over `rows` prompts: the last ones that do not fill a step are left
        out.
        """
        if rows < self.prompts_per_step:
            raise DataError(
                f"stage {self.name}: {rows} prompts, but each step takes {self.prompts_per_step} different ones "
                f"(`train.batch_size` {self.train.batch_size} / `generations` {self.generations})",
                remedy=f"add data, or --set stages.{self.name}.train.batch_size={rows * self.generations}",
            )
        return rows // self.prompts_per_step * self.train.batch_size * self.iterations


def label(reward: RewardSpec) -> str:
    """Return the reward's name in figures and notes; a user's own reward goes by its function."""
    return reward.function.rpartition(":")[2] if isinstance(reward, local.Spec) else reward.name


def key_extras(spec: Spec, root: Path) -> dict[str, Any]:
    """Return the key's material beside the fields: how rewards judge, with which libraries, and the text of a user's
    own.
    """
    own = [local.fingerprint(reward.function, root) for reward in spec.rewards if isinstance(reward, local.Spec)]
    judging = {"rewards_version": REWARDS_VERSION, "libraries": libraries(spec.rewards)}
    return {**judging, **({"local_rewards": own} if own else {})}


def key_files(spec: Spec, root: Path) -> list[Path]:
    """Return the files that `key_extras` reads."""
    return [local.source(reward.function, root) for reward in spec.rewards if isinstance(reward, local.Spec)]


def require(spec: Spec, root: Path, trust_local_code: bool) -> None:
    """Raise UsageError, before anything is loaded, for a reward that is untrusted code, or wrong."""
    for reward in spec.rewards:
        build(reward, root, trust_local_code)


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's GRPOTrainer on our token ids, with the parent stack as reference and every field of its config
    set.
    """
    import trl

    from statllama.model import stack
    from statllama.stages._chunks import in_chunks
    from statllama.stages._prompts import as_rows
    from statllama.stages._rollouts import RolloutTrainer

    assert isinstance(job.spec, Spec)
    spec: Spec = job.spec

    class Trainer(RolloutTrainer, trl.GRPOTrainer):  # type: ignore[misc]
        pass

    del arguments["activation_offloading"]  # GRPOConfig has no such field
    trainer = Trainer(
        model=model,
        reward_funcs=[build(reward, job.root, job.trust_local_code) for reward in spec.rewards],
        args=trl.GRPOConfig(**arguments, **_settings(spec)),
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
    )
    trainer.job = job
    trainer.data_collator = as_rows
    trainer.settle_generation()
    in_chunks(trainer, job.base.backend)
    if spec.beta:
        stack.refer_to_parents(model)
    return trainer


def _settings(spec: Spec) -> dict[str, Any]:
    """Return GRPOConfig's additions to the training arguments."""
    return {
        "reward_weights": [reward.weight for reward in spec.rewards],
        "num_generations": spec.generations,
        "num_generations_eval": None,
        "max_completion_length": spec.max_completion_length,
        "temperature": spec.temperature,
        "top_p": spec.top_p,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "cache_implementation": None,
        "generation_kwargs": {"use_cache": True},
        "chat_template_kwargs": None,
        "generation_batch_size": None,
        "steps_per_generation": 1,
        "num_iterations": spec.iterations,
        "beta": spec.beta,
        # Else the gradient of the KL estimate is not that of the divergence. It takes ratios of tokens: with those of
        # sequences the estimate is differentiated as arXiv 2402.03300 writes it.
        "use_bias_correction_kl": spec.importance_sampling_level == "token",
        "epsilon": spec.epsilon,
        "epsilon_high": spec.epsilon_high,
        "delta": None,
        "importance_sampling_level": spec.importance_sampling_level,
        "loss_type": spec.loss,
        "scale_rewards": spec.scale_rewards,
        "multi_objective_aggregation": "sum_then_normalize",
        "mask_truncated_completions": spec.mask_truncated_completions,
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
        "off_policy_mask_threshold": None,
        "sync_ref_model": False,
        "disable_dropout": False,
        "cast_lm_head_to_fp32": False,
        "router_aux_loss_coef": None,
        "pad_to_multiple_of": None,
        "shuffle_dataset": False,  # `PromptSampler` does, anew in each epoch
        "use_vllm": False,
        "vllm_importance_sampling_correction": False,
        "use_transformers_continuous_batching": False,
        "log_completions": False,
        "trust_remote_code": False,
    }
