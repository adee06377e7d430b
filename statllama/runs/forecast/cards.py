"""Common GPUs by name: memory, bandwidth and speed, as NVIDIA's data sheets and architecture papers give them.

Memory is what a driver shows, in GiB: a card of "24 GB" has 24 GiB, of which error correction takes some on L4, A10 and
the like; H100, H200 and B200 count in units of 10^9 bytes. Speed is of dense matrices in 16 bits with sums in 32 bits,
which GeForce cards do at half of the rate that is advertised. Speeds of laptops are those at the highest clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

TURING, AMPERE, ADA, BLACKWELL = (
    f"NVIDIA {name} architecture paper" for name in ("Turing", "GA102", "Ada", "Blackwell")
)
SHEET = "NVIDIA data sheet"


@dataclass(frozen=True)
class Card:
    """A GPU as its vendor describes it."""

    name: str
    gib: float
    bandwidth: float
    """GB/s."""
    tflops: float
    """10^12 operations a second, 16-bit matrices with sums in 32 bits."""
    source: str
    bfloat16: bool = True
    """Whether it computes in bfloat16: from Ampere on."""


def _cards(source: str, *rows: tuple[str, float, float, float], bfloat16: bool = True) -> tuple[Card, ...]:
    return tuple(Card(name, gib, bandwidth, tflops, source, bfloat16) for name, gib, bandwidth, tflops in rows)


CARDS = (
    *_cards(
        SHEET,
        ("B200", 179, 8000, 2250), ("GH200", 95.6, 4000, 989), ("H200", 139.8, 4800, 989),
        ("H100 PCIe", 79.6, 2000, 756), ("H100 NVL", 93.6, 3938, 835), ("H100", 79.6, 3350, 989),
        ("A100 40GB", 39.5, 1555, 312),
        ("A100 80GB", 79.3, 1935, 312), ("A100", 39.5, 1555, 312), ("A40", 45, 696, 150), ("A30", 24, 933, 165),
        ("A10G", 22.5, 600, 70), ("A10", 22.5, 600, 125), ("L40S", 45, 864, 362), ("L40", 45, 864, 181),
        ("L4", 22.5, 300, 121), ("RTX PRO 6000 Blackwell", 95.6, 1792, 504), ("RTX 6000 Ada", 48, 960, 364),
        ("RTX 5000 Ada", 32, 576, 261), ("RTX 4500 Ada", 24, 432, 159), ("RTX 4000 Ada", 20, 360, 107),
        ("RTX A6000", 48, 768, 155), ("RTX A5000", 24, 768, 111), ("RTX A4500", 20, 640, 95),
        ("RTX A4000", 16, 448, 77), ("RTX A2000 12GB", 12, 288, 32), ("RTX A2000", 6, 288, 32),
    ),
    *_cards(SHEET, ("V100 32GB", 32, 900, 125), ("V100", 16, 900, 125), ("T4", 15, 320, 65), bfloat16=False),
    *_cards(
        BLACKWELL,
        ("RTX 5090", 32, 1792, 209.5), ("RTX 5080", 16, 960, 112.6), ("RTX 5070 Ti", 16, 896, 87.9),
        ("RTX 5070", 12, 672, 61.7), ("RTX 5060 Ti 8GB", 8, 448, 47.4), ("RTX 5060 Ti", 16, 448, 47.4),
        ("RTX 5060", 8, 448, 38.4), ("RTX 5090 Laptop", 24, 896, 63), ("RTX 5080 Laptop", 16, 896, 46),
        ("RTX 5070 Ti Laptop", 12, 672, 35), ("RTX 5070 Laptop", 8, 384, 26), ("RTX 5060 Laptop", 8, 384, 20),
    ),
    *_cards(
        ADA,
        ("RTX 4090", 24, 1008, 165.2), ("RTX 4080 Super", 16, 736, 104.4), ("RTX 4080", 16, 717, 97.5),
        ("RTX 4070 Ti Super", 16, 672, 88.2), ("RTX 4070 Ti", 12, 504, 80.2), ("RTX 4070 Super", 12, 504, 71),
        ("RTX 4070", 12, 504, 58.3), ("RTX 4060 Ti 16GB", 16, 288, 44.1), ("RTX 4060 Ti", 8, 288, 44.1),
        ("RTX 4060", 8, 272, 30.2), ("RTX 4090 Laptop", 16, 576, 79), ("RTX 4080 Laptop", 12, 432, 68),
        ("RTX 4070 Laptop", 8, 256, 40), ("RTX 4060 Laptop", 8, 256, 29), ("RTX 4050 Laptop", 6, 192, 24),
    ),
    *_cards(
        AMPERE,
        ("RTX 3090 Ti", 24, 1008, 80), ("RTX 3090", 24, 936, 71), ("RTX 3080 Ti", 12, 912, 68.2),
        ("RTX 3080 12GB", 12, 912, 61.3), ("RTX 3080", 10, 760, 59.5), ("RTX 3070 Ti", 8, 608, 43.5),
        ("RTX 3070", 8, 448, 40.6), ("RTX 3060 Ti", 8, 448, 32.4), ("RTX 3060", 12, 360, 25.5),
        ("RTX 3050", 8, 224, 18.2), ("RTX 3080 Ti Laptop", 16, 512, 47),
        ("RTX 3080 Laptop 16GB", 16, 448, 42), ("RTX 3080 Laptop", 8, 448, 42),
        ("RTX 3070 Laptop", 8, 448, 33), ("RTX 3060 Laptop", 6, 336, 26), ("RTX 3050 Laptop", 4, 192, 15),
    ),
    *_cards(
        TURING,
        ("RTX 8000", 48, 672, 130.5), ("RTX 2080 Ti", 11, 616, 53.8), ("RTX 2080", 8, 448, 40.3),
        ("RTX 2070", 8, 448, 29.9), ("RTX 2060", 6, 336, 25.8),
        bfloat16=False,
    ),
)  # fmt: skip

_SAID_BY_MAKERS = {
    "nvidia", "geforce", "tesla", "quadro", "rtx", "graphics", "gpu", "card", "generation", "max", "q", "hbm2", "hbm2e",
    "hbm3", "hbm3e", "sxm", "sxm2", "sxm4", "sxm5", "edition", "workstation", "server",
}  # fmt: skip
_VARIANT = re.compile(r"\d+gb|pcie|nvl")


def _words(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that tell a card from others, and those of its variant: `40gb`, `pcie`."""
    text = re.sub(r"[^a-z0-9]+", " ", name.lower()).replace("gib", "gb")
    text = re.sub(r"rtx(?=[a-z0-9])", "rtx ", text)
    text = re.sub(r"(?<=\d{4})(?=[a-z])", " ", re.sub(r"(\d) gb", r"\1gb", text))
    words = set(text.split()) - _SAID_BY_MAKERS
    variant = {word for word in words if _VARIANT.fullmatch(word)}
    return frozenset(words - variant), frozenset(variant)


def card_named(name: str) -> Card | None:
    """Return the card that a user or a driver calls so, `4090` or `NVIDIA GeForce RTX 4090 Laptop GPU`; None for
    none.
    """
    model, variant = _words(name)
    found: tuple[int, Card] | None = None
    for card in CARDS:
        own, of_card = _words(card.name)
        if own == model and of_card <= variant and (found is None or len(of_card) > found[0]):
            found = len(of_card), card
    if found is None or not model:
        return None
    memory = next((int(word[:-2]) for word in variant if word.endswith("gb")), None)
    return None if memory and abs(found[1].gib / memory - 1) > 0.12 else found[1]


def near_cards(name: str) -> list[str]:
    """Return the names of cards that are called almost so; common ones where none is."""
    known = {" ".join(sorted(frozenset().union(*_words(card.name)))): card.name for card in CARDS}
    asked = " ".join(sorted(frozenset().union(*_words(name))))
    close = get_close_matches(asked, known, n=4, cutoff=0.5)
    return [known[key] for key in close] or ["RTX 3060", "RTX 4090", "L4", "A100", "H100"]
