"""HTML of posts as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.collect._html import as_text, has_image


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One <b>two</b> <i> three </i>four<br>five</p>\n\n<p>six</p>", "One **two** *three* four\nfive\n\nsix"),
        ("<p>So $x_1 * y < z$ and $$\\frac{a}{b}$$ &amp; more</p>", "So $x_1 * y < z$ and $$\\frac{a}{b}$$ & more"),
        ("<pre><code>x &lt;- 1\n  y = 2\n\n\nz</code></pre>", "```\nx <- 1\n  y = 2\n\n\nz\n```"),
        ("<pre class='lang-r'>a\n```\nb</pre>", "````\na\n```\nb\n````"),
        ("<p>Call <code>f(`x`)</code> or <code>a</code></p>", "Call ``f(`x`)`` or `a`"),
        ("<ul><li>a</li><li><p>b</p><p>c</p></li></ul>", "- a\n- b\n\n  c"),
        ("<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>", "1. a\n\n   - b\n2. c"),
        ("<p><code>`</code></p>", "`` ` ``"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b"),
        ("<h2>Head</h2><hr><p>x<sup>2</sup>, a<sub>ij</sub></p>", "## Head\n\n---\n\nx^2, a_{ij}"),
        ("<p><a href='http://x'>the site</a> <img src='p.png' alt='a plot'></p>", "the site [image: a plot]"),
        (
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
            "| a | b |\n| --- | --- |\n| 1 | 2 |",
        ),
        ("no tags", "no tags"),
        ("<p>open <b>never closed<p>next", "open **never closed**\n\nnext"),
        ("<script>alert(1)</script><p>x</p>", "x"),
        ("", ""),
    ],
)
def test_what_becomes_of_html(html: str, text: str) -> None:
    assert as_text(html) == text


@given(st.text(alphabet="<>/ab p=\"'&;!-li\n", max_size=200) | st.text(max_size=100))
def test_any_text_is_taken(html: str) -> None:
    assert isinstance(as_text(html), str)


def test_deep_html_ends() -> None:
    assert as_text("<div>" * 5000 + "x" + "</div>" * 5000) == "x"
    assert as_text("<b>" * 5000 + "x").strip("*") == "x"


def test_images_are_seen() -> None:
    assert has_image("<p><IMG src=x></p>") and not has_image("<p>imagine &lt;img&gt;</p>")
