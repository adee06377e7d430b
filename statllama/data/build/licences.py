"""Licences by their SPDX identifiers, however a source writes them, and which of them are welcome.

    http://creativecommons.org/licenses/by-nc-sa/4.0/, CC BY-NC-SA 4.0    CC-BY-NC-SA-4.0
    CCBYNC (S2ORC, which keeps no version)                                CC-BY-NC
    http://arxiv.org/licenses/nonexclusive-distrib/1.0/                   arXiv-nonexclusive-distrib-1.0

The last two are no SPDX identifiers, since SPDX has none for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UNKNOWN = "unknown"
"""What a list of welcome licences says to let in what bears none."""

_NAMES = (
    "AFL-3.0|AGPL-3.0|AGPL-3.0-only|AGPL-3.0-or-later|Apache-2.0|Artistic-2.0|BSD-2-Clause|BSD-3-Clause|"
    "BSD-3-Clause-Clear|BSL-1.0|C-UDA-1.0|CDLA-Permissive-1.0|CDLA-Permissive-2.0|CDLA-Sharing-1.0|CECILL-C|"
    "ECL-2.0|EPL-1.0|EPL-2.0|EUPL-1.1|EUPL-1.2|GFDL-1.1|GFDL-1.2|GFDL-1.3|GPL-2.0|GPL-2.0-only|GPL-2.0-or-later|"
    "GPL-3.0|GPL-3.0-only|GPL-3.0-or-later|ISC|LGPL-2.1|LGPL-3.0|LGPL-3.0-only|LPPL-1.3c|MIT|MIT-0|MPL-2.0|"
    "MS-PL|NCSA|ODbL-1.0|ODC-By-1.0|OFL-1.1|OGL-UK-3.0|OSL-3.0|PDDL-1.0|PostgreSQL|Unlicense|WTFPL|Zlib|0BSD"
)
_SPDX = {name.casefold(): name for name in _NAMES.split("|")}
_OTHER_NAMES = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "c-uda": "C-UDA-1.0",
    "gfdl": "GFDL-1.3",
    "isc license": "ISC",
    "public domain": "public-domain",
    "publicdomain": "public-domain",
    "pd": "public-domain",
    "arxiv": "arXiv-nonexclusive-distrib-1.0",
    "arxiv nonexclusive-distrib 1.0": "arXiv-nonexclusive-distrib-1.0",
    "arxiv-nonexclusive-distrib-1.0": "arXiv-nonexclusive-distrib-1.0",
    "arxiv assumed-1991-2003": "arXiv-assumed-1991-2003",
    "arxiv-assumed-1991-2003": "arXiv-assumed-1991-2003",
}
_NOTHING = frozenset(("", "unknown", "none", "null", "nan", "n/a", "unspecified", "not specified", "no license"))
_ARXIV = re.compile(r"(?:https?://)?(?:www\.)?arxiv\.org/licen[sc]es/([\w.-]+?)(?:/([\d.]+))?/?")
_CC_URL = re.compile(r"(?:https?://)?(?:www\.)?creativecommons\.org/(licen[sc]es|publicdomain)/(.+)")
_CC_ZERO = re.compile(
    r"(?:cc|creative commons)?[ _-]*(?:zero|cc ?-?0)(?:[ _-]*(?:v(?:ersion)?\s*)?1\.0)?(?: universal)?"
)
_CC = re.compile(
    r"(?:cc|creative commons)[ _-]*(by|attribution)(?P<terms>(?:[ _-]*(?:nc|nd|sa|non-?commercial|no-?derivat(?:ive)?s"
    r"(?: works)?|share-?alike))*)(?:[ _-]*(?P<version>[1-4]\.\d))?(?:[ _-](?P<port>[a-z]{2}|igo))?"
)
_TERMS = (("NC", re.compile("nc|non-?commercial")), ("ND", re.compile("nd|no-?deriv")), ("SA", re.compile("sa|share")))
_FILLER = re.compile(r"\b(?:the|licen[sc]ed?|international|unported|generic|universal|under|deed)\b")


def normalised(text: str | None) -> str | None:
    """Return the SPDX identifier of a licence; the text itself for one that is not known; None for none.

    A Creative Commons licence without its version stays without: `CC-BY` is not CC-BY-4.0.

    >>> [normalised(text) for text in ("CC BY 4.0", "CCBYNCND", "http://creativecommons.org/publicdomain/zero/1.0/")]
    ['CC-BY-4.0', 'CC-BY-NC-ND', 'CC0-1.0']
    """
    plain = " ".join((text or "").split())
    key = plain.casefold()
    if key in _NOTHING:
        return None
    if known := _SPDX.get(key) or _OTHER_NAMES.get(key) or _OTHER_NAMES.get(re.sub(r"[-_]", " ", key)):
        return known
    if match := _ARXIV.fullmatch(key):
        return f"arXiv-{match[1]}-{match[2]}" if match[2] else f"arXiv-{match[1]}"
    if match := _CC_URL.fullmatch(key):
        return _of_url(match[1], match[2]) or plain
    return _creative_commons(" ".join(_FILLER.sub(" ", key.replace(",", " ")).split())) or plain


def _of_url(folder: str, rest: str) -> str | None:
    parts = [part for part in rest.split("/") if part and not part.startswith(("legalcode", "deed"))]
    if not parts:
        return None
    if folder == "publicdomain":
        return {"zero": "CC0-1.0", "mark": "public-domain"}.get(parts[0])
    if parts[0] == "publicdomain":
        return "public-domain"
    return _creative_commons(f"cc-{parts[0]}" + "".join(f"-{part}" for part in parts[1:3]))


def _creative_commons(key: str) -> str | None:
    if _CC_ZERO.fullmatch(key):
        return "CC0-1.0"
    match = _CC.fullmatch(key)
    if match is None:
        return None
    terms = [name for name, pattern in _TERMS if pattern.search(match["terms"])]
    port = (match["port"] or "").upper()
    return "-".join(["CC-BY", *terms, *filter(None, (match["version"], port if match["version"] else ""))])


def refusal(licence: str | None, welcome: Sequence[str] | None) -> str | None:
    """Return the reason why a document of this licence is left out; None when it is welcome.

    `licence`: as `normalised`, None where none is known, or several joined by ` AND `, all of which must be welcome.
    `welcome`: names in any spelling, `unknown` among them to let in what bears no licence; None lets in everything.
    """
    if welcome is None:
        return None
    names = [normalised(name) or UNKNOWN for name in welcome]
    parts = [UNKNOWN] if licence is None else licence.split(" AND ")
    refused = [part for part in parts if part not in names]
    return f"licence {refused[0]} is not among {', '.join(names)}" if refused else None
