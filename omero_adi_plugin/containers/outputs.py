# SPDX-License-Identifier: GPL-2.0-or-later
"""Outputs: what a converter has really made, whatever it says.

What it says are paths in the container; they are mapped back by the folders that were mounted there, and looked at without
following a link, in the very folders that the container wrote to. An output lies in the folder that is imported from (*temp*),
or if the converter wrote it only there, in the *staging* folder, see `rooms`. It has the same name, its path below the folder, in
both of them.
"""

from __future__ import annotations

import errno
import logging
import os
import posixpath
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.contents import folder_of, made_for
from omero_adi_plugin.containers.folders import DEEPEST, OURS, is_too_deep, listed, opened_in, walk_in
from omero_adi_plugin.errors import ConverterLied, ImportInterrupted, NothingConverted, quoted
from omero_adi_plugin.logs import order_event
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from omero_adi_plugin.containers.items import Item
    from omero_adi_plugin.containers.rooms import Room
    from omero_adi_plugin.preprocessing import Preprocessing

KEY_VALUES = "metadata.csv"
"""A file of key-values (contract, part 7), which is no output."""

ZARR = ".zarr"
"""What folders end with that are one image, or plate, of very many files."""

LONGEST_PATH = 4095
"""Bytes of a path that can be opened (Linux, limits.h: PATH_MAX, with a NUL at the end)."""

LONGEST_SHOWN = 150
"""So many characters of a path a clause of a sentence has room for."""

_TOO_DEEP = "its folders lie too deep in one another"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file or folder that a converter has made.

    name:      its path below the folder that it was written to, with `/`.
    place:     where it lies now, in `Room.temp`; in `Room.staging` if it is only there.
    title:     what its images are to be called; None: as the file.
    keyvalues: what the converter says of it.
    """

    name: str
    place: Path
    title: str | None = None
    keyvalues: tuple[tuple[str, str], ...] = ()


class _Lie(Exception):
    """What was said is not so; the text is a clause."""


def outputs_of(
    items: Sequence[Item] | None, room: Room, *, preprocessing: Preprocessing, path: str, container: str
) -> tuple[Output, ...]:
    """Return the outputs of a conversion: those that the converter lists, else each new file.

    If it lists none, those are the files in the folder that is imported from, sorted by the bytes of their names; hidden ones and
    `metadata.csv` do not count, and a folder that is a Zarr counts as one.

    Parameters
    ----------
    items : sequence of Item, or None
        From `parse_items`; None: the converter has listed nothing.
    room : Room
        After its `close`.
    path, container
        The source and the image, for sentences.

    Raises
    ------
    ConverterLied
        Something is not there, is no file or folder, leads elsewhere, or is said twice; the sentence names it.
    NothingConverted
        There is nothing.
    ImportInterrupted
        The folders of the room cannot be looked into at the moment, or are gone.
    """
    try:
        with ExitStack() as stack:
            tops = {folder: stack.enter_context(room.opened(folder)) for folder in room.folders}
            outputs = _found(room, tops) if items is None else _listed(items, room, preprocessing, tops)
    except _Lie as lie:
        raise ConverterLied(path=path, container=container, why=str(lie)) from lie
    except OSError as error:
        raise _out_of_reach(room, error) from error
    if not outputs:
        raise NothingConverted(path=path, container=container)
    return outputs


def others(room: Room, *, used: Iterable[str]) -> tuple[str, ...]:
    """Return the names of files in the staging folder that are no part of an output, but were meant to be kept.

    Parameters
    ----------
    used : iterable of str
        Names of all files and folders that are kept anyway.

    Returns
    -------
    tuple of str
        Sorted by bytes. Links, pipes and the like are left out, and so is what has a name that is for us alone; and what lies
        too deep to be kept, which the order's log says.

    Raises
    ------
    ImportInterrupted
        As `outputs_of`.
    """
    kept = set(used)
    names = []
    try:
        with room.opened(room.staging) as staging:
            for name, entry in walk_in(staging):
                if _is_ours(name) or not kept.isdisjoint(_prefixes(name)):
                    continue
                if entry.is_file(follow_symlinks=False):
                    names.append(name)
                elif entry.is_dir(follow_symlinks=False) and is_too_deep(name):
                    order_event(_log, logging.WARNING, "output.left_out", folder=_shown(name), why=_TOO_DEEP)
    except OSError as error:
        raise _out_of_reach(room, error) from error
    return tuple(sorted(names, key=os.fsencode))


def _found(room: Room, tops: Mapping[Path, int]) -> tuple[Output, ...]:
    top = room.staging if room.temp is None else room.temp
    names = sorted(_files(tops[top]), key=os.fsencode)
    for name in names:
        _look(top, tops[top], name)
        if room.temp is not None and _status(tops[room.staging], name) is not None:
            _check_twins((tops[top], name), (tops[room.staging], name), shown=name)
    return tuple(Output(name=name, place=top / name) for name in names)


def _files(folder: int, within: str = "") -> Iterator[str]:
    """Give the names of all files below an open folder, but hidden ones; of a Zarr that of its folder; raises _Lie."""
    for entry in listed(folder):
        name = f"{within}{entry.name}"
        if entry.name.startswith(".") or entry.name == KEY_VALUES:
            continue
        if not entry.is_dir(follow_symlinks=False) or name.lower().endswith(ZARR):
            yield name
        elif is_too_deep(name):
            raise _Lie(_TOO_DEEP)
        else:
            with opened_in(folder, entry.name) as below:
                yield from _files(below, f"{name}/")


def _listed(items: Sequence[Item], room: Room, preprocessing: Preprocessing, tops: Mapping[Path, int]) -> tuple[Output, ...]:
    outputs: dict[str, Output] = {}
    for item in items:
        output = _output(item, room, _Mounts(room, preprocessing), tops)
        if output.name in outputs:
            raise _Lie(f"two items are for {_shown(output.name)}")
        outputs[output.name] = output
    for name in outputs:
        around = next((each for each in _prefixes(name)[:-1] if each in outputs), None)
        if around is not None:
            raise _Lie(f"two items are for {_shown(name)}, one of them for the folder {_shown(around)} that it lies in")
    return tuple(outputs.values())


class _Mounts:
    """Where the paths of a container are on this host."""

    def __init__(self, room: Room, preprocessing: Preprocessing) -> None:
        self._source = preprocessing.output_folder
        self._folders = [(f"{preprocessing.output_folder}/{PROCESSED_IN_CONTAINER}", room.staging)]
        if preprocessing.alt_output_folder is not None and room.temp is not None:
            self._folders.append((preprocessing.alt_output_folder, room.temp))

    def of(self, path: str) -> tuple[Path, str]:
        """Return the folder of the room that a path lies in, and its name there; raises _Lie."""
        whole = posixpath.normpath(path)
        for inside, outside in self._folders:
            if whole.startswith(f"{inside}/"):
                name = whole[len(inside) + 1 :]
                if _is_ours(name):
                    raise _Lie(f"{_shown(path)} has a name that begins with `{OURS}`, which no output may have")
                return outside, name
        folders = " or ".join(inside for inside, _ in self._folders)
        raise _Lie(f"{_shown(path)} does not lie in {folders}")

    def is_beside(self, path: str) -> bool:
        """Say whether a path lies in the folder of the source, but not among what is kept."""
        whole = posixpath.normpath(path)
        return whole.startswith(f"{self._source}/") and not whole.startswith(f"{self._folders[0][0]}/")


def _output(item: Item, room: Room, mounts: _Mounts, tops: Mapping[Path, int]) -> Output:
    paths = [path for path in (item.alt_path, item.full_path) if path is not None]
    if len(paths) > 1 and mounts.is_beside(paths[1]):  # some converters give the path of the source there
        paths.pop()
    placed = list(dict.fromkeys(mounts.of(path) for path in paths))
    there = [(top, name) for top, name in placed if _status(tops[top], name) is not None]
    if not there:
        raise _Lie(f"{_shown(paths[0])} is not there")
    for top, name in there:
        _look(top, tops[top], name)
    if len({top for top, _ in there}) < len(there):
        raise _Lie(f"one item is for both {_shown(paths[0])} and {_shown(paths[1])}")
    top, name = min(there, key=lambda place: place[0] == room.staging)
    if len(there) > 1:
        one, other = ((tops[each], its_name) for each, its_name in there)
        _check_twins(one, other, shown=paths[0])
        _call_alike(tops[room.staging], there[1][1] if there[0] == (top, name) else there[0][1], name)
    return Output(name=name, place=top / name, title=item.name, keyvalues=item.keyvalues)


def _look(folder: Path, top: int, name: str) -> None:
    """Return if an output is a file or a folder, and no link leads to it or is in it; raises _Lie.

    Parameters
    ----------
    folder, top
        What it lies in, and the same when it is open.
    """
    status = _status(top, name)
    mode = 0 if status is None else status.st_mode
    if stat.S_ISLNK(mode):
        raise _Lie(f"{_shown(name)} is a link")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _Lie(f"{_shown(name)} is neither a file nor a folder")
    around = name if stat.S_ISDIR(mode) else name.rpartition("/")[0]
    if is_too_deep(around) or len(os.fsencode(folder / name)) > LONGEST_PATH:
        raise _Lie(f"{_shown(name)} lies too deep")
    if stat.S_ISDIR(mode):
        with folder_of(top, name) as (within, last), opened_in(within, last) as handle:
            for each, entry in walk_in(handle, f"{name}/"):
                _look_within(name, each, entry)
                if len(os.fsencode(folder / each)) > LONGEST_PATH:
                    raise _Lie(f"what is in {_shown(name)} lies too deep")


def _look_within(name: str, each: str, entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if is_too_deep(each):
            raise _Lie(f"{_shown(name)} has more than {DEEPEST} folders in one another")
    elif not entry.is_file(follow_symlinks=False):
        raise _Lie(f"{_shown(each)} is {'a link' if entry.is_symlink() else 'no file'}")


def _status(top: int, name: str) -> os.stat_result | None:
    """Return what is known of what has a name below an open folder, None if nothing has; raises _Lie if it is behind a link."""
    try:
        with folder_of(top, name) as (folder, last):
            return os.stat(last, dir_fd=folder, follow_symlinks=False)
    except NotADirectoryError:
        for around in _prefixes(name)[:-1]:
            status = _status(top, around)
            if status is not None and stat.S_ISLNK(status.st_mode):
                raise _Lie(f"the folder of {_shown(name)} is a link") from None
        return None
    except (FileNotFoundError, ValueError):  # ValueError: a NUL, or half of a character
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise


def _check_twins(first: tuple[int, str], second: tuple[int, str], *, shown: str) -> None:
    one, other = _sizes(*first), _sizes(*second)
    if one != other:
        sizes = f" ({sum(one.values())} and {sum(other.values())} bytes)"
        raise _Lie(f"{_shown(shown)} and its twin in the other folder are not alike{sizes}")


def _sizes(top: int, name: str) -> dict[str, int]:
    """Return the size of a file, or of each file below a folder by name; -1 for a folder in it."""
    with folder_of(top, name) as (folder, last):
        status = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return {"": status.st_size}
        with opened_in(folder, last) as handle:
            return {
                each: -1 if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size
                for each, entry in walk_in(handle)
            }


def _call_alike(staging: int, old: str, new: str) -> None:
    """Give the twin in the staging folder the name that is imported, so that one name stands for both."""
    if old != new and _status(staging, new) is None:
        with folder_of(staging, old) as (folder, last), made_for(staging, new) as (new_folder, new_last):
            os.rename(last, new_last, src_dir_fd=folder, dst_dir_fd=new_folder)


def _out_of_reach(room: Room, error: OSError) -> ImportInterrupted:
    words = f"the folders that it was converted to cannot be looked into ({error.strerror})"
    return ImportInterrupted(path=os.fspath(room.source / room.basename), words=words)


def _prefixes(name: str) -> list[str]:
    """Return a name and those of the folders that it lies in, from above."""
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]


def _is_ours(name: str) -> bool:
    return any(part.startswith(OURS) for part in name.split("/"))


def _shown(path: str) -> str:
    return quoted(path, length=LONGEST_SHOWN)
