"""The header of a GGUF file: what PyPI's gguf reads, and a clear refusal of everything that is damaged or hostile."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from statllama.errors import ModelError, NotFoundError
from statllama.model.gguf_import.header import Header, read_header
from tests.model.gguf_bytes import ARRAY, FLOAT32, TEXT, UINT32, gguf_bytes, key, tensor, text

F32, Q8_0, F64, Q8_1 = 0, 8, 28, 9
ONE = tensor("a", (2, 4), F32, 0)


def read(tmp_path: Path, data: bytes) -> Header:
    (tmp_path / "a.gguf").write_bytes(data)
    return read_header(tmp_path / "a.gguf")


def test_everything_is_what_the_gguf_package_reads(tmp_path: Path) -> None:
    """Its writer, all types of values, an alignment of its own, and its reader as the judge."""
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_custom_alignment(64)
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -3)
    writer.add_uint16("u16", 60_000)
    writer.add_int16("i16", -300)
    writer.add_uint32("u32", 4_000_000_000)
    writer.add_int32("i32", -70_000)
    writer.add_uint64("u64", 1 << 60)
    writer.add_int64("i64", -(1 << 60))
    writer.add_float32("f32", 0.1)
    writer.add_float64("f64", 0.1)
    writer.add_bool("yes", True)
    writer.add_string("word", "χ² 😀")
    writer.add_string("empty", "")
    writer.add_array("words", ["a", "", "ß"])
    writer.add_array("numbers", [1, -2, 3])
    writer.add_array("flags", [True, False])
    rows = np.arange(128, dtype=np.float32).reshape(4, 32)
    writer.add_tensor("wide", rows)
    writer.add_tensor("small", rows[0, :3])
    writer.add_tensor("blocks", gguf.quants.quantize(rows, gguf.GGMLQuantizationType.Q8_0), raw_dtype=8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    found, judge = read_header(tmp_path / "a.gguf"), gguf.GGUFReader(tmp_path / "a.gguf")
    wanted = {name: field.contents() for name, field in judge.fields.items() if not name.startswith("GGUF.")}
    assert found.fields == wanted and found.version == 3
    assert list(found.tensors) == [t.name for t in judge.tensors] == ["wide", "small", "blocks"]
    for one in judge.tensors:
        info = found.tensors[one.name]
        assert info.offset == one.data_offset and info.nbytes == one.n_bytes and info.type == one.tensor_type
        assert info.shape == tuple(reversed([int(n) for n in one.shape]))
    assert found.types == {"F32": 2, "Q8_0": 1} and found.parameters == 128 + 3 + 128


HUGE = 1 << 60
HOSTILE = {
    "text": (gguf_bytes([text("k") + struct.pack("<IQ", TEXT, HUGE)]), "'k' states 1,152,921,504,606,846,976 bytes"),
    "key": (gguf_bytes([struct.pack("<Q", HUGE)], [], b"\0" * 64, key_count=1), "a key of the metadata states"),
    "array": (gguf_bytes([key("k", ARRAY, struct.pack("<IQ", UINT32, 1 << 40))]), "'k' states 1,099,511,627,776 items"),
    "texts": (gguf_bytes([key("k", ARRAY, struct.pack("<IQ", TEXT, 1 << 40))]), "'k' states 1,099,511,627,776 items"),
    "text in an array": (
        gguf_bytes([key("k", ARRAY, struct.pack("<IQ", TEXT, 1) + struct.pack("<Q", HUGE))]),
        "item 0 of 'k' states",
    ),
    "tensors": (gguf_bytes(tensor_count=1 << 50), "states 1,125,899,906,842,624 tensors"),
    "keys": (gguf_bytes(key_count=1 << 50), "states 1,125,899,906,842,624 keys"),
    "nested arrays": (
        gguf_bytes([key("k", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", ARRAY, 1) * 1000)]),
        "'k' is an array of arrays",
    ),
    "name of a tensor": (gguf_bytes([], [struct.pack("<Q", HUGE)], b"\0" * 64), "the name of a tensor states"),
    "dimensions": (gguf_bytes([], [tensor("a", (2,), F32, 0, dimensions=1 << 30)]), "'a' states 1,073,741,824 dimen"),
    "no dimension": (gguf_bytes([], [tensor("a", (), F32, 0)]), "'a' states 0 dimensions"),
    "shape": (gguf_bytes([], [tensor("a", (1 << 62, 1 << 62), F32, 0)]), "'a' states the shape"),
    "shape whose product is small": (gguf_bytes([], [tensor("a", (1 << 32, 1 << 32), F32, 0)]), "'a' states the shape"),
    "empty shape": (gguf_bytes([], [tensor("a", (0, 4), F32, 0)]), "'a' states the shape"),
}
DAMAGED = {
    "another type of value": (gguf_bytes([key("k", 99, b"")]), "'k' is of the type 99"),
    "type in an array": (gguf_bytes([key("k", ARRAY, struct.pack("<IQ", 77, 1))]), "'k' is of the type 77"),
    "no UTF-8": (gguf_bytes([key("k", TEXT, text(b"\xff\xfe"))]), "'k' is no UTF-8"),
    "a key twice": (gguf_bytes([key("k", UINT32, b"\0" * 4)] * 2), "the key 'k' is there twice"),
    "a tensor twice": (
        gguf_bytes([], [ONE, tensor("a", (2, 4), F32, 32)], b"\0" * 64),
        "the tensor 'a' is there twice",
    ),
    "alignment of 0": (gguf_bytes([key("general.alignment", UINT32, b"\0" * 4)]), "general.alignment is 0"),
    "alignment of 33": (gguf_bytes([key("general.alignment", UINT32, struct.pack("<I", 33))]), "is 33"),
    "alignment no number": (gguf_bytes([key("general.alignment", FLOAT32, b"\0" * 4)]), "general.alignment is 0.0"),
    "offset beyond the end": (gguf_bytes([], [tensor("a", (2, 4), F32, 1 << 40)], b"\0" * 32), "begins at byte 1,099,"),
    "offset not aligned": (
        gguf_bytes([], [tensor("a", (2, 4), F32, 8)], b"\0" * 64),
        "begins at byte 8 of the numbers",
    ),
    "tensors that overlap": (
        gguf_bytes([], [ONE, tensor("b", (2, 4), F32, 0)], b"\0" * 64),
        "'b' begins at byte 0 of the numbers instead of 32",
    ),
    "numbers cut off": (gguf_bytes([], [ONE], b"\0" * 31), "within 'a', which ends at"),
    "rows of half a block": (gguf_bytes([], [tensor("a", (4, 40), Q8_0, 0)], b"\0" * 999), "'a' has rows of 40"),
}
REFUSED = {
    "not a GGUF": (b"PK\x03\x04" + b"\0" * 100, "is no GGUF file: it begins with b'PK"),
    "empty": (b"", "is no GGUF file: it begins with b''"),
    "a safetensors file": (struct.pack("<Q", 80) + b'{"a":{"dtype":"F32"}}', "is no GGUF file"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian.*gguf-convert-endian"),
    "version 1": (gguf_bytes(version=1), "version 1 of the format; allowed: 2, 3"),
    "version 9": (gguf_bytes(version=9), "version 9"),
    "a type without numbers": (
        gguf_bytes([], [tensor("a", (2, 4), F64, 0)], b"\0" * 64),
        "type F64, .*allowed: F32, F16",
    ),
    "an internal type": (gguf_bytes([], [tensor("a", (2, 32), Q8_1, 0)], b"\0" * 80), "'a' is of the type Q8_1"),
    "a type of the future": (gguf_bytes([], [tensor("a", (2, 4), 250, 0)], b"\0" * 64), "type number 250"),
    "a part": (gguf_bytes([key("split.count", 2, struct.pack("<H", 3))]), "one of the 3 parts.*gguf-split --merge"),
    "an adapter": (gguf_bytes([key("general.type", TEXT, text("adapter"))]), "holds no model.*'adapter'"),
}


@pytest.mark.parametrize("name", [*HOSTILE, *DAMAGED, *REFUSED])
def test_what_is_wrong_is_said_without_reading_on(name: str, tmp_path: Path) -> None:
    data, says = {**HOSTILE, **DAMAGED, **REFUSED}[name]
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=rf"(?s)a\.gguf.*{says}") as error:
            read(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20, "memory follows the file's size, never a stated one"
    finally:
        tracemalloc.stop()
    assert error.value.remedy


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    keys = [
        key("general.architecture", TEXT, text("llama")),
        key("k", ARRAY, struct.pack("<IQ", TEXT, 2) + text("ab") * 2),
    ]
    whole = gguf_bytes(keys, [ONE], b"\0" * 32)
    assert read(tmp_path, whole).tensors["a"].nbytes == 32
    for length in range(len(whole)):
        with pytest.raises(ModelError):
            read(tmp_path, whole[:length])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(NotFoundError, match="does not exist"):
        read_header(Path(__file__) / "below")
    (tmp_path / "m.gguf").write_bytes(gguf_bytes())
    with pytest.raises(ModelError, match=r"is a folder\n  -> name a file: .*m\.gguf"):
        read_header(tmp_path)
    with pytest.raises(ModelError, match="no regular file"):
        read_header(Path("/dev/zero"))
