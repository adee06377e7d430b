"""What a GGUF file costs, on one core: against a plain copy of the same bytes, and against llama.cpp's own quantiser.

A random bfloat16 base with a stack of three stages (ranks 16, 64 and 8 on all seven modules) is written as f16, which
reads and writes as many bytes, and as q4_k_m; then the base's bytes are copied and synced to the same disk, and
llama.cpp's quantiser alone is given the same numbers in memory, tensor by tensor, with the types of that q4_k_m file.
xllamacpp does not lend `llama_model_quantize`, which would read a 16-bit file first and write one after. All in turns,
in one process held to one core. Rates are in bytes of the base, so that kinds can be compared; memory is the process's
peak above what it held before, on Linux. The projection is the rate times the bytes of Llama-3.2-3B, on one core; the
quantiser's share of it falls with more.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import make_base, median, process_apart, report
from export_merged import LLAMA_3B, copy, memory, random_stack, timed

TOKENIZER = Path(__file__).parents[1] / "recipes" / "quickstart" / "base"
KINDS = ("f16", "q4_k_m")


def quantiser_alone(file: Path) -> float:
    """Seconds that llama.cpp takes for float32 matrices of the shapes and types in a file, on one thread."""
    import gguf
    import numpy as np

    from statllama.release.quantise import quantise

    seconds, draw = 0.0, np.random.default_rng(0)
    for tensor in gguf.GGUFReader(file).tensors:
        if tensor.tensor_type.name.startswith("Q"):
            columns, rows = (int(n) for n in tensor.shape)
            numbers = draw.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
            seconds += timed(lambda numbers=numbers, kind=tensor.tensor_type: quantise(numbers, kind, threads=1))
    return seconds


def measured(source: Any, folder: Path, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """({what: seconds of every round}, {kind: peak bytes above the start of every round})."""
    from statllama.release.gguf import write_gguf

    seconds: dict[str, list[float]] = {what: [] for what in (*KINDS, "copy", "quantiser")}
    peaks: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS:
            file = folder / f"{kind}.gguf"
            file.unlink(missing_ok=True)
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            before = memory("VmRSS")
            seconds[kind].append(timed(lambda file=file, kind=kind: written(source, file, kind, write_gguf)))
            peaks[kind].append(memory("VmHWM") - before)
        seconds["copy"].append(timed(lambda number=number: copy(source.base, folder / f"copy{number}")))
        seconds["quantiser"].append(quantiser_alone(folder / "q4_k_m.gguf"))
    return seconds, peaks


def written(source: Any, file: Path, kind: str, write: Any) -> None:
    """Write one file and put it on the disk, as the copy is."""
    from statllama.store.files import sync

    write(source, file, kind)
    sync(file)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=4, help="2048 and 4 layers: about 0.25 B parameters")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[16, 64, 8])
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the system's for temporary files")
    parser.add_argument("--save", action="store_true", help="write results/export_gguf.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name, process_apart() as apart:
        folder = Path(name)
        parameters = apart(make_base, folder / "base", args.hidden, args.layers, args.vocabulary)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import torch

        from statllama.release.weights import open_weights

        torch.set_num_threads(1)
        source = replace(random_stack(folder / "base", tuple(args.ranks)), tokenizer=TOKENIZER)
        sizes = [stored.nbytes for stored in open_weights(folder / "base").tensors.values()]
        seconds, peaks = measured(source, folder, args.rounds)
        kilobytes = {kind: (folder / f"{kind}.gguf").stat().st_size // 1000 for kind in KINDS}
    whole, middle = sum(sizes), {what: median(values) for what, values in seconds.items()}
    figures = {
        "settings": {**vars(args), "folder": None, "parameters": parameters},
        "megabytes": {"base": round(whole / 1e6), "largest_tensor": round(max(sizes) / 1e6)}
        | {kind: round(size / 1e3) for kind, size in kilobytes.items()},
        "megabytes_of_base_per_second": {what: round(whole / 1e6 / s, 1) for what, s in middle.items()},
        "times_slower_than_a_copy": {kind: round(middle[kind] / middle["copy"], 2) for kind in KINDS},
        "q4_k_m_over_quantiser_alone": round(middle["q4_k_m"] / middle["quantiser"], 2),
        "peak_megabytes_above_start": {kind: round(max(p[1:] or p) / 1e6) for kind, p in peaks.items()},
        "first_round_peak_megabytes": {kind: round(p[0] / 1e6) for kind, p in peaks.items()},
        "peak_over_largest_tensor": {kind: round(max(p[1:] or p) / max(sizes), 2) for kind, p in peaks.items()},
        "projected_seconds_for_3b": {kind: round(LLAMA_3B / whole * middle[kind]) for kind in KINDS},
    }
    report("export_gguf", figures, args.save)


if __name__ == "__main__":
    main()
