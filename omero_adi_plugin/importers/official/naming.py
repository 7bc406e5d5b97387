# SPDX-License-Identifier: GPL-2.0-or-later
"""Naming: gives images and plates the names that an order asks for, as the server would have done at the import.

OMERO's importer takes one name for all files of a call. Without one, a single image is called as its file, several
`FILE [SERIES]`, and the server puts a given name in FILE's place; a plate is called by it, too (real server, recorded).
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rlist, rlong, rstring

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers import batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import Session


def rename(session: Session, *, fileset: int, path: str, name: str) -> None:
    """Give what was made of a fileset another name than that of the file at `path`; what somebody has renamed stays.

    Parameters
    ----------
    fileset : int
        A fileset that is complete.
    path : str
        The file that was opened.
    name : str
        What the order calls it.
    """
    old = PurePath(path).name
    if old == name:
        return
    images = batches.ask(session, "select i.id, i.name from Image i where i.fileset.id in (:ids)", [fileset])
    changed = {image: name + called[len(old) :] for image, called in images if called == old or called.startswith(f"{old} [")}
    if not changed:
        return
    plates = batches.ask(
        session,
        "select distinct p.id from Plate p join p.wells w join w.wellSamples s join s.image i where i.fileset.id in (:ids)",
        [fileset],
    )
    _save(session, "Plate", {plate: name for (plate,) in plates})
    _save(session, "Image", changed)  # last: what is called otherwise than its file has been seen to


def _save(session: Session, entity: str, names: dict[int, str]) -> None:
    ids = sorted(names)
    for start in range(0, len(ids), batches.OBJECTS):
        objects = _loaded(session, entity, ids[start : start + batches.OBJECTS])
        for each in objects:
            each.setName(rstring(names[each.getId().getValue()]))
        reached(Point.RENAMING_DUE)
        batches.save(session, objects, doing="renaming images")
        reached(Point.RENAMED)


def _loaded(session: Session, entity: str, ids: Sequence[int]) -> list[Any]:
    parameters = omero.sys.ParametersI()
    parameters.add("ids", rlist([rlong(each) for each in ids]))
    with translated("looking up images", session.where):
        query = f"select x from {entity} x where x.id in (:ids)"  # noqa: S608 (one of two names)
        found: list[Any] = session.factory.getQueryService().findAllByQuery(query, parameters)
    return found
