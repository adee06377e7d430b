"""Rows that are held out, and their copies, reach no batch of any stage; which rows those are."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from statllama.config.holdout import Held, bare, held_file
from statllama.config.source import SourceSpec
from statllama.data.encode import Kind
from statllama.data.examples import Completion, Conversation, Document, Judgement, Message, Preference, Question
from statllama.data.held_index import NEAR, SAME_PROMPT, SAME_TEXT, HeldIndex, HeldOut
from statllama.data.held_rows import choose, held_description, held_rows
from statllama.data.holdout import Holdout, make_holdout
from statllama.data.likeness import Liken, compared
from statllama.data.prepare import Prepared, prepare, settled
from statllama.data.select import Guard, select
from statllama.data.selection import COPIES_HELD, HELD_OUT
from statllama.errors import DataError
from tests.conftest import write_jsonl

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]


# ------------------------------------------------------------------ the property: no held-out row reaches a batch


def facts(count: int) -> list[tuple[str, str, str]]:
    """(mark, question, answer) of different facts. The mark is in the question and in the answer, and in no other."""
    draw = random.Random(7)
    found = []
    for i in range(count):
        words = [draw.choice(VOCABULARY) for _ in range(24)]
        mark = f"zq{chr(97 + i // 26)}{chr(97 + i % 26)}zq"
        question, answer = " ".join([*words[:6], mark, *words[6:9]]), " ".join([*words[9:16], mark, *words[16:]])
        found.append((mark, question, answer))
    return found


FACTS = facts(14)
DISGUISES = {
    "none": str,
    "upper": str.upper,
    "title": str.title,
    "spaces": lambda text: "  \n".join(text.split(" ")),
    "commas": lambda text: text.replace(" ", ", ") + "!",
    "dots": lambda text: f"({text}) ...",
    "quotes": lambda text: " ".join(f'"{word}"' for word in text.split(" ")),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in text),
}


def sft_row(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def answered(question: str, answer: str) -> dict[str, Any]:
    return {"question": question, "answer": answer}


def pair(question: str, answer: str) -> dict[str, Any]:
    return {"prompt": question, "chosen": "some other words", "rejected": "nothing of the kind"}


def pair_of_another_prompt(question: str, answer: str) -> dict[str, Any]:
    """Only its chosen text is the held-out row's, after a prompt that is nearly the same."""
    return {"prompt": f"well {question}", "chosen": answer, "rejected": "no " * 60}


FORMATS: dict[str, tuple[str, Kind, Any]] = {
    "messages": ("sft", "conversations", sft_row),
    "question_answer": ("sft", "conversations", answered),
    "preference": ("dpo", "preferences", pair),
    "near": ("dpo", "preferences", pair_of_another_prompt),
    "judged": ("kto", "judgements", lambda q, a: {"prompt": q, "completion": f"{a} and so on", "label": True}),
    "prompt_answer": ("grpo", "questions", lambda q, a: {"prompt": q, "answer": "4"}),
    "text": ("cpt", "documents", lambda q, a: {"text": f"{q} {a}"}),
}


@dataclass(frozen=True)
class Copies:
    """A stage's data: which facts, in which format, how disguised."""

    format: str
    facts: tuple[int, ...]
    disguise: str

    def rows(self) -> list[dict[str, Any]]:
        dress, row = DISGUISES[self.disguise], FORMATS[self.format][2]
        made = [row(dress(FACTS[i][1]), dress(FACTS[i][2])) for i in self.facts]
        return made + [{**each, "label": False} for each in made if "label" in each]

    @property
    def source(self) -> SourceSpec:
        name = "preference" if self.format == "near" else self.format
        return SourceSpec(path="copies.jsonl", format=name)


CHOSEN = st.lists(st.integers(0, len(FACTS) - 1), min_size=2, max_size=len(FACTS), unique=True).map(tuple)
COPIED = st.builds(Copies, st.sampled_from(sorted(FORMATS)), CHOSEN, st.sampled_from(sorted(DISGUISES)))


NO_COPIES = {("preference", "near"), ("preference", "text"), ("text", "preference"), ("text", "prompt_answer")}
"""(what is held out, what another stage has) without a copy: neither the prompt nor a text is the same, or nearly."""
IDS = ("input_ids", "prompt_ids", "completion_ids", "chosen_ids", "rejected_ids")


def decoded(tokenizer: Any, prepared: Prepared) -> str:
    """All that the dataset's rows say, without what a disguise adds."""
    rows = [tokenizer.decode(row[name]) for row in prepared.dataset for name in IDS if name in row]
    return "".join(compared(" ".join(rows)))


def prepared_of(
    folder: Path, tokenizer: Any, kind: Kind, *sources: SourceSpec, held: HeldOut | None, stage: str, **more: Any
) -> Prepared:
    options: dict[str, Any] = {"train_on": "responses", "max_length": 512, "packing": False, "seed": 3, "cache": None}
    return prepare(
        kind, sources, root=folder, tokenizer=tokenizer, guard=Guard(held=held, stage=stage), **{**options, **more}
    )


@given(
    share=st.floats(0.05, 0.6),
    own=st.sampled_from(["messages", "question_answer", "preference", "text"]),
    copies=COPIED,
    repeat=st.integers(1, 2),
    limit=st.none() | st.integers(1, 5),
    packing=st.booleans(),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_held_out_row_or_its_copy_reaches_no_batch(
    tmp_path: Path,
    tokenizer: Any,
    share: float,
    own: str,
    copies: Copies,
    repeat: int,
    limit: int | None,
    packing: bool,
) -> None:
    """Every row of every dataset is decoded: what is held out is nowhere, and all else is everywhere."""
    assume((own, copies.format) not in NO_COPIES)
    whole = Copies(own, tuple(range(len(FACTS))), "none")
    write_jsonl(tmp_path / "own.jsonl", whole.rows())
    write_jsonl(tmp_path / "copies.jsonl", copies.rows())
    source = whole.source.model_copy(update={"path": "own.jsonl", "holdout": share, "repeat": repeat})
    out = HeldOut([Held("a", bare(source), share, None)], tmp_path, None)
    gone = set(out.rows[0].rows.tolist())
    assert len(gone) == max(1, round(share * len(FACTS)))

    def trained(copied: Copies, source: SourceSpec, stage: str) -> set[int]:
        _, kind, _ = FORMATS[copied.format]
        pack = packing and kind in ("documents", "conversations")
        made = prepared_of(tmp_path, tokenizer, kind, source, held=out, stage=stage, packing=pack)
        said = decoded(tokenizer, made)
        return {i for i in copied.facts if FACTS[i][0] in said}

    assert trained(whole, source, "a") == set(range(len(FACTS))) - gone
    left = set(copies.facts) - gone
    for drawn in (None, limit if copies.format != "judged" else None):
        if not left:
            with pytest.raises(DataError, match="copies a held-out row"):
                trained(copies, copies.source, "b")
            return
        found = trained(copies, copies.source.model_copy(update={"limit": drawn}), "b")
        if drawn is None:
            assert found == left
        else:  # drawn from what is left
            assert found <= left and len(found) == min(drawn, len(left))


# ------------------------------------------------------------------ which rows are held out


def words_of(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(VOCABULARY) for _ in range(count))


def held(source: SourceSpec, root: Path, share: float | None = 0.2, name: str = "sft") -> Held:
    (read,) = settled([source], root, None)
    return Held(name, bare(read), share, None)


def questions_held(held_: Held, root: Path) -> list[str]:
    rows = [json.loads(line) for path in sorted(root.glob(str(held_.source.path))) for line in path.open()]
    return sorted(rows[i]["question"] for i in held_rows(held_, root, cache=None).rows)


def test_order_names_and_files_do_not_matter(tmp_path: Path) -> None:
    rng = random.Random(3)
    rows = [answered(words_of(rng, 8), words_of(rng, 5)) for _ in range(50)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    first = questions_held(held(SourceSpec(path="a.jsonl"), tmp_path), tmp_path)
    assert len(first) == 10
    rng.shuffle(rows)
    write_jsonl(tmp_path / "elsewhere/b.jsonl", rows)
    assert questions_held(held(SourceSpec(path="elsewhere/b.jsonl"), tmp_path), tmp_path) == first
    for i in range(5):
        write_jsonl(tmp_path / f"parts/{i}.jsonl", rows[i::5])
    assert questions_held(held(SourceSpec(path="parts/*.jsonl"), tmp_path), tmp_path) == first
    more = questions_held(held(SourceSpec(path="a.jsonl"), tmp_path, 0.5), tmp_path)
    assert len(more) == 25 and set(first) < set(more)  # a larger share holds out what a smaller one does


def test_use_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    """`repeat`, `limit` and `weight` draw from what is left; filters come before."""
    rng = random.Random(4)
    write_jsonl(tmp_path / "a.jsonl", [{**answered(words_of(rng, 8), "four"), "level": i % 2} for i in range(40)])
    plain, used = SourceSpec(path="a.jsonl"), SourceSpec(path="a.jsonl", repeat=3, limit=2, weight=0.5)
    assert held(plain, tmp_path) == held(used, tmp_path)
    odd = held_rows(held(SourceSpec(path="a.jsonl", where={"level": "1"}), tmp_path), tmp_path, cache=None)
    assert len(odd.rows) == 4 and odd.read == 20 and all(i % 2 for i in odd.rows)


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_a_share_is_exact_as_far_as_prompts_allow(groups: list[int], share: float) -> None:
    rows, wanted = len(groups), max(1, round(share * len(groups)))
    if wanted >= rows or len(set(groups)) == 1:
        with pytest.raises(DataError, match=r"leaves none to train on|the same prompt"):
            choose(np.array(groups, dtype=np.uint64), share, "a.jsonl")
        return
    taken = choose(np.array(groups, dtype=np.uint64), share, "a.jsonl")
    by_group: dict[int, set[bool]] = {}
    for group, is_taken in zip(groups, taken.tolist(), strict=True):
        by_group.setdefault(group, set()).add(is_taken)
    assert all(len(sides) == 1 for sides in by_group.values())  # rows with one prompt stay together
    assert 0 < taken.sum() < rows
    left = min(groups.count(group) for group, sides in by_group.items() if sides == {False})
    assert (
        taken.sum() == wanted
        or taken.sum() < wanted < taken.sum() + left
        or taken.sum() == min(map(groups.count, groups))
    )
    order = np.random.default_rng(0).permutation(rows)
    again = choose(np.array(groups, dtype=np.uint64)[order], share, "a.jsonl")
    assert (again == taken[order]).all()


@pytest.mark.parametrize(
    ("rows", "share", "message"),
    [
        ([answered("what", "a")], 0.5, r"a.jsonl: `holdout` 0.5 of its 1 usable row is 1, which leaves none to train"),
        ([answered(f"q{i}", "a") for i in range(10)], 0.99, r"0.99 of its 10 usable rows is 10, which leaves none"),
        ([answered("What?", f"a{i}") for i in range(9)], 0.2, r"all of its 9 usable rows have the same prompt"),
    ],
)
def test_a_share_that_leaves_nothing(tmp_path: Path, rows: list[dict[str, Any]], share: float, message: str) -> None:
    write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=message) as raised:
        held_rows(held(SourceSpec(path="a.jsonl"), tmp_path, share), tmp_path, cache=None)
    assert "`holdout`" in str(raised.value.remedy)


def test_a_description_reads_no_row_and_names_no_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("no JSON at all\n")
    (tmp_path / "b.jsonl").write_text("no JSON at all\n")
    one, other = (Held("x", SourceSpec(path=f"{n}.jsonl", format="text"), 0.1, None) for n in "ab")
    found = held_description(one, tmp_path)
    assert found == held_description(other, tmp_path) and "a.jsonl" not in json.dumps(found)
    assert found != held_description(Held("x", one.source, 0.2, None), tmp_path)
    (tmp_path / "a.jsonl").write_text("other bytes\n")
    assert found != held_description(one, tmp_path)


def test_what_was_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    write_jsonl(tmp_path / "a.jsonl", [answered(words_of(rng, 9), words_of(rng, 9)) for _ in range(30)])
    one = held(SourceSpec(path="a.jsonl"), tmp_path)
    first = held_rows(one, tmp_path, cache=tmp_path / "w")
    monkeypatch.setattr("statllama.data.held_rows.usable", None)
    again = held_rows(one, tmp_path, cache=tmp_path / "w")
    for name, values in vars(first).items():
        assert np.array_equal(values, getattr(again, name)), name


# ------------------------------------------------------------------ what a copy is


def jaccard(one: str, other: str) -> float:
    left, right = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (compared(one), compared(other)))
    return len(left & right) / len(left | right) if left | right else 0.0


def index_of(tmp_path: Path, texts: Sequence[str]) -> HeldIndex:
    write_jsonl(tmp_path / "held.jsonl", [{"text": text} for text in texts])
    return HeldIndex([held_rows(held(SourceSpec(path="held.jsonl"), tmp_path, None), tmp_path, cache=None)])


@given(st.integers(0, 10**6), st.integers(1, 12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_near_duplicates_are_those_of_a_plain_definition(tmp_path: Path, seed: int, changes: int) -> None:
    """All pairs by Python's sets: of texts with a few words changed, some are above 0.8 and some below."""
    rng = random.Random(seed)
    texts = [words_of(rng, rng.randint(6, 60)) for _ in range(12)]
    rows = []
    for _ in range(40):
        words = rng.choice(texts).split()
        for _ in range(rng.randint(0, changes)):
            words[rng.randrange(len(words))] = rng.choice(VOCABULARY)
        rows.append(" ".join(words))
    liken = Liken()
    found = index_of(tmp_path, texts).find([liken(Document(row)) for row in rows])
    for row, how in zip(rows, found, strict=True):
        nearest = max(jaccard(row, text) for text in texts)
        assert (how is not None) == (nearest >= 0.8 or compared(row) in map(compared, texts)), (row, nearest)
        assert how in (None, NEAR, SAME_TEXT)


ASKED = (Message("user", "What is 3 - 2?"),)


@pytest.mark.parametrize(
    ("example", "how"),
    [
        (Conversation((*ASKED, Message("assistant", "It is another thing"))), SAME_PROMPT),
        (Conversation((Message("user", "what  is 3 -2"), Message("assistant", "no"))), SAME_PROMPT),
        (Conversation((Message("user", "What is 3 + 2?"), Message("assistant", "5"))), None),
        (Conversation((Message("user", "What is 3 2?"), Message("assistant", "5"))), None),
        (Conversation((Message("system", "Be kind."), *ASKED, Message("assistant", "one"))), SAME_TEXT),
        (Conversation((Message("system", "Be kind."), *ASKED, Message("assistant", "two"))), None),
        (Conversation((*ASKED, Message("assistant", "x"), Message("user", "y"), Message("assistant", "z")), 2), None),
        (Completion("What is 3 - 2?", "anything"), SAME_PROMPT),
        (Document("What is 3 - 2? One!"), SAME_TEXT),
        (Preference(ASKED, "one", "three"), SAME_PROMPT),
        (Judgement(ASKED, "nine", False), SAME_PROMPT),
        (Question("What is 3 - 2?", {"answer": "1"}), SAME_PROMPT),
        (Preference("Else?", "one", "three"), None),
        (Document("???"), None),
    ],
)
def test_a_prompt_is_all_before_the_first_text_to_learn(tmp_path: Path, example: Any, how: str | None) -> None:
    write_jsonl(tmp_path / "a.jsonl", [answered("What is 3 - 2?", "one")])
    index = HeldIndex([held_rows(held(SourceSpec(path="a.jsonl"), tmp_path, None), tmp_path, cache=None)])
    assert index.find([Liken()(example)]) == [how]


def test_texts_without_a_word_are_compared_by_their_signs(tmp_path: Path) -> None:
    index = index_of(tmp_path, ["...", "\U0001f600 \U0001f600"])
    found = index.find([Liken()(Document(text)) for text in ("...", "!!!", "\U0001f600  \U0001f600", "\U0001f601")])
    assert found == [SAME_TEXT, None, SAME_TEXT, None]


# ------------------------------------------------------------------ a stage's rows


def test_rows_are_left_out_by_reason(tmp_path: Path, tokenizer: Any) -> None:
    rng = random.Random(8)
    rows = [answered(words_of(rng, 9), words_of(rng, 20)) for _ in range(20)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    one = held(SourceSpec(path="a.jsonl"), tmp_path)
    chosen = held_rows(one, tmp_path, cache=None).rows.tolist()
    copied = rows[chosen[0]]
    write_jsonl(
        tmp_path / "b.jsonl",
        [*rows[:3], {**copied, "answer": "else"}, {**copied, "question": f"now {copied['question']}"}],
    )
    out = HeldOut([one], tmp_path, None)
    sources = (SourceSpec(path="a.jsonl", holdout=0.2), SourceSpec(path="b.jsonl"))
    made = prepared_of(tmp_path, tokenizer, "conversations", *sources, held=out, stage="sft")
    a, b = made.selection.sources
    assert a.dropped == {HELD_OUT: 4} and not set(a.kept.tolist()) & set(chosen)
    copies = 2 + len(set(chosen) & {0, 1, 2})
    assert b.dropped == {COPIES_HELD: copies}
    back = made.selection.held_back()
    assert back == {"rows": 4, "copies": copies, "by": {NEAR: 1, SAME_PROMPT: copies - 1}}
    assert made.selection.held_copies[-1].where.endswith("row 5") and out.counts() == {"sft": 4}


def test_duplicates_and_weights_are_of_what_is_left(tmp_path: Path, tokenizer: Any) -> None:
    rng = random.Random(9)
    rows = [answered(words_of(rng, 9), words_of(rng, 20)) for _ in range(10)]
    write_jsonl(tmp_path / "a.jsonl", [*rows, *rows])
    write_jsonl(tmp_path / "b.jsonl", [answered(words_of(rng, 9), words_of(rng, 20)) for _ in range(10)])
    sources = [SourceSpec(path=f"{n}.jsonl", weight=1.0, holdout=0.2 if n == "a" else None) for n in "ab"]
    out = HeldOut([held(sources[0], tmp_path)], tmp_path, None)
    guard = Guard(deduplicate="exact", held=out, stage="sft")
    read = settled(sources, tmp_path, None)
    found = select(read, tmp_path, guard=guard, scratch=tmp_path / "s")
    assert found.sources[0].dropped == {HELD_OUT: 4, "repeats an earlier row": 8}
    made = prepare("conversations", sources, root=tmp_path, tokenizer=tokenizer, guard=guard, train_on="responses",
                   max_length=512, packing=False, seed=1, cache=None)  # fmt: skip
    assert [s.rows_used for s in made.report.sources] == [8, 8]


def test_a_stage_of_which_nothing_is_left(tmp_path: Path, tokenizer: Any) -> None:
    rows = [answered(q, a) for _, q, a in FACTS]
    for name in ("a", "b"):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    out = HeldOut([held(SourceSpec(path="a.jsonl"), tmp_path, None, "general")], tmp_path, None)
    with pytest.raises(DataError) as raised:
        prepared_of(tmp_path, tokenizer, "conversations", SourceSpec(path="b.jsonl"), held=out, stage="sft")
    said = str(raised.value.message)
    assert "b.jsonl: none of its 14 rows is usable (copies a held-out row: 14)" in said
    assert "b.jsonl, row 1 has the same prompt" in said and "`evaluate.holdouts`" in str(raised.value.remedy)


def test_without_hold_outs_a_guard_is_what_it_was() -> None:
    """The keys of rows that a workspace has chosen before hold-outs existed."""
    before = {"deduplicate": "near", "decontaminate": "ignore", "tasks": []}
    assert Guard("near", stage="sft").as_json() == before


def test_a_guard_s_key_has_what_is_held_out_and_of_whom(tmp_path: Path) -> None:
    rng = random.Random(2)
    write_jsonl(tmp_path / "a.jsonl", [answered(words_of(rng, 9), "yes") for _ in range(9)])
    found = [
        json.dumps(Guard(held=HeldOut([held(SourceSpec(path="a.jsonl"), tmp_path, share)], tmp_path, None), stage=s)
                   .as_json())
        for share, s in ((0.2, "sft"), (0.2, "dpo"), (0.3, "sft"), (None, "sft"))
    ]  # fmt: skip
    assert len(set(found)) == 4


# ------------------------------------------------------------------ what is scored


def scored(root: Path, tokenizer: Any, *held_: Held, kind: Any = None, **more: Any) -> Holdout:
    options: dict[str, Any] = {"train_on": "responses", "max_length": 256, "cache": None}
    parts = [(one, held_rows(one, root, cache=None)) for one in held_]
    return make_holdout(parts, kind, root=root, tokenizer=tokenizer, **{**options, **more})


def rows_of(dataset: Any) -> list[dict[str, list[int]]]:
    return [dict(row) for row in dataset]


def sorted_rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


MADE = [(own, *FORMATS[own][1:]) for own in ("question_answer", "preference", "text")]


@pytest.mark.parametrize(("name", "kind", "row"), MADE, ids=lambda v: v if isinstance(v, str) else "")
def test_held_out_rows_are_tokenised_as_a_stage_trains(
    tmp_path: Path, tokenizer: Any, name: str, kind: Kind, row: Any
) -> None:
    """Equal to what a stage that trained on them would get, which is prepared from a file of those rows alone."""
    whole = [row(q, a) for _, q, a in FACTS]
    write_jsonl(tmp_path / "a.jsonl", whole)
    one = held(SourceSpec(path="a.jsonl", format=name), tmp_path, 0.4)
    chosen = held_rows(one, tmp_path, cache=None).rows.tolist()
    write_jsonl(tmp_path / "those.jsonl", [whole[i] for i in chosen])
    train_on, length = ("all", 48) if kind == "documents" else ("responses", 512)
    made = prepared_of(tmp_path, tokenizer, kind, SourceSpec(path="those.jsonl", format=name), held=None, stage="s",
                       train_on=train_on, max_length=length)  # fmt: skip
    found = scored(
        tmp_path, tokenizer, one, kind=kind, train_on=train_on, max_length=48 if kind == "documents" else 512
    )
    assert found.kind == kind and found.name == "sft" and not found.dropped
    assert sorted_rows(rows_of(found.dataset)) == sorted_rows(rows_of(made.dataset))
    assert len(found.ids) == len(set(found.ids)) == len(found.dataset) > (5 if kind == "documents" else 0)
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in found.ids)


def test_ids_are_of_the_text_and_the_fingerprint_of_all(tmp_path: Path, tokenizer: Any) -> None:
    import hashlib

    rows = [answered("one?", "1"), answered("two?", "2"), answered("one?", "1")]
    write_jsonl(tmp_path / "a.jsonl", rows)
    write_jsonl(tmp_path / "b.jsonl", rows[::-1])
    a, b = (scored(tmp_path, tokenizer, held(SourceSpec(path=f"{n}.jsonl"), tmp_path, None)) for n in "ab")
    assert a.kind == "conversations"
    assert a.ids[:2] == tuple(hashlib.sha256(text).hexdigest()[:16] for text in (b"one?\n1", b"two?\n2"))
    assert len(set(a.ids)) == 3 and set(a.ids) == set(b.ids) and a.fingerprint == b.fingerprint
    others = [
        scored(tmp_path, tokenizer, held(SourceSpec(path="a.jsonl"), tmp_path, None), train_on="all"),
        scored(tmp_path, tokenizer, held(SourceSpec(path="a.jsonl", where={"question": "two"}), tmp_path, None)),
    ]
    assert len({a.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_of_judged_answers_the_good_ones_are_scored(tmp_path: Path, tokenizer: Any) -> None:
    judged = [{"prompt": f"q{i}?", "completion": f"c{i}", "label": i % 2 == 0} for i in range(4)]
    write_jsonl(tmp_path / "a.jsonl", judged)
    write_jsonl(tmp_path / "pairs.jsonl", [{"prompt": "q9?", "chosen": "good", "rejected": "bad"}])
    write_jsonl(tmp_path / "good.jsonl", [answered("q0?", "c0"), answered("q2?", "c2"), answered("q9?", "good")])
    parts = [held(SourceSpec(path=f"{n}.jsonl"), tmp_path, None, "kto") for n in ("a", "pairs")]
    found = scored(tmp_path, tokenizer, *parts, kind="conversations", good=True)
    same = scored(tmp_path, tokenizer, held(SourceSpec(path="good.jsonl"), tmp_path, None))
    assert rows_of(found.dataset) == rows_of(same.dataset) and found.dropped == {"judged bad": 2}
    assert found.ids == same.ids and found.fingerprint == same.fingerprint
    named = scored(tmp_path, tokenizer, parts[0])  # of `evaluate.holdouts`: the format says what they are
    assert named.kind == "conversations" and len(named.ids) == 2


def test_a_held_out_file_is_read_as_its_source(tmp_path: Path, tokenizer: Any) -> None:
    write_jsonl(tmp_path / "h.jsonl", [{"Q": "one?", "A": "1", "n": 5}, {"Q": "two?", "A": "2", "n": 6}])
    source = SourceSpec(path="a.jsonl", format="prompt_completion", columns={"prompt": "Q", "completion": "A"},
                        render="plain", where={"n": "6"}, repeat=4, limit=1, holdout="h.jsonl")  # fmt: skip
    one = Held("sft", held_file(source, "h.jsonl"), None, None)
    found = scored(tmp_path, tokenizer, one)
    assert [tokenizer.decode(row["input_ids"]) for row in rows_of(found.dataset)] == [
        "<|begin_of_text|>two?2<|eot_id|>"
    ]
    for other in (SourceSpec(hub="a/b", config="c", revision="v", holdout="h.jsonl"),
                  SourceSpec.model_validate({"problems": {"count": 3}, "holdout": "h.jsonl"})):  # fmt: skip
        assert held_file(other, "h.jsonl") == SourceSpec(path="h.jsonl")


@pytest.mark.parametrize(
    ("rows", "kind", "message", "remedy"),
    [
        ([{"prompt": "q?", "answer": "4"}], None, r"row 1: a question without a worked answer", "question_answer"),
        ([{"text": "a b"}], "conversations", r"row 1: format text gives a document, but the hold-out", "type: cpt"),
        ([answered("q" * 600, "a")], None, r"none of its rows can be scored as conversations of up to 256 tokens "
         r"\(prompt longer than max_length: 1\)", "`evaluate.max_length`"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_scored(
    tmp_path: Path, tokenizer: Any, rows: list[dict[str, Any]], kind: Any, message: str, remedy: str
) -> None:
    write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=message) as raised:
        scored(tmp_path, tokenizer, held(SourceSpec(path="a.jsonl"), tmp_path, None, "general"), kind=kind)
    assert remedy in str(raised.value.remedy)


def test_a_tokenised_hold_out_is_kept(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "a.jsonl", [answered(q, a) for _, q, a in FACTS])
    one = held(SourceSpec(path="a.jsonl"), tmp_path)
    first = scored(tmp_path, tokenizer, one, cache=tmp_path / "w")
    monkeypatch.setattr("statllama.data.holdout._build", None)
    again = scored(tmp_path, tokenizer, one, cache=tmp_path / "w")
    assert again.kept_in == first.kept_in and (tmp_path / "w" / "cache" / first.kept_in).is_dir()
    assert (again.ids, again.fingerprint, again.kind) == (first.ids, first.fingerprint, first.kind)
    assert rows_of(again.dataset) == rows_of(first.dataset)
