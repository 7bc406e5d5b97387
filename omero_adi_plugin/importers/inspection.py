# SPDX-License-Identifier: GPL-2.0-or-later
"""Inspection: what OMERO holds of filesets now, asked for many of them at once, for a comparison with what is on record.

A fileset is what it was only if it carries its order's marker: after a restore of OMERO's database from a backup, ids that were
given since may be given again. Everything is counted by the server, as a fileset may have thousands of images.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.annotating import ORDER_KEY
from omero_adi_plugin.importers.ondisk import KeptFile
from omero_adi_plugin.orders import MARKER_NAMESPACE, Marker, TargetKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.importers.repository import ManagedRepository

_FILESETS = "select s.id, o.omeName, g.name from Fileset s join s.details.owner o join s.details.group g where s.id in (:ids)"
_ON_FILESETS = (
    "select l.parent.id, a.textValue from FilesetAnnotationLink l join l.child a where a.ns = :ns and l.parent.id in (:ids)"
)
_IN_FILESETS = (
    "select distinct i.fileset.id, a.textValue from ImageAnnotationLink l join l.parent i join l.child a "
    "where a.ns = :ns and i.fileset.id in (:ids)"
)
_IMAGES = (
    "select i.fileset.id, count(i.id), min(i.id), max(i.id), count(distinct i.series) from Image i "
    "where i.fileset.id in (:ids) group by i.fileset.id"
)
_PLATES = "select distinct p.id, i.fileset.id from Plate p join p.wells w join w.wellSamples s join s.image i "
_PLATES += "where i.fileset.id in (:ids) order by p.id"
_DATASETS = (
    "select i.fileset.id, l.parent.id, count(distinct i.id) from DatasetImageLink l join l.child i "
    "where i.fileset.id in (:ids) group by i.fileset.id, l.parent.id"
)
_SCREENS = "select l.child.id, l.parent.id from ScreenPlateLink l where l.child.id in (:ids)"
_ON_IMAGES = (
    "select i.fileset.id, v.value, count(distinct i.id) from ImageAnnotationLink l join l.parent i join l.child a "
    "join a.mapValue v where i.fileset.id in (:ids) and v.name = :key group by i.fileset.id, v.value"
)
_ON_PLATES = (
    "select distinct l.parent.id, v.value from PlateAnnotationLink l join l.child a join a.mapValue v "
    "where l.parent.id in (:ids) and v.name = :key"
)
_FILES = (
    "select e.fileset.id, f.path, f.name, f.size, e.clientPath from FilesetEntry e join e.originalFile f "
    "where e.fileset.id in (:ids) order by e.fileset.id, f.id"
)
_OF_ORDER = (
    "select s.id, a.textValue from FilesetAnnotationLink l join l.parent s join l.child a "
    "where a.ns = :ns and a.textValue like :start"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIds:
    """Images of a fileset, without a list of them.

    series: how many different numbers they have; each its own, when the server has finished.
    """

    count: int = 0
    first: int = 0
    last: int = 0
    series: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A fileset as OMERO holds it.

    owner, group: names: whose it is, and where it lies.
    markers:      those that it carries, itself or on its images.
    containers:   how many of its images are in which Dataset or, of a Screen's, of its plates in which Screen.
    annotated:    how many of its images (plates) have the key-values of which order.
    """

    fileset: int
    owner: str
    group: str
    markers: frozenset[Marker]
    images: ImageIds
    plates: tuple[int, ...]
    containers: Mapping[int, int]
    annotated: Mapping[str, int]
    files: tuple[KeptFile, ...]


def inspect(
    session: Session, filesets: Collection[int], *, kind: TargetKind, repository: ManagedRepository
) -> dict[int, Inspected]:
    """Return what there is of filesets, by their ids, in whichever group; what is gone, or cannot be seen, is left out.

    Parameters
    ----------
    filesets : collection of int
        Ids that may name anything by now.
    kind : TargetKind
        What they were imported into.
    repository : ManagedRepository
        Where their files lie.

    Raises
    ------
    ConnectionBroken, ServerTrouble, OmeroDown
        OMERO does not answer.
    """
    rows = batches.ask(session, _FILESETS, sorted(filesets))
    ids = sorted(fileset for fileset, _, _ in rows)
    markers = _markers(session, ids)
    images = {
        fileset: ImageIds(count=n, first=first, last=last, series=series)
        for fileset, n, first, last, series in batches.ask(session, _IMAGES, ids)
    }
    plates: dict[int, list[int]] = defaultdict(list)
    if kind is TargetKind.SCREEN:
        for plate, fileset in batches.ask(session, _PLATES, ids):
            plates[fileset].append(plate)
        containers, annotated = _of_plates(session, plates)
    else:
        containers = _counted(batches.ask(session, _DATASETS, ids))
        annotated = _counted(batches.ask(session, _ON_IMAGES, ids, key=ORDER_KEY))
    files: dict[int, list[KeptFile]] = defaultdict(list)
    for fileset, path, name, size, client_path in batches.ask(session, _FILES, ids):
        files[fileset].append(
            KeptFile(location=repository.location(path, name), source="/" + client_path.lstrip("/"), bytes=size)
        )
    return {
        fileset: Inspected(
            fileset=fileset,
            owner=owner,
            group=group,
            markers=frozenset(markers[fileset]),
            images=images.get(fileset, ImageIds()),
            plates=tuple(plates[fileset]),
            containers=dict(containers[fileset]),
            annotated=dict(annotated[fileset]),
            files=tuple(files[fileset]),
        )
        for fileset, owner, group in rows
    }


def marked_of(session: Session, uuid: str) -> dict[str, int]:
    """Return the filesets that carry a marker of an order, of whomever and in whichever group, by the key in it."""
    return {key: fileset for fileset, key in sorted(keys_of(session, uuid).items())}


def keys_of(session: Session, uuid: str) -> dict[int, str]:
    """Return all filesets that carry a marker of an order, however many of the same key, with that key."""
    rows = session.query(_OF_ORDER, all_groups=True, ns=MARKER_NAMESPACE, start=f"{uuid} %")
    parsed = [(fileset, Marker.parse(text)) for fileset, text in rows]
    return {fileset: marker.key for fileset, marker in parsed if marker is not None and marker.uuid == uuid}


def visible(session: Session, filesets: Sequence[int]) -> set[int]:
    """Return those of the filesets that are there and that the session's user sees, in whichever group."""
    return {fileset for (fileset,) in batches.ask(session, "select s.id from Fileset s where s.id in (:ids)", filesets)}


def _markers(session: Session, ids: Sequence[int]) -> dict[int, set[Marker]]:
    found: dict[int, set[Marker]] = defaultdict(set)
    for hql in (_ON_FILESETS, _IN_FILESETS):
        for fileset, text in batches.ask(session, hql, ids, ns=MARKER_NAMESPACE):
            marker = Marker.parse(text)
            if marker is not None:
                found[fileset].add(marker)
    return found


def _of_plates(session: Session, plates: Mapping[int, list[int]]) -> tuple[dict[int, dict[int, int]], dict[int, dict[str, int]]]:
    """Return in which Screens the plates of filesets are, and of which orders they have key-values."""
    filesets = {plate: fileset for fileset, of in plates.items() for plate in of}
    screens = batches.ask(session, _SCREENS, sorted(filesets))
    values = batches.ask(session, _ON_PLATES, sorted(filesets), key=ORDER_KEY)
    return _counted([filesets[plate], screen, 1] for plate, screen in screens), _counted(
        [filesets[plate], value, 1] for plate, value in values
    )


def _counted(rows: Iterable[list[Any]]) -> dict[int, dict[Any, int]]:
    """Return amounts by fileset and something else."""
    counts: dict[int, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
    for fileset, other, amount in rows:
        counts[fileset][other] += amount
    return counts
