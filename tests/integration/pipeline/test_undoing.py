# SPDX-License-Identifier: GPL-2.0-or-later
"""What an order has imported is removed, all of it and nothing else, however often it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import omero.all
import pytest
from omero.model import (
    DatasetI,
    DatasetImageLinkI,
    ImageAnnotationLinkI,
    ImageI,
    PlateI,
    RoiI,
    TagAnnotationI,
    WellI,
    WellSampleI,
)
from omero.rtypes import rint, rstring

from omero_adi_plugin.errors import ConnectionBroken, OrderOpen
from omero_adi_plugin.importers.handles import finished
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.orders import Claim, FileStep, Marker
from omero_adi_plugin.pipeline.undoing import Undoing
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking import operating
from omero_adi_plugin.tracking.views import OrderStatus, order_status, order_summary
from tests.fixtures.filesets import made, mark
from tests.fixtures.laboratory import make_user
from tests.fixtures.runs import Runs

NOW = "ann@desk"


def silent(done: int, total: int) -> None:
    del done, total


@pytest.fixture
def completed(runs: Runs) -> Claim:
    """An order of three files, one of them with three images."""
    samples = runs.samples
    claim = runs.order(samples.image("a.ome.tif"), samples.three_images("b.ome.tif"), samples.image("c.ome.tif"))
    runs.run(claim)
    runs.queue.complete(claim.lease)
    return claim


def undoing(runs: Runs, logins: Logins, claim: Claim) -> Undoing:
    report = order_summary(runs.database, claim.lease.order)
    namespace = runs.settings.annotation_namespace
    return Undoing(runs.database, report, session=runs.lab.session, service=logins.service(), namespace=namespace)


def steps(runs: Runs, claim: Claim) -> dict[str, FileStep]:
    return {Path(line.key).name: line.step for line in shown(runs, claim).files or ()}


def shown(runs: Runs, claim: Claim) -> OrderStatus:
    return order_status(runs.database, claim.lease.order)


def undone(runs: Runs, claim: Claim) -> list[tuple[str, str | None]]:
    """Who has undone the order, and how much it was."""
    return [(action.who, action.detail) for action in shown(runs, claim).actions or () if action.action == "undone"]


def links(repository: Path, folder: Path) -> list[Path]:
    return [link for link in repository.rglob("*") if link.is_symlink() and folder in link.readlink().parents]


def count(runs: Runs, entity: str) -> int:
    hql = f"select count(o.id) from {entity} o where o.details.owner.id = :user"
    [[amount]] = runs.lab.session.query(hql, all_groups=True, user=runs.lab.session.user_id)
    return int(amount)


def save(runs: Runs, *objects: Any) -> None:
    runs.lab.session.factory.getUpdateService().saveArray(list(objects))


def test_all_of_it_goes_and_nothing_else(runs: Runs, logins: Logins, completed: Claim, managed_repository: Path) -> None:
    other = runs.order(runs.samples.image("other.ome.tif"))
    runs.run(other)
    folder = runs.samples.folder
    assert len(links(managed_repository, folder)) == 4
    work = undoing(runs, logins, completed)
    extent = work.look()
    assert (len(extent.filesets), extent.images, extent.files, extent.plates) == (3, 5, 3, 0)
    assert (extent.rois, extent.annotations, extent.elsewhere, extent.vanished, extent.out_of_sight) == (0, 0, 0, (), ())
    told: list[tuple[int, int]] = []
    done = work.remove(extent, who=NOW, on_progress=lambda *amounts: told.append(amounts))
    assert (done.removed, done.refused) == (list(extent.filesets), [])
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert runs.lab.markers() == {(other.lease.order, str(folder / "other.ome.tif")): 1}
    assert (count(runs, "Image"), count(runs, "MapAnnotation"), count(runs, "CommentAnnotation")) == (1, 1, 2)
    assert [link.readlink().name for link in links(managed_repository, folder)] == ["other.ome.tif"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.ome.tif", "b.ome.tif", "c.ome.tif", "other.ome.tif"]
    assert set(steps(runs, completed).values()) == {FileStep.PLANNED}
    assert set(steps(runs, other).values()) == {FileStep.ANNOTATED}
    assert undone(runs, completed) == [(NOW, "filesets removed: 3")]
    assert not undoing(runs, logins, completed).look().removable


def test_it_tells_what_people_have_added(runs: Runs, logins: Logins, completed: Claim) -> None:
    images = runs.lab.images()
    roi, tag, elsewhere, link = RoiI(), TagAnnotationI(), DatasetI(), DatasetImageLinkI()
    roi.setImage(ImageI(images[0], False))
    tag.setTextValue(rstring("mine"))
    tagged = ImageAnnotationLinkI()
    tagged.setParent(ImageI(images[1], False))
    tagged.setChild(tag)
    elsewhere.setName(rstring("elsewhere"))
    link.setParent(elsewhere)
    link.setChild(ImageI(images[2], False))
    save(runs, roi, tagged, link)
    extent = undoing(runs, logins, completed).look()
    assert (extent.rois, extent.annotations, extent.elsewhere) == (1, 1, 1)


def test_cut_off_in_between_it_is_done_once_more(runs: Runs, logins: Logins, completed: Claim) -> None:
    def breaks(done: int, total: int) -> None:
        del total
        if done == 2:
            raise ConnectionBroken(doing="this is a test")

    work = undoing(runs, logins, completed)
    with pytest.raises(ConnectionBroken):
        work.remove(work.look(), who=NOW, on_progress=breaks)
    assert sorted(steps(runs, completed).values()) == [FileStep.ANNOTATED, FileStep.PLANNED, FileStep.PLANNED]
    assert undone(runs, completed) == []
    work = undoing(runs, logins, completed)
    assert len(work.remove(work.look(), who=NOW, on_progress=silent).removed) == 1
    assert undone(runs, completed) == [(NOW, "filesets removed: 1")]
    assert runs.lab.images() == []


def test_killed_before_it_could_forget_the_next_one_does(runs: Runs, logins: Logins, completed: Claim) -> None:
    for fileset in undoing(runs, logins, completed).look().filesets:
        delete_fileset(runs.lab.session, fileset)
    work = undoing(runs, logins, completed)
    extent = work.look()
    assert (extent.filesets, len(extent.vanished), extent.removable) == ((), 3, True)
    assert work.remove(extent, who=NOW, on_progress=silent).removed == []
    assert set(steps(runs, completed).values()) == {FileStep.PLANNED}
    assert undone(runs, completed) == [(NOW, "filesets removed: 0")]


def test_it_stops_when_the_order_is_ordered_again(runs: Runs, logins: Logins, completed: Claim) -> None:
    def interferes(done: int, total: int) -> None:
        del total
        if done == 1:
            operating.retry(runs.database, completed.lease.order, who="bob@desk")

    work = undoing(runs, logins, completed)
    with pytest.raises(OrderOpen):
        work.remove(work.look(), who=NOW, on_progress=interferes)
    assert sum(runs.lab.markers().values()) == 2
    assert sorted(steps(runs, completed).values()) == [FileStep.ANNOTATED, FileStep.ANNOTATED, FileStep.PLANNED]
    assert undone(runs, completed) == []


def test_a_plate_that_a_person_has_made_of_images_of_several_orders_goes_with_none_of_them(
    runs: Runs, logins: Logins, completed: Claim
) -> None:
    """As OMERO's own script Dataset_To_Plate makes them: to delete a plate is to delete all images in it."""
    first = undoing(runs, logins, completed).look().filesets
    another = runs.order(runs.samples.image("another.ome.tif"))
    runs.run(another)
    [theirs] = shown_filesets(runs, another)
    plate = PlateI()
    plate.setName(rstring("both"))
    for column, fileset in enumerate([first[0], theirs]):
        [[image], *_] = runs.lab.session.query("select i.id from Image i where i.fileset.id = :id order by i.id", id=fileset)
        well, sample = WellI(), WellSampleI()
        well.setRow(rint(0))
        well.setColumn(rint(column))
        sample.setImage(ImageI(image, False))
        well.addWellSample(sample)
        plate.addWell(well)
    runs.lab.session.factory.getUpdateService().saveObject(plate)
    work = undoing(runs, logins, completed)
    done = work.remove(work.look(), who=NOW, on_progress=silent)
    assert [fileset for fileset, _ in done.refused] == [first[0]]
    assert runs.lab.session.query("select f.id from Fileset f where f.id in (:ids) order by f.id", ids=[first[0], theirs]) == [
        [first[0]],
        [theirs],
    ]


def test_what_omero_refuses_to_delete_is_named_and_stays(runs: Runs, logins: Logins, completed: Claim) -> None:
    kept = undoing(runs, logins, completed).look().filesets[1]
    [[image], *_] = runs.lab.session.query("select i.id from Image i where i.fileset.id = :id order by i.id", id=kept)
    plate, well, sample = PlateI(), WellI(), WellSampleI()  # an administrator's, so that the user may not delete it
    plate.setName(rstring("of somebody else"))
    well.setRow(rint(0))
    well.setColumn(rint(0))
    sample.setImage(ImageI(image, False))
    well.addWellSample(sample)
    plate.addWell(well)
    logins.service().factory.getUpdateService().saveObject(plate, {"omero.group": str(runs.lab.session.group_id)})
    work = undoing(runs, logins, completed)
    done = work.remove(work.look(), who=NOW, on_progress=silent)
    assert [fileset for fileset, _ in done.refused] == [kept]
    assert "not permitted to delete" in done.refused[0][1]
    assert list(shown_filesets(runs, completed)) == [kept]
    assert undone(runs, completed) == [(NOW, "filesets removed: 2, left: 1")]


def shown_filesets(runs: Runs, claim: Claim) -> list[int]:
    return [line.fileset for line in shown(runs, claim).files or () if line.fileset is not None]


def test_what_was_given_to_somebody_else_is_left_to_them(runs: Runs, logins: Logins, completed: Claim) -> None:
    given = undoing(runs, logins, completed).look().filesets[0]
    service = logins.service()
    heir = make_user(service.factory.getAdminService(), runs.lab.group)
    number = service.factory.getAdminService().lookupExperimenter(heir).getId().getValue()
    request = omero.cmd.Chown2(targetObjects={"Fileset": [given]}, userId=number)
    response = finished(service, service.factory.submit(request), doing="giving it away", patience_seconds=30)
    assert not isinstance(response, omero.cmd.ERR), response
    work = undoing(runs, logins, completed)
    extent = work.look()
    assert extent.out_of_sight == ((given, f"it belongs to '{heir}' in the group '{runs.lab.group}' now"),)
    done = work.remove(extent, who=NOW, on_progress=silent)
    assert (len(done.removed), done.refused) == (2, list(extent.out_of_sight))
    assert shown_filesets(runs, completed) == [given]


def test_halves_go_too(runs: Runs, logins: Logins, completed: Claim) -> None:
    half = made(runs.lab.session, images=0).fileset
    mark(runs.lab.session, half, Marker(uuid=completed.lease.order, attempt=1, key="/data/half.tif"))
    work = undoing(runs, logins, completed)
    extent = work.look()
    assert (len(extent.filesets), extent.images) == (4, 5)
    assert half in work.remove(extent, who=NOW, on_progress=silent).removed
    assert count(runs, "Fileset") == 0
