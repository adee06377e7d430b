"""Peaks that others measured and published, for the memory model to meet.

Source: https://github.com/DaoyuanLi2816/can-i-finetune-this, folder benchmarks/: an RTX 4080 of 16 GB, torch 2.6,
Transformers 5.8, NF4 with double quantisation, LoRA on q, k, v and o of Qwen2.5, logits of whole passes, one pass a
step. `float32`: PEFT's `prepare_model_for_kbit_training`, which makes embedding, head and norms float32, so that
activations are float32 too; `autocast`: the same, with bfloat16 activations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from statllama.model.shape import Shape

LLAMA_3B = Shape(28, 3072, 8192, 24, 8, 128, 128_256, tied=True, bias=False)
QWEN = {
    "0.5B": Shape(24, 896, 4864, 14, 2, 64, 151_936, tied=True, bias=True),
    "1.5B": Shape(28, 1536, 8960, 12, 2, 128, 151_936, tied=True, bias=True),
    "3B": Shape(36, 2048, 11_008, 16, 2, 128, 151_936, tied=True, bias=True),
    "7B": Shape(28, 3584, 18_944, 28, 4, 128, 152_064, tied=False, bias=True),
}


@dataclass(frozen=True)
class Published:
    """One run. `allocated` and `reserved`: torch's peaks in GiB."""

    model: str
    rows: int
    length: int
    rank: int
    recompute: bool
    preparation: Literal["float32", "autocast"]
    optimizer: float
    allocated: float
    reserved: float

    @property
    def shape(self) -> Shape:
        return QWEN[self.model]

    def __str__(self) -> str:
        kept = "" if self.recompute else ", all kept"
        return f"Qwen2.5 {self.model}, {self.rows} x {self.length}, {self.preparation}{kept}"


RTX4080 = (
    Published("0.5B", 1, 256, 8, True, "autocast", 8, 1.4907, 1.6660),
    Published("0.5B", 1, 512, 8, True, "autocast", 8, 2.0195, 2.3984),
    Published("0.5B", 1, 1024, 16, True, "float32", 2.03, 3.1158, 3.3027),
    Published("0.5B", 1, 2048, 16, True, "float32", 2.03, 5.5220, 6.2812),
    Published("1.5B", 1, 512, 16, True, "float32", 2.03, 2.7943, 2.9062),
    Published("1.5B", 1, 1024, 16, True, "float32", 2.03, 4.0413, 4.3574),
    Published("1.5B", 2, 1024, 16, True, "float32", 2.03, 6.5311, 6.8809),
    Published("1.5B", 1, 2048, 16, True, "float32", 2.03, 6.5324, 7.0977),
    Published("1.5B", 1, 4096, 16, True, "float32", 2.03, 11.5068, 13.5566),
    Published("1.5B", 1, 1024, 16, False, "float32", 2.03, 9.3413, 9.5527),
    Published("3B", 1, 1024, 16, True, "float32", 2.03, 5.1719, 5.5371),
    Published("7B", 1, 1024, 16, True, "float32", 2.03, 10.0023, 11.2324),
)
