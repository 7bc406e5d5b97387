# SPDX-License-Identifier: GPL-2.0-or-later
"""Filesets: what `importFileset` is given: a fileset with all that is saved in one transaction with it, and settings."""

from __future__ import annotations

import locale
import platform
from typing import TYPE_CHECKING, Any

import omero.all
from omero.model import ChecksumAlgorithmI, CommentAnnotationI, FilesetEntryI, FilesetI, NamedValue, UploadJobI
from omero.rtypes import rbool, rstring

from omero_adi_plugin._version import __version__
from omero_adi_plugin.importers.references import reference
from omero_adi_plugin.orders import MARKER_NAMESPACE

if TYPE_CHECKING:
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import Skip
    from omero_adi_plugin.orders import Marker, Target

TRANSFER_NAMESPACE, TRANSFER = (
    "openmicroscopy.org/omero/import/fileTransfer",
    "ome.formats.importer.transfers.SymlinkFileTransfer",
)
"""How OMERO's own client notes on a fileset that its files are links; `omero fs sets` shows it (real server, recorded)."""

SIZE_ALGORITHM, SUM_ALGORITHM = "File-Size-64", "SHA1-160"
"""OMERO's names for comparing files by size, and by SHA1 sum."""

_CLIENT = [
    NamedValue(name, value)
    for name, value in (
        ("client.name", "omero-adi-plugin"),
        ("client.version", __version__),
        ("client.language.name", "Python"),
        ("client.language.vendor", platform.python_implementation()),
        ("client.language.version", platform.python_version()),
        ("os.name", platform.system()),
        ("os.version", platform.release()),
        ("os.architecture", {"x86_64": "amd64"}.get(platform.machine(), platform.machine())),  # in Java's words
        ("locale", locale.getlocale()[0] or "en"),
    )
]
"""What OMERO's own client tells of itself (real server, recorded: facts 13), and who we are."""


def client_path(path: str) -> str:
    """Return a path as OMERO's own client writes it: without the slash at its beginning (real server, recorded)."""
    return path.lstrip("/")


def new_fileset(plan: FilesetPlan, marker: Marker, *, bioformats: str | None) -> Any:  # noqa: ANN401 (omero.model is untyped)
    """Return the fileset to make, with all that must be saved in the same transaction: the marker above all.

    Parameters
    ----------
    bioformats : str or None
        The version of Bio-Formats that read the files; None if it was not Bio-Formats.
    """
    fileset = FilesetI()
    for file in plan.files:
        entry = FilesetEntryI()
        entry.setClientPath(rstring(client_path(file.path)))
        fileset.addFilesetEntry(entry)
    job = UploadJobI()
    # without the reader, the server keeps the source's folders below its own
    versions = [NamedValue("bioformats.reader", plan.reader), *_CLIENT]
    if bioformats is not None:
        versions.append(NamedValue("bioformats.version", bioformats))
    job.setVersionInfo(versions)
    fileset.linkJob(job)
    for namespace, text in ((MARKER_NAMESPACE, str(marker)), (TRANSFER_NAMESPACE, TRANSFER)):
        comment = CommentAnnotationI()
        comment.setNs(rstring(namespace))
        comment.setTextValue(rstring(text))
        fileset.linkAnnotation(comment)
    return fileset


def new_settings(plan: FilesetPlan, target: Target, skip: Skip) -> Any:  # noqa: ANN401 (omero.grid.ImportSettings is untyped)
    """Return what the server is to do with the fileset."""
    settings = omero.grid.ImportSettings()
    settings.userSpecifiedTarget = reference(target.kind, target.id)
    if plan.name is not None:
        settings.userSpecifiedName = rstring(plan.name)
    settings.doThumbnails = rbool(not skip.thumbnails)
    settings.noStatsInfo = rbool(skip.minmax)
    settings.checksumAlgorithm = ChecksumAlgorithmI()
    settings.checksumAlgorithm.setValue(rstring(SIZE_ALGORITHM if skip.checksum else SUM_ALGORITHM))
    return settings
