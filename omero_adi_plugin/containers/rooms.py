# SPDX-License-Identifier: GPL-2.0-or-later
"""Rooms: the folders of one conversion, made before a converter runs and removed when nothing leads there any more.

What is to be kept beside the source goes through a *staging* folder, which is mounted over `.processed` of the source's folder.
That one has to be there on the host, too: in a folder that is mounted read-only no runtime can make a mount point. So staging
folders always lie in `<source>/.processed/.adi-…`, whatever the folder is called in which outputs are kept in the end; and as
long as one of them does, nobody can remove the mount point: a mount on a folder that is removed outside is gone, in the middle
of a conversion (both tried with runc).
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.containers.folders import OURS, PRIVATE, READABLE, clear, listed, make, make_readable, opened, opened_in
from omero_adi_plugin.containers.space import needed, no_room
from omero_adi_plugin.containers.trouble import NO_ROOM, trouble_beside
from omero_adi_plugin.errors import ConverterTempDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from omero_adi_plugin.preprocessing import Preprocessing
    from omero_adi_plugin.settings import Settings

LEAF = "out"
"""What the folder is called that a container writes to; those above it keep everybody else on the host away."""

FOR_ANYBODY = 0o777
"""Mode of that folder while a container runs: nobody knows which user of its own it runs as."""

TRIES = 100
"""How often a folder is made again that somebody else has just removed, because it was empty."""

_ORDER = re.compile(r"[0-9A-Za-z_-]{1,36}")
"""Orders whose name may be part of a path (contract, part 1)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The folders of one conversion.

    source:    the folder of what is converted, links resolved.
    basename:  its name there.
    processed: where beside it outputs are kept, `<source>/<processed_folder>`.
    staging:   what is mounted over `<output_folder>/.processed`.
    temp:      what is mounted at the alternative output folder, links resolved; None if the order has none.
    made:      device and inode of each of `folders`; empty for a room that was made by an earlier attempt.
    """

    source: Path
    basename: str
    processed: Path
    staging: Path
    temp: Path | None
    made: tuple[tuple[int, int], ...] = field(default=(), compare=False)

    @classmethod
    def make(cls, file: Path, *, preprocessing: Preprocessing, settings: Settings, order: str, attempt: int, number: int) -> Self:
        """Make the folders for one conversion; what is there under their names goes.

        Parameters
        ----------
        file : Path
            What is to be converted, a file or a folder: absolute, links resolved.
        preprocessing : Preprocessing
            Says whether there is a folder for outputs other than `.processed`.
        order, attempt, number
            The order's uuid, its attempt, and a number of the conversion within that.

        Raises
        ------
        FileMissing, SourceUnreadable
            The folder of the source.
        ProcessedNotWritable
            Nothing can be written beside the source, or a link is in the way.
        ConverterTempDown
            `converter_temp` is not there, or cannot be written to.
        NoRoomToConvert
            A disk is full.
        ImportInterrupted
            A file system does not answer at the moment.
        """
        if not _ORDER.fullmatch(order):
            raise ValueError(f"{order!r} must not be part of a path")
        temp = None if preprocessing.alt_output_folder is None else temp_of(order, settings=settings)
        room = cls(
            source=file.parent,
            basename=file.name,
            processed=file.parent / settings.processed_folder,
            staging=file.parent / PROCESSED_IN_CONTAINER / f"{OURS}{order}-{attempt}-{number}" / LEAF,
            temp=None if temp is None else temp / f"{attempt}-{number}" / LEAF,
        )
        needed_bytes = needed(file, factor=settings.converter_space_factor)
        try:
            staging = room._make_staging(file, needed_bytes=needed_bytes)
            made = (*room._make_temp(settings, needed_bytes=needed_bytes), staging)
        except BaseException:
            room.remove()
            raise
        return replace(room, made=made)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a container writes to; the first is the one that is imported from."""
        return (self.staging,) if self.temp is None else (self.temp, self.staging)

    @contextmanager
    def opened(self, leaf: Path) -> Iterator[int]:
        """Give a descriptor of one of the folders, if it still is the one that a container wrote to.

        Whoever may write beside the source can put a folder of his own, or a link, in the place of ours.

        Raises
        ------
        OSError
            As `folders.opened`; `NotADirectoryError` also if it is another one.
        """
        with opened(leaf) as handle:
            self._check(leaf, os.fstat(handle))
            yield handle

    def close(self) -> None:
        """After the container: from now on only we can write here, and everybody can read what it has made."""
        for leaf in self.folders:
            with suppress(OSError), opened(leaf.parent) as own:  # whoever looks for outputs says what is wrong with it
                self._check(leaf, os.stat(leaf.name, dir_fd=own, follow_symlinks=False))
                make_readable(own, leaf.name)
                if leaf == self.temp:
                    os.fchmod(own, READABLE)

    def remove(self) -> bool:
        """Remove the folders with all that is in them, and those above them that are empty then; says whether they are gone."""
        gone = [clear(leaf.parent) for leaf in self.folders]
        if self.temp is not None:
            _remove_empty(self.temp.parent.parent)
        remove_unused(self.source, self.processed)
        return all(gone)

    def _check(self, leaf: Path, status: os.stat_result) -> None:
        if self.made and (status.st_dev, status.st_ino) != self.made[self.folders.index(leaf)]:
            raise NotADirectoryError(errno.ENOTDIR, "somebody has put another one in its place", os.fspath(leaf))

    def _make_staging(self, file: Path, *, needed_bytes: int) -> tuple[int, int]:
        try:
            with opened(self.source) as source:
                if self.processed.name != PROCESSED_IN_CONTAINER:
                    _check_kept_apart(source, self.processed.name)
                return _make_leaf(source, PROCESSED_IN_CONTAINER, self.staging.parent.name)
        except OSError as error:
            folder = self.source if not self.source.is_dir() else self.processed
            raise trouble_beside(file, error, folder=folder, needed_bytes=needed_bytes) from error

    def _make_temp(self, settings: Settings, *, needed_bytes: int) -> tuple[tuple[int, int], ...]:
        if self.temp is None:
            return ()
        order = self.temp.parent.parent
        try:
            with opened(order.parent) as temp:
                return (_make_leaf(temp, order.name, self.temp.parent.name),)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise no_room(order.parent, needed_bytes=needed_bytes) from error
            why = error.strerror or type(error).__name__
            raise ConverterTempDown(folder=os.fspath(settings.converter_temp), why=why) from error


def temp_of(order: str, *, settings: Settings) -> Path:
    """Return the folder in `converter_temp` with all rooms of an order, links resolved, whether it is there or not."""
    return Path(os.path.realpath(settings.converter_temp)) / order


def remove_rooms(order: str, *, settings: Settings, sources: Iterable[Path]) -> bool:
    """Remove all rooms of an order, whichever attempt has made them; what is not there is no trouble.

    Parameters
    ----------
    sources : iterable of Path
        The folders in which the order's entries lie, links resolved.

    Returns
    -------
    bool
        Whether all of them are gone; if not, the log says why.
    """
    if not _ORDER.fullmatch(order):  # then there never were any
        return True
    gone = [clear(temp_of(order, settings=settings))]
    for source in dict.fromkeys(sources):
        folder = source / PROCESSED_IN_CONTAINER
        gone += [clear(folder / name) for name in _rooms_in(folder, order)]
        remove_unused(source, source / settings.processed_folder)
    return all(gone)


def remove_unused(source: Path, processed: Path) -> None:
    """Remove what we have made beside a source, as far as nothing is in it, and no room lies there that something may come from.

    Parameters
    ----------
    source : Path
        The source's folder.
    processed : Path
        Where outputs are kept in it.
    """
    rooms = source / PROCESSED_IN_CONTAINER
    _remove_empty(rooms)
    if processed != rooms and not _has_rooms(rooms):
        _remove_empty(processed)


def _check_kept_apart(source: int, name: str) -> None:
    """See before a converter runs for hours that what it makes can be kept; raises OSError."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            make(source, name, mode=READABLE)
            with opened_in(source, name) as handle:
                if os.fstat(handle).st_dev != os.fstat(source).st_dev:
                    raise OSError(errno.EXDEV, "it is on another file system than the folder of the source")
                trial = f"{OURS}{secrets.token_hex(8)}"
                make(handle, trial, mode=PRIVATE)
                os.rmdir(trial, dir_fd=handle)
            return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _make_leaf(top: int, shared: str, own: str) -> tuple[int, int]:
    """Make `<shared>/<own>/out` in a folder; only the first may be there already; return its identity; raises OSError."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # somebody has just removed it, as it was empty
            make(top, shared, mode=READABLE)
            with opened_in(top, shared) as folder:
                return _make_own(folder, own)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _make_own(folder: int, own: str) -> tuple[int, int]:
    try:
        make(folder, own, mode=PRIVATE, anew=True)
    except FileExistsError:  # attempts are never used again: left by a process that could not tell the database
        if not clear(Path(os.readlink(f"/proc/self/fd/{folder}")) / own):  # noqa: PTH115 (a text)
            raise
        make(folder, own, mode=PRIVATE, anew=True)
    with opened_in(folder, own) as handle:
        make(handle, LEAF, mode=FOR_ANYBODY, anew=True)
        with opened_in(handle, LEAF) as leaf:
            made = os.fstat(leaf)
        if os.fstat(handle).st_uid != made.st_uid:  # it would let others in
            raise NotADirectoryError(errno.ENOTDIR, "somebody has put another one in its place", own)
        return made.st_dev, made.st_ino


def _rooms_in(folder: Path, order: str) -> list[str]:
    """Return the names of an order's rooms; those of one whose uuid begins with that of another have more numbers."""
    ours = re.compile(re.escape(f"{OURS}{order}") + r"-\d+-\d+")
    try:
        with opened(folder) as handle:
            return [name for name in os.listdir(handle) if ours.fullmatch(name)]  # noqa: PTH208 (of a descriptor)
    except (FileNotFoundError, NotADirectoryError):  # a link has nothing of ours behind it
        return []
    except OSError as error:
        event(_log, logging.WARNING, "folder.not_listed", folder=folder, why=error.strerror)
        return []


def _has_rooms(folder: Path) -> bool:
    try:
        with opened(folder) as handle:
            return any(entry.name.startswith(OURS) for entry in listed(handle))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # nobody can tell
        return True


def _remove_empty(folder: Path) -> None:
    """Remove a folder that nothing is in, if it is ours."""
    with suppress(OSError):
        if folder.lstat().st_uid == os.geteuid():
            folder.rmdir()
