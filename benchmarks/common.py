"""What the benchmark scripts share: a random Llama, token rows, and how results are kept."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from statllama.store.files import write_json
from statllama.store.versions import installed_versions

RESULTS = Path(__file__).parent / "results"


def make_base(folder: Path, hidden: int, layers: int, vocabulary: int = 2048) -> int:
    """Save a random bfloat16 Llama with a word tokenizer; returns its number of parameters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<pad>", "<unk>", *(f"w{i}" for i in range(vocabulary - 4))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4 // 64 * 64,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def make_rows(count: int, length: int, vocabulary: int = 2048, bos: int = 0) -> Any:
    """A dataset of `count` rows of `length` random token ids after a BOS, all with loss but the first."""
    import numpy as np
    from datasets import Dataset

    rng = np.random.default_rng(0)
    ids = rng.integers(4, vocabulary, size=(count, length), dtype=np.int64)
    ids[:, 0] = bos
    labels = ids.copy()
    labels[:, 0] = -100
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels.tolist(), "seq_lengths": [[length]] * count})


def mixed_rows(count: int, low: int, high: int, vocabulary: int = 2048, bos: int = 0) -> Any:
    """A dataset of rows of `low` to `high` random token ids, all lengths as likely; all with loss but the first."""
    import numpy as np
    from datasets import Dataset

    rng = np.random.default_rng(0)
    lengths = rng.integers(low, high + 1, size=count).tolist()
    ids = [[bos, *rng.integers(32, vocabulary, size=n - 1).tolist()] for n in lengths]  # no special token among them
    labels = [[-100, *row[1:]] for row in ids]
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "seq_lengths": [[n] for n in lengths]})


def median(values: list[float]) -> float:
    """Median, in the values' unit."""
    return statistics.median(values)


def machine() -> dict[str, Any]:
    """Where and with what the figures were measured."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": installed_versions(),
    }


def report(name: str, figures: dict[str, Any], save: bool) -> None:
    """Print the figures; with `save`, keep them in results/<name>.json."""
    body = {"benchmark": name, **figures, "machine": machine()}
    print(json.dumps(body, indent=2))
    if save:
        RESULTS.mkdir(exist_ok=True)
        write_json(RESULTS / f"{name}.json", body)


@contextmanager
def process_apart() -> Iterator[Callable[..., Any]]:
    """Yields `call(function, *arguments)`, which runs in one process that is spawned at the first call and then kept.

    Unsloth rewrites Transformers, TRL and PEFT for a whole process: what is to be plain must not share one with it. So
    make the first call before Unsloth is loaded here, or the new process inherits what it sets in the environment.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def require_plain() -> None:
    """RuntimeError when Unsloth is loaded in this process."""
    if "unsloth" in sys.modules:
        raise RuntimeError("Unsloth is loaded in the process of the plain side: its figures would not be plain TRL's")


class Clock:
    """Collects the moments at which it is called."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, *_: Any) -> None:
        self.times.append(time.perf_counter())

    def gaps(self, skip: int) -> list[float]:
        """Seconds between calls, the first `skip` left out."""
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)][skip:]
