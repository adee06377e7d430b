"""Formulas of Word (OMML, ECMA-376 part 1, chapter 22) as LaTeX, as far as it is simple."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_NARY = {"∑": r"\sum", "∏": r"\prod", "∫": r"\int", "⋃": r"\bigcup", "⋂": r"\bigcap"}
_ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot", "\u0308": "ddot",
            "\u20d7": "vec"}  # fmt: skip


def latex_of(formula: Any) -> str:
    """Return an `m:oMath` element as LaTeX without dollar signs; what has no rule is its characters."""
    return " ".join(_all(formula).split())


def _all(element: Any) -> str:
    return "".join(_one(child) for child in element)


def _one(element: Any) -> str:
    name = element.tag.removeprefix(M) if isinstance(element.tag, str) else ""
    if rule := _RULES.get(name):
        return rule(element)
    if name == "t":
        return element.text or ""
    return "" if name.endswith("Pr") else _all(element)


def _part(element: Any, name: str) -> str:
    child = element.find(M + name)
    return _all(child).strip() if child is not None else ""


def _value(element: Any, properties: str, name: str, default: str) -> str:
    """Return the character that a property names, such as the sign of a sum."""
    found = element.find(f"{M}{properties}/{M}{name}")
    return default if found is None else str(found.get(M + "val", ""))


def _scripts(element: Any, sub: str = "sub", sup: str = "sup") -> str:
    below, above = _part(element, sub), _part(element, sup)
    return (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")


def _base(element: Any) -> str:
    """Return what scripts stand on; in braces where it is more than one thing."""
    base = _part(element, "e")
    return base if len(base) == 1 or (base.startswith("\\") and base[1:].isalpha()) else f"{{{base}}}"


def _root(element: Any) -> str:
    degree = _part(element, "deg")
    return rf"\sqrt{f'[{degree}]' if degree else ''}{{{_part(element, 'e')}}}"


def _nary(element: Any) -> str:
    sign = _value(element, "naryPr", "chr", "∫")
    return f"{_NARY.get(sign, sign)}{_scripts(element)} {_part(element, 'e')}"


def _delimited(element: Any) -> str:
    begin, end = _value(element, "dPr", "begChr", "("), _value(element, "dPr", "endChr", ")")
    between = _value(element, "dPr", "sepChr", "|")
    return begin + between.join(_all(part) for part in element.findall(M + "e")) + end


def _accented(element: Any) -> str:
    name = _ACCENTS.get(_value(element, "accPr", "chr", "\u0302"), "hat")
    return rf"\{name}{{{_part(element, 'e')}}}"


def _matrix(element: Any) -> str:
    rows = (" & ".join(_all(cell) for cell in row.findall(M + "e")) for row in element.findall(M + "mr"))
    return r"\begin{matrix} " + r" \\ ".join(rows) + r" \end{matrix}"


def _lines(element: Any) -> str:
    return r"\begin{aligned} " + r" \\ ".join(_all(line) for line in element.findall(M + "e")) + r" \end{aligned}"


_RULES: dict[str, Callable[[Any], str]] = {
    "f": lambda e: rf"\frac{{{_part(e, 'num')}}}{{{_part(e, 'den')}}}",
    "sSup": lambda e: _base(e) + _scripts(e),
    "sSub": lambda e: _base(e) + _scripts(e),
    "sSubSup": lambda e: _base(e) + _scripts(e),
    "limLow": lambda e: f"{_part(e, 'e')}_{{{_part(e, 'lim')}}}",
    "limUpp": lambda e: f"{_part(e, 'e')}^{{{_part(e, 'lim')}}}",
    "func": lambda e: f"{_part(e, 'fName')} {_part(e, 'e')}",
    "bar": lambda e: rf"\overline{{{_part(e, 'e')}}}",
    "rad": _root,
    "nary": _nary,
    "d": _delimited,
    "acc": _accented,
    "m": _matrix,
    "eqArr": _lines,
}
