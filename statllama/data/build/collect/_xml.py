"""XML from outside: read with expat, which loads nothing from elsewhere; a document type, where bombs live, is refused.

`defusedxml` does the same with Python's own parser, several times slower than this on a dump of gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

BLOCK = 1 << 20  # bytes read at a time


class XmlError(ValueError):
    """No well-formed XML, or XML with a document type."""


def _parser(namespaces: bool) -> Any:
    parser = expat.ParserCreate(namespace_separator="}" if namespaces else None)

    def refuse(*_: object) -> None:
        raise XmlError(f"line {parser.CurrentLineNumber}: a document type (<!DOCTYPE ...>), which is not read")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def parsed(data: bytes) -> Element:
    """Return the tree of a small document, names as `{namespace}name`. XmlError."""
    parser, builder = _parser(namespaces=True), TreeBuilder()
    parser.StartElementHandler = lambda name, found: builder.start(_name(name), {_name(n): v for n, v in found.items()})
    parser.EndElementHandler = lambda name: builder.end(_name(name))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError) as error:
        raise XmlError(str(error)) from None


def _name(name: str) -> str:
    return "{" + name if "}" in name else name


def each(file: IO[bytes], name: str, take: Callable[[Mapping[str, str], int], None]) -> str:
    """Call `take` with the attributes and the line of every element of this name; return the root's name. XmlError.

    Memory: a block of the file and one element.
    """
    parser, root = _parser(namespaces=False), ""

    def start(found: str, attributes: Mapping[str, str]) -> None:
        nonlocal root
        root = root or found
        if found == name:
            take(attributes, parser.CurrentLineNumber)

    parser.StartElementHandler = start
    try:
        while block := file.read(BLOCK):
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise XmlError(str(error)) from None
    return root
