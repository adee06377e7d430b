"""The report: its numbers against scipy and arithmetic, its page as HTML, and what a real browser makes of it."""

from __future__ import annotations

import colorsys
import doctest
import importlib
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from statllama import report
from statllama.errors import StoreError, UsageError
from statllama.evaluation.scores import TaskScore
from statllama.recipe import load_recipe
from statllama.report import charts, curves, graph, svg, tables, words
from statllama.report.data import Benchmark, Curve, ReportData, Stage, estimate
from statllama.report.flips import MOST_FLIPS, MOST_TEXT, flips_of, question
from statllama.report.page import Drawn
from statllama.report.plot import spread
from statllama.runs import attribution as evaluation
from statllama.runs import runner
from statllama.runs.reporting import Reporter
from statllama.runs.scorer import open_scorer
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import REPO, conversations, stage, write_jsonl
from tests.report.browser import CHROMIUM, Browser
from tests.report.report_data import HOSTILE, delta, dial, hostile, hostile_live, live, plain

# ------------------------------------------------------------------ numbers


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_of_a_share_is_wilsons(case: tuple[int, int]) -> None:
    right, n = case
    found = estimate([1.0] * right + [0.0] * (n - right))
    wanted = stats.binomtest(right, n).proportion_ci(0.95, "wilson")
    assert found.value == pytest.approx(100 * right / n)
    assert (found.low, found.high) == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-9)


def test_interval_of_graded_scores_is_normal_and_stays_within_the_scale() -> None:
    graded = [0.25, 0.5, 0.5, 0.75, 1.0, 0.1]
    half = 1.959964 * stats.sem(graded)
    found = estimate(graded)
    assert (found.low, found.high) == pytest.approx((100 * (sum(graded) / 6 - half), 100 * (sum(graded) / 6 + half)))
    assert (estimate([0.9, 1.0, 0.5]).high, estimate([0.5]).low, estimate([0.5]).high) == (100, 0, 100)
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_averages_of_curves_are_those_of_arithmetic() -> None:
    points = [(float(i), float(i * i)) for i in range(10)]
    assert curves.averaged(points, 10) == ([float(i) for i in range(10)], [float(i * i) for i in range(10)])
    assert curves.averaged(points, 4) == ([1, 4, 7, 9], [(0 + 1 + 4) / 3, (9 + 16 + 25) / 3, (36 + 49 + 64) / 3, 81])
    line = [(float(i), 3.0) for i in range(50)]
    assert curves.smooth(line) == line
    step = [(float(i), float(i >= 20)) for i in range(40)]  # two points to each side
    assert [y for _, y in curves.smooth(step)][17:23] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


@given(st.lists(st.floats(-100, 100), max_size=12), st.floats(0.1, 30))
def test_labels_are_moved_apart_in_order_and_no_further_than_they_must(values: list[float], gap: float) -> None:
    placed = spread(values, gap)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(placed[b] - placed[a] >= gap - 1e-9 for a, b in pairwise(order))
    assert math.isclose(sum(placed), sum(values), abs_tol=1e-6)
    if all(values[b] - values[a] >= gap for a, b in pairwise(order)):
        assert placed == values


def test_graph_places_branches_side_by_side() -> None:
    chain = [Stage("a", "sft", ()), Stage("b", "dpo", ("a",)), Stage("c", "dpo", ("a",)), Stage("d", "sft", ("b", "c"))]
    assert graph.layout(chain) == {"base": (0, 0), "a": (1, 0), "b": (2, 0), "c": (2, 1), "d": (3, 1)}
    assert graph.edges(chain) == [("base", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    stacked = [Stage("a", "sft", ()), Stage("b", "dpo", ("a",)), Stage("c", "sft", ("a", "b"))]
    assert graph.edges(stacked) == [("base", "a"), ("a", "b"), ("b", "c")], "b lies on a already"


@pytest.mark.parametrize("name", ["data", "graph", "tables", "flips", "plot"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"statllama.report.{name}")
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


# ------------------------------------------------------------------ words


def test_numbers_in_words() -> None:
    assert [words.points(x) for x in (13.94, -1.4, 0.04, -0.04)] == ["+13.9", "−1.4", "0.0", "0.0"]
    assert [words.p_equals(p) for p in (0.0004, 0.0316, 1.0)] == ["< 0.001", "= 0.032", "= 1.000"]
    assert [words.duration(s) for s in (45, 214, 7500, None)] == ["45 s", "3 min 34 s", "2 h 05 min", "–"]
    assert [words.size(b) for b in (512, 1_203_224, 5 << 30)] == ["512 B", "1.1 MiB", "5.0 GiB"]
    assert words.moment("2026-11-21T11:55:22+00:00") == "2026-11-21 11:55 UTC"
    assert (words.share(1, 0), words.share(45, 250), words.several(1, "item"), words.several(2, "item")) == (
        *("–", "18 %"),
        *("1 item", "2 items"),
    )


def test_a_verdict_claims_no_more_than_its_test() -> None:
    data = plain()
    first, few = data.benchmarks[0], [0.0] * 100
    score = first.scores[-1]
    nothing = words.verdict(first, score, delta("base", few, [1.0] * 4 + [0.0] * 96))
    assert nothing.startswith("No evidence of a difference between dpo and base: 4 items gained and 0 lost of 100")
    assert "p = 0.0" in nothing and "better" not in nothing
    surely = words.verdict(first, score, delta("base", few, [1.0] * 5 + [0.0] * 95))
    assert surely.startswith("dpo is better than base on stats: 5 items gained and 0 lost of 100 (+5.0 points")
    assert "p = 0.040" in surely


def test_scores_stand_beside_chance_and_the_blind_baseline(pages: dict[str, str]) -> None:
    first, second = plain().benchmarks
    assert tables.scores(first).caption.endswith("in per cent; chance 25.0, blind baseline 31.0 ± 2.0")
    assert tables.scores(second).caption.endswith("in per cent; chance 25.0")
    assert "In per cent: chance 25.0, blind baseline 31.0 ± 2.0." in pages["plain"]
    assert "Dotted: chance, and dash-dotted the blind baseline" in pages["plain"] and "Dotted" not in pages["empty"]


# ------------------------------------------------------------------ flipped items


def sample(row: int, score: float, **more: Any) -> dict[str, Any]:
    return {"row": row, "score": score, "prompt": f"Question {row}", "answer": 1, "choices": ["no way", "yes"]} | more


def scored(samples: list[dict[str, Any]]) -> TaskScore:
    ones = tuple(s["score"] for s in samples)
    ids = tuple(str(s["row"]) for s in samples)
    return TaskScore("t", "1", "acc", 0.0, None, ones, ids, len(ones), len(ones), 0, 0.0, samples=tuple(samples))


def test_flips_are_the_items_that_changed_with_both_answers() -> None:
    old = scored([sample(1, 0, prediction=0), sample(2, 1, prediction=1), sample(3, 1, prediction=1)])
    new = scored([sample(1, 1, prediction=1), sample(2, 1, prediction=1), sample(3, 0, prediction=0)])
    found = flips_of(old, new, "base", "sft")
    assert [(f.row, f.expected, f.before.text, f.after.text) for f in found.gained] == [(1, "yes", "no way", "yes")]
    assert [(f.row, f.before.score, f.after.score) for f in found.lost] == [(3, 1.0, 0.0)]
    assert found.gained[0].choices == ("no way", "yes")


def test_flips_of_written_answers_show_what_was_read_out_of_them() -> None:
    old = scored([sample(1, 0, choices=[], answer="#### 4", generated="so 5", prediction="5")])
    new = scored([sample(1, 1, choices=[], answer=["4", "four"], generated="x" * 9000, prediction="4")])
    (flip,) = flips_of(old, new, "base", "sft").gained
    assert (flip.expected, flip.before.text, flip.before.extracted) == ("#### 4", "so 5", "5")
    assert flip.after.text == "x" * MOST_TEXT + "… (1,000 more characters)"
    many = [sample(i, 0, prediction=0) for i in range(MOST_FLIPS + 5)], [sample(i, 1, prediction=1) for i in range(35)]
    found = flips_of(scored(many[0]), scored(many[1]), "base", "sft")
    assert (len(found.gained), found.gained_total, found.lost_total) == (MOST_FLIPS, 35, 0)


@pytest.mark.parametrize(
    "prompt",
    [
        "What is 2 + 2?",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhat is 2 + 2?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n",
        "<s>[INST] What is 2 + 2? [/INST]",
    ],
)
def test_the_question_of_a_prompt(prompt: str) -> None:
    assert question(prompt) == "What is 2 + 2?"


# ------------------------------------------------------------------ the page as HTML

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What the tests ask of a page: elements in order, with attributes, parents and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self.feed(text)
        assert not self._open, [e["tag"] for e in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice"
        element = {"tag": tag, "text": "", "within": [e["tag"] for e in self._open], **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element["text"] += data

    def all(self, *tags: str) -> list[dict[str, Any]]:
        return [e for e in self.elements if e["tag"] in tags]


EMPTY = ReportData("new", "", "llama", (Stage("sft", "sft", ()),))
"""A run that has not begun."""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """All kinds of pages."""
    return {
        "plain": report.render(plain()),
        "hostile": report.render(hostile()),
        "dial": report.render_dial(dial()),
        "empty": report.render(EMPTY),
        "live": report.render(live()),
        "hostile live": report.render(hostile_live()),
    }


KINDS = ("plain", "hostile", "dial", "empty", "live", "hostile live")


@pytest.mark.parametrize("kind", KINDS)
def test_structure(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(set(ids)) == len(ids)
    levels = [int(e["tag"][1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), "no level is skipped"
    assert all(e["text"].strip() for e in page.all("h1", "h2", "h3", "summary", "th", "caption", "a", "title", "dt"))
    for name in ("main", "header", "footer"):
        assert len(page.all(name)) == 1
    for e in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(e.get(name, "").split()) <= set(ids)
        assert e["tag"] != "section" or e["aria-labelledby"]
    assert {e["href"][1:] for e in page.all("a")} <= set(ids), "links lead to places in the page"
    for table in page.all("table"):
        assert "div" in table["within"]
    for region in (e for e in page.all("div") if e.get("role") == "region"):
        assert region["tabindex"] == "0" and region["aria-label"]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(e["scope"] in ("col", "row") for e in page.all("th"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_is_labelled_and_has_its_numbers_beneath(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    words_of = {e["id"]: e["text"] for e in page.all("title", "desc") if "id" in e}
    found = [e for e in page.all("svg") if "g" not in e["within"]]
    for chart in found:
        assert chart["role"] == "img"
        title, description = chart["aria-labelledby"].split()
        assert words_of[title] and len(words_of[description]) > 20
    names = {e["aria-labelledby"].partition("-wide")[0].partition("-narrow")[0] for e in found}
    wanted = {
        "plain": {"recipe-graph", "curves", "scores", "changes", "topics-0"},
        "hostile": {"recipe-graph", "curves", "scores", "changes", "topics-0"},
        "dial": {"dial"},
        "empty": {"recipe-graph"},
        "live": {"recipe-graph", "curves", "behaviour", "machine", "scores", "changes", "topics-0"},
        "hostile live": {"recipe-graph", "curves", "behaviour", "machine"},
    }
    assert names == wanted[kind] and len(found) == 2 * len(names)
    assert len(page.all("figure")) == len(names) <= len(page.all("table"))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_and_nothing_runs(pages: dict[str, str], kind: str) -> None:
    page = Page(pages[kind])
    assert not page.all("script", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "a:href")
    (policy,) = [e["content"] for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';") and "script" not in policy and "http" not in policy
    for e in page.elements:
        assert not any(name.startswith("on") for name in e)
        assert "src" not in e and "srcset" not in e
        for name in ("href", "xlink:href"):
            assert e.get(name, "#").startswith("#") or (e["tag"], e[name]) == ("link", "data:,")
        values = " ".join(str(value) for name, value in e.items() if name not in ("text", "within"))
        assert all(address.startswith("#") for address in re.findall(r"url\((.*?)\)", values))
    (style,) = (e["text"] for e in page.all("style"))
    assert "url(" not in style and "@import" not in style


@pytest.mark.parametrize("kind", ["hostile", "hostile live"])
def test_texts_of_a_run_are_shown_as_they_are(pages: dict[str, str], kind: str) -> None:
    shown = Page(pages[kind])
    everything = " ".join(e["text"] for e in shown.all("dd"))
    for text in HOSTILE[:6]:
        assert text in everything
    assert "統計" in everything and "\x00" not in pages[kind] and "\u202e" not in pages[kind]
    assert "49" not in shown.all("h1")[0]["text"]


def test_the_same_run_gives_the_same_bytes_whatever_the_users_own_style(pages: dict[str, str]) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert report.render(plain()) == pages["plain"]
        assert matplotlib.rcParams["font.size"] == 30, "and leaves it as it was"


def test_a_chart_is_drawn_again_only_when_what_it_shows_has_changed(pages: dict[str, str]) -> None:
    """A page that is rendered again and again says what one that is drawn from nothing says."""
    drawn, data = Drawn(), plain()
    assert report.render(data, drawn) == pages["plain"]
    kept = dict(drawn._kept)
    assert {"changes", "scores", "graph", "topics-0"} <= set(kept)
    stages = tuple(replace(one, curve=None) for one in data.stages)
    other = replace(data, stages=stages, benchmarks=(data.benchmarks[0],))
    assert report.render(other, drawn) == report.render(other)
    assert drawn._kept["graph"] is kept["graph"] and drawn._kept["scores"] is not kept["scores"]


def test_what_is_not_known_is_said(pages: dict[str, str]) -> None:
    assert "No benchmark is scored for this run" in pages["empty"] and "Not trained yet: sft." in pages["empty"]
    for absent in ("Training</h2>", "Scorecard</h2>", "Flipped items</h2>", "None", "nan"):
        assert absent not in pages["empty"]
    data = plain()
    base_only = replace(data, benchmarks=tuple(replace(b, scores=b.scores[:1], topics=()) for b in data.benchmarks))
    assert "Only the base is scored so far" in report.render(replace(base_only, flips=(), gates=()))


def test_graded_and_extreme_scores_can_be_drawn() -> None:
    ends = [1.0] * 50, [0.0] * 50
    score = replace(plain().benchmarks[0].scores[0], estimate=estimate(ends[0]))
    worst = replace(score, stack="sft", estimate=estimate(ends[1]), from_base=delta("base", *ends))
    text = charts.changes([Benchmark("t", "acc", "1", (score, replace(worst, from_parent=worst.from_base)))])
    assert text is not None and "−100" in text
    assert charts.scores([]) is None and charts.changes([]) is None


@pytest.mark.parametrize(
    "found",
    [
        Curve((1,), (2.5,), (0.0,), (1.0,)),
        Curve((1, 2), (None, None), (None, None), (None, None)),
        Curve((5, 9), (-1.0, 2.0), (0.0, 0.0), (0.0, 0.0)),
        Curve(tuple(range(1, 20_001)), (1.0,) * 20_000, (1e-4,) * 20_000, (0.5,) * 19_999 + (1e6,)),
        Curve((1, 2), (0.0, 0.0), (1e-5, 1e-5), (1.0, 2.0), (None, 0.5)),
        Curve(tuple(range(1, 60)), (0.0,) * 59, (1e-5,) * 59, (1.0,) * 59, (-1.5,) * 29 + (2.0,) * 30),
    ],
)
def test_odd_curves_can_be_drawn_and_stay_small(found: Curve) -> None:
    drawn = curves.curves([Stage("sft", "sft", (), curve=found), Stage("dpo", "dpo", (), curve=found)])
    assert drawn is not None and len(drawn) < 150_000
    assert len(tables.logged([Stage("sft", "sft", (), curve=found)]).rows) <= tables.LOGGED_ROWS
    assert curves.curves([Stage("sft", "sft", ())]) is None


def test_charts_have_no_colour_or_font_of_their_own(pages: dict[str, str]) -> None:
    drawn = "".join(re.findall(r"<svg .*?</svg>", pages["plain"] + pages["dial"], re.DOTALL))
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?=[;\"])|rgb\(|font-family|<style|<metadata", drawn)
    assert set(re.findall(r"var\(--([\w-]+)\)", drawn)) <= set(svg.PAINT)
    assert ">stats (domain)</text>" in drawn, "text is text"


# ------------------------------------------------------------------ colours


def themes() -> dict[str, dict[str, tuple[float, float, float]]]:
    """{light, dark: {variable: (red, green, blue), 0 to 1}} of the style sheet."""
    style = (REPO / "statllama/report/templates/style.css").read_text(encoding="utf-8")
    first, second = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]

    def colours(block: str) -> dict[str, tuple[float, float, float]]:
        found = re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
        return {n: (int(h[:2], 16) / 255, int(h[2:4], 16) / 255, int(h[4:], 16) / 255) for n, h in found}

    return {"light": colours(first), "dark": colours(second)}


def linear(colour: tuple[float, float, float]) -> list[float]:
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Contrast ratio of WCAG 2.2."""
    high, low = sorted(
        (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) for x in (a, b)), reverse=True
    )
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(scheme: str) -> None:
    found = themes()[scheme]
    assert set(svg.PAINT) <= set(found), "every colour of a chart is defined"
    for ground in ("ground", "raised", "shade"):
        for text in ("ink", "muted", "accent", "better", "worse"):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    assert contrast(found["better"], found["better-ground"]) >= 4.5
    assert contrast(found["worse"], found["worse-ground"]) >= 4.5
    for shape in ("line", *(f"series-{i + 1}" for i in range(svg.SERIES))):
        assert contrast(found[shape], found["ground"]) >= 3, shape


# Machado, Oliveira and Fernandes (2009), severity 1, in linear light.
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def lab(light: list[float]) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of linear sRGB."""
    rows = (0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)
    white = (0.9505, 1.0, 1.089)
    xyz = [sum(w * max(0.0, c) for w, c in zip(row, light, strict=True)) for row in rows]
    x, y, z = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116
        for t in (v / w for v, w in zip(xyz, white, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", BLIND)
def test_series_can_be_told_apart_without_full_colour_vision(scheme: str, kind: str) -> None:
    """At least 10 units of L*a*b* between any two of the first four (a just noticeable one is about 2.3); beyond
    those, and everywhere besides, shapes differ too."""
    found = themes()[scheme]
    seen = {}
    for i in range(4):
        light = linear(found[f"series-{i + 1}"])
        seen[i] = lab([sum(w * c for w, c in zip(row, light, strict=True)) for row in BLIND[kind]])
    for a, b in combinations(seen, 2):
        assert math.dist(seen[a], seen[b]) >= 10, (a + 1, b + 1)


# ------------------------------------------------------------------ writing


def test_writing_replaces_a_file_whole_and_names_what_is_wrong(tmp_path: Path, pages: dict[str, str]) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    report.write(EMPTY, out)
    assert out.read_text(encoding="utf-8") == pages["empty"]
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(UsageError, match="is a folder"):
        report.write(EMPTY, tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        report.write(EMPTY, tmp_path / "none" / "report.html")


def test_a_report_needs_no_torch_and_no_display(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from statllama import report\n"
        "from tests.report.report_data import plain\n"
        "assert 'matplotlib' not in sys.modules, 'drawn only when it is asked for'\n"
        "report.write(plain(), Path(sys.argv[1]))\n"
        "loaded = {'torch', 'transformers', 'matplotlib.pyplot', 'lm_eval'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "r.html")], cwd=REPO, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


# ------------------------------------------------------------------ in a browser

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def files(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for kind, text in pages.items():
        (folder / f"{kind}.html").write_text(text, encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in pages}


OPEN_ALL = "document.querySelectorAll('details').forEach(e => e.open = true)"
MISPLACED = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg.chart')) {
    const frame = svg.getBoundingClientRect(), seen = [];
    if (!frame.width) continue;
    for (const text of svg.querySelectorAll('text')) {
      const r = text.getBoundingClientRect(), name = svg.getAttribute('aria-labelledby') + ': ' + text.textContent;
      if (r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1)
        found.push(name + ' leaves its chart');
      for (const [q, other] of seen)
        if (Math.min(r.right, q.right) - Math.max(r.left, q.left) > 2
            && Math.min(r.bottom, q.bottom) - Math.max(r.top, q.top) > 3) found.push(name + ' lies on ' + other);
      seen.push([r, text.textContent]);
    }
  }
  return found;
})()"""
TOO_WIDE = """[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


@in_browser
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("kind", KINDS)
def test_page_at_this_width(browser: Browser, files: dict[str, Path], kind: str, width: int) -> None:
    browser.open(files[kind], width)
    browser.ask(OPEN_ALL)
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") == width, browser.ask(TOO_WIDE)
    assert browser.ask(TOO_WIDE) == []
    assert browser.ask(MISPLACED) == []
    wide, narrow = "svg.chart.wide", "svg.chart.narrow"
    shown, hidden = (narrow, wide) if width < 600 else (wide, narrow)
    sizes = browser.ask(f"[...document.querySelectorAll('{shown}')].map(e => e.getBoundingClientRect().width)")
    assert sizes and all(size > 250 for size in sizes)
    assert browser.ask(f"[...document.querySelectorAll('{hidden}')].every(e => !e.getBoundingClientRect().width)")
    smallest = f"Math.min(...[...document.querySelectorAll('{shown} text')].map(e => e.getBoundingClientRect().height))"
    assert browser.ask(smallest) > 9, "text can be read"
    assert browser.requests() == [files[kind].as_uri()]
    assert browser.complaints() == []


@in_browser
@pytest.mark.parametrize("kind", ["hostile", "hostile live"])
def test_hostile_texts_do_nothing(browser: Browser, files: dict[str, Path], kind: str) -> None:
    browser.open(files[kind], 800)
    browser.ask(OPEN_ALL)
    assert browser.ask("typeof window.hit") == "undefined"
    assert browser.ask("document.querySelectorAll('script, img, iframe, object, embed, form, [onload]').length") == 0
    assert browser.ask("[...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    assert browser.ask("document.title") == "<script>window.hit=1</script>: statllama report"


@in_browser
def test_the_policy_stops_what_would_get_in(browser: Browser, files: dict[str, Path]) -> None:
    """Should a text ever become an element, it still runs nothing and asks for nothing."""
    attack = "<script>window.hit=1</script><img src=https://example.org/x.png onerror='window.hit=1'>"
    path = files["plain"].with_name("attacked.html")
    path.write_text(files["plain"].read_text(encoding="utf-8").replace("</main>", attack + "</main>"), encoding="utf-8")
    browser.open(path, 800)
    assert browser.ask("typeof window.hit") == "undefined"
    failed = [e["params"] for e in browser.events if e.get("method") == "Network.loadingFailed"]
    assert [params.get("blockedReason") for params in failed] == ["csp"], "blocked before it was asked for"
    assert any("Content Security Policy" in said for said in browser.complaints())


def brightness(colour: str) -> float:
    red, green, blue = (int(c) / 255 for c in re.findall(r"\d+", colour)[:3])
    return colorsys.rgb_to_hls(red, green, blue)[1]


@in_browser
def test_dark_is_dark_and_charts_follow(browser: Browser, files: dict[str, Path]) -> None:
    found = {}
    for scheme in ("light", "dark"):
        browser.open(files["plain"], 1280, scheme=scheme)
        found[scheme] = browser.ask(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
            " getComputedStyle(document.querySelector('svg.chart.wide text')).fill,"
            " getComputedStyle(document.querySelector('#changes').parentElement.querySelector('path[style*=series-1]'))"
            ".stroke]"
        )
    light, dark = ([brightness(colour) for colour in found[scheme]] for scheme in ("light", "dark"))
    assert light[0] > 0.9 and dark[0] < 0.15
    assert all(d > light_ for d, light_ in zip(dark[1:], light[1:], strict=True)), "text and lines turn lighter"


@in_browser
def test_keyboard(browser: Browser, files: dict[str, Path]) -> None:
    browser.open(files["plain"], 360)
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.textContent") == "Skip to the content"
    assert browser.ask("document.activeElement.getBoundingClientRect().left >= 0"), "it is seen when it has the focus"
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", 13)
    assert browser.ask("document.activeElement.id") == "main"
    order: list[str] = []
    while "A skip" not in order:
        assert len(order) < 100, "the focus is trapped"
        browser.press("Tab", 9)
        order.append(browser.ask("document.activeElement.tagName + ' ' + document.activeElement.className"))
    assert "SUMMARY more" in order and "DIV scroll" in order
    browser.ask("document.querySelector('summary').focus()")
    browser.press("Enter", 13)
    assert browser.ask("document.querySelector('details').open")
    browser.ask("document.querySelector('.scroll').focus()")
    for _ in range(3):
        browser.press("ArrowRight", 39)
    moved = "new Promise(done => setTimeout(() => done(document.querySelector('.scroll').scrollLeft), 400))"
    assert browser.ask(moved) > 0, "a table that is too wide is scrolled by the arrow keys"


@in_browser
def test_a_screen_reader_finds_the_charts(browser: Browser, files: dict[str, Path]) -> None:
    browser.open(files["plain"], 1280)
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    found = {
        n["name"]["value"]: n.get("description", {}).get("value", "")
        for n in nodes
        if n.get("role", {}).get("value") in ("image", "img", "SvgRoot") and not n.get("ignored")
    }
    assert len(found) == 5
    for title in ("Recipe", "Training curves", "Scores with 95 % intervals", "Gained and forgotten", "stats by topic"):
        assert any(title in name for name in found), found


# ------------------------------------------------------------------ from a real run


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> tuple[Path, Path]:
    """(recipe, workspace) of a run of two stages on a benchmark of three topics and one of written answers. The third
    stage is not trained."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        {"question": f"what is {i} + {i}?", "choices": [str(2 * i), str(2 * i + 3)], "answer": i % 2, "topic": topic}
        for i, topic in enumerate(["sums", "means", "modes"] * 4)
    ]
    write_jsonl(folder / "eval/sums/test.jsonl", rows)
    write_jsonl(folder / "eval/write/test.jsonl", [{"question": f"write {i}", "answer": str(i)} for i in range(6)])
    shared = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}}, "test_split": "test"}
    choice = {"output_type": "multiple_choice", "doc_to_text": "question", "doc_to_choice": "choices"}
    write = {"output_type": "generate_until", "doc_to_text": "question", "generation_kwargs": {"max_gen_toks": 4}}
    for name, fields, metric in (("sums", choice, "acc"), ("write", write, "exact_match")):
        metrics = {"metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}]}
        body = {"task": name, "doc_to_target": "answer", "metadata": {"version": 1.0}, **shared, **fields, **metrics}
        (folder / f"eval/{name}/{name}.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    write_jsonl(folder / "sft.jsonl", conversations(24))
    stages = [stage("first", train={"steps": 2}), stage("second", train={"steps": 3}), stage("third")]
    evaluate = {"tasks": ["sums", "write"], "limit": 9, "gates": {"sums": -90.0}, "chat_template": False}
    recipe = {"name": "real", "base": {"model": str(base_folder), "quantization": "none"}, "stages": stages}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "evaluate": evaluate}), encoding="utf-8")
    runner.run(load_recipe(path), Store(folder / "ws"), Reporter(), until="second")
    return path, folder / "ws"


def test_a_report_is_what_the_run_recorded(real: tuple[Path, Path]) -> None:
    path, workspace = real
    store = Store(workspace)
    found = report.collect(find_subject(str(path), store), store)
    assert [(s.name, s.trained, s.parents) for s in found.stages] == [
        ("first", True, ()),
        ("second", True, ("first",)),
        ("third", False, ("second",)),
    ]
    assert found.last == "second"
    assert found.stages[1].curve is not None and found.stages[1].curve.steps == (1, 2, 3)
    assert found.stages[1].curve.loss[0] == pytest.approx(
        json.loads((workspace / "results" / str(found.stages[1].key) / "history.json").read_text())[0]["loss"]
    )
    assert found.stages[0].sources[0].rows == 24 and found.stages[0].drift_base is not None
    sums, written = found.benchmarks
    assert (sums.task, sums.domain, written.domain) == ("sums", True, False)
    assert [(t.name, t.n) for t in sums.topics] == [("sums", 3), ("means", 3), ("modes", 3)]
    recorded = {}
    for entry in store.entries("scores"):
        if "score" in entry.manifest:
            recorded[entry.manifest["name"], entry.manifest["score"]["task"]] = entry.manifest["score"]["items"]
    for benchmark in found.benchmarks:
        assert [s.stack for s in benchmark.scores] == ["base", "first", "second"]
        for score in benchmark.scores:
            values = recorded[score.stack, benchmark.task]
            assert score.estimate.value == pytest.approx(100 * sum(values) / len(values))
            if score.from_base is not None:
                before = recorded["base", benchmark.task]
                gained = sum(new > old for old, new in zip(before, values, strict=True))
                assert (score.from_base.change.gained, score.from_base.change.n) == (gained, len(values))
    assert {(f.task, f.before, f.after) for f in found.flips} == {
        (task, before, "second") for task in ("sums", "write") for before in ("base", "first")
    }
    for flips in found.flips:
        before, after = recorded[flips.before, flips.task], recorded["second", flips.task]
        assert [f.row for f in flips.gained] == [i + 1 for i, old in enumerate(before) if after[i] > old]
        assert [f.row for f in flips.lost] == [i + 1 for i, old in enumerate(before) if after[i] < old]
        assert all(f.question.startswith(("what is", "write")) for f in (*flips.gained, *flips.lost))
    assert [(g.stage, g.test.answer) for g in found.gates] == [("first", "held"), ("second", "held")]
    assert "sums: only the first 9 of 12 items are scored." in found.notes
    assert any(note.startswith("write: replies cut at the token limit: base (100.0 %, 6 of 6)") for note in found.notes)
    assert any(note.startswith("sums: not shown to be above chance (50.0): ") for note in found.notes)
    assert (sums.chance, sums.blind, written.chance) == (0.5, None, None)
    assert str(path.parent) not in found.recipe + found.base, "folders of this machine stay here"
    page = report.render(found)
    assert "Not trained yet: third." in page and str(path.parent) not in page


def test_a_report_of_what_is_not_scored_or_damaged(real: tuple[Path, Path], tmp_path: Path) -> None:
    path, workspace = real
    copy = Store(shutil.copytree(workspace, tmp_path / "ws"))
    subject = find_subject(str(path), copy)
    other = report.collect(subject.evaluated({"limit": 5}), copy)
    assert other.benchmarks == () and other.flips == ()
    assert "sums is not scored; `statllama eval real` scores it." in other.notes
    assert "No benchmark is scored for this run" in report.render(other)
    for entry in copy.entries("scores"):
        if entry.manifest["name"] == "second" and entry.manifest.get("score", {}).get("task") == "sums":
            (entry.path / "samples.jsonl").write_text("{}")
    with pytest.raises(StoreError, match=r"samples\.jsonl is damaged"):
        report.collect(subject, copy)


def test_a_dial_becomes_a_page(real: tuple[Path, Path], tmp_path: Path) -> None:
    path, workspace = real
    store = Store(workspace)
    subject = find_subject(str(path), store)
    result = evaluation.dial(subject, open_scorer(subject, store, Reporter()), "first", [0.0, 1.0])
    report.write_dial(result, subject, tmp_path / "dial.html")
    page = Page((tmp_path / "dial.html").read_text(encoding="utf-8"))
    assert page.all("h1")[0]["text"] == "real: first as a dial"
    assert [e["text"] for e in page.all("th") if e["scope"] == "row"] == ["0", "1"]
    data = report.collect_dial(result, subject)
    assert (data.domain, data.general, data.stack) == ("sums", "write", "second")
    scores = result.notches[0].scores[0]
    assert data.points[0].estimates["sums"].value == pytest.approx(100 * scores.value)
    assert (
        data.points[0].deltas["sums"].change == result.notches[0].changes["sums"].change and not data.points[1].deltas
    )
