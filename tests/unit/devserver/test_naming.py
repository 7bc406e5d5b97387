# SPDX-License-Identifier: GPL-2.0-or-later
"""What files are called in the managed repository, and which paths it takes."""

from __future__ import annotations

import pytest

from omero_devserver.repository.naming import FoldersApart, PathRefused, below_template, resolved, safe


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ('a:b?c*d"e<f>g|h\\i/j', "a;b%cxd'e[f]g!h!i!j"),
        ("a\x01b\tc\x7fd\x85e", "a_b_c_d_e"),
        ("CON.tif", "_CON.tif"),
        ("nul", "nul_"),
        ("com1.x.tif", "_com1.x.tif"),
        ("com0.tif", "com0.tif"),
        ("console.tif", "console.tif"),
        ("$x", "_$x"),
        ("a$x", "a$x"),
        (".lead", ".lead"),
        ("trail. ", "trail. "),
        ("..x", "..x"),
        ("e\u0301 \U0001f600", "e\u0301 \U0001f600"),
    ],
)
def test_a_name_is_made_fit_for_any_system(name: str, kept: str) -> None:
    assert safe(name) == kept


@pytest.mark.parametrize(
    ("paths", "required", "below"),
    [
        (["a/b/c/d/e/1.tif"], 0, ["1.tif"]),
        (["a/b/c/d/e/1.tif"], 2, ["d/e/1.tif"]),
        (["a/b/c/d/e/1.tif"], None, ["c/d/e/1.tif"]),
        (["b/1.tif"], None, ["b/1.tif"]),
        (["x/a/1", "x/b/2"], 0, ["a/1", "b/2"]),
        (["s/x/y/z/w/1", "s/x/y/z/w/v/2"], None, ["y/z/w/1", "y/z/w/v/2"]),
        (["/a//b.tif", "a/c.tif"], 0, ["b.tif", "c.tif"]),
        ([""], 0, [""]),
        (["C:\\data\\x"], 0, ["C;!data!x"]),
        (["a:b/x", "a:c/x"], 0, ["a;b/x", "a;c/x"]),
    ],
)
def test_the_folders_that_are_kept(paths: list[str], required: int | None, below: list[str]) -> None:
    assert ["/".join(parts) for parts in below_template(paths, required=required)] == below


def test_files_that_are_far_apart_need_a_known_reader() -> None:
    paths = ["a/b/c/d/e/1", "x/b/c/d/e/2"]
    with pytest.raises(FoldersApart):
        below_template(paths, required=None)
    assert below_template(paths, required=0)[1] == ("x", "b", "c", "d", "e", "2")


def test_a_path_in_the_repository() -> None:
    assert resolved("/a/./b//../c/") == ("a", "c")
    assert resolved("") == resolved("/") == resolved("a/..") == ()


@pytest.mark.parametrize(
    ("path", "why"),
    [("..", "above root"), ("a/../../b", "above root"), ("a:b", "illegal"), ("a/b\n", "illegal"), ("CON/x", "illegal")],
)
def test_a_path_that_the_repository_refuses(path: str, why: str) -> None:
    with pytest.raises(PathRefused, match=why):
        resolved(path)
