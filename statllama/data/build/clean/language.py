"""The language of a text, by py3langid: naive Bayes over byte n-grams, offline, 140 languages, BSD-3.

Its probabilities are low for what is no language (0.02 for a table of numbers), so a text is left out only where
another language is certain. Judged on prose: of 6,881 lines of a statistics textbook 1,066 were not English to it, none
of which is prose in another language.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from statllama.data.build.clean.prose import Text
from statllama.errors import DataError, near

FEW = 20
"""Words of prose below which no language is told."""
SAMPLE = 1_000  # characters: the model reads 0.25 MB a second, and more of a text does not change its answer
_NO_LANGUAGE = ("zxx", "und")


def detector_version() -> str:
    """Return the detector's version, which is part of what decides a result. DataError when it is not installed."""
    try:
        return version("py3langid")
    except PackageNotFoundError:
        raise DataError(
            "`clean.language` needs py3langid, which is not installed",
            remedy="pip install 'statllama[build]', or set `language: null`",
        ) from None


def check_language(code: str) -> None:
    """Raise DataError for a language that the detector does not know. Loads the model."""
    if code not in (known := _model().labels):
        raise DataError(f"`clean.language`: the detector does not know {code!r}; {near(code, known)}")


def language_of(text: Text) -> tuple[str, float] | None:
    """Return (code, probability) of the language of a text's prose; None where there is too little of it."""
    if len(text.words) < FEW:
        return None
    code, probability = _model().classify(_sample(text.lines))
    return None if code in _NO_LANGUAGE else (code, probability)


def _sample(lines: list[str]) -> str:
    """Return the beginning of the prose, as whole lines where they are not longer than the sample."""
    taken, size = [], 0
    for line in lines:
        taken.append(line)
        size += len(line)
        if size >= SAMPLE:
            break
    return " ".join(taken)[: 2 * SAMPLE]


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
