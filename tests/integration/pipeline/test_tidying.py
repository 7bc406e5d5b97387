# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders that converters wrote to, which go when no link leads there any more, and not before."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import omero.all
import pytest

from omero_adi_plugin.crashpoints import Point
from omero_adi_plugin.errors import LeaseLost, RoomsKept
from omero_adi_plugin.importers import relinking
from omero_adi_plugin.orders import FileStep, LedgerFile, Route
from omero_adi_plugin.pipeline import tidying
from omero_adi_plugin.pipeline.sweeping import sweep_late
from omero_adi_plugin.pipeline.tidying import tidy
from omero_adi_plugin.preprocessing import Conversion
from omero_adi_plugin.sessions import Logins
from tests.fixtures.converted import Converted
from tests.fixtures.filesets import submit
from tests.fixtures.importing import Importing
from tests.fixtures.laboratory import Lab, make_group, make_user


@pytest.fixture
def converted(lab: Lab, tmp_path: Path) -> Converted:
    return Converted(Importing(lab), tmp_path)


@pytest.fixture
def fileset(converted: Converted) -> int:
    """A fileset of two files that is in OMERO, whose links were not renewed."""
    return converted.importing.begin(converted.make("a.tif", "b/c.tif"))


KEPT = ("a.tif", "b/c.tif")


def tidied(converted: Converted, *conversions: Conversion, **given: Any) -> bool:
    known: dict[str, Any] = {
        "session": converted.importing.session,
        "attempt": 1,
        "conversions": conversions or (converted.conversion,),
        "files": (),
        "settings": converted.settings,
        "check": lambda: None,
    }
    return tidy(converted.order, **(known | given))


def nothing_is_left(converted: Converted) -> bool:
    """Whether files are where they are to be kept, and nowhere else."""
    files = {path for path in converted.root.rglob("*") if path.is_file()}
    return (
        files == {converted.entry, *(converted.kept / name for name in KEPT)}
        and not converted.home.exists()
        and not converted.staging.parent.exists()
        and converted.targets() == [converted.kept / name for name in KEPT]
    )


def test_links_are_renewed_and_what_converters_wrote_to_is_gone(converted: Converted, fileset: int) -> None:
    assert tidied(converted)
    assert nothing_is_left(converted)
    assert converted.pixels(fileset) == {7}
    assert tidied(converted)


def test_an_order_without_anything_in_omero_leaves_no_folder(converted: Converted) -> None:
    assert tidied(converted, replace(converted.conversion, delivered=False))
    assert sorted(converted.root.rglob("*")) == [converted.entry.parent, converted.entry, converted.root / "inplace"]
    assert tidied(converted)


def test_outputs_may_be_kept_in_a_folder_of_another_name(lab: Lab, tmp_path: Path) -> None:
    converted = Converted(Importing(lab), tmp_path, processed="converted")
    fileset = converted.importing.begin(converted.make(*KEPT))
    assert tidied(converted)
    assert nothing_is_left(converted)
    assert not (converted.root / "data" / ".processed").exists()
    assert converted.pixels(fileset) == {7}


@pytest.mark.parametrize("point", [Point.LINK_RENEWED, Point.LINK_REPLACED, Point.TEMP_REMOVED])
def test_cut_off_anywhere_it_is_done_again(
    point: Point, converted: Converted, fileset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(reached: Point) -> None:
        if reached is point:
            raise Died

    with monkeypatch.context() as patched:
        for module in (relinking, tidying):
            patched.setattr(module, "reached", die)
        with pytest.raises(Died):
            tidied(converted)
    assert converted.pixels(fileset) == {7}
    assert tidied(converted)
    assert nothing_is_left(converted)


def test_the_only_copy_of_a_file_stays(converted: Converted, fileset: int) -> None:
    (converted.kept / "a.tif").unlink()
    assert not tidied(converted)
    assert (converted.temp / "a.tif").is_file()
    assert converted.pixels(fileset) == {7}


@pytest.mark.usefixtures("fileset")
def test_where_a_link_leads_of_which_nothing_is_on_record_stays(converted: Converted) -> None:
    before = converted.targets()
    assert not tidied(converted, replace(converted.conversion, delivered=False))
    assert converted.targets() == before == [converted.temp / name for name in KEPT]


@pytest.mark.parametrize(
    "place", ["{root}/secret.tif", "{kept}/../secret.tif", "{kept}/../../secret.tif", "{kept}/link/secret.tif"]
)
def test_what_the_record_says_of_places_elsewhere_is_not_believed(place: str, converted: Converted, fileset: int) -> None:
    secrets = [converted.root / "secret.tif", converted.root / "data" / "secret.tif"]
    for secret in secrets:
        shutil.copy(converted.temp / "a.tif", secret)
    (converted.kept / "link").symlink_to(converted.root)
    [made] = converted.conversion.filesets
    files = (replace(made.files[0], place=place.format(root=converted.root, kept=converted.kept)), made.files[1])
    assert not tidied(converted, replace(converted.conversion, filesets=(replace(made, files=files),)))
    assert not {os.path.realpath(target) for target in converted.targets()} & set(map(str, secrets))
    assert converted.pixels(fileset) == {7}


@pytest.mark.usefixtures("fileset")
def test_what_others_have_put_there_stays(converted: Converted) -> None:
    former, later = converted.home / "former.tif", converted.home / "2-0" / "out" / "later.tif"
    other = (
        converted.staging.parents[1] / f".adi-{converted.importing.order}-1-1-0" / "of-another.tif"
    )  # an order of a longer name
    others = {former, later, other}
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    assert tidied(converted)
    files = {path for path in converted.root.rglob("*") if path.is_file()}
    assert files == {converted.entry, *(converted.kept / name for name in KEPT), *others}


def test_no_link_is_followed_to_what_is_removed(converted: Converted) -> None:
    shutil.rmtree(converted.home)
    shutil.rmtree(converted.kept)
    precious = converted.root / "precious" / "1-0" / "keep.txt"
    staged = converted.root / "elsewhere" / converted.staging.parent.name / "keep.txt"
    for path in (precious, staged):
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    converted.home.symlink_to(precious.parents[1])
    converted.kept.symlink_to(staged.parents[1])
    assert tidied(converted)
    assert precious.read_text() == staged.read_text() == "mine"


def test_entries_outside_the_roots_are_not_looked_at(converted: Converted) -> None:
    outside = converted.root / "other" / ".processed" / converted.staging.parent.name / "keep.txt"
    outside.parent.mkdir(parents=True)
    outside.write_text("mine")
    entry = replace(converted.order.entries[0], path=str(converted.root / "other" / "scan.lif"))
    order = replace(converted.order, entries=(entry,))
    session, settings = converted.importing.session, converted.settings
    assert tidy(order, session=session, attempt=1, conversions=(), files=(), settings=settings, check=lambda: None)
    assert outside.is_file()


@pytest.mark.usefixtures("fileset")
def test_whoever_may_not_go_on_removes_nothing(converted: Converted) -> None:
    def lost() -> None:
        raise LeaseLost(uuid=converted.importing.order)

    with pytest.raises(LeaseLost):
        tidied(converted, check=lost)
    assert converted.temp.is_dir()
    assert converted.staging.is_dir()


def test_what_was_given_to_somebody_is_renewed_by_whoever_sees_it(
    converted: Converted, fileset: int, lab: Lab, logins: Logins
) -> None:
    service, admin = logins.service(), logins.service().factory.getAdminService()
    group = make_group(admin, permissions="rw----")
    heir, private = admin.lookupExperimenter(make_user(admin, lab.group, group)), admin.lookupGroup(group)
    submit(service, omero.cmd.Chown2(targetObjects={"Fileset": [fileset]}, userId=heir.getId().getValue()))
    submit(service, omero.cmd.Chgrp2(targetObjects={"Fileset": [fileset]}, groupId=private.getId().getValue()))
    key = next(iter(converted.filesets))
    line = LedgerFile(entry=str(converted.entry), key=key, route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=fileset)
    assert not tidied(converted, files=(line,))
    assert converted.temp.is_dir()
    assert tidied(converted, files=(line,), session=service, sees_all=True)
    assert nothing_is_left(converted)


@pytest.fixture
def late(converted: Converted, logins: Logins) -> Callable[[Conversion], None]:
    """Looks once more, long after the end of the order."""

    def sweep(conversion: Conversion) -> None:
        sweep_late(
            converted.order,
            session=converted.importing.session,
            service=logins.service(),
            attempt=1,
            files=[
                LedgerFile(entry=str(converted.entry), key=key, route=Route.INPLACE, step=FileStep.ANNOTATED, fileset=fileset)
                for fileset, key in ((found.fileset, found.marker.key) for found in converted.importing.found())
            ],
            conversions=(conversion,),
            since=time.time() - 600,
            now=time.time() + converted.settings.sweep_seconds,
            settings=converted.settings,
            check=lambda: None,
        )

    return sweep


def test_the_late_sweep_tidies_and_knows_links_of_the_order_by_where_its_outputs_lie(
    converted: Converted, fileset: int, late: Callable[[Conversion], None]
) -> None:
    (link, _) = converted.links()
    day = next(parent for parent in link.parents if parent.parent.parent.parent == converted.importing.repository)
    for number, target in enumerate((converted.temp / "a.tif", converted.kept / "a.tif", converted.entry)):
        stray = day / f"12-00-00.00{number}"
        stray.mkdir()
        (stray / "a.tif").symlink_to(target)
    late(converted.conversion)
    assert [path.name for path in day.iterdir() if path.name.startswith("12-00-00")] == ["12-00-00.002"]
    shutil.rmtree(day / "12-00-00.002")
    assert nothing_is_left(converted)
    assert converted.pixels(fileset) == {7}


@pytest.mark.usefixtures("fileset")
def test_the_late_sweep_is_not_done_while_something_is_left(converted: Converted, late: Callable[[Conversion], None]) -> None:
    os.truncate(converted.kept / "a.tif", 10)
    with pytest.raises(RoomsKept, match=converted.importing.order):
        late(converted.conversion)
    assert converted.temp.is_dir()
