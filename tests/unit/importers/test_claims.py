# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose the files of an order are."""

from __future__ import annotations

from omero_adi_plugin.importers.claims import Claim, Claims


def claim(*files: str, names: tuple[str, ...] = ()) -> Claim:
    return Claim(entry="/entry", files=files, names=names)


def test_a_file_stays_with_the_first_claim_on_it() -> None:
    claims, first, second = Claims(), claim("a", "b"), claim("b", "c")
    claims.make(first)
    claims.make(second)
    assert [claims.of(file) for file in "abcd"] == [first, first, second, None]


def test_a_file_is_known_by_all_its_names() -> None:
    claims, only = Claims(), claim("/store/1", names=("/data/a.tif",))
    claims.make(only)
    assert claims.of("/data/a.tif") is claims.of("/store/1") is only
    claims.drop(only)
    assert claims.of("/data/a.tif") is claims.of("/store/1") is None


def test_dropping_a_claim_leaves_what_is_not_its_own() -> None:
    claims, first, second = Claims(), claim("a", "b"), claim("b", "c")
    claims.make(first)
    claims.make(second)
    claims.drop(second)
    assert [claims.of(file) for file in "abc"] == [first, first, None]


def test_which_claims_lie_within_files_and_which_around_them() -> None:
    claims, small, large = Claims(), claim("a"), claim("b", "c", "d")
    claims.make(small)
    claims.make(large)
    assert claims.within({"a", "b", "c"}) == [small]
    assert set(claims.within({"a", "b", "c", "d", "e"})) == {small, large}
    assert claims.around({"b", "c"}) is large
    assert claims.around({"a", "b"}) is None
    assert claims.around({"d", "x"}) is None
