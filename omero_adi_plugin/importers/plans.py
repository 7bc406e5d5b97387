# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans: what is to become of the entries of an order, and who says so; nothing of it is in OMERO yet.

A gate says which files may be imported, a reader what is in them, and a planner makes filesets of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.errors import EntryFailed, FileGrowing
    from omero_adi_plugin.orders import Entry
    from omero_adi_plugin.preprocessing import ConvertedFileset


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedFile:
    """A file that may be imported.

    path:     absolute, as the order, or the reader, names it.
    source:   where the link in OMERO's repository is to point to: the same file with links resolved, below the roots.
    bytes:    its size.
    mtime_ns: its time of modification, in ns since 1970.
    """

    path: str
    source: str
    bytes: int
    mtime_ns: int


class Gate(Protocol):
    """Decides which files may be imported; looks at each path before anybody else does."""

    def admit(self, path: str) -> AdmittedFile:
        """Return what is known of a file that may be imported.

        Raises
        ------
        EntryFailed
            It may not, or cannot: `PathOutsideRoots` (before it is looked at), `NameImpossible`, `FileMissing`,
            `SourceUnreadable`, `FileBroken` (empty, or ends too early), `FormatUnknown` (a pipe, say).
        ImportInterrupted
            Its file system does not answer at the moment.
        """

    def source(self, path: str) -> str:
        """Return where a link to a file would point to, whether it is there or not (`AdmittedFile.source`).

        Raises
        ------
        NameImpossible, PathOutsideRoots
            It is not for this order.
        """

    def changing(self, path: str) -> bool:
        """Say whether a file has changed so lately that it may still be on its way; never raises."""

    def admit_folder(self, path: str) -> None:
        """Return if a folder may be looked into; raises as `admit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader says of a file.

    used:   absolute paths of all files that are read together; the first is the one to open.
    reader: class of Bio-Formats that reads them, `loci.formats.in.TiffDelegateReader`.
    format: the reader's own name for the format, `Tagged Image File Format`.
    images: how many images OMERO will make of them: series, without reduced resolutions.
    plates: how many plates they hold, 0 if they are no plates.
    """

    used: tuple[str, ...]
    reader: str
    format: str
    images: int
    plates: int


class FileReader(Protocol):
    """Opens files to see what is in them; one at a time, whoever asks."""

    @property
    def version(self) -> str | None:
        """The version of Bio-Formats, None if it is not Bio-Formats that reads."""

    def read(self, file: AdmittedFile) -> Reading:
        """Open a file, and say what it and those that belong to it hold.

        Raises
        ------
        FormatUnknown
            No reader opens it.
        FileBroken
            It has a known format, but cannot be read; a file of its set is missing.
        ReaderFailed
            The reader hung, crashed, or ran out of memory over it.
        """

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        """Take note that these will be read soon; `read` may take less time then, and says what is wrong with them."""

    def close(self) -> None:
        """End what was started for reading; never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesetPlan:
    """Files that are read together, and what is in them; nothing is in OMERO yet.

    entry:  the path of the order that they belong to.
    key:    names the fileset within its order, see `Marker`.
    files:  all of them; the first is the one to open.
    reader, format, images, plates: as in `Reading`.
    name:   what the images are to be called, None: as the file.
    made:   what is known of files that a converter has made; None: they are the order's own.
    """

    entry: Entry
    key: str
    files: tuple[AdmittedFile, ...]
    reader: str
    format: str
    images: int
    plates: int
    name: str | None
    made: ConvertedFileset | None = None

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file of a folder that is not imported, because it is no image or another fileset has it."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPlan:
    """What is to become of one entry of an order.

    filesets: to be imported.
    failures: why some of its files cannot be; each names its path.
    growing:  files that cannot be yet, as they are still being written.
    left_out: what is not meant to be imported.
    """

    entry: Entry
    filesets: tuple[FilesetPlan, ...]
    failures: tuple[EntryFailed, ...] = ()
    growing: tuple[FileGrowing, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


class Planner(Protocol):
    """Groups the entries of one order into filesets, one entry after the other, and remembers which files are taken."""

    def plan(self, entry: Entry) -> EntryPlan:
        """Say what is to become of an entry; reads headers, writes nothing.

        An entry that is part of a fileset of an earlier entry has no filesets of its own, and no failure.

        Raises
        ------
        EntryFailed
            Nothing of it can be imported.
        EntryNotReady, ImportInterrupted
            Not at the moment.
        """
