"""A matplotlib figure as an inline SVG that belongs to the page: its colours and font, text as text, ids of its own.

matplotlib writes fixed colours. Charts are drawn in the stand-ins of `PAINT`, which become CSS variables here: so one
drawing serves light and dark. The same figure always gives the same bytes.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SERIES = 6
"""Number of colours that tell series apart: `series-1` to `series-6`, with markers of their own."""

_NAMES = ("ink", "muted", "line", "grid", "shade", "ground", "accent", *(f"series-{i + 1}" for i in range(SERIES)))
PAINT: Mapping[str, str] = {name: f"#fe00{i:02x}" for i, name in enumerate(_NAMES)}
"""{CSS variable without its dashes: the colour that stands for it while matplotlib draws}"""
_VARIABLES = {value: f"var(--{name})" for name, value in PAINT.items()}

WIDE, NARROW = 860, 328
"""Widths in CSS pixels at which each chart is drawn: for a screen, and for a phone of 360 px. One of them is shown."""

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"#([^\s)\"]+)")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_DECIMAL = re.compile(r"-?\d+\.\d+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@contextmanager
def style(narrow: bool) -> Iterator[None]:
    """Set the style that all charts share, whatever the user's matplotlibrc says. One unit is one CSS pixel."""
    import matplotlib

    ours: Any = {
        "svg.fonttype": "none",  # text stays text: it can be read out, searched and set in the page's font
        "svg.hashsalt": "statllama",
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "figure.dpi": 72,
        "savefig.dpi": 72,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": PAINT["line"],
        "axes.labelcolor": PAINT["muted"],
        "axes.titlelocation": "left",
        "axes.titlesize": "medium",
        "axes.titleweight": "bold",
        "axes.axisbelow": True,
        "grid.color": PAINT["grid"],
        "text.color": PAINT["ink"],
        "xtick.color": PAINT["line"],
        "ytick.color": PAINT["line"],
        "xtick.labelcolor": PAINT["muted"],
        "ytick.labelcolor": PAINT["muted"],
        "legend.frameon": False,
        "font.size": 11 if narrow else 12.5,
        "lines.linewidth": 1.6,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(ours)
        warnings.simplefilter("ignore")  # a glyph that DejaVu lacks: the reader's own fonts are used anyway
        yield


def picture(ident: str, title: str, description: str, draw: Callable[[int], Figure]) -> Markup:
    """Return the figure that `draw(width in CSS pixels)` makes, at both widths; CSS shows the one that fits.

    `ident` must be unique in the page. `title` and `description` are what a screen reader says of the chart.
    """
    parts = []
    for label, width in (("wide", WIDE), ("narrow", NARROW)):
        with style(narrow=width == NARROW):
            parts.append(_inline(draw(width), f"{ident}-{label}", label, title, description))
    return Markup("\n").join(parts)


def clean(text: str) -> str:
    """Return the text without the characters that XML forbids, and without those that turn the direction of what
    follows.
    """
    return _CONTROL.sub("", text)


def _inline(figure: Figure, ident: str, label: str, title: str, description: str) -> Markup:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())
    for child in list(root):
        if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
            root.remove(child)
    _adopt(root, ident)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": f"chart {label}", "role": "img", "aria-labelledby": f"{ident}-title {ident}-desc"}
    for place, (name, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(name, {"id": f"{ident}-{name}"})
        element.text = clean(text)
        root.insert(place, element)
    return Markup(ET.tostring(root, encoding="unicode"))  # ElementTree has escaped all text and attributes


def _adopt(root: ET.Element, ident: str) -> None:
    """Make the elements the page's own: no namespaces, no fixed colour or font, only ids that are used, prefixed."""
    used = {name for e in root.iter() for value in e.attrib.values() for name in _REFERENCE.findall(value)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.tail = None
        if element.tag != "text":
            element.text = None
        given = dict(element.attrib)
        element.attrib.clear()
        for name, value in given.items():
            if name == "style":
                element.set(name, _restyle(value))
            elif name == _HREF or "url(#" in value:
                element.set(name.rpartition("}")[2], value.replace("#", f"#{ident}-"))
            elif name != "id":
                element.set(name, _rounded(value))
            elif value in used:
                element.set(name, f"{ident}-{value}")


def _rounded(value: str) -> str:
    """Return the coordinates to a tenth of a pixel, on one line."""
    return _DECIMAL.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), " ".join(value.split()))


def _restyle(value: str) -> str:
    kept = [part for part in value.split("; ") if not part.startswith("font-family")]
    return _COLOUR.sub(lambda match: _VARIABLES[match[0].lower()], "; ".join(kept))
