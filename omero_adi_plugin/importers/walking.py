# SPDX-License-Identifier: GPL-2.0-or-later
"""Walking: the files below a folder that may be images, in the order in which they are to be opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import EntryFailed, ZarrUnsupported
from omero_adi_plugin.importers.endings import PIXELS, ending_of
from omero_adi_plugin.importers.plans import LeftOut
from omero_adi_plugin.importers.unreadable import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.importers.plans import Gate

DEEPEST = 10
"""How deep files are looked for (contract 5): the folder itself has depth 0, a file in it 1. OMERO counts alike (`--depth`)."""

JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "system volume information", "$recycle.bin", "lost+found"})
"""What operating systems and storage leave in folders, in lower case. Names that begin with a dot are left out as well."""

PROCESSED = ".processed"
"""Where converters' files are kept beside their sources, unless the settings say otherwise (contract 6)."""

KEY_VALUES = "metadata.csv"
"""Key-values for the images beside it (contract 7)."""

ZARR_METADATA = frozenset({".zattrs", ".zgroup", ".zarray", "zarr.json"})
"""One of these lies at the top of each Zarr (OME-Zarr 0.4 and 0.5)."""


def opening_order(path: str) -> tuple[bool, bytes]:
    """Return what files are to be sorted by: those that describe others first, then by the bytes of their names.

    A screen's index names thousands of pictures, each of which could also be read by itself; opened first, it claims them all.
    """
    return ending_of(path) in PIXELS, os.fsencode(path)


class Walk:
    """One walk through a folder; iterating gives paths of files, which nobody has looked at yet.

    Not given, without a word: hidden files, `JUNK`, `metadata.csv`; so are folders of such names, and those in which it is kept
    what converters have made. Links to folders are followed if the gate lets them be, after all that is no link, and no folder is
    looked into twice, so there are no circles. A folder that cannot be looked into does not end the walk.

    Parameters
    ----------
    top : str
        Absolute path of a folder that the gate has admitted.
    gate : Gate
        Is asked before any other folder is looked into.
    watch : callable, optional
        Called for each name that is met; what it raises ends the walk.
    processed : str
        What folders are called with what converters have made.

    Attributes
    ----------
    failures : list of EntryFailed
        Folders that cannot be looked into, each named, and Zarr folders.
    left_out : list of LeftOut
        Folders that lie too deep.
    """

    def __init__(self, top: str, *, gate: Gate, watch: Callable[[], None] = lambda: None, processed: str = PROCESSED) -> None:
        self.failures: list[EntryFailed] = []
        self.left_out: list[LeftOut] = []
        self._top, self._gate, self._watch, self._processed = top, gate, watch, processed
        self._been: set[tuple[int, int]] = set()
        self._links: list[tuple[str, int]] = []

    def __iter__(self) -> Iterator[str]:
        """Give the files of a folder, then those of the folders in it.

        Raises
        ------
        EntryFailed
            The top folder cannot be looked into, or is a Zarr.
        ImportInterrupted
            A file system is not there at the moment.
        """
        if _is_named_zarr(self._top):
            raise ZarrUnsupported(path=self._top)
        yield from self._below([(self._top, 0)])
        while self._links:
            links, self._links = self._links, []
            for link, depth in links:
                yield from self._below([(link, depth)])

    def _below(self, stack: list[tuple[str, int]]) -> Iterator[str]:
        """Give the files in a folder and in all that are no links below it; `stack` is used up, from its end."""
        while stack:
            folder, depth = stack.pop()
            if depth and not self._admitted(folder):  # just before it is listed: reading what lies before it may take hours
                continue
            if depth >= DEEPEST:
                self.left_out.append(LeftOut(path=folder, why=f"it lies deeper than {DEEPEST} folders"))
                continue
            try:
                files, folders, links = self._list(folder)
            except EntryFailed as failure:
                if depth == 0:
                    raise
                self.failures.append(failure)
                continue
            self._links += [(path, depth + 1) for path in links]
            yield from files
            stack += [(path, depth + 1) for path in reversed(folders)]

    def _list(self, folder: str) -> tuple[list[str], list[str], list[str]]:
        """Return files, folders and links to folders, each as they are to be seen; nothing of a folder that was seen before."""
        files: list[str] = []
        linked: list[str] = []
        folders: list[str] = []
        links: list[str] = []
        try:
            status = os.stat(folder)  # noqa: PTH116 (a path is text here, and there may be 100,000)
            if (status.st_dev, status.st_ino) in self._been:
                return [], [], []
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._watch()
                    if entry.name in ZARR_METADATA:
                        raise ZarrUnsupported(path=folder)
                    if _is_left_out(entry.name) or (entry.name == self._processed and _is_folder(entry)):
                        continue
                    if entry.is_symlink():
                        (links if _is_folder(entry) else linked).append(entry.path)
                    else:
                        (folders if _is_folder(entry) else files).append(entry.path)
        except OSError as error:
            raise unreadable(folder, error) from error
        self._been.add((status.st_dev, status.st_ino))
        files.sort(key=opening_order)
        files += sorted(linked, key=opening_order)  # the name of the file itself, if it lies here too, is the better one
        return files, sorted(folders, key=os.fsencode), sorted(links, key=os.fsencode)

    def _admitted(self, folder: str) -> bool:
        try:
            self._gate.admit_folder(folder)
            if _is_named_zarr(folder):
                raise ZarrUnsupported(path=folder)
        except EntryFailed as failure:
            self.failures.append(failure)
            return False
        return True


def _is_named_zarr(folder: str) -> bool:
    return folder.rstrip("/").lower().endswith(".zarr")


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK or name == KEY_VALUES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link in a circle, say: the gate will have the word for it
