# SPDX-License-Identifier: GPL-2.0-or-later
"""Holdings: what OMERO holds of an order that OMERO's own importer brings in.

That importer marks images, which are there only at the end of a fileset's first step; what it leaves before has no marker. So the
session that it is going to work in is announced first, by a comment with the marker that is linked to nothing: whatever that
session has made is the order's, images or not. The comment is deleted when all is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import omero.all
from omero.rtypes import rstring

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ServerTrouble
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.contents import client_paths
from omero_adi_plugin.importers.handles import NoProgress, finished
from omero_adi_plugin.importers.markers import DELETE_PATIENCE_SECONDS, examine
from omero_adi_plugin.orders import MARKER_NAMESPACE, Marker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import MarkedFileset, Session
    from omero_adi_plugin.orders import Target

ALL = "*"
"""The key in a marker that stands for every fileset of its order: they are told apart by client path."""

_ON_FILESETS = (
    "select distinct l.parent.id from FilesetAnnotationLink l join l.child a "
    "where a.ns = :namespace and l.details.owner.id = :user and l.parent.id in (:ids)"
)
_ON_IMAGES = (
    "select distinct i.fileset.id, a.textValue from ImageAnnotationLink l join l.parent i join l.child a "
    "where a.ns = :namespace and l.details.owner.id = :user and i.fileset.id in (:ids)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A fileset that OMERO's own importer has made for an order.

    found: what has become of it; its marker's key is `*`.
    paths: of all its files, absolute, as the importer was given them, or found them.
    """

    found: MarkedFileset
    paths: frozenset[str]


def announce(session: Session, marker: Marker) -> None:
    """Say in OMERO that what this session is going to make is the order's."""
    comment = omero.model.CommentAnnotationI()
    comment.setNs(rstring(MARKER_NAMESPACE))
    comment.setTextValue(rstring(str(marker)))
    with translated("announcing an import", session.where):
        session.factory.getUpdateService().saveObject(comment)


def withdraw(session: Session, *, uuid: str) -> None:
    """Delete what `announce` has left, in this and in earlier attempts."""
    ids = [comment for comment, _ in _announcements(session, uuid)]
    if ids:
        reached(Point.WITHDRAWAL_DUE)
        doing = "clearing up after an import"
        with translated(doing, session.where):
            handle = session.factory.submit(omero.cmd.Delete2(targetObjects={"Annotation": ids}))
        try:
            finished(session, handle, doing=doing, patience_seconds=DELETE_PATIENCE_SECONDS)
        except NoProgress as error:
            raise ServerTrouble(doing=doing, words="it does not get on with a deletion") from error
        reached(Point.WITHDRAWN)


def holdings(session: Session, *, uuid: str, target: Target, statistics: bool) -> tuple[Holding, ...]:
    """Return the filesets of the session's user that OMERO's importer has made for an order, in whichever attempt and group.

    Parameters
    ----------
    uuid : str
        The order.
    target : Target
        Where its images should be linked.
    statistics : bool
        As in `markers.find_marked`.
    """
    markers = _markers(session, uuid)
    found = examine(session, markers, target=target, statistics=statistics)
    paths = client_paths(session, sorted(markers))
    return tuple(Holding(found=each, paths=frozenset(paths[each.fileset])) for each in found)


def made_here(session: Session, filesets: Sequence[int]) -> list[int]:
    """Return those of the filesets that this very session has made."""
    with translated("asking for this session's number", session.where):
        own = session.factory.getAdminService().getEventContext().sessionId
    hql = "select f.id from Fileset f where f.id in (:ids) and f.details.creationEvent.session.id = :own order by f.id"
    return [fileset for (fileset,) in batches.ask(session, hql, filesets, own=own)]


def _markers(session: Session, uuid: str) -> dict[int, Marker]:
    """Return the markers of filesets that carry one on their images, or that an announced session has left without images."""
    made = batches.ask(
        session,
        "select f.id from Fileset f where f.details.creationEvent.session.id in (:ids) and f.details.owner.id = :user",
        sorted(_sessions(session, uuid)),
        user=session.user_id,
    )
    ids = sorted(fileset for (fileset,) in made)
    in_place = batches.ask(session, _ON_FILESETS, ids, namespace=MARKER_NAMESPACE, user=session.user_id)
    markers = dict.fromkeys(ids, Marker(uuid=uuid, attempt=0, key=ALL))
    for (fileset,) in in_place:
        markers.pop(fileset, None)
    on_images = batches.ask(session, _ON_IMAGES, sorted(markers), namespace=MARKER_NAMESPACE, user=session.user_id)
    for fileset, text in on_images:
        marker = Marker.parse(text)
        if marker is not None and marker.uuid == uuid and fileset in markers:
            markers[fileset] = marker
        else:  # another order, in the same session
            markers.pop(fileset, None)
    return markers


def _sessions(session: Session, uuid: str) -> set[int]:
    """Return the sessions in which an order was imported: those announced, and those in which images came with their marker.

    A marker that was copied with the image that it is on was made in another session than the image's fileset.
    """
    rows = session.query(
        "select distinct a.details.creationEvent.session.id, i.fileset.details.creationEvent.session.id, a.textValue "
        "from ImageAnnotationLink l join l.parent i join l.child a "
        "where a.ns = :namespace and a.textValue like :start and l.details.owner.id = :user and a.details.owner.id = :user",
        all_groups=True,
        namespace=MARKER_NAMESPACE,
        start=f"{uuid} %",
        user=session.user_id,
    )
    with_images = {marked for marked, imported, text in rows if marked == imported and _is_of(text, uuid)}
    return with_images | {number for _, number in _announcements(session, uuid)}


def _announcements(session: Session, uuid: str) -> list[tuple[int, int]]:
    """Return id and session of the user's comments that announce an order and are linked to nothing, in whichever group."""
    rows = session.query(
        "select a.id, a.details.creationEvent.session.id, a.textValue from CommentAnnotation a "
        "where a.ns = :namespace and a.textValue like :start and a.details.owner.id = :user "
        "and not exists (select i.id from ImageAnnotationLink i where i.child.id = a.id) "
        "and not exists (select f.id from FilesetAnnotationLink f where f.child.id = a.id)",
        all_groups=True,
        namespace=MARKER_NAMESPACE,
        start=f"{uuid} %",
        user=session.user_id,
    )
    return [(comment, number) for comment, number, text in rows if _is_of(text, uuid)]


def _is_of(text: str, uuid: str) -> bool:
    marker = Marker.parse(text)
    return marker is not None and marker.uuid == uuid and marker.key == ALL
