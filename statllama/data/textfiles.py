"""Opens a local file, plain, .gz or .zst, and decodes it as UTF-8, in lines or in blocks."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from statllama.errors import DataError

BLOCK = 1 << 20  # bytes read at a time
PACKED = (".gz", ".zst")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn failures of the operating system and of decompression into DataErrors that name the file."""
    tool = "zstd" if path.suffix.lower() == ".zst" else "gzip"
    try:
        yield
    except EOFError:
        raise _cut_off(path, tool) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _not_sound(path, tool, error) from None
    except OSError as error:
        if "Truncated compressed stream" in str(error):  # pyarrow's decompressor has no types of its own
            raise _cut_off(path, tool) from None
        if "ZSTD" in str(error):
            raise _not_sound(path, tool, error) from None
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _cut_off(path: Path, tool: str) -> DataError:
    return DataError(
        f"{path}: the compressed file is cut off", remedy=f"download or write it again; `{tool} -t {path}` tests it"
    )


def _not_sound(path: Path, tool: str, error: Exception) -> DataError:
    return DataError(
        f"{path}: not a sound {tool} file ({error})",
        remedy=f"download it again, or remove {path.suffix} from a plain file's name",
    )


def open_bytes(path: Path) -> IO[bytes]:
    """Return the file's bytes, decompressed when its name ends in .gz or .zst."""
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix.lower() == ".zst":
        import pyarrow

        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"), BLOCK)
    return path.open("rb")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, decoded line with its end), without a byte order mark."""
    offset = 0
    start = b""
    with open_bytes(path) as handle:
        for number, raw in enumerate(handle, start=1):
            start = start or raw[:4]
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, offset + error.start, start, f" (line {number})") from None
            offset += len(raw)
            yield number, text.removeprefix("\ufeff") if number == 1 else text


def blocks(path: Path) -> Iterator[str]:
    """Yield the decoded file in blocks of about 1 MiB, without a byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    offset = 0
    start = b""
    with open_bytes(path) as handle:
        while True:
            raw = handle.read(BLOCK)
            start = start or raw[:4]
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(raw, final=not raw)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, offset - pending + error.start, start, "") from None
            offset += len(raw)
            if not raw:
                return
            yield text


def _not_utf8(path: Path, offset: int, start: bytes, place: str) -> DataError:
    guess = "UTF-16" if start.startswith(UTF16) else "LATIN1"
    return DataError(
        f"{path}: not UTF-8: the byte at offset {offset} (from 0){place} cannot be decoded",
        remedy=f"convert it from what it is: iconv -f {guess} -t UTF-8 {path.name} > utf8-{path.name}",
    )
