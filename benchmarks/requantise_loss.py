"""Share of a stage's update that survives a merge into weights that are quantised again, as is usual between stages.

One random weight matrix (normal, standard deviation 0.02) is quantised to NF4 with double quantisation; an update of a
given rank and relative size (Frobenius norm over the matrix's) is merged in three ways. The share is the projection of
what came through on the update; the noise is the norm of the rest over the update's. Both are means over seeds. A
stacked adapter stays in its own float32 tensors beside the quantised weights, so its share is 1 and its noise 0 by
construction; `tests/model/test_stack.py` compares its logits with the definition.

With `--run`, the real stages of a run are measured too: each is merged in bfloat16 into the NF4 copy of its base with
the parents merged before, as a pipeline that merges between stages does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import report

SIZES = (1e-4, 1e-3, 1e-2, 1e-1)
QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart" / "base"


def through_nf4(weight: Any) -> Any:
    """Returns the weight as NF4 with double quantisation holds it, in float32."""
    import bitsandbytes.functional as bnb
    import torch

    packed, state = bnb.quantize_4bit(
        weight.to(torch.bfloat16).contiguous(), blocksize=64, compress_statistics=True, quant_type="nf4"
    )
    return bnb.dequantize_4bit(packed, state).float()


def share_and_noise(change: Any, update: Any) -> tuple[float, float]:
    """Returns the share of `update` in `change`, and the norm of `change - update` over the update's norm."""
    share = float((change * update).sum() / update.pow(2).sum())
    return share, float((change - update).norm() / update.norm())


def one_matrix(width: int, rank: int, size: float, seed: int) -> dict[str, tuple[float, float]]:
    """Returns share and noise of one update, for each way to merge it."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    weight = (torch.randn(width, width, generator=draw) * 0.02).to(torch.bfloat16).float()
    update = torch.randn(width, rank, generator=draw) @ torch.randn(rank, width, generator=draw)
    update *= size * weight.norm() / update.norm()
    base = through_nf4(weight)  # what the stage was trained on
    into_base = (base + update).to(torch.bfloat16).float()
    into_original = (weight + update).to(torch.bfloat16).float()
    return {
        "dequantised base, quantised again": share_and_noise(through_nf4(into_base) - base, update),
        "original bfloat16 weights, quantised again": share_and_noise(through_nf4(into_original) - base, update),
        "original bfloat16 weights, not quantised": share_and_noise(into_original - weight, update),
    }


def of_run(workspace: Path, name: str, base: Path) -> list[dict[str, Any]]:
    """Return size and share kept of each stage of a run whose stages form a chain; sums over all modules."""
    from safetensors.torch import load_file

    from statllama.model.adapter import load_adapter

    weights = {k: v.float() for file in base.glob("*.safetensors") for k, v in load_file(file).items()}
    record = json.loads((workspace / "runs" / f"{name}.json").read_text(encoding="utf-8"))
    merged: dict[str, Any] = {}
    rows = []
    for stage in record["order"]:
        (config,) = (workspace / "results" / record["stages"][stage]["key"]).rglob("adapter_config.json")
        product = squares = change_squares = weight_squares = 0.0
        for module, piece in load_adapter(config.parent).slices.items():
            before = through_nf4(merged.get(module, weights[f"{module}.weight"]))
            update = piece.scaling * piece.B @ piece.A
            merged[module] = (before + update).bfloat16().float()
            change = through_nf4(merged[module]) - before
            product += float((change * update).sum())
            squares += float(update.pow(2).sum())
            change_squares += float((change - update).pow(2).sum())
            weight_squares += float(weights[f"{module}.weight"].pow(2).sum())
        rows.append(
            {
                "stage": stage,
                "update_over_weights": round((squares / weight_squares) ** 0.5, 5),
                "share_kept": round(product / squares, 4),
                "noise_over_update": round((change_squares / squares) ** 0.5, 2),
            }
        )
    return rows


def main() -> None:
    """Print share and noise for each size and way to merge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=3072, help="rows and columns of the matrix (3072: Llama-3.2-3B)")
    parser.add_argument("--rank", type=int, default=16, help="rank of the update")
    parser.add_argument("--seeds", type=int, default=3, help="matrices and updates to average over")
    parser.add_argument("--run", metavar="NAME", help="also measure the stages of this run, a chain on --base")
    parser.add_argument("--workspace", type=Path, default=Path("workspace"), help="where the run is")
    parser.add_argument("--base", type=Path, default=QUICKSTART, help="folder of the run's base")
    parser.add_argument("--save", action="store_true", help="write results/requantise_loss.json")
    asked = parser.parse_args()
    rows = []
    for size in SIZES:
        drawn = [one_matrix(asked.width, asked.rank, size, seed) for seed in range(asked.seeds)]
        for way in drawn[0]:
            shares, noises = zip(*(one[way] for one in drawn), strict=True)
            rows.append(
                {
                    "update_over_weights": size,
                    "merged_into": way,
                    "share_kept": round(sum(shares) / len(shares), 4),
                    "noise_over_update": round(sum(noises) / len(noises), 2),
                    "share_range": [round(min(shares), 4), round(max(shares), 4)],
                }
            )
    settings = {"width": asked.width, "rank": asked.rank, "seeds": asked.seeds, "quantization": "nf4, double"}
    figures: dict[str, Any] = {"settings": settings, "rows": rows}
    if asked.run:
        figures["run"] = {"name": asked.run, "stages": of_run(asked.workspace, asked.run, asked.base)}
    report("requantise_loss", figures, asked.save)


if __name__ == "__main__":
    main()
