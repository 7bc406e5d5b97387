# SPDX-License-Identifier: GPL-2.0-or-later
"""Wording: what people in OMERO.web are told names nothing that only administrators have."""

from __future__ import annotations

import pytest

from omero_adi_plugin.dialogs.wording import AGAIN, NOT_AGAIN, counted, for_people, shortened, words_of
from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    ConnectionBroken,
    DatabaseDown,
    DiskFull,
    FilesetGone,
    NotPermitted,
    OmeroDown,
    OmeroReadOnly,
    OrderBusy,
    OrderNotFound,
    OrderOpen,
    ServerTrouble,
    StillUnderWay,
    StorageDown,
)

ERRORS = [
    ConfigurationError("The database at db.example:5432 lacks tables. Run `omero adi db upgrade`."),
    ConnectionBroken(doing="looking up Dataset:1"),
    DatabaseDown(where="db.example:5432/adi", why="password authentication failed"),
    DiskFull(path="the tracking database at db.example:5432/adi"),
    FilesetGone(path="/data/a.tif", fileset=7),
    NotPermitted("The account at db.example:5432 may not."),
    OmeroDown(where="omero.example:4064", why="refused"),
    OmeroReadOnly(where="omero.example:4064"),
    OrderBusy(uuid="x", owner="somebody"),
    OrderNotFound(uuid="x"),
    OrderOpen(uuid="x"),
    ServerTrouble(doing="looking up Dataset:1", words="DatabaseBusyException"),
    StillUnderWay(uuid="x", seconds=1),
    StorageDown(folder="/data", why="is empty"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_sentence_names_a_host_or_a_command_on_orders(error: AdiError) -> None:
    words = words_of(error)
    assert words
    assert "example" not in words
    assert "omero adi orders" not in words
    assert "tried again by itself" not in words  # nothing was ordered


def test_nobody_is_told_to_do_again_what_was_done() -> None:
    error = DatabaseDown(where="db.example:5432/adi", why="gone")
    assert AGAIN in words_of(error)
    assert AGAIN not in words_of(error, something_stands=True)
    assert NOT_AGAIN in words_of(error, something_stands=True)


def test_commands_become_what_is_in_the_menu() -> None:
    assert for_people("x `omero adi orders retry …  --again`.") == 'x "Retry Or Cancel Import" with "Import Again".'
    assert for_people("`omero adi orders cancel 1` ends it") == '"Retry Or Cancel Import" ends it'
    assert for_people("`omero adi orders show` lists them") == '"Import Status" lists them'


def test_amounts_and_long_texts() -> None:
    assert (counted(1, "image"), counted(0, "image")) == ("1 image", "0 images")
    assert shortened("a\nb  c", length=10) == "a b c"
    assert shortened("word " * 10, length=12) == "word word w…"
