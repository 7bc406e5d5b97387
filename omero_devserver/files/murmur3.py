# SPDX-License-Identifier: GPL-2.0-or-later
"""Murmur3: the two checksums of that name, after the public-domain reference of Austin Appleby; seed 0.

In plain Python, so some megabytes a second: for trying out, not for big files.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK_32, _MASK_64 = (1 << 32) - 1, (1 << 64) - 1


def murmur3_32(chunks: Iterable[bytes]) -> bytes:
    """Compute the 32-bit checksum of some bytes, as 4 bytes, little-endian."""
    hashed, total, rest = 0, 0, b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 4
        total, rest = total + len(chunk), data[whole:]
        for (block,) in struct.iter_unpack("<I", data[:whole]):
            hashed = _rotated(hashed ^ _mixed_32(block), 13, 32)
            hashed = (hashed * 5 + 0xE6546B64) & _MASK_32
    hashed ^= _mixed_32(int.from_bytes(rest, "little")) ^ total & _MASK_32
    hashed = ((hashed ^ hashed >> 16) * 0x85EBCA6B) & _MASK_32
    hashed = ((hashed ^ hashed >> 13) * 0xC2B2AE35) & _MASK_32
    return (hashed ^ hashed >> 16).to_bytes(4, "little")


def murmur3_128(chunks: Iterable[bytes]) -> bytes:
    """Compute the 128-bit checksum (the variant for 64-bit machines) of some bytes, as 16 bytes, little-endian."""
    first, second, total, rest = 0, 0, 0, b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 16
        total, rest = total + len(chunk), data[whole:]
        for low, high in struct.iter_unpack("<QQ", data[:whole]):
            first = (_rotated(first ^ _mixed_low(low), 27, 64) + second) & _MASK_64
            first = (first * 5 + 0x52DCE729) & _MASK_64
            second = (_rotated(second ^ _mixed_high(high), 31, 64) + first) & _MASK_64
            second = (second * 5 + 0x38495AB5) & _MASK_64
    first ^= _mixed_low(int.from_bytes(rest[:8], "little")) ^ total
    second ^= _mixed_high(int.from_bytes(rest[8:], "little")) ^ total
    first = (first + second) & _MASK_64
    second = (second + first) & _MASK_64
    first, second = _finished_64(first), _finished_64(second)
    first = (first + second) & _MASK_64
    second = (second + first) & _MASK_64
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")


def _rotated(value: int, by: int, bits: int) -> int:
    return (value << by | value >> (bits - by)) & ((1 << bits) - 1)


def _mixed_32(block: int) -> int:
    return (_rotated(block * 0xCC9E2D51 & _MASK_32, 15, 32) * 0x1B873593) & _MASK_32


def _mixed_low(block: int) -> int:
    return (_rotated(block * 0x87C37B91114253D5 & _MASK_64, 31, 64) * 0x4CF5AD432745937F) & _MASK_64


def _mixed_high(block: int) -> int:
    return (_rotated(block * 0x4CF5AD432745937F & _MASK_64, 33, 64) * 0x87C37B91114253D5) & _MASK_64


def _finished_64(value: int) -> int:
    value = ((value ^ value >> 33) * 0xFF51AFD7ED558CCD) & _MASK_64
    value = ((value ^ value >> 33) * 0xC4CEB9FE1A85EC53) & _MASK_64
    return value ^ value >> 33
