"""Write test.jsonl: the same bytes every time.

    python eval/ap_statistics/make_test.py [FILE]

The items are problems of the test split of `statllama.problems`, 50 for each topic.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from statllama.problems import rows

ITEMS, SEED = 450, 2026
FIELDS = ("question", "choices", "answer", "topic", "kind", "held_out", "misconceptions")


def main(out: Path) -> None:
    """Write the items to `out`."""
    items = ({name: row[name] for name in FIELDS} for row in rows("mc", ITEMS, seed=SEED, split="test"))
    out.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "test.jsonl")
