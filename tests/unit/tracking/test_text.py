# SPDX-License-Identifier: GPL-2.0-or-later
"""Text that goes into the database, and statements that come out of files."""

from __future__ import annotations

from importlib.resources import files

import pytest

from omero_adi_plugin.tracking.audit import DESCRIPTION_LENGTH, shortened, storable
from omero_adi_plugin.tracking.sql import parsed


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("", ""),
        ("ten chars!", "ten chars!"),
        ("eleven chars", "eleven…"),
        ("onewordonly", "onewordon…"),
        ("a bcdefghijkl", "a bcdefgh…"),  # the only gap is too far back
    ],
)
def test_text_is_cut_at_a_word(text: str, short: str) -> None:
    assert shortened(text, 10) == short
    assert len(short) <= 10


def test_a_description_is_never_too_long_whatever_it_is_made_of() -> None:
    for text in ("\udcff" * 499, "ü " * 400, "x" * 501, " " * 600, "\0" * 600):
        assert len(shortened(text)) <= DESCRIPTION_LENGTH


def test_storable_text_keeps_what_is_unicode() -> None:
    assert storable("grün ✓ 𝄞") == "grün ✓ 𝄞"
    assert storable("a\0b\udcff") == r"ab\udcff"


@pytest.mark.parametrize("content", ["SELECT 1", "-- Not a name\nSELECT 1", "-- a\nSELECT 1\n\n-- a\nSELECT 2"])
def test_a_nameless_or_doubled_statement_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"bad\.sql: a block begins with"):
        parsed(content, file_name="bad.sql")


def test_every_statement_says_what_it_is_for() -> None:
    folder = files("omero_adi_plugin.tracking")
    for file in (file for file in folder.iterdir() if file.name.endswith(".sql")):
        for block in file.read_text(encoding="utf-8").strip().split("\n\n"):
            assert block.splitlines()[1].startswith("-- "), block
