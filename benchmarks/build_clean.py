"""Cleaning real text: what is found of what is planted, and what does each rule cost of what is good?

The corpora are two open statistics textbooks and rows of other kinds, given by path and never copied. A file of
documents has a `text` on each line, cut into sections at its Markdown headings. Beside them: generated problems.

- losses: how many good sections, documents and texts of rows break each rule, at the thresholds here and at those of
  the papers; and by language and personal data, where every finding in good text is an error
- planted: near copies, junk, copies of benchmark questions (within a page, and there with other numbers), personal data
  of each kind, texts in other languages: how many are found
- speed: records and characters a second of each step, in one process
- peer: `--peer PYTHON`, an interpreter with datatrove and regex: how often its Gopher and FineWeb filters and these
  rules, at the papers' thresholds, give the same answer

    python benchmarks/build_clean.py --data DIR [--peer PYTHON] [--save]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import report

from statllama.data.build.clean.benchmarks import benchmarks_of, index
from statllama.data.build.clean.filters import Filters
from statllama.data.build.clean.language import language_of
from statllama.data.build.clean.pii import KINDS, luhn, redacted
from statllama.data.build.clean.prose import Text
from statllama.data.build.clean.quality import faults
from statllama.data.build.clean.repeats import Repeats
from statllama.data.build.clean.sections import body, strings
from statllama.data.build.clean.spec import CleanSpec, QualitySpec
from statllama.data.build.clean.steps import steps
from statllama.data.build.records import Json, Kept, LeftOut
from statllama.problems import rows as problem_rows

DOCUMENTS = ("stats_corpus_openstax", "stats_corpus_openintro")
ROWS = ("gsm8k_train_1000", "instruct_dolly_format_500")
PAPERS = QualitySpec(
    from_lines=1, least_word_length=3.0, least_alphabetic=0.8, most_short_lines=0.67, most_repeated_lines=0.3,
    most_repeated_line_characters=0.2, most_in_top_ngram=(0.2, 0.18, 0.16),
    most_in_repeated_ngrams=(0.15, 0.14, 0.13, 0.12, 0.11, 0.10),
)  # fmt: skip
TASKS = ("ap_statistics", "gsm8k")
FOREIGN = {
    "de": "Der Standardfehler des Mittelwerts sagt, wie weit der Mittelwert einer Stichprobe von dem der "
    "Grundgesamtheit entfernt ist. Er sinkt mit der Wurzel aus dem Umfang der Stichprobe, man schätzt ihn aus Daten.",
    "fr": "L'erreur type de la moyenne indique de combien la moyenne d'un échantillon s'écarte de celle de la "
    "population. Elle diminue avec la racine carrée de la taille de l'échantillon, et on l'estime avec les données.",
    "es": "El error estándar de la media indica cuánto se aleja la media de una muestra de la media de la "
    "población. Disminuye con la raíz cuadrada del tamaño de la muestra, y se estima con los mismos datos.",
    "zh": "均值的标准误差表示样本均值与总体均值之间的典型距离。它随样本量的平方根而减小，"
    "因此样本量增加到四倍时，标准误差减半。"
    "我们用样本的标准差来估计它，当样本很小时使用学生分布。",
}


def documents(file: Path) -> list[Json]:
    """A file's documents, cut into sections at headings."""
    made = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        sections = [{"heading": "", "level": 1, "kind": "other", "text": ""}]
        for text in json.loads(line)["text"].split("\n"):
            if found := re.match(r"(#{1,6}) (.*)", text):
                sections.append({"heading": found[2], "level": len(found[1]), "kind": "other", "text": ""})
            else:
                sections[-1]["text"] += text + "\n"
        sections = [
            {**each, "text": each["text"].strip()} for each in sections if each["heading"] or each["text"].strip()
        ]
        made.append({"id": f"{file.stem}:{number}", "origin": {}, "sections": sections})
    return made


def as_rows(name: str, given: Sequence[Any]) -> list[Json]:
    """Rows as records of a build."""
    return [
        {"id": f"{name}:{i}", "part": "a", "format": "any", "row": dict(row), "provenance": {}}
        for i, row in enumerate(given)
    ]


def percent(part: int, whole: int) -> float:
    """Share in percent, two digits."""
    return round(100 * part / max(1, whole), 2)


def losses(units: dict[str, list[str]]) -> dict[str, Any]:
    """Per cent of the texts of each kind that break each rule."""
    found: dict[str, Any] = {}
    for name, texts in units.items():
        whole = name.startswith("documents")
        ours, papers, others = Counter[str](), Counter[str](), Counter[str]()
        any_ours = any_papers = 0
        for given in texts:
            text = Text(given)
            mine, theirs = list(faults(text, QualitySpec(), "en", whole)), list(faults(text, PAPERS, "en", whole=True))
            ours.update(reason for reason, _ in mine)
            papers.update(reason for reason, _ in theirs)
            any_ours, any_papers = any_ours + bool(mine), any_papers + bool(theirs)
            told = language_of(text)
            others["language is not en"] += told is not None and told[0] != "en" and told[1] >= 0.65
            others.update(f"personal data: {kind}" for kind in redacted(given, [kind.name for kind in KINDS])[1])
        found[name] = {
            "texts": len(texts),
            "any rule, percent": percent(any_ours, len(texts)),
            "any rule at the papers' thresholds, percent": percent(any_papers, len(texts)),
            "by rule, texts": dict(ours.most_common()),
            "by rule at the papers' thresholds, texts": dict(papers.most_common()),
            "others, texts": {reason: count for reason, count in others.items() if count},
        }
    return found


def changed_copy(text: str, draw: random.Random) -> str:
    """The text with one word in forty left out."""
    return " ".join(word for word in text.split() if draw.random() > 1 / 40)


def planted_copies(given: Sequence[Json], draw: random.Random) -> dict[str, Any]:
    """Near copies of documents, found and wrongly found; each document of its own first goes through the step once."""
    step = Repeats("near")
    own = [outcome.record for outcome in outcomes(step, given) if isinstance(outcome, Kept)]
    own = [record for record in own if len(body(record).split()) >= 100]
    chosen = draw.sample(own, 60)
    copies = []
    for record in chosen:
        parts = [{**part, "text": changed_copy(part["text"], draw)} for part in record["sections"]]
        copies.append({**record, "id": f"copy of {record['id']}", "sections": parts})
    lost = [outcome for outcome in outcomes(step, [*own, *copies]) if isinstance(outcome, LeftOut)]
    whole = {left.where for left in lost if left.reason.startswith("document: nearly")}
    return {
        "planted": len(copies),
        "found": sum(record["id"] in whole for record in copies),
        "good documents lost": sum(record["id"] in whole for record in own),
        "documents": len(own),
    }


def outcomes(step: Any, records: Sequence[Json]) -> list[Any]:
    """What becomes of all records."""
    plan = step.plan(lambda: iter(records))
    return [
        outcome
        for start in range(0, len(records), step.block)
        for outcome in step.apply(records[start : start + step.block], plan, Path())
    ]


def planted_questions(given: Sequence[Json], spec: CleanSpec, draw: random.Random) -> dict[str, Any]:
    """Questions put into sections as they are and with other numbers; and what is found in good text."""
    benchmarks = benchmarks_of(spec, Path())
    questions = [q for q in index(benchmarks)[0].questions if len(q.text.split()) >= 12]
    alone = CleanSpec(
        tasks=spec.tasks, benchmarks=spec.benchmarks, quality=None, language=None, pii="keep", suspects=False
    )
    step = Filters(alone, benchmarks)
    pages = [part["text"] for record in given for part in record["sections"] if len(part["text"].split()) > 100]

    def found(texts: Sequence[str]) -> int:
        made = [
            {"id": str(i), "origin": {}, "sections": [{"heading": "", "level": 1, "kind": "other", "text": text}]}
            for i, text in enumerate(texts)
        ]
        return sum(
            isinstance(o, LeftOut) and o.reason == "section: copies a benchmark question" for o in outcomes(step, made)
        )

    chosen = draw.sample(questions, 150)
    within = [f"{draw.choice(pages)}\n\n{q.text}\n\n{draw.choice(pages)}" for q in chosen]
    other = [re.sub(r"\d+", lambda n: str(int(n[0]) + draw.randint(1, 9)), text) for text in within]
    return {
        "questions": len(questions),
        "planted": len(chosen),
        "found within a page": found(within),
        "found with other numbers": found(other),
        "good sections": len(pages),
        "good sections lost": found(pages),
    }


def personal(kind: str, draw: random.Random) -> str:
    """A made-up datum of one kind."""
    digit = lambda n, low=0: "".join(str(draw.randint(low, 9)) for _ in range(n))  # noqa: E731
    if kind == "email":
        name = draw.choice(["ann.lee", "b_ray", "eve-1", "{tom, kim}"])
        return name + draw.choice(["@", " [at] "]) + draw.choice(["uni-ulm.de", "cs.ucl.ac.uk", "gmail.com"])
    if kind == "phone":
        return draw.choice([f"+49 731 {digit(3, 1)} {digit(3)}", f"({digit(3, 2)}) {digit(3, 2)}-{digit(4)}"])
    if kind == "ip":
        return f"{draw.randint(64, 120)}.{draw.randint(0, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"
    if kind == "card":
        start = "4" + digit(14)
        (check,) = [d for d in "0123456789" if luhn(start + d)]
        return " ".join(re.findall("....", start + check))
    if kind == "iban":
        bank = digit(18)
        return f"DE{98 - int(bank + '131400') % 97:02d}{bank}"
    if kind == "ssn":
        return f"{draw.randint(100, 600)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}"
    return draw.choice(["gh" + "p_", "np" + "m_"]) + "".join(draw.choice("abcXYZ0189") for _ in range(36))


def planted_personal_data(pages: Sequence[str], draw: random.Random) -> dict[str, str]:
    """Of each kind, how many of those put between the sentences of pages are replaced."""
    found = {}
    for kind in (kind.name for kind in KINDS):
        count = 0
        for _ in range(100):
            datum, page = personal(kind, draw), draw.choice(pages)
            at = draw.choice([m.end() for m in re.finditer(r"[.?!] ", page)] or [0])
            text = f"{page[:at]}It is {datum}, we hear. {page[at:]}"
            clean, counts = redacted(text, [each.name for each in KINDS])
            count += counts == {kind: 1} and datum not in clean
        found[kind] = f"{count} of 100"
    return found


def planted_languages(pages: Sequence[str]) -> dict[str, str]:
    """Foreign texts, alone and behind formulas and a table of an English page."""
    formulas = "\n".join(line for page in pages for line in page.split("\n") if line.count("|") > 3 or "= " in line)[
        :2000
    ]
    found = {}
    for code, text in FOREIGN.items():
        told = [language_of(Text(each)) for each in (text, f"{formulas}\n{text}\n$$x = {{y \\over z}}$$")]
        found[code] = f"{sum(each is not None and each[0] == code and each[1] >= 0.65 for each in told)} of 2"
    return found


def speed(records: Sequence[Json], spec: CleanSpec) -> dict[str, Any]:
    """Records and characters a second of each step, after what is loaded once."""
    found, given = {}, list(records)
    for step in steps(spec, Path()):
        step.plan(lambda given=given: iter(given[:1]))  # type: ignore[misc]
        began = time.perf_counter()
        plan = step.plan(lambda given=given: iter(given))  # type: ignore[misc]
        kept: list[Json] = []
        lost = Counter[str]()
        for start in range(0, len(given), step.block):
            for outcome in step.apply(given[start : start + step.block], plan, Path()):
                if isinstance(outcome, Kept):
                    kept.append(dict(outcome.record))
                else:
                    lost[outcome.reason] += 1
        seconds = time.perf_counter() - began
        size = sum(len("".join(strings([record.get("sections"), record.get("row")]))) for record in given)
        found[step.name] = {
            "records a second": round(len(given) / seconds, 1),
            "characters a second": round(size / seconds),
            "records": len(given),
            "kept": len(kept),
            "left out": dict(lost.most_common()),
        }
        given = kept
    return found


PEER = """
import json, sys
from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.word_tokenizers import WordTokenizer
class Plain(WordTokenizer):
    def word_tokenize(self, text): return text.split()
    def sent_tokenize(self, text): return text.split(". ")
    def span_tokenize(self, text): return []
made = Plain()
filters = [GopherQualityFilter(language=made), GopherRepetitionFilter(language=made),
           FineWebQualityFilter(language=made, char_duplicates_ratio=0.2, new_line_ratio=1e9)]
for line in open(sys.argv[1], encoding="utf-8"):
    found = [each.filter(Document(text=json.loads(line), id="")) for each in filters]
    print(json.dumps([None if each is True or each[0] else each[1] for each in found]))
"""


def peer(python: str, texts: Sequence[str]) -> dict[str, Any]:
    """How often datatrove's filters and the rules at the papers' thresholds say the same of whole documents."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.jsonl"
        file.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        command = [python, "-c", PEER, str(file)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    theirs = [[reason for reason in json.loads(line) if reason] for line in printed.splitlines()]
    ours = [[reason for reason, _ in faults(Text(text), PAPERS, "en", whole=True)] for text in texts]
    defaults = [bool(list(faults(Text(text), QualitySpec(), "en", whole=True))) for text in texts]
    return {
        "texts": len(texts),
        "dropped by datatrove": sum(map(bool, theirs)),
        "dropped here at the papers' thresholds": sum(map(bool, ours)),
        "dropped here": sum(defaults),
        "same answer at the papers' thresholds, percent": percent(
            sum(bool(a) == bool(b) for a, b in zip(theirs, ours, strict=True)), len(texts)
        ),
        "datatrove's reasons": dict(Counter(reason for found in theirs for reason in found).most_common()),
    }


def junk(pages: Sequence[str], draw: random.Random) -> Iterator[str]:
    """Pages that no one should learn from, made of good ones."""
    for page in draw.sample(list(pages), 25):
        words = page.split()
        yield " ".join(words[:40]) + "\n" + "\n".join([" ".join(words[:12])] * 20)  # the same line again and again
        yield "\n".join(" ".join(words[i : i + 3]) for i in range(0, 240, 3))  # a menu
        yield " ".join(" ".join(word) for word in words[:80])  # letters set apart
        yield "\n".join(f"{' '.join(words[i : i + 6])} ..." for i in range(0, 120, 6))  # teasers
        yield "\n".join(f"{draw.random():.4f} {draw.random():.4f} {draw.random():.4f}" for _ in range(60))  # numbers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the corpora, JSON lines")
    parser.add_argument("--peer", help="a Python with datatrove")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    draw = random.Random(0)
    made = {name: documents(options.data / f"{name}.jsonl") for name in DOCUMENTS}
    rows = {name: [json.loads(line) for line in (options.data / f"{name}.jsonl").open()] for name in ROWS}
    rows["problems"] = list(problem_rows("sft", 1000, seed=3))
    units = {f"documents of {name}": [body(record) for record in given] for name, given in made.items()}
    units |= {f"sections of {n}": [part["text"] for r in g for part in r["sections"]] for n, g in made.items()}
    units |= {f"texts of {name}": [text for row in given for text in strings(row)] for name, given in rows.items()}
    everything = [record for given in made.values() for record in given]
    pages = [part["text"] for record in everything for part in record["sections"] if len(part["text"].split()) > 100]
    spec = CleanSpec(tasks=TASKS, benchmarks={"gsm8k": str(options.data / "gsm8k_test_200.jsonl")})
    bad = list(junk(pages, draw))
    figures = {
        "losses": losses(units),
        "planted": {
            "junk pages found": f"{sum(any(faults(Text(text), QualitySpec(), 'en')) for text in bad)} of {len(bad)}",
            "near copies": planted_copies(everything, draw),
            "questions": planted_questions(everything, spec, draw),
            "personal data": planted_personal_data(pages, draw),
            "languages": planted_languages(pages),
        },
        "speed": {
            "documents": speed(everything, spec),
            "rows": speed(as_rows("problems", rows["problems"]), spec),
        },
    }
    if options.peer:
        bodies = [text for name, texts in units.items() if name.startswith("documents") for text in texts]
        figures["peer"] = {"good": peer(options.peer, bodies), "junk": peer(options.peer, bad)}
    report("build_clean", figures, options.save)


if __name__ == "__main__":
    main()
