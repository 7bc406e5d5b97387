# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders: their files, how they are placed, and what has to become of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from tests.crash.chaos.plan import Sort
from tests.fixtures.companions import companion_set
from tests.fixtures.foundry import TWO
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Tracking, insert

STAIN = "DAPI"
"""The value of the key Stain in files of key-values."""

AGAIN_SECONDS, AWAY_SECONDS = 0.3, 60
FILES_CALLED_OFF = 5

IMPOSSIBLE = "this scanner is unknown"
"""What a converter says that can make nothing of a file."""

SCRIPTS = {
    Sort.CONVERTED: f"sleep 0.5\n{TWO}",  # long enough to be hit now and then
    Sort.UNCONVERTED: f"echo '{IMPOSSIBLE}' >&2\nexit 3\n",
}
"""The converters of the orders that ask for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fileset:
    """Files that have to be in OMERO together.

    images: how many there are in them; of a plate, on it.
    """

    files: frozenset[str]
    images: int
    plate: bool = False


@dataclass(eq=False, kw_only=True)
class Order:
    """One order.

    filesets: what has to be in OMERO at the end; of an order that is called off, what may be.
    reason:   what its last row has to say, if it has to fail.
    late:     the file that comes before it is retried.
    submitted: how many pending rows there are of it; None: not sure, the database was away.
    acted:    whether what its sort asks for meanwhile has been done.
    """

    uuid: str
    sort: Sort
    lab: Lab
    entries: list[str]
    filesets: list[Fileset]
    reason: str | None = None
    late: str | None = None
    submitted: int = 0
    acted: bool = False

    @property
    def called_off(self) -> bool:
        return self.sort is Sort.CANCELLED

    @property
    def is_plate(self) -> bool:
        return self.sort is Sort.PLATE

    @property
    def target(self) -> tuple[str, int]:
        return ("Screen", self.lab.screen) if self.is_plate else ("Dataset", self.lab.dataset)


@dataclass
class Desk:
    """Where orders are placed, also while the database is away. wants: by sort of order, which preprocessing it asks for."""

    tracking: Tracking
    data: Path
    labs: list[Lab]
    namespace: int
    wants: dict[Sort, int]
    orders: list[Order] = field(default_factory=list)

    def place(self, sort: Sort) -> Order:
        """Make the files of an order and submit it."""
        number = len(self.orders)
        folder = self.data / f"{number:05}"
        folder.mkdir()
        order = _MAKERS[sort](Samples(folder), self._uuid(number), self.labs[number % len(self.labs)])
        self.orders.append(order)
        self.submit(order)
        return order

    def submit(self, order: Order) -> None:
        """Insert a pending row, and again when it is certain that it has not come in.

        Raises
        ------
        psycopg2.Error
            The database has been away for longer than any fault takes.
        """
        kind, number = order.target
        wanted = {"preprocessing_id": self.wants[order.sort]} if order.sort in self.wants else {}
        columns: dict[str, object] = {"destination_type": kind, "destination_id": str(number), **wanted}
        while not self._inserted(order, insert(order.lab, order.uuid, order.entries, columns)):
            pass

    def _inserted(self, order: Order, statement: tuple[Any, ...]) -> bool:
        until = time.monotonic() + AWAY_SECONDS
        with contextlib.suppress(psycopg2.Error):
            self.tracking.sql(*statement)
            order.submitted += 1
            return True
        while True:
            time.sleep(AGAIN_SECONDS)
            try:
                pending = "SELECT count(*) FROM imports WHERE uuid = %s AND stage = 'Import Pending'"
                [[count]] = self.tracking.sql(pending, order.uuid)
            except psycopg2.Error:
                if time.monotonic() > until:
                    raise
            else:
                came = int(count) > order.submitted
                order.submitted += came
                return came

    def _uuid(self, number: int) -> str:
        return str(UUID(int=self.namespace << 64 | 0x4000_8000_0000_0000 | number))


def _file(samples: Samples, uuid: str, lab: Lab) -> Order:
    file = samples.image()
    return Order(uuid=uuid, sort=Sort.FILE, lab=lab, entries=[file], filesets=[_single(file)])


def _images(samples: Samples, uuid: str, lab: Lab) -> Order:
    file = samples.three_images()
    return Order(uuid=uuid, sort=Sort.IMAGES, lab=lab, entries=[file], filesets=[_single(file, images=3)])


def _several(sort: Sort, count: int) -> Callable[[Samples, str, Lab], Order]:
    def make(samples: Samples, uuid: str, lab: Lab) -> Order:
        files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(count)]
        return Order(uuid=uuid, sort=sort, lab=lab, entries=files, filesets=[_single(file) for file in files])

    return make


def _folder(samples: Samples, uuid: str, lab: Lab) -> Order:
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(2)]
    entries = [str(samples.folder)]
    return Order(uuid=uuid, sort=Sort.FOLDER, lab=lab, entries=entries, filesets=[_single(file) for file in files])


def _set(samples: Samples, uuid: str, lab: Lab) -> Order:
    files = [str(path) for path in companion_set(samples.folder)]
    return Order(uuid=uuid, sort=Sort.SET, lab=lab, entries=files[:1], filesets=[Fileset(files=frozenset(files), images=1)])


def _plate(samples: Samples, uuid: str, lab: Lab) -> Order:
    file = samples.folder / "plate&plates=1&plateRows=2&plateCols=2&fields=1&plateAcqs=1&sizeX=32&sizeY=12.fake"
    file.touch()
    fileset = Fileset(files=frozenset([str(file)]), images=4, plate=True)
    return Order(uuid=uuid, sort=Sort.PLATE, lab=lab, entries=[str(file)], filesets=[fileset])


def _values(samples: Samples, uuid: str, lab: Lab) -> Order:
    file = samples.image()
    (samples.folder / "metadata.csv").write_text(f"key,value\nStain,{STAIN}\n")
    return Order(uuid=uuid, sort=Sort.VALUES, lab=lab, entries=[file], filesets=[_single(file)])


def _missing(samples: Samples, uuid: str, lab: Lab) -> Order:
    file, missing = samples.image(), str(samples.folder / "missing.ome.tif")
    filesets, reason = [_single(file)], "missing.ome.tif"
    return Order(uuid=uuid, sort=Sort.MISSING, lab=lab, entries=[file, missing], filesets=filesets, reason=reason)


def _broken(samples: Samples, uuid: str, lab: Lab) -> Order:
    file, broken = samples.image(), samples.broken()
    filesets, reason = [_single(file)], "broken.tif"
    return Order(uuid=uuid, sort=Sort.BROKEN, lab=lab, entries=[file, broken], filesets=filesets, reason=reason)


def _converted(samples: Samples, uuid: str, lab: Lab) -> Order:
    file = samples.image("scan.ome.tif", seed=UUID(uuid).int & 0xFFFFFFFF)
    kept = [str(samples.folder / ".processed" / f"{name}.ome.tif") for name in ("one", "two")]
    return Order(uuid=uuid, sort=Sort.CONVERTED, lab=lab, entries=[file], filesets=[_single(place) for place in kept])


def _unconverted(samples: Samples, uuid: str, lab: Lab) -> Order:
    return Order(uuid=uuid, sort=Sort.UNCONVERTED, lab=lab, entries=[samples.image()], filesets=[], reason=IMPOSSIBLE)


def _retried(samples: Samples, uuid: str, lab: Lab) -> Order:
    file, late = samples.image(), str(samples.folder / "late.ome.tif")
    filesets = [_single(file), _single(late)]
    return Order(uuid=uuid, sort=Sort.RETRIED, lab=lab, entries=[file, late], filesets=filesets, late=late)


def _single(file: str, *, images: int = 1) -> Fileset:
    return Fileset(files=frozenset([file]), images=images)


_MAKERS: dict[Sort, Callable[[Samples, str, Lab], Order]] = {
    Sort.FILE: _file,
    Sort.IMAGES: _images,
    Sort.FILES: _several(Sort.FILES, 3),
    Sort.FOLDER: _folder,
    Sort.SET: _set,
    Sort.PLATE: _plate,
    Sort.VALUES: _values,
    Sort.MISSING: _missing,
    Sort.BROKEN: _broken,
    Sort.TWICE: _several(Sort.TWICE, 3),
    Sort.CONVERTED: _converted,
    Sort.UNCONVERTED: _unconverted,
    Sort.CANCELLED: _several(Sort.CANCELLED, FILES_CALLED_OFF),
    Sort.RETRIED: _retried,
}
