"""Training and generation on a CUDA GPU: statllama against plain TRL, TRL with Liger, and the authors' way.

    python benchmarks/gpu_train.py --tokenizer FOLDER --sft FILE... --dpo FILE... [--gsm8k TEST TRAIN] [--save]

A Llama of Llama-3.2-3B's shape with random weights (28 layers, hidden 3,072, 24 heads, 8 of them for keys and values,
vocabulary 128,256, tied) is made here, with the real tokenizer and real text, so no hub is needed. Every side has a
process of its own; all are on the same GPU in the same run. Each figure is the median of several steps after warm ones;
loss and gradient norm stand beside the speed, so that a side that computes something else shows. `--parts` takes some
of it, `--seconds` stops in time, `--join` makes the tables out of the .jsonl files of several runs.

- sft: QLoRA of rank 16 on packed rows of 2,048 tokens at micro-batches 1, 2, 4, 8 (the authors' side: padded, 4; side
  `segments`: statllama where each packed example has a call of attention of its own, at 4).
- dpo: the same on preference pairs of up to 1,024 tokens.
- stack: a slice of rank 8 on frozen parents of rank 16 and 64, against a rank-8 adapter alone, in turns.
- cards: what fits a card of 6, 8, 12, 16, 24 GB: the allocator is capped, statllama halves its token budget by itself.
- profile: three steps under torch's profiler.
- generation: replies to GSM8K's 8-shot prompts, the stack in NF4 against a model in 16 bit (what merging leaves).
- switch: `stage_switch.py` on this base.

On a CPU (`--shape tiny`) it checks that everything runs; sides that need CUDA are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import machine, median, report
from gpu_sides import SIDES, Case

HERE = Path(__file__).resolve().parent
SHAPES = {
    "3b": {
        "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128_256,
    },
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320,
    },
}  # fmt: skip
PARTS = ("sft", "dpo", "stack", "cards", "profile", "generation", "switch")
MICRO = (1, 2, 4, 8)
CARDS = (6, 8, 12, 16, 24)
PEAK = {"H200": 989.4e12, "H100": 989.4e12, "A100": 312e12, "RTX 4090": 165.2e12, "RTX 3090": 71e12}
"""Dense bfloat16 operations a second by the maker's data sheet, for the share of them that is used."""


def model_flops(shape: dict[str, int], rank: int, kind: str) -> float:
    """Operations that a training token asks of the model, without what gradient checkpointing computes twice.

    A product with a frozen matrix of n entries costs 2n forward and 2n backward (the gradient of its input; it has none
    of its own), one with a LoRA matrix 2n and 4n. In dpo the reference adds a forward pass. The head counts as one of
    the matrices. Attention scores do not count: at 2,048 tokens they add less than 6 percent.

    >>> model_flops(SHAPES["3b"], 16, "sft") / 1e9  # 4 x 3.21 G + 6 x 24.3 M
    12.996...
    """
    hidden, inner, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    queries = shape["num_attention_heads"] * shape["head_dim"]
    keys = shape["num_key_value_heads"] * shape["head_dim"]
    sizes = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
    sizes += [(hidden, inner), (hidden, inner), (inner, hidden)]
    frozen = layers * sum(a * b for a, b in sizes) + hidden * shape["vocab_size"]
    lora = layers * rank * sum(a + b for a, b in sizes)
    return (4 if kind == "sft" else 6) * frozen + 6 * lora


def cases(part: str, side: str, cuda: bool) -> list[Case]:
    """What a side measures for a part."""
    packed = side != "authors"
    if part == "sft" and side == "segments":
        return [Case("sft", "sft 4", packing=True)]
    if part == "sft" and side in ("statllama", "trl", "liger", "authors"):
        return [Case("sft", f"sft {m}", micro=m, packing=packed) for m in (MICRO if packed else (4,))]
    if part == "dpo" and side in ("statllama", "trl", "liger", "authors"):
        return [Case("dpo", f"dpo {m}", micro=m, length=1024) for m in (MICRO if packed else (4,))]
    if part == "stack" and side == "statllama":
        turn = [
            Case("sft", "alone", rank=8, packing=True),
            Case("sft", "stack", rank=8, parents=(16, 64), packing=True),
        ]
        return turn * 3
    if part == "cards" and side == "statllama" and cuda:
        fits = [Case("sft", f"card {gib}", micro=16, card_gib=gib, packing=True, warm=2, steps=4) for gib in CARDS]
        return fits + [
            Case("sft", f"card {gib}, {length}", micro=1, length=length, card_gib=gib, packing=True, warm=1, steps=3)
            for gib in CARDS
            for length in (4096, 8192, 16_384)
        ]
    if part == "profile" and side == "statllama":
        return [Case("sft", "profile", packing=True, profile=True)]
    if part == "generation" and side in ("statllama", "merged"):
        parents = (16, 64, 8) if side == "statllama" else ()
        return [Case("generation", f"generation {m}", micro=m, parents=parents, items=2 * m) for m in (8, 32, 64)]
    return []


def smaller(case: Case) -> dict[str, Any]:
    """A case's fields for a model that only shows that it runs."""
    shrunk = {"length": min(case.length, 128), "warm": 1, "steps": 3, "items": min(case.items, 4), "new_tokens": 8}
    return {**asdict(case), **shrunk, "micro": min(case.micro, 2)}


# ------------------------------------------------------------------ data


def canonical(kind: str, files: Sequence[str], out: Path) -> str:
    """One JSON-lines file that every side reads: `messages`, or `prompt`, `chosen`, `rejected` as turns."""
    from statllama.config.source import SourceSpec
    from statllama.data.examples import Conversation, Preference
    from statllama.data.formats import parse_row
    from statllama.data.prepare import settled
    from statllama.data.sources import rows

    def turns(messages: Iterable[Any]) -> list[dict[str, str]]:
        return [{"role": message.role, "content": message.content} for message in messages]

    with out.open("w", encoding="utf-8") as written:
        for source in settled([SourceSpec(path=str(Path(file).resolve())) for file in files], Path(), None):
            for where, row in rows(source, Path()):
                example = parse_row(source, row, where)
                if isinstance(example, Conversation) and kind == "sft":
                    body: dict[str, Any] = {"messages": turns(example.messages)}
                elif isinstance(example, Preference) and kind == "dpo" and not isinstance(example.prompt, str):
                    answers = {"chosen": example.chosen, "rejected": example.rejected}
                    body = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
                    body["prompt"] = turns(example.prompt)
                else:
                    raise SystemExit(f"{where}: not what --{kind} takes")
                written.write(json.dumps(body) + "\n")
    return str(out)


# ------------------------------------------------------------------ measuring


def run_side(side: str, setup: dict[str, Any], folder: Path, out: Path) -> None:
    """Measure the cases of a side in a process of its own; what it finds is appended to `out`."""
    file = folder / f"{side}.json"
    file.write_text(json.dumps(setup), encoding="utf-8")
    left = max(1.0, setup["deadline"] + 30 - time.time())
    try:
        command = [sys.executable, str(HERE / "gpu_sides.py"), side, str(file), str(out)]
        found = subprocess.run(command, timeout=left, stdout=sys.stderr)  # what libraries print is no result
    except subprocess.TimeoutExpired:
        return
    if found.returncode:
        if setup["strict"]:
            raise SystemExit(f"{side}: exit code {found.returncode}")
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"side": side, "failed": f"exit code {found.returncode}: see the log"}) + "\n")


def run_switch(base: Path, out: Path) -> None:
    """`stage_switch.py` on the base: its JSON becomes one line."""
    command = [sys.executable, str(HERE / "stage_switch.py"), "--base", str(base), "--rounds", "1"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    body = json.loads(found.stdout) if found.returncode == 0 else {"failed": f"exit code {found.returncode}"}
    with out.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"side": "statllama", "case": "switch", **body}) + "\n")


def measure(given: argparse.Namespace, out: Path) -> None:
    """Measure all parts that were asked for, side by side."""
    from statllama.model.base_model import choose_backend

    cuda = choose_backend() == "unsloth"
    deadline = time.time() + given.seconds
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = given.base or folder / "base"
        setup: dict[str, Any] = {
            "base": str(base),
            "shape": SHAPES[given.shape],
            "tokenizer": given.tokenizer,
            "deadline": deadline,
            "strict": given.strict,
            "longest": 16_384 if cuda else 4096,
        }
        for kind in ("sft", "dpo"):
            setup[kind] = canonical(kind, getattr(given, kind), folder / f"{kind}.jsonl")
        if given.gsm8k:
            test, train = (str(Path(file).resolve()) for file in given.gsm8k)
            setup["gsm8k"] = {"test": test, "train": train}
        if not (base / "config.json").exists():
            run_side("base", setup, folder, out)
        for side in given.sides:
            if side in ("liger", "authors", "segments") and not cuda:
                continue
            parts = [part for part in given.parts if part != "generation" or given.gsm8k]
            chosen = [case for part in parts for case in cases(part, side, cuda)]
            if chosen:
                bodies = [smaller(case) if given.shape == "tiny" else asdict(case) for case in chosen]
                run_side(side, {**setup, "cases": bodies}, folder, out)
        if "switch" in given.parts and time.time() < deadline:
            run_switch(base, out)


# ------------------------------------------------------------------ what it comes to


def summed_up(lines: Sequence[dict[str, Any]], shape: str, peak: float | None) -> dict[str, Any]:
    """Figures and ratios of measured lines, cases of several rounds taken together."""
    rows: dict[str, dict[str, Any]] = {}
    for line in lines:
        if "case" not in line or line["case"] == "switch":
            continue
        name = f"{line['side']}: {line['case']}"
        if "seconds" not in line:
            rows.setdefault(name, {k: v for k, v in line.items() if k in ("failed", "out_of_memory", "skipped")})
            continue
        rows.setdefault(name, {}).setdefault("runs", []).append(line)
    figures = {name: (row if "runs" not in row else _figures(row["runs"], shape, peak)) for name, row in rows.items()}
    switch = [line for line in lines if line.get("case") == "switch"]
    loads = {line["side"]: line["load"] for line in lines if "load" in line}
    return {"rows": figures, "ratios": ratios(figures), "loads": loads, "switch": switch}


def _figures(runs: Sequence[dict[str, Any]], shape: str, peak: float | None) -> dict[str, Any]:
    if "new_tokens" in runs[0]:
        seconds = median([run["seconds"][0] for run in runs])
        return {
            "items_per_second": runs[0]["items"] / seconds,
            "new_tokens_per_second": runs[0]["new_tokens"] / seconds,
            "memory_gib": runs[0]["memory"],
        }

    def speed(what: str) -> float:
        return median([n / s for run in runs for n, s in zip(run[what], run["seconds"], strict=True)])

    found = {
        "micro_batch": runs[0]["micro"],
        "tokens_per_second": speed("places"),
        "useful_tokens_per_second": speed("useful"),
        "seconds_per_step": median([s for run in runs for s in run["seconds"]]),
        "first_loss": runs[0]["losses"][0],
        "gradient_norm": median([n for run in runs for n in run["norms"]]),
        "memory_gib": runs[0]["memory"],
        **{name: runs[0][name] for name in ("notes", "profile") if runs[0].get(name)},
    }
    if peak:
        found["model_flops_utilisation"] = (
            found["useful_tokens_per_second"] * model_flops(SHAPES[shape], runs[0]["rank"], runs[0]["kind"]) / peak
        )
    return found


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """statllama over each other side, at the same micro-batch and each at its best; the stack over one adapter."""
    found: dict[str, Any] = {}

    def speed(name: str) -> float | None:
        return rows.get(name, {}).get("useful_tokens_per_second")

    for kind in ("sft", "dpo"):
        best: dict[str, float] = {}
        for side in ("statllama", "trl", "liger", "authors", "segments"):
            speeds = {m: s for m in MICRO if (s := speed(f"{side}: {kind} {m}"))}
            best |= {side: max(speeds.values())} if speeds else {}
            for micro, value in speeds.items():
                mine, other = rows.get(f"statllama: {kind} {micro}", {}), rows[f"{side}: {kind} {micro}"]
                if side == "statllama" or "useful_tokens_per_second" not in mine:
                    continue
                over = {"speed": mine["useful_tokens_per_second"] / value}
                if mine["memory_gib"] and other["memory_gib"]:
                    over["memory"] = mine["memory_gib"]["allocated"] / other["memory_gib"]["allocated"]
                found[f"{kind} {micro}: statllama over {side}"] = over
        for side, value in best.items():
            if side not in ("statllama", "segments") and "statllama" in best:
                found[f"{kind}, each at its best: statllama over {side}"] = {"speed": best["statllama"] / value}
    stack, alone = speed("statllama: stack"), speed("statllama: alone")
    if stack and alone:
        found["rank 16+64+8 over rank 8"] = {"speed": stack / alone}
    return found


def table(figures: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        "| side: case | tokens/s | useful tokens/s | MFU | peak GiB | micro-batch | loss | gradient |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in figures["rows"].items():
        if "useful_tokens_per_second" in row:
            used = row.get("model_flops_utilisation")
            cells = [
                f"{row['tokens_per_second']:,.0f}",
                f"{row['useful_tokens_per_second']:,.0f}",
                f"{used:.1%}" if used else "-",
                f"{row['memory_gib']['allocated']:.2f}" if row["memory_gib"] else "-",
                str(row["micro_batch"]),
                f"{row['first_loss']:.4f}",
                f"{row['gradient_norm']:.3f}",
            ]
        elif "items_per_second" in row:
            cells = [f"{row['items_per_second']:.2f} items/s", f"{row['new_tokens_per_second']:,.0f}", *"-----"]
        else:
            cells = [", ".join(f"{k}: {v}" for k, v in row.items())[:200], *"------"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", help="folder with Llama 3's tokenizer and chat template")
    parser.add_argument("--sft", nargs="+", help="files of conversations, in any format that statllama reads")
    parser.add_argument("--dpo", nargs="+", help="files of preference pairs")
    parser.add_argument("--gsm8k", nargs=2, metavar=("TEST", "TRAIN"), help="for `generation`")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--base", type=Path, help="keep the random base here, or take the one that is there")
    parser.add_argument("--seconds", type=float, default=86_400, help="begin nothing new after so many")
    parser.add_argument("--out", type=Path, help="append what is measured to this .jsonl file, line by line")
    parser.add_argument("--join", nargs="+", type=Path, help="measure nothing: take these .jsonl files")
    parser.add_argument(
        "--peak", type=float, help="operations a second for the utilisation; default: by the GPU's name"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first case that fails")
    parser.add_argument("--save", action="store_true", help="write results/gpu_train.json")
    given = parser.parse_args()
    if not given.join and not (given.tokenizer and given.sft and given.dpo):
        parser.error("give --tokenizer, --sft and --dpo, or --join")
    with tempfile.TemporaryDirectory() as place:
        out = given.out or Path(place) / "lines.jsonl"
        if not given.join:
            out.parent.mkdir(parents=True, exist_ok=True)
            with out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"side": "machine", "machine": machine(), "shape": given.shape}) + "\n")
            measure(given, out)
        lines_found = [
            json.loads(text) for file in given.join or [out] for text in file.read_text("utf-8").splitlines()
        ]
    about = next(line for line in lines_found if line["side"] == "machine")
    device = about["machine"]["device"]
    peak = given.peak or next((value for name, value in PEAK.items() if name in device), None)
    figures = summed_up(lines_found, about["shape"], peak)
    print(table(figures))
    report(
        "gpu_train", {"shape": about["shape"], "peak_flops": peak, **figures, "measured": about["machine"]}, given.save
    )


if __name__ == "__main__":
    main()
