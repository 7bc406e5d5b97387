# SPDX-License-Identifier: GPL-2.0-or-later
"""Delivery: what a converter has made comes to where it is kept beside the source, and never over anything of others.

What comes into its place keeps a second name in the staging folder until all of its set have theirs (`taking`): whoever takes
this up after a crash can tell what was brought. All of it works in folders that were opened without following a link.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.contents import Content, content, copy, folder_of, made_for, same, sync
from omero_adi_plugin.containers.folders import READABLE, clear, make, opened, opened_in
from omero_adi_plugin.containers.places import OutputLost, in_room, places
from omero_adi_plugin.containers.rooms import TRIES
from omero_adi_plugin.containers.space import check_free
from omero_adi_plugin.containers.taking import Place
from omero_adi_plugin.containers.trouble import trouble_beside
from omero_adi_plugin.crashpoints import Point, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from omero_adi_plugin.containers.rooms import Room
    from omero_adi_plugin.preprocessing import ConvertedFile

__all__ = ["OutputLost", "PlaceTaken", "check_room", "deliver", "places"]


class PlaceTaken(Exception):
    """Somebody else has just put something into a place; nothing of this set is where it was to be: ask for `places` again."""

    def __init__(self, *, place: str) -> None:
        super().__init__(f"{place} is taken")
        self.place = place


def deliver(
    room: Room,
    files: Sequence[ConvertedFile],
    *,
    check: Callable[[], None] = lambda: None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> tuple[ConvertedFile, ...]:
    """Bring the outputs of one set to their places; can be called again whatever happened in between.

    Parameters
    ----------
    files : sequence of ConvertedFile
        What `places` has said of one set.
    check : callable
        Called now and then; what it raises ends the work.
    on_bytes : callable
        Told how many bytes were copied.

    Returns
    -------
    tuple of ConvertedFile
        The same, each with the size and time that it has in its place.

    Raises
    ------
    PlaceTaken
        By something else, in the meantime.
    OutputLost
        See there.
    ProcessedNotWritable
        Nothing can be written there, or a link is in the way.
    NoRoomToConvert
        The disk is full, or would be before all of it is copied: then nothing is.
    FileMissing, ImportInterrupted
        The source's folder is gone, or its file system does not answer.
    """
    try:
        for _ in range(TRIES):
            with ExitStack() as stack:
                delivery = _Delivery(room, check=check, on_bytes=on_bytes, stack=stack)
                try:
                    return delivery.bring(files)
                except FileNotFoundError:
                    if not delivery.is_removed:
                        raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    except OSError as error:
        needed_bytes = sum(file.bytes for file in files)
        raise trouble_beside(room.source / room.basename, error, folder=room.processed, needed_bytes=needed_bytes) from error


def check_room(room: Room, files: Iterable[ConvertedFile]) -> None:
    """Return if there is room for outputs where they are to be kept, as far as they have to be copied there.

    Parameters
    ----------
    files : iterable of ConvertedFile
        What `places` has said, of any number of sets.

    Raises
    ------
    NoRoomToConvert
        There is not.
    ProcessedNotWritable, FileMissing, ImportInterrupted
        As `deliver`.
    """
    try:
        with ExitStack() as stack:
            _Delivery(room, check=lambda: None, on_bytes=lambda _: None, stack=stack).check_room(files)
    except OSError as error:
        raise trouble_beside(room.source / room.basename, error, folder=room.processed, needed_bytes=0) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    """An output in its place. mine: it is sure that this conversion has brought it, so it can be taken back."""

    file: ConvertedFile
    found: Content
    mine: bool


class _Delivery:
    """The folders of a room, and the one in which outputs are kept, while they are open."""

    def __init__(self, room: Room, *, check: Callable[[], None], on_bytes: Callable[[int], None], stack: ExitStack) -> None:
        self._room, self._check, self._on_bytes = room, check, on_bytes
        source = stack.enter_context(opened(room.source))
        make(source, room.processed.name, mode=READABLE)
        self._processed = stack.enter_context(opened_in(source, room.processed.name))
        self._own = _opened_if_there(room.staging.parent, stack)
        self._staging = _opened_if_there(room.staging, stack)
        self._temp = None if room.temp is None else _opened_if_there(room.temp, stack)

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed the folder for outputs, since nothing was in it."""
        return os.fstat(self._processed).st_nlink == 0

    def check_room(self, files: Iterable[ConvertedFile]) -> None:
        """Return if there is room for what has to be copied; raises NoRoomToConvert."""
        needed_bytes = sum(self._to_copy(file) for file in files)
        if needed_bytes and self._own is not None:
            check_free(self._own, needed_bytes=needed_bytes, shown=self._room.processed)

    def bring(self, files: Sequence[ConvertedFile]) -> tuple[ConvertedFile, ...]:
        """Bring the outputs of a set."""
        self.check_room(files)
        brought: list[_Brought] = []
        try:
            for file in files:
                self._check()
                brought.append(self._bring(file))
        except PlaceTaken:
            for each in reversed(brought):
                self._take_back(each)
            raise
        for file in {file.place.rpartition("/")[0]: file for file in files}.values():
            with self._place_of(file) as (folder, _):
                os.fsync(folder)
        for each in brought:
            self._forget(each.file.name)
        return tuple(each.file for each in brought)

    def _to_copy(self, file: ConvertedFile) -> int:
        """Return how many bytes of an output have to be copied: none of what is beside the source already."""
        source = self._in_room(file.name)
        if source is None or source[0] == self._staging:
            return 0
        there = content(self._processed, self._name_of(file))
        return (
            0
            if there is not None and (there.is_folder, there.bytes) == (source[1].is_folder, source[1].bytes)
            else source[1].bytes
        )

    def _bring(self, file: ConvertedFile) -> _Brought:
        source = self._in_room(file.name)
        with self._place_of(file) as (folder, last):
            place = Place(folder, last, reservation=f"this place is for {file.name} of {self._room.staging.parent.name}")
            if not place.is_ours() and not place.is_free(for_folder=source is not None and source[1].is_folder):
                return self._as_agreed(file, source, folder, last)
            self._stage(file.name)
            reached(Point.OUTPUT_COPIED)
            with folder_of(self._there(self._staging), file.name) as (staging, name):
                try:
                    place.take(staging, name)
                except FileExistsError:
                    return self._as_agreed(file, source, folder, last)
            reached(Point.OUTPUT_DELIVERED)
            return _brought(file, folder, last, mine=True)

    def _as_agreed(self, file: ConvertedFile, source: tuple[int, Content] | None, folder: int, last: str) -> _Brought:
        """Return what is in a place already, if it is what was to be brought there; raises PlaceTaken, OutputLost."""
        found = content(folder, last)
        if found is None:
            raise PlaceTaken(place=file.place)
        if source is None:  # nothing to compare it with
            if (found.bytes, found.mtime_ns) != (file.bytes, file.mtime_ns):
                raise OutputLost(name=file.name)
            return _brought(file, folder, last, mine=False)
        top, made = source
        mine = made.identity == found.identity
        if not mine:  # size and time say too little: some converters give their outputs the time of the source
            with folder_of(top, file.name) as (there, name):
                if not same(there, name, folder, last, check=self._check):
                    raise PlaceTaken(place=file.place)
        return _brought(file, folder, last, mine=mine)

    def _stage(self, name: str) -> None:
        """See that an output lies in the staging folder, and is on the disk; raises OutputLost."""
        found = self._in_room(name)
        if found is None:
            raise OutputLost(name=name)
        top, _ = found
        if top == self._staging:
            with folder_of(top, name) as (folder, last):
                sync(folder, last)
            return
        own, part = self._there(self._own), secrets.token_hex(8)
        try:
            with folder_of(top, name) as (folder, last):
                copy(folder, last, own, part, check=self._check, on_bytes=self._on_bytes)
            self._forget(name)  # what is there is not what is imported
            with made_for(self._there(self._staging), name) as (folder, last):
                os.rename(part, last, src_dir_fd=own, dst_dir_fd=folder)
        except BaseException:
            clear(self._room.staging.parent / part)
            raise

    def _take_back(self, brought: _Brought) -> None:
        """Take an output out of its place again, if it is there through us."""
        with self._place_of(brought.file) as (folder, last):
            there = content(folder, last)
            if not brought.mine or there is None or there.identity != brought.found.identity:
                return
            with made_for(self._there(self._staging), brought.file.name) as (staging, name):
                if content(staging, name) is None:
                    os.rename(last, name, src_dir_fd=folder, dst_dir_fd=staging)
                else:
                    os.unlink(last, dir_fd=folder)

    def _forget(self, name: str) -> None:
        """Remove what the staging folder still has of an output."""
        found = None if self._staging is None else content(self._staging, name)
        if found is not None and found.is_folder:
            clear(self._room.staging / name)
        elif found is not None:
            with folder_of(self._there(self._staging), name) as (folder, last):
                os.unlink(last, dir_fd=folder)

    def _in_room(self, name: str) -> tuple[int, Content] | None:
        return None if self._staging is None and self._temp is None else in_room(self._temp, self._staging, name)

    def _there(self, folder: int | None) -> int:
        if folder is None:  # somebody has removed it: the output, which may be in temp, can only be brought by way of it
            raise OutputLost(name=self._room.basename)
        return folder

    def _name_of(self, file: ConvertedFile) -> str:
        """Return what an output is called in the folder for outputs."""
        top = f"{self._room.processed}/"
        name = file.place.removeprefix(top)
        if not file.place.startswith(top) or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise ValueError(f"{file.place} does not lie in {top}")
        return name

    @contextmanager
    def _place_of(self, file: ConvertedFile) -> Iterator[tuple[int, str]]:
        """Give the folder that an output is kept in, made if it is not there, and its name in it; raises PlaceTaken."""
        try:
            with made_for(self._processed, self._name_of(file)) as found:
                yield found
        except NotADirectoryError as error:
            raise PlaceTaken(place=file.place) from error


def _brought(file: ConvertedFile, folder: int, last: str, *, mine: bool) -> _Brought:
    found = content(folder, last)
    if found is None:  # somebody has just taken it away
        raise PlaceTaken(place=file.place)
    return _Brought(file=replace(file, bytes=found.bytes, mtime_ns=found.mtime_ns), found=found, mine=mine)


def _opened_if_there(folder: Path, stack: ExitStack) -> int | None:
    with suppress(FileNotFoundError):
        return stack.enter_context(opened(folder))
    return None
