# SPDX-License-Identifier: GPL-2.0-or-later
"""Server log: the log that OMERO.server keeps of each import; it goes with the fileset when that is deleted."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.ice import TROUBLE, translated
from omero_adi_plugin.logs import event, order_event

if TYPE_CHECKING:
    from omero_adi_plugin.importers.protocol import Session

_log = logging.getLogger(__name__)

MOST_LINES = 200
"""So many of the last lines are kept."""

MOST_BYTES = 64 * 1024
"""So much of its end is read."""

_LOG_FILE = (
    "select o.id from FilesetJobLink l join l.child j join j.originalFileLinks k join k.child o "
    "where l.parent.id = :fileset and o.mimetype = 'application/omero-log-file'"
)
"""As `omero fs logfile` finds it."""


def keep_log(session: Session, fileset: int, *, order: str) -> None:
    """Write the end of the server's log of an import into the logs of its order; that it cannot be had is no failure."""
    try:
        lines = _last_lines(session, fileset)
    except AdiError as error:
        event(_log, logging.DEBUG, "server.log_not_read", order=order, fileset=fileset, why=str(error))
        return
    for line in lines:
        order_event(_log, logging.INFO, "server.log", order=order, fileset=fileset, line=line)


def _last_lines(session: Session, fileset: int) -> list[str]:
    found = session.query(_LOG_FILE, fileset=fileset)
    if not found:
        return []
    with translated("reading the server's log of an import", session.where):
        store = session.factory.createRawFileStore()
        try:
            store.setFileId(found[0][0])
            size = store.size()
            start = max(size - MOST_BYTES, 0)
            content: bytes = store.read(start, size - start) if size else b""
        finally:
            with contextlib.suppress(*TROUBLE):
                store.close()
    lines = content.decode("utf-8", errors="replace").splitlines()
    if start:
        del lines[:1]  # the rest of a line
    return [line for line in lines if line.strip()][-MOST_LINES:]
