# SPDX-License-Identifier: GPL-2.0-or-later
"""Relinking: has the links of imported files lead to where the files are kept, when they were imported from elsewhere.

A converter's outputs are imported from a folder that is there for a while only. OMERO rewrites some characters of names, so a
link is known by what it leads to and never by its name. A new link is made beside the old one and takes its place in one step:
whoever opens the file meanwhile gets the one or the other, which have the same content. What has the old one open keeps it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ImportInterrupted
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.crews import each
from omero_adi_plugin.importers.links import not_shared, refused
from omero_adi_plugin.importers.ondisk import THREADS
from omero_adi_plugin.importers.repository import NEW_LINK, ManagedRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import Session

_Result = TypeVar("_Result")

_FILES = (
    "select e.fileset.id, f.id, f.path, f.name, f.size from FilesetEntry e join e.originalFile f "
    "where e.fileset.id in (:ids) order by e.fileset.id, f.id"
)
_NOT_THERE = (FileNotFoundError, NotADirectoryError)

AT_ONCE = 100
"""Filesets whose files are asked for together when nobody knows how many these are."""

TRIES = 3
"""So often a link is renewed that another worker renews at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A file of a fileset, as OMERO has recorded it: its id, where its link is, its size."""

    fileset: int
    file: int
    location: Path
    bytes: int | None

    @property
    def leads_to(self) -> str | None:
        """What it leads to, absolute; None if it is no link, or not there."""
        try:
            target = os.readlink(self.location)  # noqa: PTH115 (there may be 100,000; Path would only cost time)
        except OSError as error:
            if isinstance(error, _NOT_THERE) or error.errno == errno.EINVAL:
                return None
            raise refused(error, self.location) from error
        return os.path.normpath(os.path.join(self.location.parent, target))  # noqa: PTH118 (as above)

    @property
    def new(self) -> Path:
        """What the link is called that is to take its place: of one that somebody has left, the same."""
        return self.location.with_name(f"{NEW_LINK}{self.file}")


def renew_links(
    session: Session,
    filesets: Mapping[int, Mapping[str, str]],
    *,
    on_wait: Callable[[int, int], None] | None = None,
) -> int:
    """Have links lead to where files are kept; cut off anywhere, it is simply done again.

    A link that leads anywhere else than its fileset's old places is left alone, and one that is missing, too.

    Parameters
    ----------
    session : Session
        Of whoever sees the filesets; of those that are gone, or out of sight, nothing is renewed.
    filesets : mapping of int to mapping of str to str
        Of each fileset: where its files are kept, by what the links lead to so far; absolute paths without links.
    on_wait : callable, optional
        Told about once a second how many links of a batch are done, and of how many; what it raises ends it.

    Returns
    -------
    int
        How many links were renewed.

    Raises
    ------
    ImportInterrupted
        A file is not where it is to be kept, or has another size there than it had when it was imported; its link is as it was.
    ConfigurationError
        This host and the server do not share the managed repository, or we may not write there.
    DiskFull
        No room for a link.
    ConnectionBroken, ServerTrouble, OmeroDown
        OMERO does not answer.
    """
    wanted = [fileset for fileset, places in sorted(filesets.items()) if places]
    if not wanted:
        return 0
    repository, renewed = ManagedRepository.of(session), 0
    for batch in batches.packed(wanted, weight=lambda fileset: len(filesets[fileset])):
        moves = {fileset: _Moves(filesets[fileset]) for fileset in batch}
        links = _links(session, batch, repository)

        def renew(link: _Link, moves: Mapping[int, _Moves] = moves) -> bool:
            return moves[link.fileset].renew(link)

        done = _each(links, renew, on_wait)
        _keep({link.location.parent for link in links})  # also of those that were renewed by one who died before this
        renewed += sum(changed for _, changed in done)
    return renewed


def leads_into(session: Session, filesets: Collection[int], folders: Sequence[str]) -> dict[int, list[Path]]:
    """Return the links that lead into one of the folders, by the fileset that they belong to.

    Parameters
    ----------
    session : Session
        Of whoever sees all of them: of one that is out of sight nothing is known.
    filesets : collection of int
        Ids; those that are gone have no links.
    folders : sequence of str
        Absolute paths. Whether something is there is not asked, so that it may be a folder of another host.

    Raises
    ------
    ConfigurationError
        The managed repository is not to be seen here, or not what the server has: nobody can say.
    ConnectionBroken, ServerTrouble, OmeroDown
        OMERO does not answer.
    """
    if not filesets:
        return {}
    repository = ManagedRepository.of(session)
    below = tuple({f"{name.rstrip('/')}/" for folder in folders for name in (folder, os.path.realpath(folder))})
    found: dict[int, list[Path]] = defaultdict(list)
    for batch in _some(sorted(filesets)):
        for link, target in _each(_links(session, batch, repository), _target):
            if target is not None and target.startswith(below):
                found[link.fileset].append(link.location)
    return dict(found)


def _each(
    links: Sequence[_Link], do: Callable[[_Link], _Result], on_wait: Callable[[int, int], None] | None = None
) -> list[tuple[_Link, _Result]]:
    """Do something with each link, several at the same time; return what came of it."""
    results = each(len(links), lambda number: do(links[number]), threads=THREADS, on_wait=on_wait)
    return list(zip(links, results, strict=True))


def _target(link: _Link) -> str | None:
    return link.leads_to


def _links(session: Session, filesets: Sequence[int], repository: ManagedRepository) -> list[_Link]:
    rows = batches.ask(session, _FILES, filesets)
    _check_shared(repository, {path.strip("/").partition("/")[0] for _, _, path, _, _ in rows})
    return [
        _Link(fileset=fileset, file=file, location=repository.location(path, name), bytes=size)
        for fileset, file, path, name, size in rows
    ]


def _check_shared(repository: ManagedRepository, homes: set[str]) -> None:
    """Return if the folders are there in which the server keeps files: of another disk every link would seem to be missing."""
    for home in homes:
        if not (repository.root / home).is_dir():
            raise not_shared(repository.root / home)


class _Moves:
    """Where the files of one fileset are kept, by what the links lead to so far."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places, self._kept = places, frozenset(places.values())

    def renew(self, link: _Link) -> bool:
        """Have a link lead to where its file is kept; tell whether it did not before."""
        for _ in range(TRIES):
            target = link.leads_to
            if target in self._kept:  # whoever died when it was in its place may have begun with it once more
                _remove(link.new)
                return False
            place = None if target is None else self._places.get(target)
            if target is None or place is None:
                return False
            _check_kept(target, place, link.bytes)
            if _replace(link, place):
                return True
        raise ImportInterrupted(path=str(link.location), words="others renew its link at the same time")


def _check_kept(source: str, place: str, recorded: int | None) -> None:
    """Return if a file is where it is to be kept."""
    size = _size(place)
    if size is None:
        raise ImportInterrupted(path=place, words="it is not there, where it was kept")
    if not {recorded, _size(source)} <= {size, None}:
        raise ImportInterrupted(path=place, words=f"it has {size} bytes, and is not what was imported")


def _size(path: str) -> int | None:
    """Return the size of a file; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 (as above)
    except _NOT_THERE:
        return None
    except OSError as error:
        raise ImportInterrupted(path=path, words=f"it cannot be looked at ({error.strerror})") from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _replace(link: _Link, place: str) -> bool:
    """Put a new link in the place of the old one; False if somebody else was at it, too."""
    try:
        _remove(link.new)
        os.symlink(place, link.new)  # noqa: PTH211 (as above)
        reached(Point.LINK_RENEWED)
        os.replace(link.new, link.location)  # noqa: PTH105 (as above)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(link.new)  # noqa: PTH108 (as above)
        raise refused(error, link.location) from error
    reached(Point.LINK_REPLACED)
    return True


def _remove(link: Path) -> None:
    try:
        os.unlink(link)  # noqa: PTH108 (as above)
    except _NOT_THERE:
        return
    except OSError as error:
        raise refused(error, link) from error


def _keep(folders: set[Path]) -> None:
    """Have links on the disk before that is removed which they led to: a host may lose its power in between."""
    for folder in folders:
        with contextlib.suppress(OSError):  # a file system that cannot do that does it by itself
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _some(filesets: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(filesets), AT_ONCE):
        yield filesets[start : start + AT_ONCE]
