"""Folds text that looks alike, or is the same but for its encoding, into the same plain characters.

A copied question stays a copy when its letters are written full width or as mathematical symbols, with letters of
another alphabet that look the same, with invisible characters between them, with accents, or with typographic quotes.
Both sides of a comparison are folded, so what is folded too much (a Greek rho is a `p`) does no harm.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that look like a Latin one: those of confusables.txt of Unicode 15.1 (Unicode Technical Standard 39; data file
# under the Unicode License, (c) Unicode, Inc.) that are no compatibility forms, of the alphabets in which text is
# disguised (Latin, Greek, Cyrillic, Armenian, Coptic, Cherokee, Lisu), each with its other case. What that file says of
# ASCII itself (`1` for `l`, `0` for `O`, `rn` for `m`) is left out: it would make different words the same.
_LOOKALIKES = {
    "a": "ɑΑαАаᎪⱭꓮꭺ",
    "b": "ƀƁƂƃƄƅɃɓΒβБВЬбвьѢѣҌҍᏏᏴᏼꓐꞴꞵꮟ",
    "c": "ȻȼСсҪҫᏟᴄⲤⲥꓚꮯ",
    "d": "ÐðĐđƉƊƋƌɖɗԀԁᎠᏧꓒꓓꭰꮷ",
    "e": "ɆɇΕεЕеҼҽҾҿᎬꓰꬲꭼ",
    "f": "ƑƒϜϝՔքᵮẝꓝꞘꞙꬵ",
    "g": "ƍƓǤǥɠɡԌԍՑցᏀᏳᏻᶃꓖꞬꮐ",
    "h": "ĦħɦΗЋНнћҢңҺһӇӈӉӊՀհᎻᏂᏲᏺⱧⱨⲎⲏꓧꚔꚕꞪꮋꮒ",
    "i": "ıƖƗɨɩɪΙιІіӀӏᎥᵻᵼⲒⲓꙆꙇꞮꭵ",
    "j": "ɈɉʝͿϳЈјᎫꓙꞲꭻ",
    "k": "ƘƙΚκКкҚқҞҟᏦⱩⱪⲔⲕꓗꝀꝁꮶ",
    "l": "ŁłƚǀȽɫɭᏞⱢⳐⳑꓡꓲꮮ",
    "m": "ΜμϺϻМмӍӎᎷⲘⲙꓟꭑꮇ",
    "n": "ƝƞȠɲɳΝηՈՌոռᵰⲚⲛꓠ",
    "o": "ØøƟǾɵΘΟΣθοσОоѲѳӨөՕօᎤᎾᏫᴏᴑⲞⲟꓳꝊꝋꬽꬾꭴꮎꮻ",
    "p": "ƤƥΡρРрᏢᵽⱣⲢⲣꓑꮲ",
    "q": "ʠԚԛԳԶգզ",
    "r": "ƦɌɍɼɽʀГгҒғᎡᎱᏒᴦᵲⱤⲄⲅꓣꭇꭈꭱꮁꮢ",
    "s": "ƼƽʂЅѕՏտᏕᏚᵴꓢꜱꟅꮥꮪ",
    "t": "ŦŧƫƬƭƮȾʈΤτТтҬҭᎢᵵⱦⲦⲧꓔꭲ",
    "u": "ƲɄʉʋυՍսᏌᴜᵾꓴꞞꞟꭎꭒꮜ",
    "v": "νѴѵᏙᴠꓦꮩ",
    "w": "ƜɯѠѡѼѽԜԝԱաᎳᏔᴡꓪꝠꝡꮃꮤ",
    "x": "ΧχХхҲҳⲬⲭꓫꞳꭓ",
    "y": "ƔƳƴɎɏɣʏΓΥγУуҮүҰұᎩᎽᶌỾỿⲨⲩꓬꭚꭹꮍ",
    "z": "ƵƶȤȥʐΖζᏃᴢᵶꓜꮓ",
}
_LATIN = {look: letter.upper() if look.isupper() else letter for letter, looks in _LOOKALIKES.items() for look in looks}
_PUNCTUATION = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02b9\u02bb\u02bc\u02c8\ua78c\uff07", "'"),
    **dict.fromkeys("\u2010\u2011\u2012\u2212\u02d7\u2796", "-"),
    **dict.fromkeys("\u00d7\u2715\u2a2f", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044", "/"),
}
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"  # letters and symbols without a mark
_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn")
_MARKS = (
    *((0x0300, 0x036F), (0x0483, 0x0489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF)),
    *((0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xE0100, 0xE01EF)),
)
"""Blocks of combining marks that decorate letters of any alphabet, and of variation selectors. Marks of one script
(vowels of Hindi, points of Hebrew) are no decoration."""
_STACKED = re.compile(r"[^\w\s!-/:-@\[-`{-~]{31,}")  # marks are no letters: a flood of them lies in such a run
_MOST_MARKS = 30  # on one character (Unicode Standard Annex 15, stream-safe text); more take quadratic time to sort
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


class _Folded(dict[int, str]):
    """Code point -> its folded text, worked out at first use; for `str.translate`."""

    def __missing__(self, point: int) -> str:
        found = self[point] = _folded_character(chr(point))
        return found


_FOLDED = _Folded()


def folded(text: str) -> str:
    """Return the text in plain characters: compatibility forms, lookalikes, digits, quotes and accents folded,
    invisible characters gone. Spaces, lines and case stay.

    >>> folded("Whаt is the ｍｅａｎ\\u200b of １２ “vаlues”?")
    'What is the mean of 12 "values"?'
    """
    if _CONTROL.search(text):
        text = _CONTROL.sub("", text)
    if text.isascii():
        return text
    text = _STACKED.sub(_first_marks, text).replace("\u00b4", "'")  # whose compatibility form begins with a space
    plain = unicodedata.normalize("NFKC", text)
    return _NOT_ASCII.sub(lambda run: run[0].translate(_FOLDED), plain)


def _first_marks(run: re.Match[str]) -> str:
    """Return a run of characters that are no letters with at most `_MOST_MARKS` combining ones in a row."""
    kept, marks = [], 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _folded_character(character: str) -> str:
    if (known := _LATIN.get(character) or _PUNCTUATION.get(character)) is not None:
        return known
    if character.isspace():
        return "\n" if character in "\x85\u2028\u2029" else " "
    category = unicodedata.category(character)
    if category in _INVISIBLE or character in _FILLERS or _is_mark(character):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("Pi", "Pf"):
        return '"'
    base = unicodedata.normalize("NFKD", character)
    if category[0] != "L" or not any(map(_is_mark, base)):
        return character  # also a syllable of hangul, which would fall into its letters
    plain = "".join(part for part in base if not _is_mark(part))
    return "".join(_LATIN.get(part, part) for part in plain)


def _is_mark(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _MARKS)
