"""Which duties a base model's licence puts on a release that is made of it. Loads no torch.

Known are the Llama community licences from 3 on. All ask for the same four things (their sections 1.b.i and 1.b.iii): a
copy of the agreement, a notice file with a given sentence, "Built with Llama" on display, and a name that begins with
"Llama".
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from statllama.model.architectures import architecture, supported
from statllama.store.files import read_json, translate_os_errors

NOTICE = "NOTICE"
MOST_BYTES = 1_000_000  # of a licence file; what is larger is none
_FILES = ("LICENSE*", "LICENCE*", "USE_POLICY*")
_FAMILY = re.compile(r"(?<![a-z])llama[-_ ]?(3\.[123]|3)(?![.\d])", re.IGNORECASE)
_AGREEMENT = re.compile(r"LLAMA (3\.[123]|3) COMMUNITY LICENSE AGREEMENT", re.IGNORECASE)
_LICENCE = re.compile(r"llama(3\.[123]|3)")  # as the hub names it


@dataclass(frozen=True)
class Duties:
    """What a release must carry because of its base."""

    id: str
    """The licence as Hugging Face names it (`llama3.2`), or `other`."""
    name: str
    """In words; empty when the licence is not known."""
    notice: str = ""
    """Text of the file NOTICE; empty: none is needed."""
    built_with: str = ""
    """Words to display prominently; empty: none."""
    prefix: str = ""
    """Required prefix of the name of a model made from this base."""
    files: tuple[Path, ...] = ()
    """The licence's own files in the base's folder, to be copied."""
    warnings: tuple[str, ...] = ()
    """Things that the release lacks, in words."""
    url: str = ""
    """Address of the licence."""


def duties_of(base: Path, model: str) -> Duties:
    """Return the duties of a base. `base`: its folder. `model`: what the recipe calls it (hub id or folder).

    Which licence it is, is read from its licence file, else from its card, its name, and at last its configuration.
    """
    files = tuple(_licence_files(base))
    version = _version(base, model, files)
    if version is not None:
        return _llama(version, files, base)
    stated = _stated(base)
    if stated == "other":
        warning = (
            "The licence of the base is not known: neither its folder nor its card names one. Find out what it allows "
            "before you give the release to anybody."
        )
        return Duties("other", "", files=files, notice=_own_notice(base), warnings=(warning,))
    return Duties(stated, stated, files=files, notice=_own_notice(base))


def _llama(version: str, files: tuple[Path, ...], base: Path) -> Duties:
    name = "Meta Llama 3" if version == "3" else f"Llama {version}"
    place = f"https://www.llama.com/llama{version.replace('.', '_')}"
    notice = (
        f"{name} is licensed under the {name} Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
    )
    own = _own_notice(base)
    missing = not any(_AGREEMENT.search(_text(file)) for file in files)
    warning = (
        f"The {name} Community License asks for a copy of itself in the release, and the base's folder has none: put "
        f"it there as LICENSE.txt. It is at {place}/license, its use policy at {place}/use-policy."
    )
    return Duties(
        id=f"llama{version}",
        name=f"{name} Community License",
        notice=own if notice in own else f"{own}\n\n{notice}".strip(),
        built_with="Built with Meta Llama 3" if version == "3" else "Built with Llama",
        prefix="Llama-3" if version == "3" else "Llama",
        files=files,
        warnings=(warning,) if missing else (),
        url=f"{place}/license",
    )


def named(duties: Duties, name: str) -> str:
    """Return `name` with the prefix that the licence asks for, if it lacks it.

    >>> named(Duties("llama3.2", "", prefix="Llama"), "stats")
    'Llama-stats'
    """
    plain, wanted = (re.sub(r"[-_. ]", "", text).casefold() for text in (name, duties.prefix))
    if not plain.startswith(wanted):
        return f"{duties.prefix}-{name}"
    return f"{duties.prefix[:1]}{name[1:]}" if duties.prefix else name


def write_licences(duties: Duties, out: Path) -> list[str]:
    """Write NOTICE and copy the licence's files into `out`; their names, sorted."""
    written = []
    with translate_os_errors(out):
        for file in duties.files:
            shutil.copyfile(file, out / file.name)
            written.append(file.name)
        if duties.notice:
            (out / NOTICE).write_text(duties.notice + "\n", encoding="utf-8")
            written.append(NOTICE)
    return sorted(written)


def _version(base: Path, model: str, files: tuple[Path, ...]) -> str | None:
    """Return the Llama version whose licence applies; None for an unknown one."""
    for file in files:
        if found := _AGREEMENT.search(_text(file)):
            return found[1]
    if found := _LICENCE.fullmatch(_stated(base)):
        return found[1]
    config = read_json(base / "config.json")
    config = config if isinstance(config, dict) else {}
    called = Path(model).name if Path(model).is_absolute() else model  # folders above it are no part of the name
    for name in (called, str(config.get("_name_or_path", "")), str(_card(base).get("base_model", ""))):
        if found := _FAMILY.search(name):
            return found[1]
    if _stated(base) != "other" or config.get("model_type") not in supported():
        return None
    found = _LICENCE.fullmatch(architecture(config["model_type"]).licence(config) or "")
    return found[1] if found else None


def _stated(base: Path) -> str:
    """Return the licence that the base's card states; `other` when it states none."""
    stated = _card(base).get("license")
    return stated if isinstance(stated, str) and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", stated) else "other"


def _card(base: Path) -> dict[str, Any]:
    """Return the metadata of the base's own card."""
    text = _text(base / "README.md")
    found = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    try:
        body = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return {}
    return body if isinstance(body, dict) else {}


def _licence_files(base: Path) -> Iterator[Path]:
    found = {file for pattern in _FILES for file in base.glob(pattern) if file.is_file()}
    yield from (file for file in sorted(found) if file.stat().st_size <= MOST_BYTES)


def _own_notice(base: Path) -> str:
    """Return the notices that came with the base."""
    found = sorted(file for file in base.glob("[Nn][Oo][Tt][Ii][Cc][Ee]*") if file.is_file())
    return "\n\n".join(text for file in found if (text := _text(file).strip()))


def _text(file: Path) -> str:
    """Return a file's text; empty when there is none to read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.stat().st_size <= MOST_BYTES else ""
    except OSError:
        return ""
