# SPDX-License-Identifier: GPL-2.0-or-later
"""Contents: which images and plates OMERO has made of filesets, and of which files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.protocol import ImportedFileset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import Session

FILESETS = 500
"""How many filesets are asked about at once: each may hold many images."""

_CONTENTS = (
    "select i.fileset.id, i.id, p.id from Image i left outer join i.wellSamples s left outer join s.well w "
    "left outer join w.plate p where i.fileset.id in (:ids) order by i.fileset.id, i.series, i.id"
)

_CLIENT_PATHS = "select e.fileset.id, e.clientPath from FilesetEntry e where e.fileset.id in (:ids)"


def contents(session: Session, filesets: Sequence[int]) -> dict[int, ImportedFileset]:
    """Return what is in filesets, by their ids: images in series order, plates by their ids.

    One that has no images, or is gone, is left out.

    Raises
    ------
    ConnectionBroken, ServerTrouble
        OMERO does not answer.
    """
    images: dict[int, dict[int, None]] = {}
    plates: dict[int, set[int]] = {}
    for start in range(0, len(filesets), FILESETS):
        ids = list(filesets[start : start + FILESETS])
        for fileset, image, plate in session.query(_CONTENTS, all_groups=True, ids=ids):
            images.setdefault(fileset, {})[image] = None  # one row for each well that shows it
            if plate is not None:
                plates.setdefault(fileset, set()).add(plate)
    return {
        fileset: ImportedFileset(fileset=fileset, images=tuple(found), plates=tuple(sorted(plates.get(fileset, ()))))
        for fileset, found in images.items()
    }


def client_paths(session: Session, filesets: Sequence[int]) -> dict[int, list[str]]:
    """Return the absolute paths of the files of filesets; OMERO's client leaves the slash out (real server, recorded)."""
    paths: dict[int, list[str]] = defaultdict(list)
    for fileset, path in batches.ask(session, _CLIENT_PATHS, filesets):
        paths[fileset].append("/" + path.lstrip("/"))
    return paths
