# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords of the development server: hashed with a cost that is written down beside them."""

from omero_devserver.store.passwords import hash_password, password_matches

BEFORE = (
    "scrypt$XqzzJh5K7XC8vI2PbYoRsg==$SFom3aS2djyi6967yMgBW6e3yX/YcWRKLBgisleTEc85vPthPnvtHnvm/5m0DfMx6G9avPFh8TgBmFqwd0HYTQ=="
)
"""That of "omero" in a data folder from before the cost was written down."""


def test_a_password_matches_its_hash_and_no_other_does() -> None:
    stored = hash_password("Schlüssel 🔑")
    assert password_matches("Schlüssel 🔑", stored)
    assert not password_matches("Schlussel 🔑", stored)
    assert hash_password("Schlüssel 🔑") != stored


def test_a_hash_from_before_the_cost_was_written_down_is_understood() -> None:
    assert password_matches("omero", BEFORE)
    assert not password_matches("OMERO", BEFORE)
