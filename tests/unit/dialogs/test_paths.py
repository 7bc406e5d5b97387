# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths: what a text in "Import Files" names, and that nothing outside the roots is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_adi_plugin.dialogs import paths
from omero_adi_plugin.dialogs.paths import named_in, split
from omero_adi_plugin.errors import PathOutsideRoots, StorageDown, UsageError
from omero_adi_plugin.pipeline.roots import Roots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "lab"
    for name in ("a10.tif", "a2.tif", "b.TIF", ".hidden.tif", "day1/c.tif", "day2/c.tif", "day2/deep/d.tif"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def named(root: Path, text: str, *more: Path) -> list[str]:
    """What a text names, below the roots as `/…`."""
    folders = [root, *more]
    found = named_in(text, folders=[str(each) for each in folders], roots=Roots(base_dir=root.parents[0], folders=folders))
    return [path.removeprefix(str(root)) for path in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a2.tif", ["/a2.tif"]),
        (" a2.tif \n\r\n b.TIF; day1 ;", ["/a2.tif", "/b.TIF", "/day1"]),
        ("\"a2.tif\";'b.TIF'", ["/a2.tif", "/b.TIF"]),
        ("a*.tif", ["/a2.tif", "/a10.tif"]),
        ("*.tif", ["/a2.tif", "/a10.tif"]),
        ("b.TIF; a?.tif; *.TIF", ["/b.TIF", "/a2.tif"]),
        ("*/c.tif", ["/day1/c.tif", "/day2/c.tif"]),
        ("day[2-9]/*/*", ["/day2/deep/d.tif"]),
        (".*.tif", ["/.hidden.tif"]),
        ("./day1/../a2.tif", ["/a2.tif"]),
        ("day1//c.tif", ["/day1/c.tif"]),
        ("day1/", ["/day1"]),
    ],
)
def test_a_text_names_files_and_folders(root: Path, text: str, expected: list[str]) -> None:
    assert named(root, text) == expected


def test_a_name_that_exists_is_no_pattern(root: Path) -> None:
    (root / "x[1].tif").touch()
    (root / "x1.tif").touch()
    assert named(root, "x[1].tif") == ["/x[1].tif"]


def test_absolute_paths_are_meant_as_they_are(root: Path) -> None:
    assert named(root, f"{root}/a2.tif;{root}/day*/c.tif") == ["/a2.tif", "/day1/c.tif", "/day2/c.tif"]


def test_of_several_roots_the_first_counts_that_has_it(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "data" / "other"
    other.mkdir()
    (other / "a2.tif").touch()
    (other / "only.tif").touch()
    assert named(root, "a2.tif;only.*", other) == ["/a2.tif", f"{other}/only.tif"]


@pytest.fixture
def outside(root: Path, tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.tif").touch()
    (root / "out").symlink_to(outside)
    (root / "leak.tif").symlink_to(outside / "secret.tif")
    return outside


@pytest.mark.parametrize(
    "text",
    ["{outside}/secret.tif", "{outside}/*", "../../outside/*.tif", "out/*.tif", "out/no*", "out/secret.tif", "leak.t*", "/"],
)
def test_nothing_outside_the_roots_is_named(root: Path, outside: Path, text: str) -> None:
    with pytest.raises(PathOutsideRoots):
        named(root, text.format(outside=outside))


def test_a_pattern_follows_no_link_that_leads_out(root: Path, outside: Path) -> None:
    assert named(root, "*/c.tif") == ["/day1/c.tif", "/day2/c.tif"]
    with pytest.raises(UsageError, match="nothing called"):
        named(root, "*/secret.tif")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "No file is named"),
        (" ;\n; ", "No file is named"),
        ("nosuch/*.tif", r"nothing called 'nosuch/\*.tif'. It was looked for as '.*/lab/nosuch/\*.tif'"),
        ("/data/nosuch.tif\0", "no path"),
        ("day1/**/*.tif", "there are no"),
        ("day1/*/../c*", "there are no"),
        ("Z:\\day1\\c.tif", "Windows"),
    ],
)
def test_what_is_not_found_is_said_with_its_name(root: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        named(root, text)


def test_no_text_names_more_than_the_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_MATCHES", 1)
    with pytest.raises(UsageError, match=r"More than 1 files are named, with '.*a\*.tif'"):
        named(root, "a*.tif")
    with pytest.raises(UsageError, match=r"with 'b\.TIF'"):
        named(root, "a2.tif;b.TIF")


def test_where_the_storage_is_away_no_file_is_to_blame(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(StorageDown):
        named(root, "day1/*.tif")


def test_a_folder_that_cannot_be_listed_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def refuse(folder: str) -> object:  # the account of the tests may be root, whom nothing is refused
        if folder.endswith("day1"):
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"'.*day1' cannot be listed"):
        named(root, "day1/*.tif")


def test_parts_stand_on_lines_or_between_semicolons() -> None:
    assert split("a=1; b = 2\nc=\r\n;") == ["a=1", "b = 2", "c="]
