"""Licences in any spelling, and which are let in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statllama.data.build.licences import normalised, refusal

# What each source really writes, with SPDX's name from https://spdx.org/licenses.
WRITTEN = {
    "http://arxiv.org/licenses/nonexclusive-distrib/1.0/": "arXiv-nonexclusive-distrib-1.0",
    "http://arxiv.org/licenses/assumed-1991-2003/": "arXiv-assumed-1991-2003",
    "http://creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/": "CC-BY-NC-SA-3.0",
    "https://creativecommons.org/licenses/by-nc-nd/4.0/legalcode.en": "CC-BY-NC-ND-4.0",
    "http://creativecommons.org/licenses/by/3.0/us/": "CC-BY-3.0-US",
    "http://creativecommons.org/licenses/publicdomain/": "public-domain",
    "http://creativecommons.org/publicdomain/zero/1.0/": "CC0-1.0",
    "CCBY": "CC-BY",
    "CCBYNCND": "CC-BY-NC-ND",
    "CCBYSA": "CC-BY-SA",
    "CC0": "CC0-1.0",
    "cc0-1.0": "CC0-1.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "CC BY-SA 2.5": "CC-BY-SA-2.5",
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "odc-by": "ODC-By-1.0",
    "gpl-3.0": "GPL-3.0",
    "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International License": "CC-BY-NC-SA-4.0",
    "Creative Commons Attribution 4.0 International": "CC-BY-4.0",
    "publisher-specific, author manuscript": "publisher-specific, author manuscript",
    "other-oa": "other-oa",
    "": None,
    " Unknown ": None,
}
TERMS = ["", "nc", "nd", "sa", "nc-nd", "nc-sa"]


@pytest.mark.parametrize("text", WRITTEN)
def test_as_sources_write_them(text: str) -> None:
    assert normalised(text) == WRITTEN[text]


@given(terms=st.sampled_from(TERMS), version=st.sampled_from(["1.0", "2.0", "2.5", "3.0", "4.0"]), data=st.data())
def test_every_spelling_of_a_creative_commons_licence_is_one(terms: str, version: str, data: st.DataObject) -> None:
    name = "-".join(["by", *filter(None, [terms])])
    gap = data.draw(st.sampled_from([" ", "-", "_"]))
    words = gap.join(["cc", *name.split("-"), version])
    scheme, end = (
        data.draw(st.sampled_from(["http", "https"])),
        data.draw(st.sampled_from(["", "/", "/legalcode", "/deed.en"])),
    )
    spellings = [
        words,
        words.upper(),
        f"{scheme}://creativecommons.org/licenses/{name}/{version}{end}",
        f" cc {name} {version} ",
    ]
    assert {normalised(spelling) for spelling in spellings} == {f"CC-{name.upper()}-{version}"}


@given(st.text(max_size=60) | st.sampled_from(sorted(WRITTEN)))
def test_what_is_normalised_stays(text: str) -> None:
    once = normalised(text)
    assert once is None or normalised(once) == once


def test_which_are_let_in() -> None:
    welcome = ["cc by 4.0", "http://creativecommons.org/publicdomain/zero/1.0/"]
    assert refusal("CC-BY-4.0", welcome) is None and refusal("CC0-1.0", welcome) is None
    assert refusal("CC-BY-NC-4.0", welcome) == "licence CC-BY-NC-4.0 is not among CC-BY-4.0, CC0-1.0"
    assert refusal("CC-BY", welcome) is not None  # whose version nobody knows
    assert refusal(None, welcome) == "licence unknown is not among CC-BY-4.0, CC0-1.0"
    assert refusal(None, [*welcome, "unknown"]) is None and refusal(None, None) is None
    assert refusal("CC-BY-4.0 AND CC-BY-NC-4.0", welcome) is not None
    assert refusal("CC-BY-4.0 AND CC0-1.0", welcome) is None
