"""A person's review: sampling, verdicts that are only added, agreement against scikit-learn, scipy and simulation."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from statllama.data.build.records import Json
from statllama.data.build.review import (
    KEPT,
    Sample,
    Table,
    Verdict,
    append,
    draw,
    kappa,
    read_verdicts,
    review,
    taken_in,
)
from statllama.data.build.review.agreement import BUILD, wilson
from statllama.data.build.review.verdicts import VERDICTS, decided
from statllama.errors import DataError, NotFoundError
from tests.data.build.check.rows import row


def build(kept: int, **left_out: int) -> tuple[list[Json], list[Json]]:
    """Rows that a build kept, and what it left out for each reason; a check `numeric` that found so."""

    def one(name: str, passed: bool) -> Json:
        record = row(name=name, question=f"What is the share in {name}?")
        record["provenance"]["checks"] = {"numeric": {"passed": passed}}
        return record

    lost = [
        {"reason": reason, "where": f"{reason}{i}", "detail": "so", "record": one(f"{reason}{i}", False)}
        for reason, count in left_out.items()
        for i in range(count)
    ]
    return [one(f"k{i}", True) for i in range(kept)], lost


def verdict(item_id: str, digest: str, said: str, by: str = "Ada") -> Verdict:
    return Verdict(item_id, digest, said, by, "2026-12-01T10:00:00Z")  # type: ignore[arg-type]


# ------------------------------------------------------------------ sampling


def test_so_many_of_each_reason_in_an_order_that_tells_nothing() -> None:
    kept, lost = build(200, refusal=40, wrong=3)
    lost.append({"reason": "too short", "where": "section 3"})
    sample = draw(kept, lost, of_kept=20, of_reason=5)
    assert Counter(item.stratum for item in sample.items) == {KEPT: 20, "refusal": 5, "wrong": 3}
    assert sample.sizes == {KEPT: 200, "refusal": 40, "wrong": 3} and sample.unshown == {"too short": 1}
    strata = [item.stratum for item in sample.items]
    assert strata != sorted(strata) and sum(a != b for a, b in pairwise(strata)) > 5
    refused = next(item for item in sample.items if item.stratum == "refusal")
    assert not refused.kept and refused.detail == "so" and refused.checks == {"numeric": {"passed": False}}


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.integers(1, 20), st.integers(0, 5))
def test_a_sample_is_of_the_rows_whatever_their_order(order: random.Random, size: int, seed: int) -> None:
    kept, lost = build(30, refusal=12)
    sample = draw(kept, lost, of_kept=size, of_reason=4, seed=seed)
    order.shuffle(kept)
    order.shuffle(lost)
    assert draw(kept, lost, of_kept=size, of_reason=4, seed=seed) == sample
    larger = draw(kept, lost, of_kept=size + 3, of_reason=9, seed=seed)
    assert {item.row["id"] for item in sample.items} <= {item.row["id"] for item in larger.items}


def test_every_row_is_as_likely() -> None:
    kept, _ = build(10)
    drawn = Counter(item.row["id"] for seed in range(500) for item in draw(kept, [], of_kept=3, seed=seed).items)
    assert len(drawn) == 10 and all(binomtest(count, 500, 0.3).pvalue > 1e-4 for count in drawn.values())


def test_a_judged_row_is_known_by_what_it_says() -> None:
    kept, _ = build(1)
    (item,) = draw(kept, []).items
    kept[0]["provenance"]["checks"] = {"judge": {"passed": True}}
    assert draw(kept, []).items[0].digest == item.digest  # checks may come later
    kept[0]["row"]["messages"][1]["content"] = "Answer: 0.63"
    assert draw(kept, []).items[0].digest != item.digest


# ------------------------------------------------------------------ verdicts


def test_verdicts_are_added_and_never_changed(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    first, second = verdict("a", "1", "keep"), verdict("a", "1", "drop")
    append(path, [first])
    before = path.read_bytes()
    append(path, [second])
    assert path.read_bytes().startswith(before) and read_verdicts(path) == [first, second]
    assert decided(read_verdicts(path), {"a": "1"}) == ({"a": "drop"}, 0)


@pytest.mark.parametrize("torn", [b'{"id": "b", "ro', b"\xff", b'{"id": "b", "row": "1", "verdict": "keep"'])
def test_a_killed_process_costs_its_last_line_alone(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "verdicts.jsonl"
    append(path, [verdict("a", "1", "keep")])
    path.write_bytes(path.read_bytes() + torn)
    assert [v.id for v in read_verdicts(path)] == ["a"]
    append(path, [verdict("c", "1", "drop")])
    assert [v.id for v in read_verdicts(path)] == ["a", "c"]


def test_a_last_line_without_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"id": "a", "row": "1", "verdict": "keep"}')  # as an editor may leave it
    append(path, [verdict("b", "1", "drop")])
    assert [v.id for v in read_verdicts(path)] == ["a", "b"]


def test_a_download_is_taken_in_once(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    download = [verdict("a", "1", "keep"), verdict("b", "2", "drop")]
    assert taken_in(path, download) == 2 and taken_in(path, [*download, verdict("b", "2", "keep")]) == 1
    assert [v.verdict for v in read_verdicts(path)] == ["keep", "drop", "keep"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json\n{}", "line 1: no JSON"),
        ('{"id": "a"}\n', "line 1: no verdict"),
        ('{"id": "a", "row": "1", "verdict": "kep"}\n', "did you mean 'keep'"),
        ('{"id": 3, "row": "1", "verdict": "keep"}\n', "`id` is 3"),
        ('[1]\n', "line 1: no verdict"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_verdicts_is_told(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=message):
        read_verdicts(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_verdicts(tmp_path / "none.jsonl")


def test_persons_who_differ_leave_a_row_unsure() -> None:
    said = [verdict("a", "1", "keep"), verdict("a", "1", "drop", by="Bo"), verdict("b", "2", "keep"),
            verdict("b", "2", "keep", by="Bo"), verdict("c", "old", "keep"), verdict("gone", "1", "keep")]  # fmt: skip
    assert decided(said, {"a": "1", "b": "2", "c": "3"}) == ({"a": "unsure", "b": "keep"}, 1)


SHORT = st.text(max_size=6)


@settings(max_examples=20)
@given(st.lists(st.builds(Verdict, SHORT, SHORT, st.sampled_from(VERDICTS), SHORT, note=SHORT), max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, verdicts: list[Verdict]) -> None:
    path = tmp_path_factory.mktemp("v") / "verdicts.jsonl"
    append(path, verdicts)
    assert read_verdicts(path) == verdicts


# ------------------------------------------------------------------ agreement


def said_of(sample: Sample, drops: set[str], unsure: set[str] = frozenset()) -> list[Verdict]:  # type: ignore[assignment]
    return [
        verdict(item.row["id"], item.digest,
                "unsure" if item.row["id"] in unsure else "drop" if item.row["id"] in drops else "keep")
        for item in sample.items
    ]  # fmt: skip


def test_a_worked_example() -> None:
    """100 rows kept and 20 refused; 4 and 2 of them judged, so a judged row stands for 25 kept or 10 refused ones."""
    sample = draw(*build(100, refusal=20), of_kept=4, of_reason=2)
    kept = [item.row["id"] for item in sample.items if item.kept]
    refused = [item.row["id"] for item in sample.items if not item.kept]
    found = review(sample, said_of(sample, {kept[0], refused[0]}))
    assert found.judged == 6 and found.covered == 1.0 and found.changed == 0
    of_build, numeric = found.checks
    assert (of_build.check, numeric.check) == (BUILD, "numeric")
    assert of_build.raw == Table(3, 1, 1, 1) and of_build.weighted == Table(75, 25, 10, 10)
    assert of_build.share == pytest.approx(85 / 120)
    assert of_build.effective == pytest.approx(120**2 / (4 * 25**2 + 2 * 10**2))
    assert (found.strata[0].name, found.strata[0].right, found.strata[1].right) == (KEPT, 0.75, 0.5)
    unsure = review(sample, said_of(sample, {kept[0], refused[0]}, {refused[1]}))
    assert unsure.checks[0].weighted == Table(75, 25, 0, 10) and unsure.checks[0].unsure == 1
    assert unsure.strata[1].right == 1.0 and unsure.strata[1].unsure == 1
    part = review(sample, [v for v in said_of(sample, set()) if v.id in kept])
    assert part.covered == pytest.approx(100 / 120) and part.strata[1].right is None
    assert review(sample, []).checks == ()
    assert review(sample, [replace(v, row="other") for v in said_of(sample, set())]).changed == 6


def test_what_a_check_did_not_see_is_not_counted() -> None:
    kept, lost = build(4, refusal=4)
    del lost[0]["record"]["provenance"]["checks"]["numeric"]
    lost[1]["record"]["provenance"]["checks"]["numeric"]["passed"] = None
    sample = draw(kept, lost)
    numeric = review(sample, said_of(sample, set())).checks[1]
    assert numeric.unchecked == 2 and numeric.raw.total == 6


@given(st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(lambda cells: sum(cells) > 1))
def test_kappa_is_scikit_learns(cells: list[int]) -> None:
    check = [1] * (cells[0] + cells[1]) + [0] * (cells[2] + cells[3])
    person = [1] * cells[0] + [0] * cells[1] + [1] * cells[2] + [0] * cells[3]
    found = kappa(Table(*cells), sum(cells))
    if len(set(check) | set(person)) == 1:
        assert found is None
        return
    assert found is not None
    value, (low, high) = found
    assert value == pytest.approx(cohen_kappa_score(check, person)) and -1 <= low <= value <= high <= 1


def test_kappas_error_is_that_of_the_publication() -> None:
    """Fleiss, Cohen and Everitt 1969, by its sum over cells as it is written there, and as draws of tables spread."""
    p = np.array([[0.40, 0.10], [0.20, 0.30]])
    n, rows, columns = 200, p.sum(1), p.sum(0)
    po, pe = np.trace(p), float(rows @ columns)
    total = sum(p[i, i] * ((1 - pe) - (columns[i] + rows[i]) * (1 - po)) ** 2 for i in range(2))
    total += (1 - po) ** 2 * sum(p[i, j] * (columns[i] + rows[j]) ** 2 for i in range(2) for j in range(2) if i != j)
    error = np.sqrt((total - (po * pe - 2 * pe + po) ** 2) / (n * (1 - pe) ** 4))
    value, (low, high) = kappa(Table(*(p * n).ravel()), n) or (0.0, (0.0, 0.0))
    assert high - low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    draws = np.random.default_rng(0).multinomial(n, p.ravel(), 4000)
    values = [found[0] for table in draws if (found := kappa(Table(*map(float, table)), n))]
    assert np.std(values) == pytest.approx(error, rel=0.05) and np.mean(values) == pytest.approx(value, abs=0.01)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_is_scipys(count: int, share: float) -> None:
    hits = round(share * count)
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_weights_lead_back_to_all_rows() -> None:
    """Of 2,000 rows 300 are left out; the person drops 5 % of those kept and 70 % of the others. Samples of 40 and 40
    estimate the agreement of all rows without bias, and the intervals hold it 95 times of 100."""
    kept, lost = build(1700, refusal=300)
    truth = random.Random(1)
    drops = {r["id"] for r in kept if truth.random() < 0.05} | {e["record"]["id"] for e in lost if truth.random() < 0.7}
    ids = [*((r["id"], True) for r in kept), *((e["record"]["id"], False) for e in lost)]
    share = sum((name in drops) != keeps for name, keeps in ids) / len(ids)
    exact = cohen_kappa_score([keeps for _, keeps in ids], [name not in drops for name, _ in ids])
    found = []
    for seed in range(30):
        sample = draw(kept, lost, of_kept=40, of_reason=40, seed=seed)
        found.append(review(sample, said_of(sample, drops)).checks[0])
    assert np.mean([f.share for f in found]) == pytest.approx(share, abs=0.02)
    assert np.mean([f.kappa for f in found if f.kappa is not None]) == pytest.approx(exact, abs=0.08)
    assert sum(f.share_interval[0] <= share <= f.share_interval[1] for f in found) >= 26
    assert (
        sum(f.kappa_interval is not None and f.kappa_interval[0] <= exact <= f.kappa_interval[1] for f in found) >= 25
    )
    raw = np.mean([(f.raw.both_keep + f.raw.both_drop) / f.raw.total for f in found])
    assert abs(raw - share) > 0.05  # which the counts alone would have been off by


def test_a_line_is_one_object() -> None:
    line = Verdict("a\nb", "1", "keep", note="\u2028").line()
    assert line.count("\n") == 1 and json.loads(line)["note"] == "\u2028"
