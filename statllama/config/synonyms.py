"""The field's other words for our keys, and our keys in the wrong place: what to write instead.

Names of TRL, Transformers, PEFT, Axolotl, LLaMA-Factory and Unsloth, which people bring with them. They are told, never
read: one field has one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from statllama.config.base_model import BaseModelSpec
from statllama.config.evaluate import EvaluateSpec
from statllama.config.lora import LoraSpec
from statllama.config.source import SourceSpec
from statllama.config.stage import TrainingSpec
from statllama.config.train import TrainSpec
from statllama.config.yaml_lines import Path_

# {our key, from the section on: other words for it}; sections are those of SECTIONS, `stage` and `source`
WORDS: dict[str, tuple[str, ...]] = {
    "train.learning_rate": ("lr", "learningrate", "peak_lr"),
    "train.epochs": ("num_train_epochs", "num_epochs", "n_epochs", "epoch", "max_epochs"),
    "train.steps": ("max_steps", "num_steps", "n_steps", "total_steps", "num_train_steps", "iters", "max_iters"),
    "train.batch_size": (
        *(
            "batch",
            "bs",
            "per_device_train_batch_size",
            "train_batch_size",
            "per_device_batch_size",
            "micro_batch_size",
        ),
        *("gradient_accumulation_steps", "grad_accum", "gradient_accumulation", "global_batch_size", "mini_batch_size"),
    ),
    "train.warmup": ("warmup_ratio", "warmup_steps", "lr_warmup_steps", "num_warmup_steps"),
    "train.schedule": ("lr_scheduler_type", "lr_scheduler", "scheduler", "lr_schedule"),
    "train.optimizer": ("optim", "optimiser"),
    "train.max_length": (
        *("max_seq_length", "max_seq_len", "sequence_len", "sequence_length", "seq_len", "seq_length", "cutoff_len"),
        *("model_max_length", "max_len", "context_length", "block_size"),
    ),
    "train.packing": ("sample_packing", "neat_packing"),
    "train.precision": ("bf16", "fp16", "tf32", "dtype", "torch_dtype", "mixed_precision"),
    "train.checkpoint_every": ("save_steps", "save_every", "checkpointing_steps"),
    "train.keep_checkpoints": ("save_total_limit",),
    "train.max_grad_norm": (
        "gradient_clipping",
        "grad_clip",
        "max_gradient_norm",
        "clip_grad_norm",
        "gradient_clip_val",
    ),
    "train.adam_betas": ("adam_beta1", "adam_beta2", "betas"),
    "train.adam_epsilon": ("adam_eps", "eps"),
    "train.weight_decay": ("wd",),
    "train.neftune_alpha": ("neftune_noise_alpha", "noisy_embedding_alpha", "neftune"),
    "train.min_rate": ("min_lr_rate", "min_lr_ratio", "min_lr", "lr_min", "cosine_min_lr_ratio"),
    "train.decay": ("num_decay_steps", "decay_steps", "decay_ratio", "lr_decay_steps"),
    "train.gradient_checkpointing": ("use_gradient_checkpointing", "activation_checkpointing"),
    "train.seed": ("random_seed", "random_state", "data_seed"),
    "lora.r": ("lora_r", "lora_rank", "rank"),
    "lora.alpha": ("lora_alpha",),
    "lora.dropout": ("lora_dropout",),
    "lora.rslora": ("use_rslora", "peft_use_rslora"),
    "lora.dora": ("use_dora", "peft_use_dora"),
    "lora.token_rows": ("trainable_token_indices", "new_tokens", "additional_new_tokens", "add_tokens"),
    "lora.target_modules": ("lora_target_modules", "lora_target", "lora_modules", "targets"),
    "lora.layers": ("layers_to_transform", "lora_layers", "peft_layers_to_transform"),
    "lora.init": ("init_lora_weights", "lora_init", "peft_init_lora_weights"),
    "lora.plus_ratio": ("loraplus_lr_ratio", "lora_plus_ratio", "loraplus_ratio", "lora_plus"),
    "base.model": ("model_name_or_path", "model_name", "base_model", "model_id", "pretrained_model", "model_path"),
    "base.revision": ("model_revision", "revision_of_model"),
    "base.quantization": (
        *("load_in_4bit", "load_in_8bit", "quantization_bit", "quantize", "qlora", "bnb_4bit_quant_type"),
    ),
    "base.tokenizer": ("tokenizer_name", "tokenizer_name_or_path", "tokenizer_config", "tokenizer_type"),
    "base.chat_template": ("template", "chat_template_path", "chat_template_jinja"),
    "stage.data": (
        *("datasets", "dataset", "dataset_name", "dataset_path", "train_file", "train_data", "train_dataset"),
        *("data_path", "data_files", "dataset_dir", "data_dir", "sources"),
    ),
    "stage.type": ("stage", "rl", "trainer", "algorithm", "finetuning_type", "training_type"),
    "stage.parents": ("parent", "after", "depends_on", "needs"),
    "stage.train_on": ("train_on_inputs", "train_on_prompt", "completion_only_loss", "assistant_only_loss"),
    "stage.beta": ("dpo_beta", "pref_beta", "rl_beta", "kl_coef", "kl_beta"),
    "stage.loss": ("loss_type", "pref_loss", "dpo_loss"),
    "stage.generations": ("num_generations", "group_size", "num_return_sequences"),
    "stage.max_completion_length": ("max_new_tokens", "max_response_length"),
    "stage.rewards": ("reward_funcs", "reward_functions", "reward_fn", "reward"),
    "stage.system": ("system_prompt", "default_system"),
    "source.path": ("file", "file_name", "filename", "files", "ds_path"),
    "source.hub": ("hf_hub_url", "hub_id", "repo_id", "dataset_id"),
    "source.limit": ("max_samples", "num_samples", "max_rows", "n_samples"),
    "source.holdout": ("val_set_size", "test_size", "val_size", "validation_split", "split_ratio", "val_file"),
    "source.columns": ("column_mapping", "field_mapping", "rename"),
    "source.format": ("formatting", "dataset_format", "ds_type"),
    "source.config": ("subset", "config_name"),
    "evaluate.tasks": ("eval_tasks", "benchmarks", "benchmark", "eval_dataset", "eval_datasets"),
    "evaluate.limit": ("eval_limit", "max_eval_samples"),
    "report_to": ("use_wandb", "wandb_project", "wandb", "loggers", "logger", "logging"),
}
"""Where a word is also a key of ours in another place, that is found without this table."""
NOTES: dict[str, str] = {
    "train.batch_size": "the effective batch, per device times accumulation; `micro_tokens` is what a pass may hold",
    "train.warmup": "below 1 it is a share of all steps, from 1 a number of steps",
    "train.min_rate": "a share of the peak rate, with `schedule: cosine_with_min` or `wsd`",
    "train.decay": "of `schedule: wsd`: below 1 a share of all steps, from 1 a number of steps",
    "train.precision": "`auto`, `bfloat16`, `float16` or `float32`",
    "train.adam_betas": "both in one list, as in `[0.9, 0.999]`",
    "lora.init": "`kaiming` or `eva`",
    "lora.layers": "numbers and ranges, counted from 0, as in `[0, 12-23]`",
    "base.quantization": "`nf4`, which is 4 bits, or `none`",
    "stage.train_on": "`responses` or `all`",
    "stage.data": "a list of sources, as in `data: [{path: FILE}]` or `data: [{hub: owner/name}]`",
    "stage.type": "cpt, sft, dpo, kto, grpo or blend",
    "source.holdout": "at a source, a share of its rows such as 0.05, or a file",
    "source.columns": "as in `columns: {question: Frage}`: the format's name, then the file's",
    "report_to": "a list of trackers, as in `report_to: [wandb]`",
}
"""For keys whose value is written otherwise than that of the word."""
ELSEWHERE = {
    "output_dir": "results lie in the workspace: statllama run RECIPE --workspace DIR",
    "logging_steps": "every step is logged",
    "eval_steps": "validate a stage while it trains: `train: {select: {on: holdout, every: N}}`",
    **dict.fromkeys(
        ("patience", "early_stopping_patience", "early_stopping"),
        "a stage ends early by a selection: `train: {select: {on: holdout, patience: 3}}`",
    ),
    **dict.fromkeys(
        ("load_best_model_at_end", "metric_for_best_model", "save_best", "select_best"),
        "the best step is published with `train: {select: {on: holdout}}`",
    ),
    "push_to_hub": "statllama export RUN --out DIR --push owner/name",
    "deepspeed": "a stage trains on one GPU",
    "trust_remote_code": "code from the hub is never run",
}
SECTIONS: dict[str, Mapping[str, Any]] = {
    "train": TrainSpec.model_fields,
    "lora": LoraSpec.model_fields,
    "base": BaseModelSpec.model_fields,
    "evaluate": EvaluateSpec.model_fields,
    "stage": TrainingSpec.model_fields,
    "source": SourceSpec.model_fields,
}
_KEYS = {word: key for key, words in WORDS.items() for word in words}
STAGE_GROUPS = ("train", "lora")
MOST_SHOWN = 80  # characters of a value that is repeated


@dataclass(frozen=True)
class Meant:
    """What an unknown key most likely means, and what to write instead."""

    message: str
    remedy: str | None = None


def meant(path: Path_, value: object, stage: object = None, *, on_command_line: bool = False) -> Meant | None:
    """Return what the unknown key at the end of `path` most likely means, or None.

    `stage`: name of the stage that it stands in; `on_command_line`: it came with `--set`, so that is how it is written.
    """
    word = str(path[-1]).strip().lower().replace("-", "_").replace(" ", "_")
    if word in ELSEWHERE:
        return Meant("unknown key", ELSEWHERE[word])
    here = _section(path)
    if here == "recipe" and word in ("train", "lora"):
        place = f"--set defaults.{word}" if on_command_line else ""
        return Meant("unknown key: it belongs under `defaults`, or in a stage", _written(word, "", value, path, place))
    key = _KEYS.get(word) or _misplaced(word, path)
    if key is None or key == word:
        return None
    section, _, field = key.rpartition(".")
    note = f" ({NOTES[key]})" if key in NOTES and word != field else ""
    if section == here:
        return Meant(f"unknown key: here it is called `{field}`{note}")
    name = {"stage": f"the stage's `{field}`", "source": f"the `{field}` of a source", "": f"`{field}`"}
    said = f"unknown key: it is {name.get(section, f'`{key}`')} here{note}"
    set_ = f"--set {_dotted(section, field, path, stage)}" if on_command_line else ""
    return Meant(said, _written(section, field, None if note else value, path, set_))


def _section(path: Path_) -> str:
    """Return the section that a path's last key stands in: `train`, `source`, `stage`, ..., or `recipe`."""
    parts = [part for part in path[:-1] if not isinstance(part, int)]
    if parts[:1] == ["stages"]:
        sources = (("data",), ("replay", "data"), ("replay", "generations", "prompts"))
        return {(): "stage", **dict.fromkeys(sources, "source")}.get(tuple(parts[1:]), str(parts[-1]))
    return str(parts[-1]) if parts else "recipe"


def _misplaced(word: str, path: Path_) -> str | None:
    """Return the key of ours that bears this name in another section, those around the path first."""
    here, around = _section(path), ["source"] * ("data" in path)
    around += [*STAGE_GROUPS, "source", "stage"] if path[:1] == ("stages",) else []
    sections = [section for section in dict.fromkeys((*around, *SECTIONS)) if section != here]
    return next((f"{section}.{word}" for section in sections if word in SECTIONS[section]), None)


def _dotted(section: str, field: str, path: Path_, stage: object) -> str:
    """Return the key as `--set` names it."""
    name = stage if path[:1] == ("stages",) and stage else "NAME"
    roots = {"stage": f"stages.{name}", "source": f"stages.{name}.data.0", "": ""}
    if section in STAGE_GROUPS:
        roots[section] = f"stages.{name}.{section}" if path[:1] == ("stages",) else f"defaults.{section}"
    root = roots.get(section, section)
    return f"{root}.{field}" if root else field


def _written(section: str, field: str, value: object, path: Path_, set_: str) -> str:
    """Return the key as it is to be written where it belongs, with its value if that is short. `set_`: with `--set`."""
    text = "..." if value is None else yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    text = text.removesuffix("\n").removesuffix("\n...")
    text = text if len(text) <= MOST_SHOWN and "\n" not in text else "..."
    if set_:
        several = value.items() if not field and isinstance(value, dict) else ()
        return " ".join(f"{set_}.{name}={one}" for name, one in several) or f"{set_}={text}"
    lines = {"stage": f"{field}: {text}", "source": f"data: [{{{field}: {text}}}]", "": f"{field}: {text}"}
    line = lines.get(section) or (f"{section}: {{{field}: {text}}}" if field else f"{section}: {text}")
    if section in STAGE_GROUPS and path[:1] != ("stages",):
        return f"write `defaults: {{{line}}}`"
    return f"write `{line}`" + (" in the stage" if section in (*STAGE_GROUPS, "stage", "source") else "")
