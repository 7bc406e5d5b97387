# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums of files: known values of each algorithm, written as OMERO writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_devserver.files import checksums
from omero_devserver.files.checksums import ALGORITHMS, digest

FOX = b"The quick brown fox jumps over the lazy dog"
KNOWN = {
    "SHA1-160": "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
    "MD5-128": "9e107d9d372bb6826bd81d3542a419d6",
    # Published values: 0x2e4ff723 and 0x414fa339, 0x5bdc0fda, lowest byte first; h1 e34bbc7bbc071b6c, h2 7a433ca9c49a9347.
    "Murmur3-128": "6c1b07bc7bbc4be347939ac4a93c437a",
    "Murmur3-32": "23f74f2e",
    "CRC-32": "39a34f41",
    "Adler-32": "da0fdc5b",
    "File-Size-64": "2b00000000000000",
}
EMPTY = {
    "SHA1-160": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "Murmur3-128": "0" * 32,
    "Murmur3-32": "0" * 8,
    "CRC-32": "0" * 8,
    "Adler-32": "01000000",
    "File-Size-64": "0" * 16,
}


def test_every_algorithm_has_a_known_value() -> None:
    assert tuple(KNOWN) == ALGORITHMS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_known_value(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "fox"
    path.write_bytes(FOX)
    assert digest(path, algorithm) == KNOWN[algorithm]


@pytest.mark.parametrize("algorithm", EMPTY)
def test_the_value_of_an_empty_file(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert digest(path, algorithm) == EMPTY[algorithm]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_file_read_in_pieces_has_the_same_value(algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "_CHUNK_BYTES", 7)
    path = tmp_path / "fox"
    path.write_bytes(FOX)
    assert digest(path, algorithm) == KNOWN[algorithm]
