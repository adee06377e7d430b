"""How likely a model finds answers that it was not trained on: the held-out loss, item by item.

The loss of an item is bits per byte: -log2 of the probability that the model gives the whole answer after its question,
over the answer's bytes in UTF-8. By bytes and not by tokens, so that models with different tokenizers can be compared.
What is scored is the same as a share: 2^-bits, the probability of a byte (the geometric mean over the answer's). So it
lies between 0 and 1, and higher is better as everywhere; the mean loss is reported beside it, where lower is better.
The end of the turn is not part of an answer, and an answer begins as it does in training: after the chat template's
header, without a space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from statllama.config.metrics import BITS, LIKELIHOOD


def bits_per_byte(loglikelihood: float, answer: str) -> float:
    """Return the loss of an answer in bits per byte. `loglikelihood`: of all of it, in nats.

    >>> bits_per_byte(-2 * math.log(2), "ab"), bits_per_byte(-3 * math.log(2), "é!")
    (1.0, 1.0)
    """
    return -loglikelihood / math.log(2) / len(answer.encode())


def likelihood(column: str, doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Return an item's metrics, as lm-eval's `process_results`: `column` holds the answer."""
    bits = bits_per_byte(results[0][0], str(doc[column]))
    return {LIKELIHOOD: 2**-bits, BITS: bits}


def metric_list() -> list[dict[str, Any]]:
    """Return the metrics of such a task as lm-eval has them."""
    return [
        {"metric": LIKELIHOOD, "aggregation": "mean", "higher_is_better": True},
        {"metric": BITS, "aggregation": "mean", "higher_is_better": False},
    ]


def spoken(share: float) -> str:
    """Return an item's score as its loss, in words.

    >>> spoken(0.5)
    '1.00 bits per byte'
    """
    return f"{-math.log2(share) if share else math.inf:.2f} bits per byte"
