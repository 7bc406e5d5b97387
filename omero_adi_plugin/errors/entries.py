# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries: permanent trouble of one entry of an order. The others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors.base import quoted
from omero_adi_plugin.errors.orders import OrderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence


class EntryFailed(OrderFailed):
    """One entry cannot be imported; the others of its order go on."""


class FileMissing(EntryFailed):
    """A path of the order does not exist."""

    def __init__(self, *, path: str) -> None:
        super().__init__(f"{quoted(path)} does not exist on the server. Check the path, or copy the file there, and order again.")
        self.path = path


class SourceUnreadable(EntryFailed):
    """A file of the order exists, but the account that has to read it may not."""

    def __init__(self, *, path: str, account: str) -> None:
        super().__init__(
            f"{quoted(path)} cannot be read by '{account}'. "
            "Give that account read access to the file and to each folder above it, then order again."
        )
        self.path, self.account = path, account


class PathOutsideRoots(EntryFailed):
    """A path of the order, with its links resolved, lies outside the folder that files may come from."""

    def __init__(self, *, path: str, root: str) -> None:
        super().__init__(f"{quoted(path)} lies outside '{root}', where files to import must lie. Move it there and order again.")
        self.path, self.root = path, root


class NameImpossible(EntryFailed):
    """The file's name is one that OMERO, or the database of orders, cannot hold."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} cannot be imported under its name: {why}. Rename it and order again.")
        self.path, self.why = path, why


class FormatUnknown(EntryFailed):
    """No reader of ours opens this kind of file."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} cannot be imported: {why}. Save it as TIFF or OME-TIFF and order again.")
        self.path, self.why = path, why


class ZarrUnsupported(EntryFailed):
    """The entry is an OME-Zarr, which is not for Bio-Formats, and which this version does not register yet."""

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{quoted(path)} is an OME-Zarr, and this version does not register OME-Zarr with OMERO yet. "
            "Save it as OME-TIFF and order that."
        )
        self.path = path


class NothingToImport(EntryFailed):
    """A folder without any file that is an image."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(f"{quoted(path)} holds nothing that can be imported: {why}. Choose another folder and order again.")
        self.path, self.why = path, why


class ReaderFailed(EntryFailed):
    """The process that reads files hung, crashed or ran out of memory over this one."""

    def __init__(self, *, path: str, why: str) -> None:
        super().__init__(
            f"{quoted(path)} cannot be read: {why}. If it opens elsewhere, tell your facility's administrator: the log says more."
        )
        self.path, self.why = path, why


class FileBroken(EntryFailed):
    """The file has a known format, but cannot be read.

    members: the files that belong together with it, if it is their set that is not whole.
    """

    def __init__(self, *, path: str, why: str, members: Sequence[str] = ()) -> None:
        others = f" (none of the {len(members)} files of its set can be imported)" if len(members) > 1 else ""
        super().__init__(
            f"{quoted(path)} is damaged or was not copied completely: {why}{others}. "
            "Copy it again from the microscope and order again."
        )
        self.path, self.why, self.members = path, why, tuple(members)


class WrongContainer(EntryFailed):
    """Images go into Datasets and plates into Screens; the entry and the target do not fit."""

    def __init__(self, *, path: str, kind: str, target: str) -> None:
        super().__init__(
            f"{quoted(path)} is {kind}, which cannot be put into {target}. "
            "Images go into a Dataset, plates into a Screen: choose the other kind and order again."
        )
        self.path, self.kind, self.target = path, kind, target


class FilesetGone(EntryFailed):
    """What the order imported earlier cannot be seen any more: deleted, moved, or out of the user's reach."""

    def __init__(self, *, path: str, fileset: int) -> None:
        super().__init__(
            f"{quoted(path)} was imported earlier as Fileset {fileset}, which is not visible any more: deleted, or moved to a "
            "group that the user is not in. It is not imported again by itself: if it should be, order it with "
            "`omero adi orders retry … --again`."
        )
        self.path, self.fileset = path, fileset


class ImportRefused(EntryFailed):
    """OMERO.server refused the file; its own words are kept."""

    def __init__(self, *, path: str, words: str) -> None:
        super().__init__(
            f"OMERO could not import {quoted(path)}: {words}. Open the file in the program that made it; if it is intact there, "
            "tell your facility's administrator."
        )
        self.path, self.words = path, words
