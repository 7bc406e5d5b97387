# SPDX-License-Identifier: GPL-2.0-or-later
"""Protocol: what every way of importing takes and gives, and what it needs of an OMERO session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.orders import FileStep, Marker, Target
    from omero_adi_plugin.settings import Settings


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

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        everything = settings.skip_all
        return cls(
            checksum=everything or settings.skip_checksum,
            minmax=everything or settings.skip_minmax,
            thumbnails=everything or settings.skip_thumbnails,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """What is to be written on the images of one fileset or, if it has plates and they are meant, on its plates.

    images, plates: ids; if there are plates, they carry the key-values instead of the images.
    values:         the key-values; a value may stand several times under its key.
    """

    images: tuple[int, ...]
    plates: tuple[int, ...]
    values: tuple[tuple[str, str], ...]


class Session(Protocol):
    """What importers need of a joined OMERO session; `sessions.OmeroSession` is one."""

    client: Any
    factory: Any
    where: str
    user: str
    user_id: int
    group: str
    group_id: int

    @property
    def callback_category(self) -> str:
        """What Ice's identities of objects must have as category for the server to reach them."""

    def query(self, hql: str, *, all_groups: bool = False, **parameters: object) -> list[list[Any]]:
        """Return the rows of a projection as Python values."""


class OnStep(Protocol):
    """Told of each step that the ledger records, before the importer goes on.

    An exception from it stops the import. At CREATED and VERIFYING the importer then takes its fileset back: that is how a
    worker that has lost its lease leaves nothing behind.
    """

    def __call__(self, step: FileStep, /, *, fileset: int) -> None:
        """Take note. CREATED: importFileset has answered; VERIFYING: verifyUpload comes next, and the guard is to be asked."""


class OnProgress(Protocol):
    """Told how far one fileset is, about once a second; an exception from it ends the waiting.

    While files are still being linked, that takes the fileset back. Later the server goes on: the marker says what came of it.
    """

    def __call__(self, words: str, done: int, total: int, /) -> None:
        """`words` says what is being done: `done` of `total` files are linked, or bytes read; or steps of the server finished."""


class Importer(Protocol):
    """One way of bringing an entry into OMERO.

    All keep one promise: run again with the same marker, after what an earlier attempt left was adopted or deleted (see
    `markers`), the fileset is in OMERO once.
    """

    left_something: bool
    """Whether a fileset could not be removed again: it is found by its marker."""

    def run(
        self, *, plan: FilesetPlan, target: Target, marker: Marker, on_step: OnStep, on_progress: OnProgress | None = None
    ) -> int:
        """Import one fileset and return its id; its images and plates can be asked for then (`contents`).

        When it fails, nothing of it stays in OMERO or in the managed repository. Several threads may call at the same time.
        """
