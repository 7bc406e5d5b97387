# SPDX-License-Identifier: GPL-2.0-or-later
"""Deletions: objects that are removed from OMERO for good, with the files that are theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero.all

from omero_adi_plugin.errors import ServerTrouble
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers.handles import NoProgress, finished, refusal
from omero_adi_plugin.importers.markers import DELETE_PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import Session


def delete_objects(session: Session, entity: str, ids: Sequence[int], *, doing: str) -> None:
    """Delete objects, and wait until they are gone; those that are not there are no error.

    Parameters
    ----------
    entity : str
        OMERO's name of their class, "Annotation".
    ids : sequence of int
        Which ones.
    doing : str
        What an error is to say was being done.

    Raises
    ------
    ServerTrouble
        The server refuses, or does not get on with it.
    ConnectionBroken, OmeroDown
        It does not answer.
    """
    with translated(doing, session.where):
        handle = session.factory.submit(omero.cmd.Delete2(targetObjects={entity: list(ids)}))
    try:
        response = finished(session, handle, doing=doing, patience_seconds=DELETE_PATIENCE_SECONDS)
    except NoProgress as error:
        raise ServerTrouble(doing=doing, words="it does not get on with it") from error
    if isinstance(response, omero.cmd.ERR):
        raise ServerTrouble(doing=doing, words=refusal(response))
