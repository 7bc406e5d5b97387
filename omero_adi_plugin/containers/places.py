# SPDX-License-Identifier: GPL-2.0-or-later
"""Places: where what a converter has made is kept beside the source.

That is `<processed>/<name>`, unless something else is there already: images that were imported earlier lead to it. Then a file
that is read by itself gets the beginning of its order's uuid into its name. Files that are read together refer to each other by
their names, so all of them go into a folder that is called so.

A `metadata.csv` always gets such a name: what lies in `<processed>/metadata.csv` counts for each file of the source's folder, and
a converter speaks of one.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import ExitStack, suppress
from itertools import count
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.contents import Content, content, folder_of, same
from omero_adi_plugin.containers.folders import OURS, opened, opened_in
from omero_adi_plugin.containers.outputs import KEY_VALUES
from omero_adi_plugin.containers.trouble import trouble_beside
from omero_adi_plugin.errors import ProcessedNotWritable
from omero_adi_plugin.preprocessing import ConvertedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from omero_adi_plugin.containers.rooms import Room

TAG_LENGTH = 8
"""So many characters of the order's uuid tell names apart (contract, part 6)."""

NUMBERED = 9
"""So many tags of one order are tried one by one; an order of 10,000 files whose outputs have one name would never get done."""

LONGEST_NAME = 255
"""Bytes that one name may have: the limit of Linux' file systems (limits.h, NAME_MAX)."""

_SUFFIX = re.compile(r"(?<=.)(\.ome\.[^.]{1,32}|\.companion\.ome|\.tar\.[^.]{1,32}|\.[^.]{1,32})\Z", re.IGNORECASE | re.DOTALL)
"""What counts as one suffix of a name; what is longer is none."""


class OutputLost(Exception):
    """An output is neither in the room nor where it is kept: only another conversion brings it back."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"{name} is lost")
        self.name = name


def places(
    room: Room,
    sets: Sequence[Sequence[str]],
    *,
    order: str,
    ours: Mapping[str, str] | None = None,
    check: Callable[[], None] = lambda: None,
) -> dict[str, ConvertedFile]:
    """Say where outputs are to be kept; writes nothing. No two get the same place.

    Parameters
    ----------
    sets : sequence of sequences of str
        Names of outputs. Those of one set are read together, and refer to each other by their names.
    order : str
        The order's uuid; its beginning tells names apart.
    ours : mapping of str to str, optional
        Places, by name, that an earlier run of this same conversion has given: taken again unless something else is there now.
    check : callable
        Called while contents are compared; what it raises ends that.

    Returns
    -------
    dict of str to ConvertedFile
        By name, each with the size and time of what will be there; what is there already, if it is the same.

    Raises
    ------
    ProcessedNotWritable
        A link is in the way.
    OutputLost
        An output is not in the room, nor in its place of an earlier run.
    FileMissing, ImportInterrupted
        The source's folder is gone, or its file system does not answer.
    """
    given: dict[str, ConvertedFile] = {}
    try:
        with ExitStack() as stack:
            allotment = _Allotment(room, order=order, ours=ours or {}, check=check, stack=stack)
            for names in sets:
                given |= allotment.give(names)
    except OSError as error:
        raise trouble_beside(room.source / room.basename, error, folder=room.processed, needed_bytes=0) from error
    return given


def in_room(temp: int | None, staging: int | None, name: str) -> tuple[int, Content] | None:
    """Return what will be delivered as an output, and which of two open folders it lies in; None: it is in neither.

    The one in the staging folder need not be copied; but it is what was in temp that is imported, should they differ in size.
    """
    staged = None if staging is None else content(staging, name)
    made = None if temp is None else content(temp, name)
    if (
        staged is not None
        and staging is not None
        and (made is None or (made.is_folder, made.bytes) == (staged.is_folder, staged.bytes))
    ):
        return staging, staged
    return None if made is None or temp is None else (temp, made)


_OTHER = Content(is_folder=False, bytes=-1, mtime_ns=0, identity=(0, 0))
"""Stands for a link, a pipe, and whatever lies behind a file."""


class _Allotment:
    """Gives places to one set after the other, and remembers which are taken."""

    def __init__(self, room: Room, *, order: str, ours: Mapping[str, str], check: Callable[[], None], stack: ExitStack) -> None:
        self._room, self._ours, self._check = room, ours, check
        self._tag, self._own = order[:TAG_LENGTH], room.staging.parent.name.removeprefix(f"{OURS}{order}-")
        self._staging = stack.enter_context(opened(room.staging))
        self._temp = None if room.temp is None else stack.enter_context(opened(room.temp))
        try:
            self._processed: int | None = stack.enter_context(opened(room.processed))
        except FileNotFoundError:
            self._processed = None
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def give(self, names: Sequence[str]) -> dict[str, ConvertedFile]:
        """Return the places of a set."""
        found = {name: in_room(self._temp, self._staging, name) for name in names}
        for candidate in self._candidates(names):
            given = self._fitting(candidate, found)
            if given is not None:
                for place in candidate.values():
                    self._taken.add(place)
                    self._folders.update(_folders(place))
                return given
            self._check()
            lost = next((name for name in names if found[name] is None), None)
            if lost is not None:  # there is no moving it elsewhere
                raise OutputLost(name=lost)
        raise AssertionError  # there is always another name

    def _candidates(self, names: Sequence[str]) -> Iterator[dict[str, str]]:
        """Give places for a set, the best first, as paths below `processed`."""
        before = {name: os.path.relpath(self._ours[name], self._room.processed) for name in names if name in self._ours}
        if len(before) == len(names) and not any(place.startswith("../") for place in before.values()):
            yield before
        if KEY_VALUES not in names:
            yield {name: name for name in names}
        alone = not any(self._is_blocked(name) for name in names) and len(names) == 1
        for tag in self._tags():
            yield {name: _tagged(name, tag) if alone else f"{tag}/{name}" for name in names}

    def _tags(self) -> Iterator[str]:
        yield self._tag
        yield from (f"{self._tag}-{number}" for number in range(2, NUMBERED + 1))
        yield f"{self._tag}-{self._own}"  # of this conversion alone
        yield from (f"{self._tag}-{self._own}-{number}" for number in count(2))

    def _fitting(
        self, candidate: Mapping[str, str], found: Mapping[str, tuple[int, Content] | None]
    ) -> dict[str, ConvertedFile] | None:
        """Return what will be in places; None if something else is in one of them, or will be."""
        given = {}
        for name, place in candidate.items():
            if place in self._taken or place in self._folders or not self._taken.isdisjoint(_folders(place)):
                return None
            what = self._fit(name, place, found[name])
            if what is None:
                return None
            whole = os.fspath(self._room.processed / place)
            given[name] = ConvertedFile(name=name, place=whole, bytes=what.bytes, mtime_ns=what.mtime_ns)
        return given

    def _fit(self, name: str, place: str, source: tuple[int, Content] | None) -> Content | None:
        """Return what will be in a place for an output; None if it cannot be there."""
        there = self._there(place)
        if source is None:  # brought there by an earlier run
            return there if self._ours.get(name) == os.fspath(self._room.processed / place) and there is not _OTHER else None
        top, what = source
        if there is None or (what.is_folder and there.is_folder and self._is_empty(place)):
            return what
        if (what.is_folder, what.bytes) != (there.is_folder, there.bytes) or self._processed is None:
            return None
        with folder_of(top, name) as made, folder_of(self._processed, place) as kept:
            return there if same(*made, *kept, check=self._check) else None

    def _there(self, place: str) -> Content | None:
        """Return what is in a place; None if nothing, `_OTHER` if nothing that an output could be the same as."""
        if self._processed is None:
            return None
        try:
            with folder_of(self._processed, place) as (folder, last):
                os.stat(last, dir_fd=folder, follow_symlinks=False)
                return content(folder, last) or _OTHER
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return _OTHER

    def _is_empty(self, place: str) -> bool:
        if self._processed is None:
            return True
        with folder_of(self._processed, place) as (folder, last), opened_in(folder, last) as handle:
            return not os.listdir(handle)  # noqa: PTH208 (of a descriptor)

    def _is_blocked(self, name: str) -> bool:
        """Say whether a file has the name of a folder that an output lies in; raises ProcessedNotWritable if a link has."""
        for folder in _folders(name):
            if folder in self._taken:
                return True
            with suppress(FileNotFoundError):
                mode = (self._room.processed / folder).lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise ProcessedNotWritable(folder=os.fspath(self._room.processed / folder), why="it is a link")
                if not stat.S_ISDIR(mode):
                    return True
        return False


def _folders(name: str) -> list[str]:
    """Return the folders that a name lies in, from above."""
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _tagged(name: str, tag: str) -> str:
    """Return a name with a tag before its suffix, shortened where there would be no room for it."""
    folder, slash, last = name.rpartition("/")
    found = _SUFFIX.search(last)
    suffix = f".{tag}{found.group() if found else ''}"
    stem = last[: found.start()] if found else last
    room = max(1, LONGEST_NAME - len(os.fsencode(suffix)))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return f"{folder}{slash}{stem}{suffix}"
