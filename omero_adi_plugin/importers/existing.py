# SPDX-License-Identifier: GPL-2.0-or-later
"""Existing: which filesets of an order its target holds already, whoever imported them (`skip_existing`).

A fileset is the same when all of its files are: by the path that it was imported from, which OMERO keeps as
`FilesetEntry.clientPath` without its first slash, as its own importer writes it, and by size. What a link was changed to point to
since, or the same file under another path, is not seen.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.contents import contents
from omero_adi_plugin.orders import TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.importers.protocol import ImportedFileset, Session
    from omero_adi_plugin.orders import Target

_Files = frozenset[tuple[str, int | None]]

# From the target to its files, by keys all the way: neither paths nor sizes have an index in OMERO's database.
_FILESETS = {
    TargetKind.DATASET: "from DatasetImageLink l join l.child i join i.fileset s",
    TargetKind.SCREEN: "from ScreenPlateLink l join l.child p join p.wells w join w.wellSamples x join x.image i "
    "join i.fileset s",
}
_WITH_PATH = "join s.usedFiles e where l.parent.id = :target and e.clientPath in (:paths)"


def client_path(path: str) -> str:
    """Return what OMERO calls a file of this absolute path that was imported in place."""
    return path.removeprefix("/")


def held(session: Session, target: Target, plans: Sequence[FilesetPlan]) -> dict[str, ImportedFileset]:
    """Return what the target holds already of filesets that are to be imported.

    One image of a fileset in the target is enough. What the server has not finished, or never will, does not count: then every
    image of a fileset has series 0 (real server, recorded). Of several that are the same, the one with the smallest id is taken.

    Parameters
    ----------
    target : Target
        Lies in the session's group.
    plans : sequence of FilesetPlan
        With their files and sizes.

    Returns
    -------
    dict of str to ImportedFileset
        By the key of the plan; plans that the target does not hold are left out.
    """
    found: set[int] = set()
    for start in range(0, len(plans), batches.OBJECTS):
        paths = [client_path(plan.files[0].path) for plan in plans[start : start + batches.OBJECTS]]
        hql = f"select distinct s.id {_FILESETS[target.kind]} {_WITH_PATH}"
        found |= {fileset for (fileset,) in session.query(hql, target=target.id, paths=paths)}
    if not found:
        return {}
    ids = sorted(found)
    complete = _complete(session, ids)
    by_files = {files: fileset for fileset, files in sorted(_files(session, ids).items(), reverse=True) if fileset in complete}
    same = {plan.key: by_files[files] for plan in plans if (files := _planned(plan)) in by_files}
    there = contents(session, sorted(set(same.values())))
    return {key: there[fileset] for key, fileset in same.items() if fileset in there}


def paths_held(session: Session, target: Target, paths: Sequence[str]) -> frozenset[str]:
    """Return those of the absolute paths that some fileset of the target was imported from, complete or not, of whatever size."""
    found: set[str] = set()
    for start in range(0, len(paths), batches.OBJECTS):
        some = {client_path(path): path for path in paths[start : start + batches.OBJECTS]}
        hql = f"select distinct e.clientPath {_FILESETS[target.kind]} {_WITH_PATH}"
        found |= {some[path] for (path,) in session.query(hql, target=target.id, paths=list(some))}
    return frozenset(found)


def still_held(session: Session, target: Target, filesets: Sequence[int]) -> frozenset[int]:
    """Return those of the filesets of which an image is in the target."""
    hql = f"select distinct s.id {_FILESETS[target.kind]} where l.parent.id = :target and s.id in (:ids)"
    return frozenset(fileset for (fileset,) in batches.ask(session, hql, filesets, target=target.id))


def _planned(plan: FilesetPlan) -> _Files:
    return frozenset((client_path(file.path), file.bytes) for file in plan.files)


def _files(session: Session, ids: Sequence[int]) -> dict[int, _Files]:
    """Return paths and sizes by fileset; the size is None before the server has seen the file."""
    files: dict[int, set[tuple[str, int | None]]] = defaultdict(set)
    hql = "select e.fileset.id, e.clientPath, f.size from FilesetEntry e join e.originalFile f where e.fileset.id in (:ids)"
    for fileset, path, size in batches.ask(session, hql, ids):
        files[fileset].add((path, size))
    return {fileset: frozenset(each) for fileset, each in files.items()}


def _complete(session: Session, ids: Sequence[int]) -> set[int]:
    """Return those filesets whose images each have a series of their own."""
    hql = (
        "select i.fileset.id from Image i where i.fileset.id in (:ids) "
        "group by i.fileset.id having count(i.id) = count(distinct i.series)"
    )
    return {fileset for (fileset,) in batches.ask(session, hql, ids)}
