# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO holds of what was imported, asked as the user, in words that do not depend on who imported it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omero_adi_plugin.orders import Target
from tests.fixtures.laboratory import Lab

DTYPES = {"float": "f4", "double": "f8", "bit": "u1"}

_IMAGES = (
    "select i.id, i.name, i.series, p.id, p.pixelsType.value, p.sizeX, p.sizeY, p.sizeZ, p.sizeC, p.sizeT,"
    " p.physicalSizeX, p.physicalSizeY, p.physicalSizeZ"
    " from Pixels p join p.image i where i.fileset.id = :id order by i.series, i.id"
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """An image in OMERO; sizes along X, Y, Z, C and T, and the lengths of a pixel as in `expected.Picture`."""

    image: int
    name: str
    series: int
    pixels: int
    kind: str
    sizes: tuple[int, ...]
    lengths: tuple[str | None, ...]


def images(lab: Lab, fileset: int) -> list[Held]:
    """All images of a fileset, by series."""
    return [
        Held(
            image=row[0],
            name=row[1],
            series=row[2],
            pixels=row[3],
            kind=row[4],
            sizes=tuple(row[5:10]),
            lengths=tuple(_length(each) for each in row[10:13]),
        )
        for row in lab.session.query(_IMAGES, id=fileset)
    ]


def _length(of: Any) -> str | None:
    return None if of is None else f"{of['value']} {of['unit']}"


def files(lab: Lab, fileset: int) -> dict[str, int]:
    """The files of a fileset, by client path, with their sizes."""
    hql = "select e.clientPath, f.size from FilesetEntry e join e.originalFile f where e.fileset.id = :id"
    return {f"/{path}": size for path, size in lab.session.query(hql, id=fileset)}


def in_dataset(lab: Lab, target: Target) -> Counter[int]:
    """The images in a Dataset, and how many times each is in it."""
    rows = lab.session.query("select l.child.id from DatasetImageLink l where l.parent.id = :id", id=target.id)
    return Counter(image for (image,) in rows)


def in_screen(lab: Lab, target: Target) -> Counter[int]:
    """The plates in a Screen, and how many times each is in it."""
    rows = lab.session.query("select l.child.id from ScreenPlateLink l where l.parent.id = :id", id=target.id)
    return Counter(plate for (plate,) in rows)


def containers(lab: Lab, images: Sequence[int]) -> int:
    """How many times images are in any Dataset."""
    hql = "select l.id from DatasetImageLink l where l.child.id in (:ids)"
    return len(lab.session.query(hql, ids=list(images)))


def channels(lab: Lab, pixels: int) -> tuple[str | None, ...]:
    """The names of the channels of an image."""
    rows = lab.session.query(
        "select c.id, l.name from Channel c join c.logicalChannel l where c.pixels.id = :id order by c.id", id=pixels
    )
    return tuple(name for _, name in rows)


def plates(lab: Lab, fileset: int) -> list[list[Any]]:
    """Ids, names, rows and columns of the plates of a fileset, by name."""
    hql = (
        "select distinct p.id, p.name, p.rows, p.columns from WellSample s join s.well w join w.plate p"
        " where s.image.fileset.id = :id order by p.name"
    )
    return lab.session.query(hql, id=fileset)


def places(lab: Lab, plate: int) -> list[list[Any]]:
    """Series, row, column and run of the images of a plate, by series; the run is an id, None outside of any."""
    hql = (
        "select i.series, w.row, w.column, r.id from WellSample s join s.well w join s.image i"
        " left join s.plateAcquisition r where w.plate.id = :id order by i.series"
    )
    return lab.session.query(hql, id=plate)


def key_values(lab: Lab, kind: str, ids: Sequence[int], *, namespace: str) -> dict[int, list[dict[str, str]]]:
    """The key-values of a namespace on images (`Image`) or plates (`Plate`), for each object that has some."""
    hql = (
        f"select l.parent.id, a.id, v.name, v.value from {kind}AnnotationLink l, MapAnnotation a join a.mapValue v"
        " where a.id = l.child.id and a.ns = :ns and l.parent.id in (:ids) order by l.id"
    )
    found: dict[int, dict[int, dict[str, str]]] = {}
    for parent, annotation, key, value in lab.session.query(hql, ns=namespace, ids=list(ids)):
        found.setdefault(parent, {}).setdefault(annotation, {})[key] = value
    return {parent: list(each.values()) for parent, each in found.items()}


def annotation_links(lab: Lab, kind: str, ids: Sequence[int], *, namespace: str) -> Counter[int]:
    """How many annotations of a namespace each of these objects carries."""
    hql = f"select l.parent.id from {kind}AnnotationLink l where l.child.ns = :ns and l.parent.id in (:ids)"
    return Counter(parent for (parent,) in lab.session.query(hql, ns=namespace, ids=list(ids)))


def values(lab: Lab, held: Held) -> tuple[NDArray[Any], int]:
    """All pixels of an image, shape (C, Z, T, Y, X), and how many resolutions there are of it."""
    x, y, z, c, t = held.sizes
    dtype = np.dtype(DTYPES.get(held.kind, held.kind)).newbyteorder(">")
    store = lab.session.factory.createRawPixelsStore()
    try:
        store.setPixelsId(held.pixels, False)
        read = np.empty((c, z, t, y, x), dtype)
        for channel, section, time in product(range(c), range(z), range(t)):
            read[channel, section, time] = np.frombuffer(store.getPlane(section, channel, time), dtype).reshape(y, x)
        return read, store.getResolutionLevels()
    finally:
        store.close()
