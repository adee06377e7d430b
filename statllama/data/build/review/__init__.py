"""A person's review of the rows that a build kept and left out.

A sample of each (`sampling.py`) is shown on a page or in the terminal, with the section it was written from beside it.
The person's verdicts are appended to a file (`verdicts.py`). From them follow how often checks and person agree, over
all rows of the build (`agreement.py`).
"""

from statllama.data.build.review.agreement import Agreement, Review, Table, agreement, kappa, review, wilson
from statllama.data.build.review.sampling import KEPT, Item, Sample, draw, row_digest
from statllama.data.build.review.verdicts import VERDICTS, Verdict, append, read_verdicts, taken_in

__all__ = [
    "KEPT",
    "VERDICTS",
    "Agreement",
    "Item",
    "Review",
    "Sample",
    "Table",
    "Verdict",
    "agreement",
    "append",
    "draw",
    "kappa",
    "read_verdicts",
    "review",
    "row_digest",
    "taken_in",
    "wilson",
]
