# SPDX-License-Identifier: GPL-2.0-or-later
"""Split filesets: those of which only some images are among chosen objects, and so cannot be moved or deleted with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero.sys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.wire.servant import Call

#: Which objects are within which: from above to below, so that one pass finds all images.
_STEPS = (
    ("Project", "Dataset", "select l.child.id from ProjectDatasetLink l where l.parent.id in (:ids)"),
    ("Screen", "Plate", "select l.child.id from ScreenPlateLink l where l.parent.id in (:ids)"),
    ("Plate", "Well", "select w.id from Well w where w.plate.id in (:ids)"),
    ("Dataset", "Image", "select l.child.id from DatasetImageLink l where l.parent.id in (:ids)"),
    ("Well", "Image", "select s.image.id from WellSample s where s.well.id in (:ids)"),
    ("Fileset", "Image", "select i.id from Image i where i.fileset.id in (:ids)"),
)
_FOLDERS = "select f.id from Folder f where f.parentFolder.id in (:ids)"
_IN_FOLDERS = "select l.child.id from FolderImageLink l where l.parent.id in (:ids)"
_FILESETS = "select i.fileset.id from Image i where i.id in (:ids)"
_PARTS = "select i.fileset.id, i.id from Image i where i.fileset.id in (:ids) order by i.id"


def split_filesets(call: Call, included: Mapping[str, Sequence[int]]) -> dict[int, dict[bool, list[int]]]:
    """Find filesets that lie partly within objects.

    Parameters
    ----------
    call : Call
        Whose eyes are used.
    included : mapping of str to sequence of int
        Ids by entity; containers stand for all that is in them.

    Returns
    -------
    dict
        By fileset: the images that are within (True), and those that are not.
    """
    chosen = {kind: set(ids) for kind, ids in included.items()}
    for above, below, hql in _STEPS:
        chosen.setdefault(below, set()).update(_ids(call, hql, chosen.get(above, ())))
    folders = new = chosen.get("Folder", set())
    while new:
        new = _ids(call, _FOLDERS, new) - folders
        folders |= new
    images = chosen["Image"] | _ids(call, _IN_FOLDERS, folders)
    parts: dict[int, dict[bool, list[int]]] = {}
    for fileset, image in _rows(call, _PARTS, _ids(call, _FILESETS, images)):
        parts.setdefault(fileset, {True: [], False: []})[image in images].append(image)
    return {fileset: both for fileset, both in parts.items() if both[False]}


def _ids(call: Call, hql: str, ids: Sequence[int] | set[int] | tuple[int, ...]) -> set[int]:
    return {row[0] for row in _rows(call, hql, ids) if row}


def _rows(call: Call, hql: str, ids: Sequence[int] | set[int] | tuple[int, ...]) -> list[list[int]]:
    if not ids:
        return []
    rows = call.server.store.project(call.user, hql, omero.sys.ParametersI().addIds(sorted(ids)))
    return [[value.val for value in row] for row in rows]
