"""The language of prose."""

from __future__ import annotations

import pytest

from statllama.data.build.clean.language import check_language, language_of
from statllama.data.build.clean.prose import Text
from statllama.errors import DataError
from tests.data.build.clean.test_quality import MATHS
from tests.data.build.clean.writing import PROSE

LANGUAGES = {
    "de": "Der Standardfehler des Mittelwerts sagt, wie weit der Mittelwert einer Stichprobe von dem der "
    "Grundgesamtheit entfernt zu sein pflegt. Er sinkt mit der Wurzel aus dem Umfang der Stichprobe.",
    "fr": "L'erreur type de la moyenne indique de combien la moyenne d'un échantillon s'écarte en général de celle de "
    "la population. Elle diminue avec la racine carrée de la taille de l'échantillon.",
    "es": "El error estándar de la media indica cuánto suele alejarse la media de una muestra de la media de la "
    "población. Disminuye con la raíz cuadrada del tamaño de la muestra, y se estima con los datos.",
    "pt": "O erro padrão da média indica quanto a média de uma amostra costuma afastar-se da média da população. Ele "
    "diminui com a raiz quadrada do tamanho da amostra e é estimado com os dados que temos.",
    "ru": "Стандартная ошибка среднего показывает, насколько среднее выборки обычно отличается от среднего генеральной "
    "совокупности. Она уменьшается как квадратный корень из объёма выборки, и её оценивают по данным.",
    "en": PROSE,
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_languages_are_told_apart(code: str) -> None:
    found = language_of(Text(LANGUAGES[code]))
    assert found is not None and found[0] == code and found[1] > 0.9


def test_mathematics_is_in_its_language() -> None:
    found = language_of(Text(MATHS))
    assert found is not None and found[0] == "en" and found[1] > 0.65


@pytest.mark.parametrize("text", ["", "Too few words to tell.", "1.4 | 2.2 | 3.1\n" * 50, "x = y + z\n" * 40])
def test_what_has_no_prose_has_no_language(text: str) -> None:
    assert language_of(Text(text)) is None


def test_an_unknown_language_is_told() -> None:
    with pytest.raises(DataError, match="does not know 'xx'"):
        check_language("xx")
    check_language("en")
