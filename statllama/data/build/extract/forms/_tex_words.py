"""What LaTeX's commands say in running text."""

from __future__ import annotations

import unicodedata

SYMBOLS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "aa": "å",
    "AA": "Å", "i": "ı", "j": "ȷ", "S": "§", "P": "¶", "dots": "…", "ldots": "…", "textellipsis": "…",
    "copyright": "©", "pounds": "£", "dag": "†", "ddag": "‡", "LaTeX": "LaTeX", "TeX": "TeX", "textbackslash": "\\",
    "textasciitilde": "~", "textquoteright": "’", "textquoteleft": "‘", "textquotedblleft": "“",
    "textquotedblright": "”", "textendash": "–", "textemdash": "—", "textdegree": "°", "textregistered": "®",
    "texttrademark": "™", "textbar": "|", "textless": "<", "textgreater": ">", "quad": " ", "qquad": " ",
    "space": " ", "newline": "\n", "linebreak": "\n", "par": "\n\n", "textunderscore": "_", "bullet": "•",
    "textbullet": "•", "slash": "/", "today": "", "and": ", ", "xspace": "",
}  # fmt: skip
SIGNS = {"&": "&", "%": "%", "$": "$", "#": "#", "_": "_", "{": "{", "}": "}", " ": " ", "\n": " ", ",": " ", ";": " ",
         ":": " ", "!": "", "/": "", "-": "", "@": "", "\\": "\n"}  # fmt: skip
"""What a backslash before a character that is no letter says."""
ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
           "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "r": "\u030a", "k": "\u0328", "d": "\u0323",
           "b": "\u0331"}  # fmt: skip
DROPPED = {  # with how many arguments in braces
    "label": 1, "vspace": 1, "hspace": 1, "includegraphics": 1, "bibliographystyle": 1, "setlength": 2,
    "addtolength": 2, "usepackage": 1, "pagestyle": 1, "thispagestyle": 1, "setcounter": 2, "addtocounter": 2,
    "color": 1, "documentclass": 1, "theoremstyle": 1, "newtheorem": 2, "hypersetup": 1, "graphicspath": 1,
    "addcontentsline": 3, "markboth": 2, "markright": 1, "numberwithin": 2, "renewcommand": 2, "newcommand": 2,
    "newenvironment": 3, "phantom": 1, "index": 1, "RequirePackage": 1, "captionsetup": 1, "definecolor": 3,
    "vskip": 0, "hskip": 0, "cmidrule": 1, "cline": 1, "fontsize": 2, "selectfont": 0, "linespread": 1,
    "baselinestretch": 0, "newlength": 1, "multirow": 0, "input": 0, "fancyhead": 1, "fancyfoot": 1, "protect": 0,
    "affil": 1, "thanks": 1, "date": 1, "tikzset": 1,
}  # fmt: skip
FIRST_DROPPED = {"textcolor": 1, "href": 1, "colorbox": 1, "raisebox": 1, "parbox": 1, "resizebox": 2, "scalebox": 1,
                 "multicolumn": 2, "rotatebox": 1, "foreignlanguage": 1, "adjustbox": 1, "makebox": 0}  # fmt: skip
"""Commands whose text follows arguments that are none."""


def accented(letter: str, accent: str) -> str:
    """Return a letter with an accent of `ACCENTS`.

    >>> accented("e", "'")
    'é'
    """
    plain = {"ı": "i", "ȷ": "j"}.get(letter[:1], letter[:1])
    return unicodedata.normalize("NFC", plain + ACCENTS[accent]) + letter[1:]
