"""Each form of file against what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statllama.data.build.extract.forms import form_module, form_names
from statllama.data.build.extract.forms._tex_source import without_comments
from statllama.data.build.extract.options import Options
from statllama.data.build.extract.outline import Block, Extracted, sections_of
from statllama.data.build.headings import kind_of_heading
from tests.data.build.extract.test_hostile import archive, document_xml

Write = Callable[[str, str | bytes], Path]


def read(path: Path) -> Extracted:
    return form_module(path.suffix[1:]).read(path, Options())


def shown(extracted: Extracted) -> list[tuple[int, str]]:
    """(level, text) of each block; footnotes at -1."""
    return [(-1 if block.note else block.level, block.text) for block in extracted.blocks]


def test_forms_are_found_by_name() -> None:
    assert form_names() == ("docx", "html", "md", "pdf", "tex", "txt")


HTML = r"""<!DOCTYPE html><html><head><title>Site | Page</title><style>p {}</style><script>evil()</script></head><body>
<header><a href="/">Home</a></header><nav><ul><li><a>One</a></li></ul></nav>
<div class="sidebar">Buy this</div>
<article><header><h1>On <em>Means</em></h1></header>
<p>First   paragraph with <b>bold</b>,<br>a new line &amp; an entity.</p>
<div>Loose text<p>then a paragraph</p>and loose text again</div>
<h2 id="m">2 Methods</h2>
<p>Here <math alttext="x^2"><mi>x</mi></math> and <math><semantics><mi>y</mi>
<annotation encoding="application/x-tex">\bar y</annotation></semantics></math>.</p>
<p><math display="block" alttext="\sum_i x_i"><mi>s</mi></math></p>
<script type="math/tex">\alpha</script>
<ul><li>an item</li><li>another<ol><li>within</li><li>it</li></ol></li></ul>
<ul><li><a href="a">Link</a></li><li><a href="b">Link</a></li><li><a href="c">Link</a></li></ul>
<table><caption>Table 1: Sizes</caption><tr><th>Group</th><th>n</th></tr><tr><td>A</td><td>4</td></tr></table>
<table><tr><td>Only for layout</td></tr></table>
<pre>x &lt;- 1
  y</pre>
<p style="display: none">hidden</p><p aria-hidden="true">hidden</p>
</article><footer>Imprint</footer></body></html>"""


def test_html(write: Write) -> None:
    extracted = read(write("a.html", HTML))
    assert extracted.title == "On Means"
    assert shown(extracted) == [
        (1, "On Means"),
        (0, "First paragraph with bold,\na new line & an entity."),
        (0, "Loose text"),
        (0, "then a paragraph"),
        (0, "and loose text again"),
        (2, "2 Methods"),
        (0, r"Here $x^2$ and $\bar y$."),
        (0, r"$$\sum_i x_i$$"),
        (0, r"$\alpha$"),
        (0, "- an item"),
        (0, "- another"),
        (0, "1. within"),
        (0, "2. it"),
        (0, "Table 1: Sizes"),
        (0, "Group | n\nA | 4"),
        (0, "Only for layout"),
        (0, "x <- 1\n  y"),
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<p>naïve</p>".encode(), "naïve"),
        ("<meta charset='iso-8859-1'><p>naïve</p>".encode("latin-1"), "naïve"),
        ("<p>naïve</p>".encode("utf-16"), "naïve"),
        ("<p>naïve</p>".encode("latin-1"), "naïve"),
    ],
)
def test_html_in_any_encoding(write: Write, data: bytes, text: str) -> None:
    assert [block.text for block in read(write("a.html", data)).blocks] == [text]


MD = r"""---
title: "A *front* title"
---
# Means

Some *emphasis*, `code` and a [link](http://a.b), with $a_1 * b_1 * c$ and \(x_i\).
Next line.

$$
\hat\mu = \frac{1}{n} \sum_i x_i
$$

## Results
- one
- two, which
  goes on
  1. deep

| a | b |
|---|---|
| 1 | $x$ |

```r
x <- 1
```
<div>raw <b>words</b></div>

<!-- gone -->
It costs $5 and $6, <i>all</i>.
"""


def test_markdown(write: Write) -> None:
    extracted = read(write("a.md", MD))
    assert extracted.title == "A *front* title"
    assert shown(extracted) == [
        (1, "Means"),
        (0, r"Some emphasis, code and a link, with $a_1 * b_1 * c$ and \(x_i\). Next line."),
        (0, "$$\n\\hat\\mu = \\frac{1}{n} \\sum_i x_i\n$$"),
        (2, "Results"),
        (0, "- one"),
        (0, "- two, which goes on"),
        (0, "1. deep"),
        (0, "a | b\n1 | $x$"),
        (0, "x <- 1"),
        (0, "raw words"),
        (0, "It costs $5 and $6, all."),
    ]


TEX = r"""\documentclass{article} % a comment
\usepackage{amsmath}
\newcommand{\E}[1]{\mathbb{E}\left[#1\right]}
\newcommand{\norm}[2][2]{\lVert #2 \rVert_{#1}}
\def\name{StatModel}
\DeclareMathOperator{\Var}{Var}
\newtheorem{thm}{Theorem}
\title[Short]{On \emph{Means} of na\"{\i}ve things}
\begin{document}
\maketitle
\begin{abstract} We show 50\% of things. % hidden
It's ``good'' -- really.
\end{abstract}
\section{Introduction}\label{sec:i}
As \citet[see][p.~3]{smith} and \cite{a,b} say of \name{}, $\E{X} = \norm{\mu} + \norm[1]{y}$; Section~\ref{sec:i}.
\begin{equation}\label{e}
  \hat\mu = \frac1n \sum x_i % why
\end{equation}
where $n$ is.\footnote{A note.}

\begin{align*} a &= b \\ c &= \Var x \nonumber \end{align*}

A new paragraph with \verb|a_b%c|, \textbf{bold \textit{it}}, \href{http://a.b}{a link} and Erd\H{o}s.
\begin{enumerate}\item One \item[Key] Two \end{enumerate}
\begin{table}[ht]\centering\caption{Sizes.}
\begin{tabular}{l|r} \hline a & b \\ \midrule 1 & \multicolumn{1}{c}{2} \\ \bottomrule\end{tabular}\end{table}
\begin{thm}[Nice] It holds. \end{thm}
\begin{proof} Clear. \end{proof}
\begin{verbatim}
x % y
\end{verbatim}
\begin{comment} gone \end{comment}
\paragraph{Remark} Last.
\input{other}
\begin{thebibliography}{9}\bibitem[S20]{smith} Smith, J. (2020). \end{thebibliography}
\appendix
\section{More}
\subsection{Still more} The end.
\end{document}
junk"""


def test_latex(write: Write) -> None:
    extracted = read(write("a.tex", TEX))
    assert extracted.title == "On Means of naïve things"
    assert extracted.left_out == [("file put in by LaTeX", r"\input{other}", "not followed")]
    sections = sections_of(extracted.blocks)
    assert [(s["level"], s["kind"], s["heading"]) for s in sections] == [
        (1, "abstract", "Abstract"),
        (1, "introduction", "Introduction"),
        (1, "references", "References"),
        (1, "appendix", "Appendix"),
        (2, "appendix", "More"),
        (3, "appendix", "Still more"),
    ]
    assert sections[0]["text"] == "We show 50% of things. It’s “good” – really."
    assert sections[1]["text"].split("\n\n") == [
        r"As [smith] and [a, b] say of StatModel, "
        r"$\mathbb{E}\left[X\right] = \lVert \mu \rVert_{2} + \lVert y \rVert_{1}$; Section [sec:i].",
        r"$$\hat\mu = \frac1n \sum x_i$$",
        "where $n$ is.",
        r"$$\begin{aligned} a &= b \\ c &= \operatorname{Var} x \end{aligned}$$",
        "A new paragraph with a_b%c, bold it, a link and Erdős.",
        "1. One",
        "- Key: Two",
        "Sizes.",
        "a | b\n1 | 2",
        "Theorem (Nice). It holds.",
        "Proof. Clear.",
        "x % y",
        "Remark. Last.",
        "A note.",
    ]
    assert sections[2]["text"] == "[smith] Smith, J. (2020)." and sections[-1]["text"] == "The end."


def test_latex_comments() -> None:
    assert without_comments("a % b\n  c\\%d \\\\% e\nf \\verb|%| g % \\verb|x|\nh") == "a c\\%d \\\\f \\verb|%| g h"


TXT = (
    "A Title\n=======\n\nFirst line\nsecond line.\n\n1 Introduction\n\nText.\r\n\r\n1.2 Data\n\n"
    "12 Apples were eaten.\n\nReferences\n\nA, B."
)


def test_text(write: Write) -> None:
    assert shown(read(write("a.txt", TXT))) == [
        (1, "A Title"),
        (0, "First line\nsecond line."),
        (1, "1 Introduction"),
        (0, "Text."),
        (2, "1.2 Data"),
        (0, "12 Apples were eaten."),
        (1, "References"),
        (0, "A, B."),
    ]
    assert read(write("b.txt", "na\u00efve".encode("utf-16"))).blocks[0].text == "naïve"
    assert read(write("c.txt", b"na\xefve \x93x\x94")).blocks[0].text == "naïve “x”"


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def p(*runs: str, style: str = "", properties: str = "") -> str:
    style = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{style}{properties}</w:pPr>{''.join(runs)}</w:p>"


def r(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def m(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def item(number: int) -> str:
    return f'<w:numPr><w:ilvl w:val="0"/><w:numId w:val="{number}"/></w:numPr>'


FORMULA = (
    f'<m:oMath xmlns:m="{M}"><m:acc><m:accPr><m:chr m:val="&#772;"/></m:accPr><m:e>{m("x")}</m:e></m:acc>{m("=")}'
    f"<m:f><m:num>{m('1')}</m:num><m:den>{m('n')}</m:den></m:f>"
    f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{m("i")}</m:sub><m:sup>{m("n")}</m:sup>'
    f"<m:e><m:sSub><m:e>{m('x')}</m:e><m:sub>{m('i')}</m:sub></m:sSub></m:e></m:nary>"
    f"{m('+')}<m:rad><m:deg/><m:e>{m('y')}</m:e></m:rad></m:oMath>"
)
DOCUMENT = document_xml(
    p(r("A report"), style="Title")
    + p(r("Intro"), r("duction"), style="h")
    + p(
        r("See "),
        f"<w:hyperlink>{r('this')}</w:hyperlink>",
        '<w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t><w:footnoteReference w:id="2"/></w:r>',
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>",
        f"<w:ins>{r(' added')}</w:ins>",
    )
    + p(FORMULA, r(" holds."))
    + p(r("Own"), style="own")
    + p(r("a bullet"), properties=item(1))
    + p(r("first"), properties=item(2))
    + p(r("second"), properties=item(2))
    + f"<w:tbl><w:tr><w:tc>{p(r('Group'))}</w:tc><w:tc>{p(r('n'))}</w:tc></w:tr>"
    f"<w:tr><w:tc>{p(r('A'))}</w:tc><w:tc>{p(r('4'))}{p(r('5'))}</w:tc></w:tr></w:tbl>"
)


def styled(style_id: str, name: str, more: str = "") -> str:
    return f'<w:style w:styleId="{style_id}"><w:name w:val="{name}"/>{more}</w:style>'


DOCX = {
    "word/document.xml": DOCUMENT,
    "word/styles.xml": f'<w:styles xmlns:w="{W}">'
    + styled("Title", "Title")
    + styled("h", "heading 1")
    + styled("base", "Base", '<w:pPr><w:outlineLvl w:val="1"/></w:pPr>')
    + styled("own", "My own", '<w:basedOn w:val="base"/>')
    + styled("loop", "Loop", '<w:basedOn w:val="loop"/>')
    + "</w:styles>",
    "word/numbering.xml": f'<w:numbering xmlns:w="{W}">'
    + "".join(
        f'<w:abstractNum w:abstractNumId="{k}"><w:lvl w:ilvl="0"><w:numFmt w:val="{kind}"/></w:lvl></w:abstractNum>'
        for k, kind in ((7, "bullet"), (8, "decimal"))
    )
    + "".join(f'<w:num w:numId="{k}"><w:abstractNumId w:val="{k + 6}"/></w:num>' for k in (1, 2))
    + "</w:numbering>",
    "word/footnotes.xml": f'<w:footnotes xmlns:w="{W}"><w:footnote w:id="2">'
    f"{p(r('A note.'))}</w:footnote></w:footnotes>",
}


def test_docx(write: Write) -> None:
    extracted = read(write("a.docx", archive(DOCX)))
    assert extracted.title == "A report"
    assert shown(extracted) == [
        (1, "A report"),
        (1, "Introduction"),
        (0, "See this tab\nline added"),
        (-1, "A note."),
        (0, r"$\bar{x}=\frac{1}{n}\sum_{i}^{n} x_{i}+\sqrt{y}$ holds."),
        (2, "Own"),
        (0, "- a bullet"),
        (0, "1. first"),
        (0, "2. second"),
        (0, "Group | n\nA | 4 5"),
    ]


def blocks(*given: tuple[int, str]) -> list[Block]:
    return [Block(text, level) for level, text in given]


def test_sections_inherit_what_their_headings_do_not_say() -> None:
    found = sections_of(
        blocks(
            (1, "2 Methods"),
            (0, "a"),
            (2, "2.1 Zebras"),
            (0, "b"),
            (2, "2.2 Results"),
            (0, "c"),
            (1, "Zebras"),
            (0, "d"),
            (1, "References"),
            (0, "e"),
            (1, "B Zebras"),
            (0, "f"),
            (2, "Zebras"),
        )
    )
    kinds = ["methods", "methods", "results", "other", "references", "appendix", "appendix"]
    assert [section["kind"] for section in found] == kinds
    assert kind_of_heading("Zebras") == "other"


def test_an_abstract_without_a_heading() -> None:
    found = sections_of(
        blocks((1, "A paper"), (0, "Ann"), (0, "Abstract—We show it."), (0, "More."), (1, "1 Introduction"))
    )
    assert [(s["heading"], s["kind"], s["text"]) for s in found][1] == ("Abstract", "abstract", "We show it.\n\nMore.")


def test_the_title_has_no_kind() -> None:
    """A paper on estimation is not all methods."""
    found = sections_of(blocks((1, "Estimation"), (0, "a"), (2, "Zebras"), (0, "b")), "Estimation")
    assert [section["kind"] for section in found] == ["other", "other"]


def test_text_above_the_first_heading_and_notes_below() -> None:
    made: list[Any] = [Block("first", page=1), Block("note", page=1, note=True), Block("last", page=1, last_page=2)]
    (section,) = sections_of(made)
    assert section == {"heading": "", "level": 1, "kind": "other", "text": "first\n\nlast\n\nnote", "pages": [1, 2]}
