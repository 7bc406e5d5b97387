# SPDX-License-Identifier: GPL-2.0-or-later
"""Links of what was imported from a folder that goes away, and that lead to where the files are kept from then on."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.crashpoints import Point
from omero_adi_plugin.errors import ConfigurationError, DiskFull, ImportInterrupted
from omero_adi_plugin.importers import relinking
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.relinking import leads_into, renew_links
from omero_adi_plugin.importers.repository import ManagedRepository
from tests.fixtures.converted import Converted
from tests.fixtures.importing import Importing

GONE = 999_999_999


@pytest.fixture
def converted(importing: Importing, tmp_path: Path) -> Converted:
    return Converted(importing, tmp_path)


ODD = "a:b?c*d [1].ome.tif"


def test_pixels_are_read_from_where_files_are_kept_when_the_folder_is_gone(converted: Converted) -> None:
    session = converted.importing.session
    filesets = {
        converted.importing.begin(converted.make("one.tif", "two/three.tif")): converted.places("one.tif", "two/three.tif"),
        converted.importing.begin(converted.make(ODD, value=9)): converted.places(ODD),
    }
    assert sum(map(len, leads_into(session, filesets, [str(converted.temp.parents[1])]).values())) == 3
    assert renew_links(session, filesets) == 3
    assert converted.targets() == sorted(converted.kept / name for name in ("one.tif", "two/three.tif", ODD))
    assert leads_into(session, filesets, [str(converted.temp.parents[1])]) == {}
    assert renew_links(session, filesets) == 0
    shutil.rmtree(converted.temp.parents[1])
    assert [converted.pixels(fileset) for fileset in filesets] == [{7}, {9}]
    assert converted.leftovers() == []


def test_a_reader_that_has_a_file_open_reads_on(converted: Converted) -> None:
    session = converted.importing.session
    fileset = converted.importing.begin(converted.make("one.tif"))
    [[pixels]] = session.query("select min(p.id) from Pixels p where p.image.fileset.id = :id", id=fileset)
    store = session.factory.createRawPixelsStore()
    store.setPixelsId(pixels, False)
    before = store.getPlane(0, 0, 0)
    renew_links(session, {fileset: converted.places("one.tif")})
    shutil.rmtree(converted.temp)
    assert store.getPlane(0, 0, 0) == before
    store.close()


@pytest.mark.parametrize("point", [Point.LINK_RENEWED, Point.LINK_REPLACED])
def test_cut_off_anywhere_it_is_done_again_and_nothing_is_left(
    point: Point, converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("one.tif", "two.tif", "three.tif")
    filesets = {converted.importing.begin(converted.make(*names)): converted.places(*names)}

    class Died(BaseException):
        pass

    def die(reached: Point) -> None:
        if reached is point:
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(relinking, "reached", die)
        with pytest.raises(Died):
            renew_links(converted.importing.session, filesets)
    assert bool(converted.leftovers()) is (point is Point.LINK_RENEWED)
    renew_links(converted.importing.session, filesets)
    assert converted.targets() == sorted(converted.kept / name for name in names)


def test_two_that_do_the_same_at_the_same_time_do_not_harm_each_other(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = converted.importing.session
    counts: list[int] = []
    filesets = {converted.importing.begin(converted.make("one.tif")): converted.places("one.tif")}

    def meanwhile(reached: Point) -> None:
        if reached is Point.LINK_RENEWED and not counts:
            counts.append(-1)
            counts[0] = renew_links(session, filesets)

    monkeypatch.setattr(relinking, "reached", meanwhile)
    assert renew_links(session, filesets) == 0
    assert counts == [1]
    assert converted.targets() == [converted.kept / "one.tif"]


def test_a_new_link_that_somebody_has_left_goes_when_the_old_one_was_replaced(converted: Converted) -> None:
    fileset = converted.importing.begin(converted.make("one.tif"))
    [[file]] = converted.importing.session.query(
        "select f.id from FilesetEntry e join e.originalFile f where e.fileset.id = :id", id=fileset
    )
    renew_links(converted.importing.session, {fileset: converted.places("one.tif")})
    [link] = converted.links()
    link.with_name(f".adi-{file}").symlink_to(converted.kept / "one.tif")
    assert renew_links(converted.importing.session, {fileset: converted.places("one.tif")}) == 0
    assert converted.targets() == [converted.kept / "one.tif"]


def test_a_new_link_that_somebody_has_left_goes_with_its_fileset(converted: Converted) -> None:
    fileset = converted.importing.begin(converted.make("one.tif"))
    [link] = converted.links()
    link.with_name(".adi-1").symlink_to(converted.kept / "one.tif")
    delete_fileset(converted.importing.session, fileset)
    assert not link.parent.exists()


@pytest.mark.parametrize("harm", ["gone", "shorter", "folder"])
def test_a_link_stays_as_it_is_when_the_file_is_not_where_it_was_kept(harm: str, converted: Converted) -> None:
    fileset = converted.importing.begin(converted.make("one.tif"))
    kept = converted.kept / "one.tif"
    if harm == "shorter":
        os.truncate(kept, 100)
    else:
        kept.unlink()
    if harm == "folder":
        kept.mkdir()
    for _ in range(2):
        with pytest.raises(ImportInterrupted, match=r"one\.tif"):
            renew_links(converted.importing.session, {fileset: converted.places("one.tif")})
        assert converted.targets() == [converted.temp / "one.tif"]
        (converted.temp / "one.tif").unlink(missing_ok=True)  # OMERO has recorded the size as well


def test_what_leads_elsewhere_or_is_missing_is_left_alone(converted: Converted, tmp_path: Path) -> None:
    session, names = converted.importing.session, ("one.tif", "two.tif", "three.tif")
    fileset = converted.importing.begin(converted.make(*names))
    other = converted.temp.parent / "moved.tif"
    shutil.copy(converted.temp / "one.tif", other)
    for path in converted.importing.repository.rglob("*"):
        if path.is_symlink() and path.readlink() == converted.temp / "one.tif":
            path.unlink()
            path.symlink_to(other)
        elif path.is_symlink() and path.readlink() == converted.temp / "two.tif":
            path.unlink()
    assert renew_links(session, {fileset: converted.places(*names), GONE: converted.places(*names)}) == 1
    assert converted.targets() == sorted([converted.kept / "three.tif", other])
    assert len(leads_into(session, [fileset, GONE], [str(converted.temp.parent)])) == 1
    assert leads_into(session, [fileset], [str(converted.temp), str(tmp_path / "inpl")]) == {}


def test_a_folder_is_the_same_by_any_name(converted: Converted, tmp_path: Path) -> None:
    fileset = converted.importing.begin(converted.make("one.tif"))
    (tmp_path / "OMERO_inplace").symlink_to(tmp_path / "inplace")
    assert (
        len(leads_into(converted.importing.session, [fileset], [f"{tmp_path}/OMERO_inplace/{converted.importing.order}/"])) == 1
    )


def test_another_disk_than_the_servers_is_noticed(converted: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = converted.importing.session
    filesets = {converted.importing.begin(converted.make("one.tif")): converted.places("one.tif")}
    elsewhere = replace(ManagedRepository.of(session), root=tmp_path)
    monkeypatch.setattr(relinking, "ManagedRepository", type("Elsewhere", (), {"of": staticmethod(lambda _: elsewhere)}))
    with pytest.raises(ConfigurationError, match="does not appear there"):
        renew_links(session, filesets)
    with pytest.raises(ConfigurationError, match="does not appear there"):
        leads_into(session, filesets, ["/nowhere"])


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EROFS, ConfigurationError)])
def test_a_disk_that_takes_no_link_keeps_the_old_one(
    number: int, error: type[Exception], converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesets = {converted.importing.begin(converted.make("one.tif")): converted.places("one.tif")}

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    for step in ("symlink", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, refuse)
            with pytest.raises(error):
                renew_links(converted.importing.session, filesets)
    assert converted.targets() == [converted.temp / "one.tif"]
    assert converted.leftovers() == []
