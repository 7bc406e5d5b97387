# SPDX-License-Identifier: GPL-2.0-or-later
"""Explaining: why OMERO's importer has not brought a fileset in, in one of our errors; OMERO has been asked by then.

The importer says of each file what it stumbled over, by a name of its own and by the class of the Java exception. Those decide,
and what the disk says, which is surer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import FileBroken, FormatUnknown, ImportInterrupted, ImportRefused, SourceUnreadable
from omero_adi_plugin.importers.links import SERVER_ACCOUNT
from omero_adi_plugin.importers.refusals import changed_source

if TYPE_CHECKING:
    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.official.output import Complaint
    from omero_adi_plugin.importers.plans import FilesetPlan

_FORMAT_UNKNOWN = frozenset({"UNKNOWN_FORMAT", "UNSUPPORTED_COMPRESSION"})
_UNREADABLE = frozenset({"UNREADABLE_FILE", "INACCESSIBLE_FILE"})
"""Names of the importer's complaints (its class ErrorHandler; FILE_EXCEPTION and UNREADABLE_FILE recorded)."""

_OF_BIOFORMATS = ("loci.", "java.io.EOFException")
_OF_THE_WIRE = ("Ice.", "Glacier2.", "omero.", "java.net.")
"""How the Java classes begin that speak against the file, and those that speak of the server or the way to it."""

_SERVER_CANNOT_READ = "omero.ResourceError"
"""What the server answers about a file that its account may not read (real server, recorded)."""


def explained(plan: FilesetPlan, complaint: Complaint | None, *, status: int) -> AdiError:
    """Return what to say of a fileset that is not in OMERO.

    Parameters
    ----------
    plan : FilesetPlan
        What should have been imported.
    complaint : Complaint or None
        What the importer said of it.
    status : int
        With which it ended.

    Returns
    -------
    EntryFailed
        The file is to blame.
    EntryNotReady, ImportInterrupted
        It is worth another attempt: nothing says that the file is.
    """
    changed = changed_source(plan)
    if changed is not None:
        return changed
    path = plan.files[0].path
    if complaint is None:
        return ImportInterrupted(path=path, words=f"OMERO's importer ended (status {status}) and does not say what came of it")
    kind, thrown, words = complaint.kind, complaint.exception, str(complaint)
    meanings: tuple[tuple[bool, AdiError], ...] = (
        (kind in _FORMAT_UNKNOWN, FormatUnknown(path=path, why="OMERO's importer has no reader for this format")),
        (kind in _UNREADABLE, SourceUnreadable(path=path, account="the account that runs OMERO's importer")),
        (thrown == _SERVER_CANNOT_READ, SourceUnreadable(path=path, account=SERVER_ACCOUNT)),
        (thrown.startswith(_OF_BIOFORMATS), FileBroken(path=path, why=words)),
        (thrown.startswith(_OF_THE_WIRE), ImportInterrupted(path=path, words=words)),
    )
    return next((meaning for applies, meaning in meanings if applies), ImportRefused(path=path, words=words))
