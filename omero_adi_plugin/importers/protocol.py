# SPDX-License-Identifier: GPL-2.0-or-later
"""Protocol: what every way of importing takes and gives, and what it needs of an OMERO session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero.gateway import BlitzGateway

    from omero_adi_plugin.orders import Entry, FileStep, Marker, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesetPlan:
    """Files that are read together, and what is in them; nothing is in OMERO yet.

    entry:  the path of the order that they belong to.
    key:    names the fileset within its order, see `Marker`.
    used:   absolute paths; the first is the one to open.
    reader: class of Bio-Formats that reads them, `loci.formats.in.TiffDelegateReader`.
    images, plates: how many the files say they hold.
    bytes:  size of all files together.
    name:   what the images are to be called, None: as the file.
    """

    entry: Entry
    key: str
    used: tuple[str, ...]
    reader: str
    images: int
    plates: int
    bytes: int
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFileset:
    """A fileset that is in OMERO: its id, all its images in series order, and its plates."""

    fileset: int
    images: tuple[int, ...]
    plates: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedFileset:
    """A fileset in OMERO that carries the marker of an order.

    complete: the server has finished with it: every image shows what it should.
    linked:   all its images, or plates, are in the order's target.
    """

    fileset: int
    marker: Marker
    images: tuple[int, ...]
    plates: tuple[int, ...]
    complete: bool
    linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """What OMERO is not to do at an import.

    checksum:   compare sizes (File-Size-64), not SHA1 sums.
    minmax:     no smallest and largest value of each channel.
    thumbnails: none; OMERO makes them when somebody looks.
    """

    checksum: bool
    minmax: bool
    thumbnails: bool


class Session(Protocol):
    """What importers need of a joined OMERO session; `sessions.OmeroSession` is one."""

    client: Any
    factory: Any
    where: str
    user: str
    user_id: int
    group: str
    group_id: int

    def query(self, hql: str, *, all_groups: bool = False, **parameters: object) -> list[list[Any]]:
        """Return the rows of a projection as Python values."""

    def gateway(self) -> BlitzGateway:
        """Return a BlitzGateway on this session."""


class OnStep(Protocol):
    """Told of each step that the ledger records, before the importer goes on.

    An exception from it stops the import. At CREATED and VERIFYING the importer then takes its fileset back: that is how a
    worker that has lost its lease leaves nothing behind.
    """

    def __call__(
        self, step: FileStep, /, *, fileset: int | None = None, images: Sequence[int] = (), plates: Sequence[int] = ()
    ) -> None:
        """Take note. CREATED: importFileset has answered; VERIFYING: verifyUpload comes next; IMPORTED: all ids are known."""


class OnProgress(Protocol):
    """Told how far the server is with one fileset, about once a second; an exception from it ends the waiting.

    The server goes on then: the marker will say what came of it.
    """

    def __call__(self, words: str, done: int, total: int, /) -> None:
        """`done` of `total` steps of the server are finished; `words` says what it is doing."""


class Importer(Protocol):
    """One way of bringing an entry into OMERO.

    All keep one promise: run again with the same marker, after what an earlier attempt left was adopted or deleted (see
    `markers`), the fileset is in OMERO once.
    """

    def plan(self, *, entry: Entry) -> Sequence[FilesetPlan]:
        """Group the files of `entry` into filesets; reads headers, writes nothing."""

    def run(
        self, *, plan: FilesetPlan, target: Target, marker: Marker, on_step: OnStep, on_progress: OnProgress | None = None
    ) -> ImportedFileset:
        """Import one fileset; when it fails, nothing of it stays in OMERO or in the managed repository."""
