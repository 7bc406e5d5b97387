# SPDX-License-Identifier: GPL-2.0-or-later
"""Values: what the files of a fileset hold, as their reader found it, before anything of it is in the store.

Words of OMERO's model; quantities carry the symbol of their unit as OME-XML writes it ("µm", "s").
What a file does not tell is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray


class Unreadable(Exception):
    """The files hold no image that can be read; the text is that of the reader, which a client of a real server sees as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with a unit: a length, a time, a temperature."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Color:
    """Red, green, blue and alpha, 0 to 255 each."""

    red: int
    green: int
    blue: int
    alpha: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What a filter lets through: from one wavelength to another."""

    cut_in: Quantity | None
    cut_out: Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of an image.

    laser:                               its wavelength, if a laser lit the channel.
    emission_filter, excitation_filter:  those in the path of its light.
    illumination, mode, contrast:        OMERO's names of the enumerations' values.
    """

    name: str | None = None
    color: Color | None = None
    emission: Quantity | None = None
    excitation: Quantity | None = None
    laser: Quantity | None = None
    emission_filter: Band | None = None
    excitation_filter: Band | None = None
    pinhole: Quantity | None = None
    fluor: str | None = None
    nd_filter: float | None = None
    illumination: str | None = None
    mode: str | None = None
    contrast: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """What is told of one plane: when and where it was taken."""

    z: int
    c: int
    t: int
    delta: Quantity | None = None
    exposure: Quantity | None = None
    x: Quantity | None = None
    y: Quantity | None = None
    height: Quantity | None = None

    def tells_something(self) -> bool:
        """Tell whether anything is known but which plane it is."""
        return any(value is not None for value in (self.delta, self.exposure, self.x, self.y, self.height))


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The objective that an image was taken with; `correction` and `immersion` are values of OMERO's enumerations."""

    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    magnification: float | None = None
    calibrated_magnification: float | None = None
    numerical_aperture: float | None = None
    working_distance: Quantity | None = None
    correction: str | None = None
    immersion: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An annotation that the file brings with it.

    kind:  OMERO's name of its class, as `MapAnnotation`.
    value: what the class takes: a text, a number, a truth value, a time, or pairs of a map.
    """

    kind: str
    value: str | float | bool | datetime | tuple[tuple[str, str], ...]
    namespace: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape of a region.

    kind:         OMERO's name of its class, as `Rectangle`.
    numbers:      where it is, in pixels, by OME-XML's names, as `X` or `RadiusX`.
    points:       of polygons and polylines.
    mask:         bits of a mask.
    z, c, t:      of the planes that it is on; None for all.
    fill, stroke: colours as OMERO keeps them: signed numbers, red the highest byte and alpha the lowest.
    """

    kind: str
    numbers: Mapping[str, float]
    points: str | None = None
    mask: bytes | None = None
    text: str | None = None
    z: int | None = None
    c: int | None = None
    t: int | None = None
    fill: int | None = None
    stroke: int | None = None
    stroke_width: Quantity | None = None
    font_size: Quantity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region of interest, made of shapes."""

    name: str | None
    description: str | None
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of the fileset; a reader calls it a series.

    name:          as the file has it.
    pixels_type:   OMERO's name of the pixel type.
    order:         OMERO's name of the order of dimensions.
    sizes:         physical size of a voxel by axis, X, Y and Z; an axis that the file does not tell is left out.
    channels:      as many as `size_c`.
    acquired:      when, in UTC.
    instrument:    number of the instrument in the file; pictures with the same one share it.
    notes:         numbers of the annotations in the file; what has the same one shares it. So with wells, runs and plates.
    """

    name: str | None
    size_x: int
    size_y: int
    size_z: int
    size_c: int
    size_t: int
    pixels_type: str
    significant_bits: int
    order: str
    channels: tuple[Channel, ...]
    sizes: Mapping[str, Quantity]
    description: str | None = None
    acquired: datetime | None = None
    time_increment: Quantity | None = None
    planes: tuple[Plane, ...] = ()
    instrument: int | None = None
    objective: Objective | None = None
    notes: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One place of a well, of which there is one picture.

    picture:     its number in the fileset; None if the file has none of it.
    acquisition: number of the plate's run to which it belongs.
    """

    picture: int | None
    acquisition: int | None = None
    x: Quantity | None = None
    y: Quantity | None = None
    taken: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """A well by row and column, counted from 0."""

    row: int
    column: int
    fields: tuple[Field, ...] = ()
    description: str | None = None
    kind: str | None = None
    external_identifier: str | None = None
    color: Color | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One run of a plate through the microscope."""

    name: str | None = None
    description: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    maximum_fields: int | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A plate; the two conventions say how rows and columns are labelled, "letter" or "number"."""

    name: str | None
    rows: int | None
    columns: int | None
    wells: tuple[Well, ...]
    acquisitions: tuple[Acquisition, ...] = ()
    description: str | None = None
    row_convention: str | None = None
    column_convention: str | None = None
    external_identifier: str | None = None
    status: str | None = None
    origin_x: Quantity | None = None
    origin_y: Quantity | None = None
    notes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that a fileset holds.

    pictures: in the order of the series.
    reader:   class of the reader, as `loci.formats.in.TiffDelegateReader`.
    format:   the value of OMERO's Format that belongs to the reader.
    graphics: the format is one of pictures: channels are red, green, blue and alpha.
    main:     name, without folder, of the file that describes the others: images are called after it.
    used:     paths of all files that the reader needs.
    """

    pictures: tuple[Picture, ...]
    plates: tuple[Plate, ...]
    notes: tuple[Note, ...]
    reader: str
    format: str
    graphics: bool
    main: str
    used: tuple[str, ...]


class Planes(Protocol):
    """The pixels of one picture while its files are open; methods may be called from any thread."""

    size_x: int
    size_y: int
    size_z: int
    size_c: int
    size_t: int
    dtype: np.dtype[Any]
    #: Width and height of each resolution, the full one first.
    levels: tuple[tuple[int, int], ...]

    def plane(self, z: int, c: int, t: int, level: int = 0) -> NDArray[Any]:
        """Read one plane, shape (Y, X)."""

    def tile(self, z: int, c: int, t: int, x: int, y: int, width: int, height: int, level: int = 0) -> NDArray[Any]:
        """Read a rectangle of a plane, shape (height, width)."""


class Opened(Protocol):
    """The files of a fileset while they are open."""

    def found(self) -> Found:
        """Tell what they hold; raises Unreadable."""

    def planes(self, series: int) -> Planes:
        """Give the pixels of one picture; raises Unreadable, and IndexError for one that is not there."""

    def close(self) -> None:
        """Give the files back."""
