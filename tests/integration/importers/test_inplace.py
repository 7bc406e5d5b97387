# SPDX-License-Identifier: GPL-2.0-or-later
"""In-place import: what is in OMERO and on the disk after a success, and that nothing is after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.errors import (
    ConfigurationError,
    FileMissing,
    ImportInterrupted,
    ImportRefused,
    LeaseLost,
    TargetMissing,
)
from omero_adi_plugin.importers.markers import delete_fileset, find_marked
from omero_adi_plugin.importers.protocol import Skip
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import FileStep
from tests.fixtures.importing import EVERYTHING, QUICK, Importing, delete

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import MarkedFileset, OnStep
    from omero_adi_plugin.sessions import Logins
    from tests.fixtures.laboratory import Lab


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def links_to(folder: Path, source: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() and path.readlink() == source]


@pytest.mark.parametrize("skip", [EVERYTHING, QUICK], ids=["nothing skipped", "all skipped"])
def test_one_image_is_in_the_target_and_its_file_is_a_link(lab: Lab, one: Path, skip: Skip) -> None:
    importing, session = Importing(lab, skip=skip), lab.session
    imported = importing.run(importing.plan(one))
    assert importing.steps == [FileStep.CREATED, FileStep.VERIFYING]
    query = "select l.child.id, l.child.name, l.child.fileset.id from DatasetImageLink l where l.parent.id = :id"
    assert session.query(query, id=lab.dataset) == [[imported.images[0], "one.tif", imported.fileset]]
    assert len(links_to(importing.repository, one)) == 1
    owners = "select i.details.owner.id, i.details.group.id from Image i where i.id = :id"
    assert session.query(owners, id=imported.images[0]) == [[session.user_id, session.group_id]]


def test_three_images_come_back_in_series_order(importing: Importing, three: Path) -> None:
    imported = importing.run(importing.plan(three))
    query = "select i.id, i.series from Image i where i.fileset.id = :id order by i.series"
    assert importing.session.query(query, id=imported.fileset) == [[image, n] for n, image in enumerate(imported.images)]
    assert len(imported.images) == 3


def test_what_the_producer_calls_it_becomes_the_images_name(importing: Importing, one: Path) -> None:
    imported = importing.run(importing.plan(one, name="Cells, day 3"))
    assert importing.session.query("select i.name from Image i where i.id = :id", id=imported.images[0]) == [["Cells, day 3"]]


@pytest.mark.parametrize(
    "name",
    ['a:b?c*d"e<f>g|h\\i.tif', "line\nbreak.tif", " leading and trailing .tif ", "Zürich 細胞 🔬.tif", "-n $HOME `id`.tif"],
)
def test_odd_names_are_imported_and_found_again(importing: Importing, one: Path, name: str) -> None:
    odd = one.rename(one.parent / name)
    imported = importing.run(importing.plan(odd))
    assert len(links_to(importing.repository, odd)) == 1
    (found,) = importing.found()
    assert (found.fileset, found.marker.key) == (imported.fileset, str(odd))


def test_the_marker_is_there_from_the_first_moment(lab: Lab, logins: Logins, importing: Importing, three: Path) -> None:
    seen: list[MarkedFileset] = []

    def look(step: FileStep, /, *, fileset: int) -> None:
        if step is FileStep.CREATED:
            with logins.act_for(lab.user, lab.group) as another:
                seen.extend(find_marked(another, uuid=importing.order, target=importing.target, statistics=False))

    plan = importing.plan(three)
    importing.run(plan, on_step=look)
    (found,) = seen
    assert found.marker == importing.marker(plan)
    assert (found.complete, found.images) == (False, ())


@pytest.mark.parametrize("step", [FileStep.CREATED, FileStep.VERIFYING])
def test_a_lost_lease_takes_everything_back(importing: Importing, one: Path, step: FileStep) -> None:
    def lose(at: FileStep, /, *, fileset: int) -> None:
        if at is step:
            raise LeaseLost(uuid=importing.order)

    assert_nothing_stays(importing, one, LeaseLost, on_step=lose)


def test_a_source_that_went_away_takes_everything_back(importing: Importing, one: Path) -> None:
    assert_nothing_stays(importing, one, FileMissing, on_step=at(FileStep.CREATED, one.unlink))


def test_a_file_that_the_server_refuses_takes_everything_back(importing: Importing, one: Path) -> None:
    one.write_bytes(b"no TIFF at all")
    assert_nothing_stays(importing, one, ImportRefused)


def test_a_target_that_went_away_takes_everything_back(importing: Importing, one: Path) -> None:
    def delete_target() -> None:
        delete(importing.session, "Dataset", [importing.target.id])

    assert_nothing_stays(importing, one, TargetMissing, on_step=at(FileStep.CREATED, delete_target))


def test_a_deleted_fileset_fences_its_import(importing: Importing, one: Path) -> None:
    def fence(step: FileStep, /, *, fileset: int) -> None:
        if step is FileStep.VERIFYING:
            delete_fileset(importing.session, fileset)

    assert_nothing_stays(importing, one, ImportInterrupted, on_step=fence)


def test_another_disk_than_the_servers_is_noticed(importing: Importing, one: Path, tmp_path: Path) -> None:
    repository = ManagedRepository.of(importing.session)
    importing.importer.__dict__["_repository"] = ManagedRepository(service=repository.service, root=tmp_path)
    assert_nothing_stays(importing, one, ConfigurationError)


def at(moment: FileStep, do: Callable[[], object]) -> OnStep:
    def on_step(step: FileStep, /, *, fileset: int) -> None:
        if step is moment:
            do()

    return on_step


def assert_nothing_stays(importing: Importing, source: Path, error: type[Exception], *, on_step: OnStep | None = None) -> None:
    before = everything_in(importing.repository)
    plan = importing.plan(source)
    with pytest.raises(error):
        importing.run(plan, on_step=on_step)
    assert importing.found() == ()
    client_path = str(source).lstrip("/")
    assert importing.session.query("select e.id from FilesetEntry e where e.clientPath = :path", path=client_path) == []
    shared_folders = 2  # user, month and day: others' imports go there too
    new = everything_in(importing.repository) - before
    assert {path for path in new if path.count("/") > shared_folders} == set()
