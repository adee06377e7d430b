"""Make the study's general rows out of instructions and answers: 400 to replay, and 100 that nobody trains on.

    python make_data.py ROWS.jsonl [FOLDER]

ROWS.jsonl has `instruction`, `output` and perhaps `input`, such as the English demonstration rows that LLaMA-Factory
ships. Rows whose answer has 20 to 600 characters are taken, shuffled under a fixed seed: the same file gives the same
bytes.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

HELD, REPLAYED = 100, 400


def main(rows: Path, folder: Path) -> None:
    """Write general.jsonl and general_held.jsonl."""
    found = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines() if line.strip()]
    usable = [row for row in found if 20 < len(row.get("output") or "") < 600]
    if len(usable) < HELD + REPLAYED // 2:
        sys.exit(f"{rows}: {len(usable)} usable rows; {HELD + REPLAYED // 2} are the least")
    random.Random(0).shuffle(usable)
    parts = {"general_held.jsonl": usable[:HELD], "general.jsonl": usable[HELD : HELD + REPLAYED]}
    for name, part in parts.items():
        kept = ({key: row.get(key) or "" for key in ("instruction", "input", "output")} for row in part)
        (folder / name).write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8"
        )
        print(f"{folder / name}: {len(part)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "."))
