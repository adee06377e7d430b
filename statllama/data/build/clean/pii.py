"""Personal data in a text: addresses and numbers that belong to somebody, each with the checks that its kind allows.

Texts on statistics are full of numbers, so a number counts only when its form and its check digits say that it is one:
Luhn's sum of a card (ISO/IEC 7812-1), the remainder 97 of an IBAN (ISO 13616), the parts that a US social security or
telephone number can have. E-mail addresses need a top-level domain that exists. Addresses of documentation
(`example.com`, RFC 2606; 192.0.2.1, RFC 5737) belong to nobody and stay.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_TOP_LEVEL = """
com org net edu gov mil int info biz name pro coop museum aero jobs mobi travel tel cat asia xxx post arpa dev app
io ai cloud online site tech store blog email science academy university institute berlin wien paris london nyc eus
ac ad ae af ag al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg
ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh
gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in iq ir is it je jm jo jp ke kg kh ki km kn kp kr
kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne
nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk
sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi
vn vu wf ws ye yt za zm zw
"""
_TOP = frozenset(_TOP_LEVEL.split())
_NOBODY = re.compile(r"(?:^|[.@])(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$")
# Codes of ITU-T E.164, assigned to countries.
_COUNTRIES = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-368]|2[2-46]\d|25[0-8]|29[0179]|35\d|37\d|38[0-35-79]"
    r"|42[013]|50\d|59\d|67[02-9]|68[0-35-9]|69[0-2]|85[02356]|880|886|96[0-8]|97[0-79]|99[2-68])"
)
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
# By their first digits. Visa's of 13 digits are no longer issued, and a product of numbers may look like one.
_CARDS = re.compile(
    r"4\d{15}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14}"
)
_LEAST_OCTET = 64


@dataclass(frozen=True)
class Kind:
    """A kind of personal data. `near`: a part without which a text has none, looked for first; `holds`: whether a match
    is one in truth.
    """

    name: str
    words: str
    placeholder: str
    near: re.Pattern[str]
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool] = lambda found: True


def luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of those before it (ISO/IEC 7812-1, annex B).

    >>> luhn("79927398713"), luhn("79927398710")
    (True, False)
    """
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Return whether a text is an IBAN: its country's length, and 1 as remainder by 97 (ISO 13616-1).

    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB83 WEST 1234 5698 7654 32")
    (True, False)
    """
    plain = re.sub(r"[ -]", "", text)
    if len(plain) != _IBAN_LENGTHS.get(plain[:2]):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _email(found: re.Match[str]) -> bool:
    domain = re.sub(r"\s*[\[(]\s*(?:dot|\.)\s*[\])]\s*|\s+dot\s+", ".", found["domain"].lower())
    return domain.rpartition(".")[2] in _TOP and not _NOBODY.search(domain)


def _card(found: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", found[0])
    return _CARDS.fullmatch(digits) is not None and luhn(digits)


def _ip(found: re.Match[str]) -> bool:
    """Return whether a match is a public address. Numbers of sections and versions are small: of IPv4, one part must
    be 64 or more, as of 99.6 % of all addresses.
    """
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and max(address.packed) >= _LEAST_OCTET
    return address.is_global and address in ipaddress.ip_network("2000::/3")


def _phone(found: re.Match[str]) -> bool:
    """Return whether a match has as many digits as a telephone number: 8 to 15 with a country's code (E.164), else 7 or
    more behind a label.
    """
    digits = re.sub(r"\D", "", found[0])
    return (8 if found["plus"] else 7) <= len(digits) <= 15 and len(set(digits)) > 2


_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_+-])?"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})?\.){1,6}[A-Za-z]{2,12}"
_AT = r"(?:\s?@\s?|\s?[\[(]\s?(?:at|@)\s?[\])]\s?)"
_DOT = r"(?:\.|\s?[\[(]\s?(?:dot|\.)\s?[\])]\s?)"
_SEPARATED = r"[ .\-/\u00a0\u2010\u2011]{1,2}"
KINDS = (
    Kind(
        "email", "e-mail address", "[EMAIL]", re.compile(r"@|[\[(] ?at ?[\])]"),
        re.compile(
            rf"(?<![\w.@%+-])(?:\{{[^{{}}\n@]{{1,200}}\}}|{_LOCAL}){_AT}"
            rf"(?P<domain>(?:[A-Za-z0-9-]{{1,63}}{_DOT}){{1,6}}[A-Za-z]{{2,12}})(?![\w@-]|\.\w)"
        ),
        _email,
    ),
    Kind(
        "key", "key or token", "[KEY]",
        re.compile(r"AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|sk-|hf_|[spr]k_live_|npm_|pypi-|eyJ|PRIVATE"),
        re.compile(
            r"(?<![\w-])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,90}|glpat-[\w-]{20}"
            r"|xox[abeprs]-[\w-]{20,200}|AIza[\w-]{35}|sk-(?=[\w-]{0,180}\d)[\w-]{32,180}|hf_[A-Za-z0-9]{34}"
            r"|[spr]k_live_[A-Za-z0-9]{24,99}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,250}"
            r"|eyJ[\w-]{15,800}\.eyJ[\w-]{15,2000}\.[\w-]{20,1000})(?![\w-])"
            r"|-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY-----.{0,8000}?-----END (?:[A-Z]{2,10} )?PRIVATE KEY-----",
            re.DOTALL,
        ),
    ),
    Kind(
        "iban", "IBAN", "[IBAN]", re.compile(r"\b[A-Z]{2}\d{2}[ A-Z0-9]"),
        re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![\w-])"),
        lambda found: iban(found[0]),
    ),
    Kind(
        "card", "card number", "[CARD]", re.compile(r"\d{12}|\d{4}[ -]\d{4,6}[ -]\d{4,5}"),
        re.compile(
            r"(?<![\w.,-])(?<!\d[ \u00a0])(?:\d{14,16}|\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{4}"
            r"|\d{4}(?P<gap2>[ -])\d{6}(?P=gap2)\d{4,5})(?![\w-]|[ \u00a0,.]\d)"
        ),
        _card,
    ),
    Kind(
        "ssn", "US social security number", "[SSN]", re.compile(r"\d{3}-\d\d-\d{4}"),
        re.compile(r"(?<![\w.,/+-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w/-]|[.,]\d)"),
    ),
    Kind(
        "ip", "IP address", "[IP]", re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9a-fA-F]:[0-9a-fA-F]{0,4}:"),
        re.compile(
            r"(?<![\w.,:-])(?:(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|[.,]\d)|(?:[0-9a-fA-F]{1,4}:){1,7}(?::?[0-9a-fA-F]{1,4}){1,7}"
            r"(?![\w:]))"
        ),
        _ip,
    ),
    Kind(
        "phone", "telephone number", "[PHONE]",
        re.compile(r"\+ ?\(?\d|\d{3}[-. )/]{1,2}\d{3}[-. ]\d{4}|(?i:tel|phone|fax|mobile|cell)"),
        re.compile(
            rf"(?<![\w.,)=*/^+-])(?<![\d)] )(?<!\b[A-Za-z] )(?P<plus>\+){_COUNTRIES}"  # no sum, as x +12 34 56
            rf"(?:{_SEPARATED}(?:\(0\) ?)?\(?\d{{1,5}}\)?){{2,6}}(?![\w-]|[.,]\d)"
            r"|(?<![\w.,+-])(?<!\d )(?P<na>(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d-)[2-9]\d\d-\d{4})(?![\w-]|[.,]\d)"
            r"|(?<!\w)(?i:tel(?:ephone)?|phone|fax|mobile|cell)(?i: no| number)?\.?(?::| ) ?"
            r"(?P<label>\+?\(?\d[\d ()./\u2010-\u2012-]{5,18}\d)(?![\w-]|[.,]\d)"
        ),
        _phone,
    ),
)  # fmt: skip
"""All kinds, those first whose matches hold digits that another kind would take for its own."""


def found_in(text: str, kinds: Iterable[str]) -> dict[str, int]:
    """Return {kind: how many of it stand in the text}, of those that do."""
    return redacted(text, kinds)[1]


def redacted(text: str, kinds: Iterable[str]) -> tuple[str, dict[str, int]]:
    """Return the text with placeholders in place of personal data, and {kind: how many were replaced}.

    Redacted text has none left: what a replacement uncovers is replaced too.

    >>> redacted("Write to ann.lee@uni-ulm.de or +49 731 50 10.", ["email"])
    ('Write to [EMAIL] or +49 731 50 10.', {'email': 1})
    """
    wanted, counts = frozenset(kinds), dict[str, int]()
    again = True
    while again:
        again = False
        for kind in KINDS:
            if kind.name not in wanted or not kind.near.search(text):
                continue
            text, replaced = _replaced(text, kind)
            if replaced:
                counts[kind.name] = counts.get(kind.name, 0) + replaced
                again = True
    return text, counts


def _replaced(text: str, kind: Kind) -> tuple[str, int]:
    count = 0

    def placeholder(found: re.Match[str]) -> str:
        nonlocal count
        if not kind.holds(found):
            return found[0]
        count += 1
        label = found.groupdict().get("label")
        return kind.placeholder if label is None else found[0].removesuffix(label) + kind.placeholder

    return kind.pattern.sub(placeholder, text), count


def words_of(kind: str) -> str:
    """Return what a kind of personal data is called."""
    return next(known.words for known in KINDS if known.name == kind)
