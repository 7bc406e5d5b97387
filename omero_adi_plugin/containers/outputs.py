# SPDX-License-Identifier: GPL-2.0-or-later
"""Outputs: what a converter has really made, whatever it says.

What it says are paths in the container; they are mapped back by the folders that were mounted there, and looked at without
following a link, in the very folders that the container wrote to. An output lies in the folder that is imported from (*temp*),
or if the converter wrote it only there, in the *staging* folder, see `rooms`. It has the same name, its path below the folder, in
both of them.
"""

from __future__ import annotations

import logging
import os
import posixpath
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.contents import folder_of, made_for
from omero_adi_plugin.containers.folders import OURS, is_too_deep, listed, opened_in, walk_in
from omero_adi_plugin.containers.looking import TOO_DEEP, Lie, check_twins, is_ours, look, prefixes, shown, status_of
from omero_adi_plugin.errors import ConverterLied, ImportInterrupted, NothingConverted
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
    except Lie as lie:
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
                if is_ours(name) or not kept.isdisjoint(prefixes(name)):
                    continue
                if entry.is_file(follow_symlinks=False):
                    names.append(name)
                elif entry.is_dir(follow_symlinks=False) and is_too_deep(name):
                    order_event(_log, logging.WARNING, "output.left_out", folder=shown(name), why=TOO_DEEP)
    except OSError as error:
        raise _out_of_reach(room, error) from error
    return tuple(sorted(names, key=os.fsencode))


def _found(room: Room, tops: Mapping[Path, int]) -> tuple[Output, ...]:
    top = room.staging if room.temp is None else room.temp
    names = sorted(_files(tops[top]), key=os.fsencode)
    for name in names:
        look(top, tops[top], name)
        if room.temp is not None and status_of(tops[room.staging], name) is not None:
            check_twins((tops[top], name), (tops[room.staging], name), name=name)
    return tuple(Output(name=name, place=top / name) for name in names)


def _files(folder: int, within: str = "") -> Iterator[str]:
    """Give the names of all files below an open folder, but hidden ones; of a Zarr that of its folder; raises Lie."""
    for entry in listed(folder):
        name = f"{within}{entry.name}"
        if entry.name.startswith(".") or entry.name == KEY_VALUES:
            continue
        if not entry.is_dir(follow_symlinks=False) or name.lower().endswith(ZARR):
            yield name
        elif is_too_deep(name):
            raise Lie(TOO_DEEP)
        else:
            with opened_in(folder, entry.name) as below:
                yield from _files(below, f"{name}/")


def _listed(items: Sequence[Item], room: Room, preprocessing: Preprocessing, tops: Mapping[Path, int]) -> tuple[Output, ...]:
    outputs: dict[str, Output] = {}
    for item in items:
        output = _output(item, room, _Mounts(room, preprocessing), tops)
        if output.name in outputs:
            raise Lie(f"two items are for {shown(output.name)}")
        outputs[output.name] = output
    for name in outputs:
        around = next((each for each in prefixes(name)[:-1] if each in outputs), None)
        if around is not None:
            raise Lie(f"two items are for {shown(name)}, one of them for the folder {shown(around)} that it lies in")
    return tuple(outputs.values())


class _Mounts:
    """Where the paths of a container are on this host."""

    def __init__(self, room: Room, preprocessing: Preprocessing) -> None:
        self._source = preprocessing.output_folder
        self._folders = [(f"{preprocessing.output_folder}/{PROCESSED_IN_CONTAINER}", room.staging)]
        if preprocessing.alt_output_folder is not None and room.temp is not None:
            self._folders.append((preprocessing.alt_output_folder, room.temp))

    def of(self, path: str) -> tuple[Path, str]:
        """Return the folder of the room that a path lies in, and its name there; raises Lie."""
        whole = posixpath.normpath(path)
        for inside, outside in self._folders:
            if whole.startswith(f"{inside}/"):
                name = whole[len(inside) + 1 :]
                if is_ours(name):
                    raise Lie(f"{shown(path)} has a name that begins with `{OURS}`, which no output may have")
                return outside, name
        folders = " or ".join(inside for inside, _ in self._folders)
        raise Lie(f"{shown(path)} does not lie in {folders}")

    def is_beside(self, path: str) -> bool:
        """Say whether a path lies in the folder of the source, but not among what is kept."""
        whole = posixpath.normpath(path)
        return whole.startswith(f"{self._source}/") and not whole.startswith(f"{self._folders[0][0]}/")


def _output(item: Item, room: Room, mounts: _Mounts, tops: Mapping[Path, int]) -> Output:
    paths = [path for path in (item.alt_path, item.full_path) if path is not None]
    if len(paths) > 1 and mounts.is_beside(paths[1]):  # some converters give the path of the source there
        paths.pop()
    placed = list(dict.fromkeys(mounts.of(path) for path in paths))
    there = [(top, name) for top, name in placed if status_of(tops[top], name) is not None]
    if not there:
        raise Lie(f"{shown(paths[0])} is not there")
    for top, name in there:
        look(top, tops[top], name)
    if len({top for top, _ in there}) < len(there):
        raise Lie(f"one item is for both {shown(paths[0])} and {shown(paths[1])}")
    top, name = min(there, key=lambda place: place[0] == room.staging)
    if len(there) > 1:
        one, other = ((tops[each], its_name) for each, its_name in there)
        check_twins(one, other, name=paths[0])
        _call_alike(tops[room.staging], there[1][1] if there[0] == (top, name) else there[0][1], name)
    return Output(name=name, place=top / name, title=item.name, keyvalues=item.keyvalues)


def _call_alike(staging: int, old: str, new: str) -> None:
    """Give the twin in the staging folder the name that is imported, so that one name stands for both."""
    if old != new and status_of(staging, new) is None:
        with folder_of(staging, old) as (folder, last), made_for(staging, new) as (new_folder, new_last):
            os.rename(last, new_last, src_dir_fd=folder, dst_dir_fd=new_folder)


def _out_of_reach(room: Room, error: OSError) -> ImportInterrupted:
    words = f"the folders that it was converted to cannot be looked into ({error.strerror})"
    return ImportInterrupted(path=os.fspath(room.source / room.basename), words=words)
