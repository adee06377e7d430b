"""Leaves out written rows that are wrong.

| check | a row is left out when | asks |
|---|---|---|
| `form` | it is empty, a refusal, meta talk, a placeholder, too short or long, cut off, or gives its answer away | |
| `grounded` | its quotation is not in its context, or (where set) a number of its answer comes from nowhere | |
| `numeric` | an equality, a named statistic or the final answer is certainly wrong | |
| `clean` | it copies a question of a benchmark | |
| `different` | an earlier row asks the same or says nearly the same | |
| `answerable` | a model that does not see the answer answers otherwise | a model |
| `judge` | a model scores it below the mark | a model |

A check is a module in `checks/`, found by its name. The cheap ones come first, and the dear ones see only what passed.
Each finding stays in the row, under `provenance.checks`; a row that is left out is kept with its reason, for a person
to judge (`build/review/`). A check that cannot tell leaves no row out and says so: `passed` is null.
"""

from statllama.data.build.check.asking import Asks, Reply, Request
from statllama.data.build.check.spec import CheckSettings, Spec
from statllama.data.build.check.step import CheckStep, steps

__all__ = ["Asks", "CheckSettings", "CheckStep", "Reply", "Request", "Spec", "steps"]
