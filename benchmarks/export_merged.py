"""What merging the stack into a base costs, against a plain copy of the same bytes, and how much memory it takes.

A random bfloat16 base with a stack of three stages (ranks 16, 64 and 8 on all seven modules) is merged into bfloat16,
so that as many bytes are read as written; then the same bytes are copied and synced to the same disk. Both in turns,
in one process; the base is in the page cache for both. Memory is the process's peak above what it held before, on
Linux. The projection is the rate times the bytes of Llama-3.2-3B, on this machine's cores and disk.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import make_base, median, process_apart, report

LLAMA_3B = 3_212_749_824 * 2  # bytes in bfloat16


def memory(what: str) -> int:
    """Bytes of this process: VmRSS now, or VmHWM, its peak since it was last forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def random_stack(base: Path, ranks: tuple[int, ...]) -> Any:
    """What is exported: one random adapter a rank, on all seven modules."""
    import torch

    from statllama.model.adapter import Adapter, Slice
    from statllama.release.source import Source
    from statllama.release.weights import open_weights

    torch.manual_seed(0)
    found = open_weights(base).tensors
    shapes = {name.removesuffix(".weight"): stored.shape for name, stored in found.items() if "_proj" in name}
    adapters = tuple(
        Adapter({m: Slice(torch.randn(r, i) / i**0.5, torch.randn(o, r) * 1e-3, 2.0) for m, (o, i) in shapes.items()})
        for r in ranks
    )
    return Source("bench", base, base, None, adapters, tuple(f"rank{r}" for r in ranks))


def timed(action: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def copy(base: Path, folder: Path) -> None:
    """Copy a folder file by file and put the copies on the disk."""
    from statllama.store.files import sync

    shutil.copytree(base, folder)
    sync(*folder.iterdir())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=6, help="2048 and 6 layers: about 0.3 B parameters")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[16, 64, 8])
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the system's for temporary files")
    parser.add_argument("--save", action="store_true", help="write results/export_merged.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name, process_apart() as apart:
        folder = Path(name)
        parameters = apart(make_base, folder / "base", args.hidden, args.layers, args.vocabulary)
        from statllama.release.merged import write_merged
        from statllama.release.weights import open_weights

        source = random_stack(folder / "base", tuple(args.ranks))
        sizes = [stored.nbytes for stored in open_weights(folder / "base").tensors.values()]
        merging, copying, peaks = [], [], []
        for _ in range(args.rounds):
            for out in (folder / "merged", folder / "copy"):
                shutil.rmtree(out, ignore_errors=True)
            (folder / "merged").mkdir()
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            before = memory("VmRSS")
            merging.append(timed(lambda: write_merged(source, folder / "merged", "bf16")))
            peaks.append(memory("VmHWM") - before)
            copying.append(timed(lambda: copy(folder / "base", folder / "copy")))
    rate, plain = sum(sizes) / median(merging), sum(sizes) / median(copying)
    figures = {
        "settings": {**vars(args), "folder": None, "parameters": parameters},
        "megabytes": {"weights": round(sum(sizes) / 1e6), "largest_tensor": round(max(sizes) / 1e6)},
        "megabytes_per_second": {"merge": round(rate / 1e6), "copy": round(plain / 1e6)},
        "times_slower_than_a_copy": round(plain / rate, 2),
        "peak_megabytes_above_start": round(max(peaks[1:] or peaks) / 1e6),
        "first_round_peak_megabytes": round(peaks[0] / 1e6),
        "peak_over_largest_tensor": round(max(peaks[1:] or peaks) / max(sizes), 2),
        "projected_seconds_for_3b": round(LLAMA_3B / rate),
    }
    report("export_merged", figures, args.save)


if __name__ == "__main__":
    main()
