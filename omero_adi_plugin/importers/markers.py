# SPDX-License-Identifier: GPL-2.0-or-later
"""Markers: what OMERO holds of an order, found by the comment that each of its filesets carries from the first moment.

The server imports in five steps, each committed on its own. After the first all images are there, and in the target, but of
several each shows series 0; at the end of the second each has its own `series`, and its statistics (real server, recorded). So
a fileset is complete when its series are 0 … n-1 and, where statistics were asked for, every channel has them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import omero.all

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ImportInterrupted
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.handles import NoProgress, finished, refusal
from omero_adi_plugin.importers.protocol import MarkedFileset
from omero_adi_plugin.importers.references import link, reference
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import MARKER_NAMESPACE, Marker, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.orders import Target

DELETE_PATIENCE_SECONDS = 600
"""How long the server may stay at one step of a deletion."""

_PLATES = "select distinct p.id, i.fileset.id from Plate p join p.wells w join w.wellSamples s join s.image i where "


_SHARED_PLATES = (
    "select distinct p.id from Plate p join p.wells w join w.wellSamples s join s.image i left outer join i.fileset f "
    "where p.id in (:ids) and (f.id is null or f.id <> :fileset)"
)
"""Plates that people have made of images of several filesets, as OMERO's script Dataset_To_Plate does."""


def find_marked(session: Session, *, uuid: str, target: Target, statistics: bool) -> tuple[MarkedFileset, ...]:
    """Return the filesets of the session's user that carry a marker of the order, in whichever group they lie now.

    Parameters
    ----------
    uuid : str
        The order.
    target : Target
        Where its images should be linked.
    statistics : bool
        Whether smallest and largest values were asked for: then a fileset without them is not complete.
    """
    return examine(session, _markers(session, uuid), target=target, statistics=statistics)


def examine(session: Session, markers: Mapping[int, Marker], *, target: Target, statistics: bool) -> tuple[MarkedFileset, ...]:
    """Return what has become of filesets whose markers are known, by their ids; `target`, `statistics` as in `find_marked`."""
    if not markers:
        return ()
    ids = sorted(markers)
    images: dict[int, list[int]] = defaultdict(list)
    series: dict[int, list[int]] = defaultdict(list)
    for fileset, image, number in batches.ask(
        session, "select i.fileset.id, i.id, i.series from Image i where i.fileset.id in (:ids) order by i.series, i.id", ids
    ):
        images[fileset].append(image)
        series[fileset].append(number)
    plates = _plates(session, ids) if target.kind is TargetKind.SCREEN else {}
    unfinished = _without_statistics(session, ids) if statistics else set()
    linked = _linked(session, target, [i for of in images.values() for i in of], [p for of in plates.values() for p in of])
    return tuple(
        MarkedFileset(
            fileset=fileset,
            marker=markers[fileset],
            images=tuple(images[fileset]),
            plates=tuple(plates.get(fileset, ())),
            complete=bool(series[fileset]) and series[fileset] == list(range(len(series[fileset]))) and fileset not in unfinished,
            linked=set(plates.get(fileset, ()) if target.kind is TargetKind.SCREEN else images[fileset]) <= linked,
        )
        for fileset in ids
    )


def in_work(session: Session, filesets: Sequence[int]) -> set[int]:
    """Return those of the filesets that OMERO.server may still be importing by itself.

    It was told to, which finishes the fileset's upload job, the only job that ever is; and the session that told it is open. One
    that has ended, even by a restart of the server, has cut its imports off (real server, recorded: facts 1 to 3). A session that
    was longer than it may live has ended, too, though its row says so only when the server looks for such (facts 4).
    """
    rows = batches.ask(
        session,
        "select distinct s.id, e.session.started, e.session.timeToLive from Fileset s join s.jobLinks l join l.child j "
        "join s.details.creationEvent e where s.id in (:ids) and j.status.value = 'Finished' and e.session.closed is null",
        filesets,
    )
    now = time.time() * 1000
    return {fileset for fileset, started, life in rows if life == 0 or started + life > now}


def made_since(session: Session, filesets: Sequence[int], since: float) -> set[int]:
    """Return those of the filesets that OMERO has made since a time, in seconds of the epoch."""
    rows = batches.ask(session, "select s.id, s.details.creationEvent.time from Fileset s where s.id in (:ids)", filesets)
    return {fileset for fileset, milliseconds in rows if milliseconds >= since * 1000}


def delete_fileset(session: Session, fileset: int) -> None:
    """Delete a fileset with its images and plates, its links on disk and its empty folder; the sources stay.

    It also fences: an import of it that still runs, anywhere, fails (real server, recorded). One that is gone is no error. With
    a plate OMERO deletes all images in it; so if one has images of others, too, the server is not asked for more than the
    fileset, which it refuses as long as they are in a plate (facts 10).

    Raises
    ------
    ImportInterrupted
        The server refuses, or does not get on with it.
    """
    repository = ManagedRepository.of(session)
    rows = session.query(
        "select s.templatePrefix, f.path, f.name from FilesetEntry e join e.fileset s join e.originalFile f where s.id = :id",
        all_groups=True,
        id=fileset,
    )
    plates = [plate for plate, _ in session.query(_PLATES + "i.fileset.id = :id", all_groups=True, id=fileset)]
    shared = batches.ask(session, _SHARED_PLATES, plates, fileset=fileset)
    targets = {"Plate": plates} if plates and not shared else {"Fileset": [fileset]}
    reached(Point.DELETION_DUE)
    with translated(f"deleting Fileset {fileset}", session.where):
        handle = session.factory.submit(omero.cmd.Delete2(targetObjects=targets))
    try:
        response = finished(session, handle, doing=f"deleting Fileset {fileset}", patience_seconds=DELETE_PATIENCE_SECONDS)
    except NoProgress as error:
        raise ImportInterrupted(path=f"Fileset:{fileset}", words="OMERO does not get on with deleting it") from error
    refused = isinstance(response, omero.cmd.ERR)
    if (refused or plates) and session.query("select s.id from Fileset s where s.id = :id", all_groups=True, id=fileset):
        why = refusal(response) if refused else "its plates are gone, and it is not"  # its links on disk are needed, then
        raise ImportInterrupted(path=f"Fileset:{fileset}", words=f"it could not be deleted ({why})")
    reached(Point.DELETED)
    if rows:
        repository.remove(template=rows[0][0], files=[repository.location(path, name) for _, path, name in rows])


def restore_link(session: Session, target: Target, images: Sequence[int], plates: Sequence[int]) -> None:
    """Link images to a Dataset, or plates to a Screen, where the link is missing."""
    linked = _linked(session, target, images, plates)
    parent = reference(target.kind, target.id)
    if target.kind is TargetKind.SCREEN:
        links = [link("ScreenPlateLink", parent=parent, child=reference("Plate", p)) for p in plates if p not in linked]
    else:
        links = [link("DatasetImageLink", parent=parent, child=reference("Image", i)) for i in images if i not in linked]
    reached(Point.LINKING_DUE)
    batches.save(session, links, doing=f"linking to {target}")
    reached(Point.LINKED_TO_TARGET)


def in_no_container(session: Session, kind: TargetKind, ids: Sequence[int]) -> list[int]:
    """Return those of the images (for Screens: of the plates) that are in no Dataset (Screen) at all.

    Parameters
    ----------
    kind : TargetKind
        What they should be in.
    ids : sequence of int
        Of images or plates that may be gone.
    """
    child, entity = ("Plate", "ScreenPlateLink") if kind is TargetKind.SCREEN else ("Image", "DatasetImageLink")
    hql = (
        f"select c.id from {child} c where c.id in (:ids) "  # noqa: S608 (one of two names)
        f"and not exists (select l.id from {entity} l where l.child.id = c.id)"
    )
    return sorted(identity for (identity,) in batches.ask(session, hql, ids))


def _markers(session: Session, uuid: str) -> dict[int, Marker]:
    """Return the markers by fileset: those that the user has put on own filesets.

    Anybody may write such a comment on theirs and, in a read-annotate group, on those of others.
    """
    rows = session.query(
        "select s.id, a.textValue from FilesetAnnotationLink l join l.parent s join l.child a "
        "where a.ns = :namespace and a.textValue like :start and s.details.owner.id = :user and l.details.owner.id = :user",
        all_groups=True,
        namespace=MARKER_NAMESPACE,
        start=f"{uuid} %",
        user=session.user_id,
    )
    parsed = {fileset: Marker.parse(text) for fileset, text in rows}
    return {fileset: marker for fileset, marker in parsed.items() if marker is not None and marker.uuid == uuid}


def _plates(session: Session, filesets: list[int]) -> dict[int, list[int]]:
    plates: dict[int, list[int]] = defaultdict(list)
    for plate, fileset in batches.ask(session, _PLATES + "i.fileset.id in (:ids) order by p.id", filesets):
        plates[fileset].append(plate)
    return plates


def _without_statistics(session: Session, filesets: list[int]) -> set[int]:
    rows = batches.ask(
        session,
        "select distinct i.fileset.id from Channel c join c.pixels p join p.image i "
        "where i.fileset.id in (:ids) and c.statsInfo is null",
        filesets,
    )
    return {fileset for (fileset,) in rows}


def _linked(session: Session, target: Target, images: Sequence[int], plates: Sequence[int]) -> set[int]:
    """Return those of the images (for a Screen: of the plates) that are linked to the target."""
    children = plates if target.kind is TargetKind.SCREEN else images
    entity = "ScreenPlateLink" if target.kind is TargetKind.SCREEN else "DatasetImageLink"
    hql = f"select l.child.id from {entity} l where l.parent.id = :target and l.child.id in (:ids)"  # noqa: S608 (one of two names)
    rows = batches.ask(session, hql, children, target=target.id)
    return {child for (child,) in rows}
