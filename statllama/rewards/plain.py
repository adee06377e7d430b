"""Answers in one plain spelling: Unicode, Markdown and simple LaTeX become the characters that `quantities` reads."""

from __future__ import annotations

import re
import unicodedata

_MINUS = dict.fromkeys(map(ord, "−‐‑‒﹣－➖"), "-")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufe0f\ufeff]")  # such as a zero-width space
_VULGAR = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_SUPERSCRIPT = {ord(c): d for c, d in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True)}
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_THIN = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_WORDED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
_SPACES = re.compile(r"\\[,;:! ]|\\q?quad(?![a-z])|\\left(?![a-z])|\\right(?![a-z])|\\displaystyle(?![a-z])")
_SYMBOLS = {
    r"\\times(?![a-z])": "×", r"\\cdot(?![a-z])": "·", r"\\pm(?![a-z])": "±", r"\\approx(?![a-z])": "≈",
    r"\\leq?(?![a-z])": "≤", r"\\lt(?![a-z])": "<", r"\^\{?\\(?:circ|degree)\}?": "°", r"\\degree(?![a-z])": "°",
    r"\\%": "%", r"\\\$": "$", r"\\#": "#", r"\\_": "_", r"\{,\}": ",",
}  # fmt: skip
_FRACTION = re.compile(
    r"(?:(?<=\d)\s*)?\\[dtc]?frac\s*(?:\{\s*([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}|(\d)\s*(\d)|(\d)\s*\{\s*(\d+)\s*\})"
)
_DELIMITERS = re.compile(r"\\[()\[\]]|\$\$")
_DOLLARS = re.compile(r"\$([^$]{0,200})\$")
_POWER = re.compile(
    r"(?:(?<=\d)\s?[x×·*]\s?|(?<![\w.,^]))10\s?\^\s?(?:\{\s?([-+]?\d{1,3})\s?\}|\(?([-+]?\d{1,3})\)?)(?!\d)"
)


def plain(text: str) -> str:
    r"""Return `text` without Markdown, with ASCII minus signs and digits, and with simple LaTeX written out.

    What is no simple LaTeX stays as it was.

    >>> plain(r"$\dfrac{3}{4}$"), plain("−1½ %"), plain("1.2 × 10⁻³"), plain("**12**.")
    ('3/4', '-1 1/2 %', '1.2e-3', '12')
    """
    text = _THIN.sub("", _UNSEEN.sub("", text.translate(_MINUS)))
    text = _VULGAR.sub(" ", text)
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPT), text)
    text = unicodedata.normalize("NFKC", text).replace("⁄", "/")
    text = text.translate(_MINUS)
    text = re.sub(r"(?<=[\d%])\s*[–—]\s*(?=[\d$€£.])", " to ", text)
    text = re.sub(r"[–—](?=[\d$€£.])", "-", text)
    text = _without_latex(_without_markdown(text))
    text = re.sub(r"\b(?:minus|negative)\s+(?=[\d.$€£])", "-", text, flags=re.IGNORECASE)
    text = _POWER.sub(_scientific, text)
    return re.sub(r"\s+", " ", text).strip(" \"'“”‘’,;").rstrip(" .!,;")


def _without_markdown(text: str) -> str:
    text = re.sub(r"\*\*|__|`", "", text)
    return re.sub(r"^\s*\*(?=\S)(.*\S)\*\s*$", r"\1", text)


def _without_latex(text: str) -> str:
    if "\\" not in text and "$" not in text and "{" not in text:
        return text
    text = re.sub(r"\\boxed\s*\{(.*)\}", r"\1", text)
    for pattern, symbol in _SYMBOLS.items():
        text = re.sub(pattern, symbol if symbol != "$" else "\x00", text)
    text = _WORDED.sub(r" \1 ", _SPACES.sub(" ", text))
    text = _DOLLARS.sub(r"\1", _DELIMITERS.sub(" ", text)).replace("\x00", "$")
    return _FRACTION.sub(lambda m: " " + "/".join(part for part in m.groups() if part), text)


def _scientific(found: re.Match[str]) -> str:
    leading = found.string[found.start()]
    return ("1" if leading == "1" else "") + "e" + (found[1] or found[2])
