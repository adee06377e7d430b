"""The page for a person's verdicts, in a browser: hostile rows do nothing, a click becomes the right line of JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from statllama.data.build.records import Json
from statllama.data.build.review import Sample, draw, read_verdicts
from statllama.problems import generate
from statllama.report.review import cards, render_review, write_review
from tests.data.build.check.rows import row
from tests.report.browser import CHROMIUM, Browser

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

ATTACK = (
    "</p></article></script><script>window.hit=1</script><img src=x onerror='window.hit=1'>"
    '<a href="javascript:window.hit=1">x</a> \' " onload=window.hit=1 {{ 7*7 }} \u202e\x00'
)


def sound(count: int) -> Iterator[Json]:
    for i, problem in enumerate(generate(count, seed=2)):
        quote = problem.question.partition(". ")[0]
        record = row(problem.question, problem.solution, f"qa:{i}", quote, f"{problem.idea} {problem.question}")
        record["provenance"] |= {"place": "arxiv.org/abs/1234.5678", "pages": [3, 4], "licence": "CC-BY-4.0"}
        record["provenance"]["checks"] = {
            "form": {"passed": True},
            "numeric": {"passed": None, "reason": "nothing in it can be recomputed", "checked": 0},
        }
        yield record


def sample(hostile: bool = False) -> Sample:
    kept = list(sound(4))
    refusal = row(name="r", answer="I cannot.")
    lost = [{"reason": "the answer refuses", "where": "r", "detail": "I cannot", "record": refusal}]
    if hostile:
        name = "x'\"><script>window.hit=1</script>"
        record = row(ATTACK, f"{ATTACK}\n{'long' * 300}", name, ATTACK, f"before {ATTACK} after")
        finding = {"passed": False, "reason": ATTACK, "figure": [ATTACK]}
        record["provenance"] |= {"document": ATTACK, "section": ATTACK, "checks": {ATTACK: finding}}
        lost.append({"reason": ATTACK, "where": ATTACK, "detail": ATTACK, "record": record})
        lost.append({"reason": "empty", "where": "e", "record": {**row(name="e"), "row": {"messages": ATTACK}}})
    return draw(kept, lost)


def test_the_same_sample_gives_the_same_page(tmp_path: Path) -> None:
    page = render_review(sample(), "my build")
    assert page == render_review(sample(), "my build")
    write_review(sample(), "my build", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert len(re.findall("<article", page)) == 5 and "<mark>" in page


def test_what_a_card_shows() -> None:
    found = {card.id: card for card in cards(sample(hostile=True).items)}
    assert found["r"].build == "left out: the answer refuses (I cannot)"
    assert [(text.name) for text in found["qa:0"].texts] == ["user", "answer", "quotation"]
    assert found["qa:0"].context is not None
    assert any((quoted and part.startswith("Of")) or quoted for part, quoted in found["qa:0"].context.parts)
    assert [(c.name, c.outcome) for c in found["qa:0"].checks] == [("form", "passed"), ("numeric", "not checkable")]
    assert found["e"].texts[0].name == "row, as it is"  # what its format refuses


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "review.html"
    write_review(sample(hostile=True), "<script>window.hit=1</script>", path)
    return path


def open_new(browser: Browser, page: Path, width: int = 1280) -> None:
    browser.open(page, width)
    browser.ask("localStorage.clear()")
    browser.open(page, width)


TOO_WIDE = (
    "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
)


@in_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_rows_do_nothing(browser: Browser, page: Path, width: int) -> None:
    open_new(browser, page, width)
    browser.ask("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert browser.ask("typeof window.hit") == "undefined"
    assert browser.ask("document.querySelectorAll('script').length") == 1
    assert browser.ask("document.querySelectorAll('img, iframe, object, embed, form, [onload], main a').length") == 0
    assert browser.ask("document.querySelectorAll('article').length") == 7
    assert browser.ask("document.title") == "Review: <script>window.hit=1</script>"
    assert browser.ask("document.documentElement.scrollWidth") == width and browser.ask(TOO_WIDE) == 0
    assert browser.requests() == [page.as_uri()] and browser.complaints() == []


@in_browser
def test_the_policy_lets_no_other_script_run(browser: Browser, page: Path) -> None:
    attacked = page.with_name("attacked.html")
    text = page.read_text(encoding="utf-8")
    attack = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>"
    attacked.write_text(text.replace('<div class="controls">', attack + '<div class="controls">'), encoding="utf-8")
    browser.open(attacked, 800)
    assert browser.ask("typeof window.hit") == "undefined"
    assert any("Content Security Policy" in said for said in browser.complaints())


@in_browser
def test_clicks_become_lines(browser: Browser, page: Path, tmp_path: Path) -> None:
    """A name, a click on each button, a second thought, keys; then the download is what `--verdicts` reads."""
    items = sample(hostile=True).items
    open_new(browser, page)
    assert browser.ask("document.getElementById('save').disabled")
    browser.ask("(e => { e.value = 'Ada “X”'; e.dispatchEvent(new Event('change')) })(document.getElementById('by'))")
    for i, said in enumerate(("keep", "drop", "unsure")):
        browser.ask(f"document.querySelectorAll('article')[{i}].querySelector('[data-verdict={said}]').click()")
    browser.ask("document.querySelectorAll('article')[0].querySelector('[data-verdict=drop]').click()")
    browser.ask("(e => { e.value = 'wrong df\\n'; e.dispatchEvent(new Event('change')) })"
                "(document.querySelectorAll('article')[1].querySelector('input'))")  # fmt: skip
    browser.ask("document.querySelectorAll('article')[3].focus()")
    browser.press("k", 75)
    browser.press("d", 68)  # of the next one, to which the focus went
    assert browser.ask("document.getElementById('done').textContent") == "5"
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(e => e.dataset.verdict)"
    assert browser.ask(pressed) == ["drop", "drop", "unsure", "keep", "drop"]

    browser.open(page, 1280)  # a page that is closed and opened again
    assert browser.ask(pressed) == ["drop", "drop", "unsure", "keep", "drop"]
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.ask("document.getElementById('save').click()")
    path = tmp_path / f"verdicts-{sample(hostile=True).name}.jsonl"
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, list(tmp_path.iterdir())
        time.sleep(0.05)
    found = read_verdicts(path)
    assert [(v.id, v.row, v.verdict) for v in found] == [
        (item.row["id"], item.digest, said)
        for item, said in zip(items, ("drop", "drop", "unsure", "keep", "drop"), strict=False)
    ]
    assert {v.by for v in found} == {"Ada “X”"} and found[1].note == "wrong df"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", v.at) for v in found)
    assert len(path.read_text().splitlines()) == 5 and all(map(json.loads, path.read_text().splitlines()))


@in_browser
def test_only_what_is_left(browser: Browser, page: Path) -> None:
    open_new(browser, page)
    browser.ask("document.querySelectorAll('article')[0].querySelector('[data-verdict=keep]').click()")
    browser.ask("document.activeElement.blur()")
    browser.ask("document.getElementById('only').click()")
    assert browser.ask("[...document.querySelectorAll('article')].filter(e => !e.hidden).length") == 6
