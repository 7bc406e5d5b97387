# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums: the algorithms by which client and server compare files."""

from __future__ import annotations

import hashlib
import zlib
from functools import reduce
from typing import TYPE_CHECKING

from omero_devserver.files.murmur3 import murmur3_32, murmur3_128

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_CHUNK_BYTES = 1 << 20


def digest(path: Path, algorithm: str) -> str:
    """Compute the checksum of a file.

    Parameters
    ----------
    path : Path
        A link is followed.
    algorithm : str
        One of `ALGORITHMS`.

    Returns
    -------
    str
        Hexadecimal, lower case. Those that are numbers come with their lowest byte first, as OMERO's Java library writes
        them (`ome.util.checksum`; recorded for `File-Size-64`: 33,024 gives ``0081000000000000``).

    Raises
    ------
    OSError
        The file cannot be read.
    KeyError
        Another algorithm.
    """
    if algorithm == "File-Size-64":
        return path.stat().st_size.to_bytes(8, "little").hex()
    return _OF_BYTES[algorithm](_chunks(path)).hex()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _hashed(name: str) -> Callable[[Iterable[bytes]], bytes]:
    def compute(chunks: Iterable[bytes]) -> bytes:
        hashed = hashlib.new(name, usedforsecurity=False)
        for chunk in chunks:
            hashed.update(chunk)
        return hashed.digest()

    return compute


def _rolled(step: Callable[[bytes, int], int], start: int) -> Callable[[Iterable[bytes]], bytes]:
    return lambda chunks: reduce(lambda value, chunk: step(chunk, value), chunks, start).to_bytes(4, "little")


_OF_BYTES: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "SHA1-160": _hashed("sha1"),
    "MD5-128": _hashed("md5"),
    "Murmur3-128": murmur3_128,
    "Murmur3-32": murmur3_32,
    "CRC-32": _rolled(zlib.crc32, 0),
    "Adler-32": _rolled(zlib.adler32, 1),
}
# In the order in which a real server prefers them (recorded: facts 1).
ALGORITHMS = (*_OF_BYTES, "File-Size-64")
