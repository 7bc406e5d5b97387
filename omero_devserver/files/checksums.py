# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums: the algorithms by which client and server compare files."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# In the order in which a real server prefers them (recorded: facts 1). The two Murmur3 ones are not there.
ALGORITHMS = ("SHA1-160", "MD5-128", "CRC-32", "Adler-32", "File-Size-64")
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
        Hexadecimal, lower case. `File-Size-64` is the size as 8 bytes, little-endian (recorded: 33,024 gives
        ``0081000000000000``).

    Raises
    ------
    OSError
        The file cannot be read.
    KeyError
        Another algorithm.
    """
    if algorithm == "File-Size-64":
        return path.stat().st_size.to_bytes(8, "little").hex()
    if algorithm in _ROLLING:
        rolling, value = _ROLLING[algorithm]
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                value = rolling(chunk, value)
        return f"{value:08x}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, _HASHES[algorithm]).hexdigest()


_ROLLING: dict[str, tuple[Callable[[bytes, int], int], int]] = {"CRC-32": (zlib.crc32, 0), "Adler-32": (zlib.adler32, 1)}
_HASHES = {"SHA1-160": "sha1", "MD5-128": "md5"}
