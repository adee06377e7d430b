"""Tokens a second of decoding on a stack: factors put together once, against putting them together for every token.

A stage on two parents generates as GRPO does: gradients off, a batch of prompts, greedy, with a cache of keys and
values. Slices of rank 16, 64 and, the new one's, 16 stand on all seven modules. "As before" concatenates frozen and new
slice in float32 each time that a factor is read, as statllama did. Both decode the same tokens, in turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import make_base, median, report
from step_time import NO_HUB

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.model.base_model import adapt, choose_backend, load_base, start_backend


def random_adapter(model: Any, rank: int, seed: int) -> Any:
    """An adapter of random slices on all linear modules but the head."""
    import torch

    from statllama.config.lora import DEFAULT_MODULES
    from statllama.model.adapter import Adapter, Slice

    draw = torch.Generator().manual_seed(seed)
    slices = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in DEFAULT_MODULES:
            a = torch.randn(rank, module.in_features, generator=draw) * 0.02
            slices[name] = Slice(a, torch.randn(module.out_features, rank, generator=draw) * 0.02, 1.0)
    return Adapter(slices)


@contextmanager
def as_before() -> Iterator[None]:
    """Concatenate the factors in float32 whenever one is read."""
    import torch

    from statllama.model.factor import Factor

    def weight(factor: Factor) -> torch.Tensor:
        new = factor.new
        return torch.cat([factor.frozen.float(), new], factor.dim)  # type: ignore[list-item]

    with patch.object(Factor, "weight", property(weight)):
        yield


def seconds(model: Any, ids: Any, tokens: int) -> tuple[float, Any]:
    """Seconds to decode `tokens` tokens of each row, and the tokens."""
    import torch

    started = time.perf_counter()
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens,
            do_sample=False, use_cache=True,
        )  # fmt: skip
        out = out.cpu()
    return time.perf_counter() - started, out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quantization", choices=("nf4", "none"), default="none")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--save", action="store_true", help="write results/decoding.json")
    args = parser.parse_args()
    start_backend(choose_backend())
    import torch

    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        parameters = make_base(Path(name) / "base", args.hidden, args.layers)
        spec = BaseModelSpec(model=str(Path(name) / "base"), quantization=args.quantization)
        base = load_base(spec, NO_HUB, args.precision, 512, choose_backend())
        parents = [random_adapter(base.model, rank, seed) for seed, rank in enumerate((16, 64))]
        model: Any = adapt(base, LoraSpec(r=16, alpha=16.0), parents, 0, False)
        model.eval()
        for rows in args.rows:
            ids = torch.randint(4, 2048, (rows, 32), generator=torch.Generator().manual_seed(0)).to(model.device)
            took: dict[str, list[float]] = {}
            for turn in range(args.rounds + 1):
                said = []
                for side, context in (("kept", nullcontext), ("as before", as_before)):
                    with context():
                        once, out = seconds(model, ids, args.tokens)
                    said.append(out)
                    if turn:  # the first warms up
                        took.setdefault(side, []).append(once)
                if base.dtype is torch.float32 and not torch.equal(*said):
                    raise SystemExit("the two ways decode other tokens")
            speed = {side: rows * args.tokens / median(values) for side, values in took.items()}
            figures[f"{rows} rows"] = {
                "tokens_a_second": {side: round(value, 1) for side, value in speed.items()},
                "speed_over_before": round(speed["kept"] / speed["as before"], 2),
            }
    settings = {**vars(args), "parameters": parameters, "backend": base.backend, "dtype": str(base.dtype)}
    report("decoding", {"settings": settings, **figures}, args.save)


if __name__ == "__main__":
    main()
