"""What each type of number may differ by, and where that comes from. Loads no torch.

Weights. Of a float type, a weight may be off by half the distance of two neighbouring numbers: no bound to choose. Of a
type with blocks, by a share of the largest number in its block. For the types of 32 numbers (a step and maybe a least
number for each block) that share follows from their definition. The k-quants (256 numbers, scales of parts of them in 6
or 8 bits, chosen to make the squared error small) have none: theirs are 1.5 times the largest found when llama.cpp's
own quantiser wrote 17 kinds of numbers (normal, heavy-tailed, with outliers, skewed, sparse, of unequal rows, columns
and blocks; 524,288 each), and those of the root mean square over a tensor 1.3 times.

Predictions. How much a model makes of the same rounding differs a hundredfold between models (by depth, width and how
it was trained), so for GGUF it is measured on the model itself: the file's own weights, which are proven to be rounded
and no more, are put into Transformers, and llama.cpp must predict what they predict there. What its arithmetic may add
is measured there too, by rounding activations as it does. For float32, and for merged weights in Transformers, bounds
are about three times the largest found with six models: random ones of 2 to 12 layers and widths of 64 to 512, with and
without llama3 RoPE, tied and untied; and the quickstart's, which is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOATS = ("f32", "bf16", "f16")
"""Types that keep each number by itself."""
GGUF_TYPES = {"F32": "f32", "BF16": "bf16", "F16": "f16"}
"""{type of a tensor: type of artefact}."""
DIGITS = {"F32": (24, 2.0**-149), "BF16": (8, 2.0**-133), "F16": (11, 2.0**-24)}
"""{type of a tensor: (binary digits of a number, distance of the smallest numbers)}."""


@dataclass(frozen=True)
class Block:
    """What numbers that share a scale may be off by."""

    numbers: int
    """In a block."""
    worst: float
    """Largest error over the block's largest number."""
    mean: float
    """Root mean square error over that of the numbers, over a whole tensor."""
    codes: int
    """Largest product of the integers that the scale, a float16, is multiplied with."""

    @property
    def least(self) -> float:
        """Return the error that any number may have because the scale has a smallest step, 2^-24: half of it at each
        code.
        """
        return 2.0**-25 * self.codes


BLOCKS = {
    "Q8_0": Block(32, 0.0045, 0.015, 127),  # half of 1/127, and the rounding of the scale to 11 digits
    "Q5_1": Block(32, 0.034, 0.08, 32),  # half of 2/31
    "Q5_0": Block(32, 0.064, 0.10, 16),  # 16 steps to one side and 15 to the other, where the largest is cut
    "Q4_1": Block(32, 0.068, 0.16, 16),  # half of 2/15
    "Q4_0": Block(32, 0.127, 0.18, 8),  # as Q5_0, with 8 and 7
    "Q6_K": Block(256, 0.03, 0.04, 127 * 32),  # found: 0.020 and 0.027
    "Q5_K": Block(256, 0.10, 0.07, 63 * 32),  # 0.063 and 0.048
    "Q4_K": Block(256, 0.17, 0.13, 63 * 16),  # 0.114 and 0.092
    "Q3_K": Block(256, 0.40, 0.27, 32 * 4),  # 0.262 and 0.188
    "Q2_K": Block(256, 0.96, 0.50, 15 * 4),  # 0.636 and 0.376
}
SHARE_ERROR = 0.1
"""How much of a stage's update may be missing from, or too much in, weights of a type with blocks."""
MODULE_ERROR = 0.25
"""The same of a single module, beside 8 standard errors: of thousands of modules the worst is looked at."""
ADAPTER_ERROR = 1e-5
"""Relative error of an update that was only written down in another way: float32 has 6e-8, summed over ranks."""


@dataclass(frozen=True)
class Behaviour:
    """What predictions may differ by."""

    relative: float
    """Root mean square difference of log-probabilities, over the spread of the reference's."""
    divergence: float
    """Mean KL(reference || form), nats."""
    flips: float = 1.0
    """Share of sure predictions whose first choice is another token."""
    largest: float = 0.0
    """Nats by which a log-probability may differ where two tokens are nearly as probable; 0 for types that are not held
    to the reference's greedy replies."""


BEHAVIOUR = {
    "f32": Behaviour(1e-4, 1e-6, 0.0, 0.005),  # found: 2e-5, 8e-8 and 6e-4
    "f16": Behaviour(0.025, 4e-4, 0.0, 0.3),  # 0.008, 1e-4 and 0.1
    "bf16": Behaviour(0.2, 0.02, 0.02, 2.0),  # 0.06, 0.006 and 0.73
}
"""About three times the largest that was found with any model. What is found is mostly a tenth of that or less."""
DESTROYED = 1.0
"""Relative difference at which predictions are as far from the reference's as a constant is: no type may go beyond."""
CLIENT = 1e-6
"""Nats of divergence that come of llama.cpp's probabilities being float32, and of the most probable tokens alone."""
RUNTIME = 3.0
"""How much farther llama.cpp may be from Transformers, on the same weights, than rounded activations make Transformers
itself. Found: 0.86 to 1.11 times, with four models and seven types on x86; other processors add in another order."""
PUBLISHED = {
    "q8_0": 0.0014,
    "q6_k": 0.0055,
    "q5_k_m": 0.0108,
    "q5_k_s": 0.0166,
    "q5_1": 0.0180,
    "q5_0": 0.0222,
    "q4_k_m": 0.0313,
    "q4_k_s": 0.0431,
    "q4_1": 0.0717,
    "q4_0": 0.0719,
    "q3_k_l": 0.0872,
    "q3_k_m": 0.1019,
    "q3_k_s": 0.2282,
    "q2_k": 0.4451,
}
"""Mean KL divergence from f16 of Llama 3 8B on Wikitext-2, nats: llama.cpp's `tools/perplexity/README.md`."""
UNUSUAL = 10.0
"""Times the published divergence: a model that loses more than that is said to."""
