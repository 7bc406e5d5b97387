# SPDX-License-Identifier: GPL-2.0-or-later
"""Sheet: a table that a script puts out as a file, for a spreadsheet. Each person has one at a time: a new one replaces it."""

from __future__ import annotations

import contextlib
import csv
import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rstring

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers.deletions import delete_objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from omero_adi_plugin.sessions import OmeroSession

NAMESPACE = "omero-adi/status"
"""Of the file's annotation."""

FOLDER = "/omero-adi/"
"""What OMERO shows as the place the file comes from."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate (OWASP, "CSV Injection")."""

_OTHERS = "select a.id from FileAnnotation a where a.ns = :ns and a.details.owner.id = :user and a.id < :id"

_WITH_FILE = "select a from FileAnnotation a join fetch a.file where a.id = :id"


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table as CSV (RFC 4180), in UTF-8 with the mark by which spreadsheets know that.

    Parameters
    ----------
    heads : sequence of str
        One a column.
    rows : iterable of sequence
        Cells; None is empty, a time is local. What would be a formula gets a `'` in front, by which it is text.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([list(heads), *([_cell(cell) for cell in row] for row in rows)])
    return text.getvalue().encode("utf-8-sig", errors="backslashreplace")


def attach(session: OmeroSession, *, name: str, content: bytes, description: str) -> Any:  # noqa: ANN401 (omero.model)
    """Put a file into OMERO, in the session's group, in the place of the person's earlier one, and return its annotation.

    Annotation and file are made in one transaction: if this ends in the middle, the next one finds and removes them. What cannot
    be removed just now is left to the next one too.

    Raises
    ------
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not take it.
    """
    with translated("attaching the table", session.where):
        annotation = session.factory.getUpdateService().saveAndReturnObject(_new(name, description))
        _write(session, annotation.getFile().getId().getValue(), content)
    identity = annotation.getId().getValue()
    with contextlib.suppress(AdiError):
        if others := [
            each for (each,) in session.query(_OTHERS, all_groups=True, ns=NAMESPACE, user=session.user_id, id=identity)
        ]:
            delete_objects(session, "Annotation", others, doing="replacing the earlier table")
    parameters = omero.sys.ParametersI()
    parameters.addId(identity)
    with translated("attaching the table", session.where):  # with its file, whose name and type OMERO.web asks for
        return session.factory.getQueryService().findByQuery(_WITH_FILE, parameters)


def _new(name: str, description: str) -> Any:  # noqa: ANN401 (as above)
    file = omero.model.OriginalFileI()
    file.setName(rstring(name))
    file.setPath(rstring(FOLDER))
    file.setMimetype(rstring("text/csv"))
    annotation = omero.model.FileAnnotationI()
    annotation.setNs(rstring(NAMESPACE))
    annotation.setDescription(rstring(description))
    annotation.setFile(file)
    return annotation


def _write(session: OmeroSession, file: int, content: bytes) -> None:
    store = session.factory.createRawFileStore()
    try:
        store.setFileId(file)
        store.write(content, 0, len(content))
        store.save()
    finally:
        store.close()


def _cell(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell.astimezone():%Y-%m-%d %H:%M:%S}"
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULAS) else text
