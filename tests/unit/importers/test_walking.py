# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of a folder are looked at, in which order, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_adi_plugin.errors import FileMissing, PathOutsideRoots, SourceUnreadable, ZarrUnsupported
from omero_adi_plugin.importers.walking import DEEPEST, Walk, opening_order
from omero_adi_plugin.pipeline.access import ServerAccount
from tests.fixtures.gates import gate_of


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "data" / "run 7"
    top.mkdir(parents=True)
    return top


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def walk(top: Path, *, base: Path | None = None) -> tuple[list[str], Walk]:
    walked = Walk(str(top), gate=gate_of(base or top.parent))
    return [os.path.relpath(path, top) for path in walked], walked


def test_files_come_before_folders_each_by_their_bytes(top: Path) -> None:
    for name in ("b/2.nd2", "b/1.nd2", "a/z.czi", "B.lif", "a.lif", "é.lif", "e\u0301.lif", "a b.lif"):
        put(top / name)
    found, walked = walk(top)
    assert found == ["B.lif", "a b.lif", "a.lif", "e\u0301.lif", "é.lif", "a/z.czi", "b/1.nd2", "b/2.nd2"]
    assert not walked.failures
    assert not walked.left_out


def test_what_may_describe_others_comes_before_mere_pixels(top: Path) -> None:
    for name in ("a.TIF", "index.xml", "b.tiff", "sub/a.png", "sub/z.idx"):
        put(top / name)
    assert walk(top)[0] == ["index.xml", "a.TIF", "b.tiff", "sub/z.idx", "sub/a.png"]
    assert sorted(["/x/a.tif", "/x/set.companion.ome"], key=opening_order) == ["/x/set.companion.ome", "/x/a.tif"]


def test_junk_hidden_files_outputs_of_converters_and_key_values_are_no_data(top: Path) -> None:
    junk = [
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "._a.tif",
        ".hidden/a.tif",
        "__MACOSX/a.tif",
        "@eaDir/a.tif",
        "lost+found/a.tif",
    ]
    junk += [
        "System Volume Information/a.tif",
        "$RECYCLE.BIN/a.tif",
        ".processed/a.tif",
        "metadata.csv",
        "THUMBS.DB",
        "d/.x/a.tif",
    ]
    for name in [*junk, "kept.tif", "metadata.csv.tif", "d/kept.tif"]:
        put(top / name)
    found, walked = walk(top)
    assert found == ["kept.tif", "metadata.csv.tif", "d/kept.tif"]
    assert not walked.failures
    assert not walked.left_out


def test_a_folder_that_is_named_in_the_order_may_be_hidden(top: Path) -> None:
    put(top / ".processed" / "a.tif")
    assert walk(top / ".processed", base=top)[0] == ["a.tif"]


def test_files_of_depth_10_are_the_last(top: Path) -> None:
    folders = [f"d{number}" for number in range(1, DEEPEST + 1)]
    inside = top.joinpath(*folders[:-1])
    put(inside / "depth-10.tif")
    put(inside / folders[-1] / "depth-11.tif")
    found, walked = walk(top)
    assert [Path(path).name for path in found] == ["depth-10.tif"]
    (left,) = walked.left_out
    assert left.path == str(inside / folders[-1])
    assert "deeper than 10" in left.why


def test_links_to_folders_are_followed_once_and_after_all_else(top: Path) -> None:
    put(top.parent / "elsewhere" / "a.tif")
    put(top / "z" / "deep.tif")
    (top / "a").symlink_to(top / "z")
    (top / "b").symlink_to(top.parent / "elsewhere")
    (top / "c").symlink_to(top.parent / "elsewhere")
    (top / "z" / "up").symlink_to(top)
    (top / "z" / "self.tif").symlink_to(top / "z" / "self.tif")
    (top / "link.tif").symlink_to(top / "z" / "deep.tif")
    found, walked = walk(top)
    assert found == ["link.tif", "z/deep.tif", "z/self.tif", "b/a.tif"]
    assert not walked.failures


def test_links_in_links_are_followed(top: Path) -> None:
    for name in ("one", "two"):
        put(top.parent / name / f"{name}.tif")
    (top / "link").symlink_to(top.parent / "one")
    (top.parent / "one" / "link").symlink_to(top.parent / "two")
    (top.parent / "two" / "link").symlink_to(top.parent / "one")
    assert walk(top)[0] == ["link/one.tif", "link/link/two.tif"]


def test_a_link_that_leads_out_of_the_roots_is_not_followed(top: Path, tmp_path: Path) -> None:
    put(tmp_path / "secret" / "a.tif")
    put(top / "a.tif")
    (top / "out").symlink_to(tmp_path / "secret")
    found, walked = walk(top)
    assert found == ["a.tif"]
    (failure,) = walked.failures
    assert isinstance(failure, PathOutsideRoots)
    assert failure.path == str(top / "out")


def test_a_folder_that_may_not_be_looked_into_is_named(top: Path) -> None:
    put(top / "a.tif")
    put(top / "closed" / "b.tif")
    put(top / "open" / "c.tif")
    (top / "closed").chmod(0o700)
    server = ServerAccount(name="omero-server", uid=12345, gids=frozenset({12345}))
    for folder in (top, *top.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    walked = Walk(str(top), gate=gate_of(top.parent, account=server))
    assert [os.path.relpath(path, top) for path in walked] == ["a.tif", "open/c.tif"]
    (failure,) = walked.failures
    assert isinstance(failure, SourceUnreadable)
    assert failure.path == str(top / "closed")


def test_the_folder_itself_must_be_there(top: Path) -> None:
    with pytest.raises(FileMissing):
        walk(top / "gone", base=top)


def test_a_folder_that_vanishes_during_the_walk_is_named(top: Path) -> None:
    put(top / "a.tif")
    (top / "sub").mkdir()
    walked = Walk(str(top), gate=gate_of(top.parent))
    looking = iter(walked)
    assert next(looking) == str(top / "a.tif")
    (top / "sub").rmdir()
    assert list(looking) == []
    (failure,) = walked.failures
    assert isinstance(failure, FileMissing)
    assert failure.path == str(top / "sub")


@pytest.mark.parametrize("name", ["plain.zarr", "tomo.ome.zarr", "UPPER.ZARR"])
def test_a_folder_of_a_zarrs_name_is_refused(top: Path, name: str) -> None:
    put(top / "a.tif")
    put(top / name / "0" / "0.0")
    found, walked = walk(top)
    assert found == ["a.tif"]
    (failure,) = walked.failures
    assert isinstance(failure, ZarrUnsupported)
    assert failure.path == str(top / name)
    with pytest.raises(ZarrUnsupported):
        walk(top / name, base=top)


@pytest.mark.parametrize("name", [".zattrs", ".zgroup", "zarr.json"])
def test_a_zarr_is_known_by_what_lies_at_its_top(top: Path, name: str) -> None:
    put(top / "a.tif")
    put(top / "tomo" / name)
    put(top / "tomo" / "b.tif")
    found, walked = walk(top)
    assert found == ["a.tif"]
    assert [type(each) for each in walked.failures] == [ZarrUnsupported]
    with pytest.raises(ZarrUnsupported) as caught:
        walk(top / "tomo", base=top)
    assert caught.value.path == str(top / "tomo")


def test_names_of_any_bytes_are_given_to_the_gate(top: Path) -> None:
    wild = os.fsencode(top) + b"/a\xff.tif"
    with open(wild, "wb"):  # noqa: PTH123 (bytes)
        pass
    put(top / "new\nline.tif")
    assert [os.fsencode(path) for path in Walk(str(top), gate=gate_of(top.parent))] == [wild, os.fsencode(top / "new\nline.tif")]


def test_20_000_files_are_each_found_once(top: Path) -> None:
    for number in range(100):
        (top / f"{number:02}").mkdir()
    source = put(top / "00" / "000.tif")
    for number in range(1, 20_000):
        os.link(source, top / f"{number % 100:02}" / f"{number:05}.tif")
    found, walked = walk(top)
    assert len(found) == 20_000
    assert found == sorted(found)
    assert not walked.failures


def test_a_folder_that_becomes_a_link_out_of_the_roots_during_the_walk_is_not_listed(top: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-of-others"
    for folder in (top / "a", top / "b", outside):
        folder.mkdir(parents=True)
    (top / "a" / "mine.dat").write_bytes(b"x")
    (outside / "secret.dat").write_bytes(b"x")
    walk = Walk(str(top), gate=gate_of(tmp_path))
    found = iter(walk)
    assert next(found) == f"{top}/a/mine.dat"
    (top / "b").rmdir()
    (top / "b").symlink_to(outside)
    assert list(found) == []
    assert [type(failure) for failure in walk.failures] == [PathOutsideRoots]
