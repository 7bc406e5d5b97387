# SPDX-License-Identifier: GPL-2.0-or-later
"""Strays: folders in the managed repository that no fileset in OMERO knows of.

OMERO makes the folder of an import before its rows, and removes rows before links; a deleted fileset leaves its folder for us to
remove. Whatever dies in between leaves a folder that nothing leads to. It is looked for where imports of this user go, in the
newest folders below `<user>_<id>`, with which OMERO's own template begins (`omero.fs.repo.path`); at a site with another one,
nothing is: there `omero admin cleanse` finds the links.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.deletions import delete_objects
from omero_adi_plugin.importers.repository import ManagedRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.importers.protocol import Session

_DEPTH = 4
"""How many folders the path of an import has, in OMERO's own template: user, year and month, day, time."""

_NEWEST = 2
"""Of older folders so many are looked into all the same: a new folder in that of a day does not make that of its month newer."""


def remove_strays(
    session: Session, *, service: Session, since: float, until: float, ours: Callable[[str], bool]
) -> tuple[Path, ...]:
    """Remove folders without a fileset in which there is nothing, or nothing but links to files of an order; return them.

    Parameters
    ----------
    session : Session
        Of the user in whose folders it is looked.
    service : Session
        Of the service account: of what was given to somebody else, or moved to another group, the user sees nothing any more,
        while its links stay where they are.
    since, until : float
        When such a folder was last changed, in seconds of the epoch. A younger one may belong to an import that has just begun.
    ours : callable
        Tells of the path that a link leads to whether it is a file of the order.

    Raises
    ------
    ConnectionBroken, ServerTrouble
        OMERO does not answer.
    ConfigurationError
        It has no managed repository.
    """
    home = f"{session.user}_{session.user_id}"
    depth = _depth(service, home, session.user_id)
    if depth is None:
        return ()
    repository = ManagedRepository.of(session)
    changed = list(_changed(repository.root / home, depth - 1, since, until))
    bare = {path: _prefixes(path, repository.root) for path in changed if _is_bare(path, ours)}
    known = _known(service, sorted(set().union(*bare.values())))
    return tuple(
        path for path, prefixes in bare.items() if known.isdisjoint(prefixes) and _remove(session, service, path, repository.root)
    )


def _depth(service: Session, home: str, user: int) -> int | None:
    """Return how many folders the paths of this user's imports have; None if they do not begin with the user's own."""
    newest = "select max(s.id) from Fileset s where s.details.owner.id = :user"
    ids = [fileset for row in service.query(newest, all_groups=True, user=user) for fileset in row]
    if not ids:
        return _DEPTH
    prefixes = service.query("select s.templatePrefix from Fileset s where s.id = :id", all_groups=True, id=ids[0])
    for (prefix,) in prefixes:
        first, *others = prefix.strip("/").split("/")
        return 1 + len(others) if first == home and others else None
    return _DEPTH


def _changed(folder: Path, levels: int, since: float, until: float) -> Iterator[Path]:
    """Give the folders so many levels below one that were last changed between two times."""
    try:
        with os.scandir(folder) as entries:
            below = [
                (entry.stat(follow_symlinks=False).st_mtime, entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
            ]
    except OSError:  # it is not there, or somebody removes it just now
        return
    if levels == 1:
        yield from (Path(path) for changed, path in below if since <= changed <= until)
        return
    for number, (changed, path) in enumerate(sorted(below, reverse=True)):
        if changed >= since or number < _NEWEST:
            yield from _changed(Path(path), levels - 1, since, until)


def _is_bare(folder: Path, ours: Callable[[str], bool]) -> bool:
    """Tell whether in a folder and all below it there are only folders, and links to files of the order."""
    try:
        with os.scandir(folder) as entries:
            return all(_is_ours(Path(entry), ours) for entry in entries)
    except OSError:
        return False


def _is_ours(path: Path, ours: Callable[[str], bool]) -> bool:
    return ours(str(path.readlink())) if path.is_symlink() else path.is_dir() and _is_bare(path, ours)


def _prefixes(folder: Path, root: Path) -> set[str]:
    """Return where filesets may lie that have something in a folder: there, around it, or within, if the template was changed."""
    around = [folder, *folder.parents][: len(folder.relative_to(root).parts)]
    within = [Path(parent) for parent, _, _ in os.walk(folder)]
    return {f"{path.relative_to(root)}/" for path in [*around, *within]}


def _known(service: Session, prefixes: list[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(prefixes), batches.OBJECTS):
        rows = service.query(
            "select s.templatePrefix from Fileset s where s.templatePrefix in (:prefixes)",
            all_groups=True,
            prefixes=prefixes[start : start + batches.OBJECTS],
        )
        known |= {prefix for (prefix,) in rows}
    return known


def _remove(session: Session, service: Session, folder: Path, root: Path) -> bool:
    """Remove a folder with its links, and its log if OMERO does not know of that; tell whether it is gone."""
    for parent, folders, links in os.walk(folder, topdown=False):
        for name in links:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(parent, name))  # noqa: PTH108, PTH118 (os.walk gives text)
        for name in folders:  # a link to a folder is listed here, and is no folder to remove
            path = os.path.join(parent, name)  # noqa: PTH118 (as above)
            with contextlib.suppress(OSError):
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)  # noqa: PTH106, PTH108, PTH114 (as above)
    reached(Point.STRAY_EMPTIED)
    try:
        folder.rmdir()
    except OSError:
        return False
    reached(Point.STRAY_REMOVED)
    _remove_log(session, service, folder.with_name(f"{folder.name}.log"), root)
    return True


def _remove_log(session: Session, service: Session, log: Path, root: Path) -> None:
    """Remove the log of an import without a fileset; one that OMERO has a row of by having the row deleted.

    OMERO saves that row before those of the fileset, which link to it by the import's jobs.
    """
    rows = service.query(
        "select f.id, (select count(l.id) from JobOriginalFileLink l where l.child.id = f.id) from OriginalFile f "
        "where f.path = :path and f.name = :name",
        all_groups=True,
        path=f"{log.parent.relative_to(root)}/",
        name=log.name,
    )
    alone = [file for file, jobs in rows if jobs == 0]
    if alone:
        delete_objects(session, "OriginalFile", alone, doing="removing the log of an import that was never begun")
    elif not rows:
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)
