"""How well, how fast and in how much memory does the step `extract` of `statllama data build` read PDFs?

Papers are typeset from known text (`typeset.py`): one and two columns, headers, page numbers, hyphens, formulas, tables
and footnotes, references with an appendix behind them, a page that is a picture. Each tool's text is compared with what
is known. Beside ours: pdfminer.six's `extract_text`, with which synthetic-data-kit ingests PDFs; and pdfplumber's with
regular expressions after it, in the way of the paper's authors: hyphens joined, headings guessed by their pattern, all
text after "References" cut.

    python benchmarks/build_extract.py --data corpus.jsonl [--save]

`--data` is a JSONL file with `text`, headings marked by `#`. Times are of the processor; memory is the peak of a
process, or of the one beside it, that reads the two-column paper once, and ten times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from common import report
from rapidfuzz.distance import Levenshtein
from typeset import Look, Part, as_picture, truth, typeset

HEADER = "Author and Other: A paper on inference"
FORMULA = "L(μ, σ) = Σ log φ((x − μ) / σ) − n log σ    (1)"
TABLE = "Group | n | Mean | SD\nControl | 41 | 10.2 | 2.31\nTreated | 39 | 12.9 | 2.77\nAll | 80 | 11.5 | 2.84"
WIDE_TABLE = "Design | Bias | Variance | MSE | Coverage | Length\n" + "\n".join(
    f"Scheme {i} | 0.0{i} | 1.{i}4 | 1.{i}9 | 94.{i} | 3.{i}1" for i in range(1, 5)
)
NOTE = "1 Computed with the unbiased estimator of variance in both of the groups."
ENTRIES = [
    f"Author{i}, A. and Writer{i}, B. ({1990 + i}). On the estimation of things of kind {i} under conditions that are "
    f"seldom met. Journal of Known Text, {i}, {i}1-{i}9."
    for i in range(1, 9)
]


@dataclass(frozen=True)
class Paper:
    """A file and what it says."""

    name: str
    path: Path
    blocks: list[str]
    headings: list[str]
    pages: int


def corpus(path: Path) -> Iterator[str]:
    """Paragraphs of prose of 40 to 160 words, in plain characters."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            for paragraph in json.loads(line)["text"].split("\n"):
                plain = re.sub(r"\s+", " ", paragraph).strip()
                if 40 <= plain.count(" ") <= 160 and plain[0].isalpha() and not set("|^_$\\{}") & set(plain):
                    yield plain


def parts(text: Iterator[str], wide_table: bool) -> list[Part]:
    """A paper of five chapters with everything that papers have."""
    made = [Part("title", "Estimation of Known Quantities"), Part("author", "Ann Author and Oliver Other")]
    made.append(Part("abstract", next(text)))
    chapters = ["1 Introduction", "2 Methods", "2.1 The design", "3 Results", "4 Discussion"]
    for chapter in chapters:
        made.append(Part("heading", chapter))
        made += [Part("text", next(text)) for _ in range(2)]
        if chapter == "2 Methods":
            made += [Part("formula", FORMULA), Part("text", next(text)), Part("note", NOTE), Part("text", next(text))]
        if chapter == "3 Results":
            made += [Part("table", TABLE), Part("caption", "Table 1: Means of both groups."), Part("text", next(text))]
    made.append(Part("heading", "References"))
    made += [Part("entry", entry) for entry in ENTRIES]
    made += [Part("heading", "A Proofs"), Part("text", next(text)), Part("text", next(text))]
    if wide_table:  # at the top of a page of its own
        made += [Part("column"), Part("column"), Part("table", WIDE_TABLE, wide=True)]
        made += [Part("heading", "B Further results"), *(Part("text", next(text)) for _ in range(5))]
    return made


def papers(data: Path, folder: Path) -> list[Paper]:
    """The papers of the benchmark."""
    text = corpus(data)
    looks = {
        "one column": Look(1, header=HEADER, indent=False),
        "two columns": Look(2, header=HEADER, stamp="arXiv:0000.00000v1 [stat.ME] 1 Jan 2000"),
        "drawn across": Look(2, header=HEADER, across=True, spaces=False),
    }
    made = []
    for name, look in looks.items():
        content = parts(text, wide_table=name == "two columns")
        made.append(_paper(name, folder, content, look))
    plain = [Part("heading", "1 Introduction"), *(Part("text", next(text)) for _ in range(3))]
    scanned = _paper("scan", folder, plain, Look(1, size=11, footer=False, indent=False))
    as_picture(scanned.path, folder / "picture.pdf")
    return [*made, Paper("picture", folder / "picture.pdf", scanned.blocks, scanned.headings, scanned.pages)]


def _paper(name: str, folder: Path, content: list[Part], look: Look) -> Paper:
    path = folder / f"{name.replace(' ', '_')}.pdf"
    pages = typeset(content, path, look)
    headings = [part.text for part in content if part.kind in ("title", "heading")]
    headings += ["Abstract"] if any(part.kind == "abstract" for part in content) else []
    return Paper(name, path, truth(content), headings, pages)


# The tools: path -> (text, headings)
Read = tuple[str, list[str]]


def ours(path: Path) -> Read:
    """The step itself, with its process apart."""
    from statllama.data.build.extract.spec import ExtractSpec
    from statllama.data.build.extract.step import Extract
    from statllama.data.build.records import Kept, text_of

    record = {"id": str(path), "origin": {"collector": "files", "place": path.name}, "file": str(path)}
    (document,) = [o.record for o in Extract(ExtractSpec()).apply([record], None, path.parent) if isinstance(o, Kept)]
    return text_of(document), [section["heading"] for section in document["sections"] if section["heading"]]


def pdfminer(path: Path) -> Read:
    """pdfminer.six as synthetic-data-kit calls it."""
    from pdfminer.high_level import extract_text

    text = extract_text(path)
    return text, guessed_headings(text)


def pdfplumber(path: Path) -> Read:
    """pdfplumber and regular expressions."""
    import pdfplumber as library

    with library.open(path) as document:
        text = "\n".join(page.extract_text() or "" for page in document.pages)
    text = re.split(r"^\s*References\s*$", text, maxsplit=1, flags=re.MULTILINE | re.IGNORECASE)[0]
    headings = guessed_headings(text)
    return re.sub(r"(\w)-\n(\w)", r"\1\2", text), headings


def guessed_headings(text: str) -> list[str]:
    """Lines that begin with a number, or are the name of a section."""
    names = "Abstract|Introduction|Methods|Results|Discussion|References"
    pattern = rf"^\s*((?:\d+(?:\.\d+)*\.?\s+[A-Z][^.\n]{{2,60}})|{names})\s*$"
    return [match.strip() for match in re.findall(pattern, text, flags=re.MULTILINE)]


TOOLS: dict[str, Callable[[Path], Read]] = {"ours": ours, "pdfminer.six": pdfminer, "pdfplumber + regex": pdfplumber}


def normal(text: str) -> str:
    """Text in which only words count: compatibility forms, cells and white space alike."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("|", " ").split())


def compared(paper: Paper, read: Read) -> dict[str, float]:
    """Error rates, order, headings and what was lost, of one tool on one paper."""
    headings = [normal(heading) for heading in read[1]]
    note = normal(NOTE)  # may stand at the foot of its page or at the end of its section: its place is not compared
    text, known = (normal(normal(shown).replace(note, " ")) for shown in (read[0], " ".join(paper.blocks)))
    wanted = {normal(heading) for heading in paper.headings}
    words = known.split()
    places = [
        text.find(_mark(block)) for block in paper.blocks if len(block.split()) >= 12 and not block.startswith("1 Comp")
    ]
    pairs = [(a, b) for a, b in pairwise(places)]
    return {
        "character_errors": Levenshtein.distance(known, text) / len(known),
        "word_errors": Levenshtein.distance(words, text.split()) / len(words),
        "in_order": sum(0 <= a < b for a, b in pairs) / len(pairs),
        "heading_precision": sum(h in wanted for h in headings) / max(1, len(headings)),
        "heading_recall": len(wanted & set(headings)) / len(wanted),
        "after_references_kept": float(places[-1] >= 0),
        "headers_left": text.count(normal(HEADER)),
    }


def _mark(block: str) -> str:
    """Words from the middle of a block's first line or so, which no line end is likely to have touched."""
    return " ".join(normal(block).split()[1:5])


def child(tool: str, path: Path, times: int) -> None:
    """Read a paper `times` times in this process; print the seconds of processor time, of processes that it
    started too."""
    if tool == "ours":
        from statllama.data.build.extract.spec import ExtractSpec
        from statllama.data.build.extract.step import Extract

        record = {"id": str(path), "origin": {"collector": "files", "place": path.name}, "file": str(path)}
        began = sum(os.times()[:4])
        for _ in Extract(ExtractSpec(ocr=False)).apply([record] * times, None, path.parent):
            pass
    else:
        began = sum(os.times()[:4])
        for _ in range(times):
            TOOLS[tool](path)
    print(json.dumps({"seconds": sum(os.times()[:4]) - began}))


def peak_of(process: int) -> int:
    """Peak resident bytes of a process or of one that it has started, whichever is larger; 0 when it has ended."""
    peaks = [0]
    waiting = [process]
    while waiting:
        one = waiting.pop()
        try:
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{one}/status").read_text())
        except OSError:
            continue
        peaks.append(1024 * int(found[1]) if found else 0)
    return max(peaks)


def measured(tool: str, paper: Paper) -> dict[str, float]:
    """Pages a second of ten readings less one, and the growth of the peak."""
    runs = {}
    for times in (1, 10):
        command = [sys.executable, __file__, "--child", tool, "--file", str(paper.path), "--times", str(times)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            peak = 0
            while process.poll() is None:
                peak = max(peak, peak_of(process.pid))
                time.sleep(0.02)
            assert process.stdout is not None
            runs[times] = {**json.loads(process.stdout.read()), "peak_bytes": peak}
    return {
        "pages_per_second": 9 * paper.pages / (runs[10]["seconds"] - runs[1]["seconds"]),
        "peak_bytes": runs[1]["peak_bytes"],
        "peak_growth": runs[10]["peak_bytes"] / runs[1]["peak_bytes"] - 1,
    }


def table(figures: dict[str, dict[str, dict[str, float]]], speeds: dict[str, dict[str, float]]) -> str:
    """What was measured, one line a paper and tool."""
    heads = f"{'order %':>9}{'head P':>8}{'head R':>8}{'appendix':>10}{'headers':>9}"
    lines = [f"{'paper':14}{'tool':20}{'CER %':>8}{'WER %':>8}{heads}"]
    for paper, tools in figures.items():
        for tool, f in tools.items():
            lines.append(
                f"{paper:14}{tool:20}{100 * f['character_errors']:8.2f}{100 * f['word_errors']:8.2f}"
                f"{100 * f['in_order']:9.0f}{f['heading_precision']:8.2f}{f['heading_recall']:8.2f}"
                f"{'kept' if f['after_references_kept'] else 'lost':>10}{f['headers_left']:9.0f}"
            )
    lines.append(f"\n{'tool':20}{'pages/s':>9}{'peak MiB':>10}{'at 10x':>9}")
    for tool, f in speeds.items():
        lines.append(
            f"{tool:20}{f['pages_per_second']:9.1f}{f['peak_bytes'] / 2**20:10.0f}{100 * f['peak_growth']:+8.1f}%"
        )
    return "\n".join(lines)


def main() -> None:
    """Typeset, read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--no-speed", action="store_true", help="only compare texts")
    parser.add_argument("--child", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.file, options.times)
        return
    if options.data is None:
        parser.error("--data is needed")
    with tempfile.TemporaryDirectory() as folder:
        made = papers(options.data, Path(folder))
        figures = {
            paper.name: {tool: compared(paper, read(paper.path)) for tool, read in TOOLS.items()} for paper in made
        }
        speeds = {} if options.no_speed else {tool: measured(tool, made[1]) for tool in TOOLS}
    print(table(figures, speeds), file=sys.stderr)
    report("build_extract", {"papers": figures, "speed": speeds}, options.save)


if __name__ == "__main__":
    main()
