"""The header of a GGUF file, read with limits: metadata, and where each tensor lies. Loads no torch.

PyPI's gguf maps the file and believes every size in it. A file from a stranger may state a text of 2^60 bytes, so each
size is held against what is left of the file, and against a limit, before anything is read. Offsets must be those that
llama.cpp computes itself. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from statllama.errors import ModelError, NotFoundError
from statllama.store.files import translate_os_errors

MOST_METADATA = 1 << 28
"""Bytes of metadata. Those of a vocabulary of 256,000 tokens are 20 MB."""
MOST_TEXT = 1 << 24
"""Bytes of one text; a long chat template has 20 kB."""
MOST_NAME = 1 << 10
"""Bytes of a key or of a tensor's name; llama.cpp takes names of up to 63."""
MOST_ITEMS = 1 << 22
"""Items of one array; the longest are merges, up to 500,000."""
MOST_ENTRIES = 1 << 16
"""Keys, and tensors; 126 layers have 1,200 tensors."""
MOST_DIMENSIONS = 4
MOST_ALIGNMENT = 1 << 16

AGAIN = (
    "the file is damaged, or was not downloaded to its end: get it again and compare its SHA-256 with the publisher's"
)
_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: what it is called, and where its bytes are."""

    name: str
    shape: tuple[int, ...]
    """Row-major, as in Transformers: (out, in), or (width,)."""
    type: Type
    offset: int
    """Bytes from the start of the file."""

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one row, all of it for a vector."""
        numbers, size = gguf.GGML_QUANT_SIZES[self.type]
        return self.shape[-1] // numbers * size

    @property
    def nbytes(self) -> int:
        """Return the bytes in the file, without padding."""
        return math.prod(self.shape[:-1]) * self.row_bytes


@dataclass(frozen=True)
class Header:
    """A file's header, before its numbers."""

    path: Path
    version: int
    fields: Mapping[str, Any]
    """Metadata: numbers, texts, and lists of them."""
    tensors: Mapping[str, TensorInfo]

    @property
    def types(self) -> dict[str, int]:
        """Count the tensors of each type, `{"Q4_1": 210, "F32": 61}`, the most frequent first."""
        return dict(Counter(tensor.type.name for tensor in self.tensors.values()).most_common())

    @property
    def parameters(self) -> int:
        """Return the numbers in all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Read a GGUF file's header. ModelError says what is wrong with it, and at which key, tensor or byte."""
    if path.is_dir():
        inside = sorted(path.glob("*.gguf"))
        remedy = f"name a file: {inside[0]}" if inside else "name a GGUF file"
        raise ModelError(f"{path} is a folder", remedy=remedy)
    if path.exists() and not path.is_file():
        raise ModelError(f"{path} is no regular file", remedy="name a GGUF file")
    try:
        with translate_os_errors(path), path.open("rb", buffering=1 << 20) as file:
            return _Walk(path, file).header()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{path} does not exist", remedy="name a GGUF file") from None


class _Walk:
    """Reads front to back; `at` is the place, `size` the end of the file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.at, self.size = 0, path.stat().st_size

    def header(self) -> Header:
        version = self._version()
        tensor_count, key_count = self._number("<Q", "the number of tensors"), self._number("<Q", "the number of keys")
        for count, least, what in ((key_count, 13, "keys"), (tensor_count, 32, "tensors")):
            self._require_count(count, least, MOST_ENTRIES, f"the header states {count:,} {what}")
        fields: dict[str, Any] = {}
        for _ in range(key_count):
            key = self._text("a key of the metadata", MOST_NAME)
            if key in fields:
                raise self._wrong(f"the key {key!r} is there twice")
            fields[key] = self._value(self._number("<I", f"the type of {key!r}"), key)
        _require_one_model(self.path, fields)
        stated = [self._tensor() for _ in range(tensor_count)]
        return Header(self.path, version, fields, dict(self._placed(stated, self._alignment(fields))))

    # ------------------------------------------------------------------ parts

    def _version(self) -> int:
        magic = self.file.read(4)
        self.at = len(magic)
        if magic != b"GGUF":
            raise ModelError(
                f"{self.path} is no GGUF file: it begins with {magic!r}",
                remedy="name a model's .gguf file; a folder of safetensors needs no import: `base: {model: FOLDER}`",
            )
        version = int(self._number("<I", "the version"))
        if version and version & 0xFFFF == 0:
            raise ModelError(
                f"{self.path} is a big-endian GGUF file",
                remedy=f"turn it: run `gguf-convert-endian {self.path} little` (it changes the file in place)",
            )
        if version not in (2, 3):
            raise ModelError(
                f"{self.path} has version {version} of the format; allowed: 2, 3",
                remedy="get a newer file of the model",
            )
        return version

    def _value(self, type_: int, key: str) -> Any:
        if type_ == _TEXT:
            return self._text(f"{key!r}")
        if type_ != _ARRAY:
            return self._number(self._letter(type_, key), f"{key!r}")
        inner, count = self._number("<I", f"the type of {key!r}"), self._number("<Q", f"the length of {key!r}")
        if inner == _ARRAY:
            raise self._wrong(f"{key!r} is an array of arrays, which no key of a model is")
        size = 8 if inner == _TEXT else struct.calcsize(self._letter(inner, key))
        self._require_count(count, size, MOST_ITEMS, f"{key!r} states {count:,} items")
        if inner == _TEXT:
            return [self._text(f"item {i} of {key!r}") for i in range(count)]
        return np.frombuffer(self._bytes(count * size, f"{key!r}"), self._letter(inner, key)).tolist()

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Read (name, shape, type, offset from where the numbers begin)."""
        name = self._text("the name of a tensor", MOST_NAME)
        count = self._number("<I", f"the dimensions of {name!r}")
        if not 1 <= count <= MOST_DIMENSIONS:
            raise self._wrong(f"{name!r} states {count:,} dimensions")
        shape = tuple(self._number("<Q", f"the shape of {name!r}") for _ in range(count))[::-1]
        if any(not 0 < length < 1 << 40 for length in shape) or math.prod(shape) >= 1 << 48:
            raise self._wrong(f"{name!r} states the shape {shape}")
        type_ = self._number("<I", f"the type of {name!r}")
        return name, shape, type_, self._number("<Q", f"the offset of {name!r}")

    def _placed(
        self, stated: list[tuple[str, tuple[int, ...], int, int]], alignment: int
    ) -> Iterator[tuple[str, TensorInfo]]:
        """Yield the tensors with their place in the file, each where the one before ends, as llama.cpp asks."""
        start = -(-self.at // alignment) * alignment
        expected, seen = 0, set()
        for name, shape, number, offset in stated:
            tensor = TensorInfo(name, shape, _known_type(self.path, name, number), start + offset)
            numbers = gguf.GGML_QUANT_SIZES[tensor.type][0]
            if shape[-1] % numbers:
                problem = f"{name!r} has rows of {shape[-1]}, and {tensor.type.name} is written in blocks of {numbers}"
                raise self._wrong(problem)
            if name in seen:
                raise self._wrong(f"the tensor {name!r} is there twice")
            if offset != expected:
                raise self._wrong(f"{name!r} begins at byte {offset:,} of the numbers instead of {expected:,}")
            if tensor.offset + tensor.nbytes > self.size:
                end = f"{tensor.offset + tensor.nbytes:,}"
                raise ModelError(
                    f"{self.path} ends at byte {self.size:,}, within {name!r}, which ends at {end}", remedy=AGAIN
                )
            seen.add(name)
            expected = -(-(offset + tensor.nbytes) // alignment) * alignment
            yield name, tensor

    def _alignment(self, fields: Mapping[str, Any]) -> int:
        """Find the alignment of the tensors, in bytes."""
        found = fields.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT)
        if not isinstance(found, int) or not 1 <= found <= MOST_ALIGNMENT or found & (found - 1):
            raise self._wrong(f"general.alignment is {found!r}; a power of two was expected")
        return found

    # ------------------------------------------------------------------ bytes

    def _letter(self, type_: int, key: str) -> str:
        if type_ not in _SCALARS:
            raise self._wrong(f"{key!r} is of the type {type_:,}, which GGUF does not have")
        return _SCALARS[type_]

    def _number(self, letter: str, what: str) -> Any:
        return struct.unpack(letter, self._bytes(struct.calcsize(letter), what))[0]

    def _text(self, what: str, most: int = MOST_TEXT) -> str:
        length = self._number("<Q", f"the length of {what}")
        self._require_count(length, 1, most, f"{what} states {length:,} bytes")
        try:
            return self._bytes(length, what).decode()
        except UnicodeDecodeError:
            raise self._wrong(f"{what} is no UTF-8") from None

    def _bytes(self, count: int, what: str) -> bytes:
        found = self.file.read(count)
        if len(found) < count:
            raise ModelError(f"{self.path} ends at byte {self.size:,}, within {what}", remedy=AGAIN)
        self.at += count
        if self.at > MOST_METADATA:
            raise self._wrong(f"its header is longer than {MOST_METADATA:,} bytes")
        return found

    def _require_count(self, count: int, size: int, most: int, what: str) -> None:
        """Raise ModelError unless the rest of the file has room for `count` items of `size` bytes, at most `most`."""
        left = self.size - self.at
        if count > left // size:
            raise self._wrong(f"{what}, and {left:,} bytes are left of the file")
        if count > most:
            raise self._wrong(f"{what}; at most {most:,} are read")

    def _wrong(self, problem: str) -> ModelError:
        return ModelError(f"{self.path}: {problem} (near byte {self.at:,})", remedy=AGAIN)


def _known_type(path: Path, name: str, number: int) -> Type:
    """Look up the type of a tensor. ModelError for one that PyPI's gguf cannot turn into numbers."""
    readable = readable_types()
    if number not in readable:
        called = Type(number).name if number in set(Type) else f"number {number}"
        allowed = ", ".join(type_.name for type_ in readable)
        raise ModelError(
            f"{path}: {name!r} is of the type {called}, which cannot be read; allowed: {allowed}",
            remedy="get the model in another quantisation, best f16, bf16 or q8_0",
        )
    return Type(number)


@cache
def readable_types() -> tuple[Type, ...]:
    """List the types that PyPI's gguf can turn into float32."""

    def readable(type_: Type) -> bool:
        try:
            gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[type_][1]), np.uint8), type_)
        except NotImplementedError:
            return False
        return True

    return tuple(type_ for type_ in Type if readable(type_))


def _require_one_model(path: Path, fields: Mapping[str, Any]) -> None:
    """Raise ModelError for a part of a split file, and for a file that is no model, such as a LoRA or a projector."""
    count = fields.get("split.count", 0)
    if isinstance(count, int) and count > 1:
        raise ModelError(
            f"{path} is one of the {count} parts of a split GGUF file",
            remedy="join them with llama.cpp: `llama-gguf-split --merge FIRST_PART JOINED.gguf`; import JOINED.gguf",
        )
    kind = fields.get("general.type", "model")
    if kind != "model":
        raise ModelError(
            f"{path} holds no model: its general.type is {kind!r}", remedy="name the GGUF file of the model"
        )
