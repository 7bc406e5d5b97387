# SPDX-License-Identifier: GPL-2.0-or-later
"""OME-XML: the text in which Bio-Formats and OME-TIFFs say what they hold, as values.

Any release of the schema is read: elements are told by their local names. What is not there or makes no sense is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from omero_devserver.formats.values import (
    Acquisition,
    Channel,
    Color,
    Field,
    Note,
    Objective,
    Picture,
    Plane,
    Plate,
    Quantity,
    Unreadable,
    Well,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a document describes."""

    pictures: tuple[Picture, ...]
    plates: tuple[Plate, ...]
    notes: tuple[Note, ...]


def document(text: str) -> Document:
    """Read a document.

    Raises
    ------
    Unreadable
        It is no OME-XML: no XML at all, or an image without its sizes.
    """
    try:
        # Expat of every supported Python refuses documents that grow without bound.
        root = ET.fromstring(text)  # noqa: S314
        reading = _Reading(root)
        return Document(pictures=reading.pictures(), plates=reading.plates(), notes=reading.notes())
    except (ET.ParseError, ValueError, KeyError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


class _Reading:
    """One document, with its elements by their ids."""

    def __init__(self, root: Element) -> None:
        self._images = list(root.iterfind("{*}Image"))
        self._plates = list(root.iterfind("{*}Plate"))
        self._instruments = {_id(one): number for number, one in enumerate(root.iterfind("{*}Instrument"))}
        self._objectives = {_id(one): one for one in root.iterfind("{*}Instrument/{*}Objective")}
        self._notes = _notes(root)
        self._note_numbers = {name: number for number, name in enumerate(self._notes)}
        self._numbers = {_id(one): number for number, one in enumerate(self._images)}

    def pictures(self) -> tuple[Picture, ...]:
        return tuple(self._picture(image, image.find("{*}Pixels")) for image in self._images)

    def plates(self) -> tuple[Plate, ...]:
        return tuple(self._plate(plate) for plate in self._plates)

    def notes(self) -> tuple[Note, ...]:
        return tuple(self._notes.values())

    def _noted(self, element: Element) -> tuple[int, ...]:
        references = [_id(reference) for reference in element.iterfind("{*}AnnotationRef")]
        return tuple(self._note_numbers[one] for one in dict.fromkeys(references) if one in self._note_numbers)

    def _picture(self, image: Element, pixels: Element | None) -> Picture:
        if pixels is None:
            raise ValueError(f"{_id(image)} has no Pixels")
        size_c = int(pixels.attrib["SizeC"])
        settings = image.find("{*}ObjectiveSettings")
        objective = self._objectives.get(_id(settings)) if settings is not None else None
        instrument = image.find("{*}InstrumentRef")
        return Picture(
            name=image.get("Name"),
            description=_child(image, "Description"),
            size_x=int(pixels.attrib["SizeX"]),
            size_y=int(pixels.attrib["SizeY"]),
            size_z=int(pixels.attrib["SizeZ"]),
            size_c=size_c,
            size_t=int(pixels.attrib["SizeT"]),
            pixels_type=pixels.attrib["Type"],
            significant_bits=_integer(pixels, "SignificantBits") or 0,
            order=pixels.get("DimensionOrder", "XYZCT"),
            channels=_channels(pixels, size_c),
            sizes={axis: size for axis in "XYZ" if (size := _quantity(pixels, f"PhysicalSize{axis}", "µm")) is not None},
            acquired=_time(_child(image, "AcquisitionDate")),
            time_increment=_quantity(pixels, "TimeIncrement", "s"),
            planes=tuple(plane for element in pixels.iterfind("{*}Plane") if (plane := _plane(element)) is not None),
            instrument=self._instruments.get(_id(instrument)) if instrument is not None else None,
            objective=_objective(objective) if objective is not None else None,
            notes=self._noted(image),
        )

    def _plate(self, plate: Element) -> Plate:
        runs = list(plate.iterfind("{*}PlateAcquisition"))
        of_field = {_id(reference): number for number, run in enumerate(runs) for reference in run.iterfind("{*}WellSampleRef")}
        return Plate(
            name=plate.get("Name"),
            description=_child(plate, "Description"),
            rows=_integer(plate, "Rows"),
            columns=_integer(plate, "Columns"),
            wells=tuple(self._well(well, of_field) for well in plate.iterfind("{*}Well")),
            acquisitions=tuple(replace(_acquisition(run), notes=self._noted(run)) for run in runs),
            notes=self._noted(plate),
            row_convention=plate.get("RowNamingConvention"),
            column_convention=plate.get("ColumnNamingConvention"),
            external_identifier=plate.get("ExternalIdentifier"),
            status=plate.get("Status"),
            origin_x=_quantity(plate, "WellOriginX", "reference frame"),
            origin_y=_quantity(plate, "WellOriginY", "reference frame"),
        )

    def _well(self, well: Element, acquisitions: Mapping[str, int]) -> Well:
        return Well(
            row=int(well.attrib["Row"]),
            column=int(well.attrib["Column"]),
            fields=tuple(self._field(sample, acquisitions) for sample in well.iterfind("{*}WellSample")),
            description=_child(well, "Description"),
            kind=well.get("Type"),
            external_identifier=well.get("ExternalIdentifier"),
            color=_color(well),
            notes=self._noted(well),
        )

    def _field(self, sample: Element, acquisitions: Mapping[str, int]) -> Field:
        image = sample.find("{*}ImageRef")
        return Field(
            picture=self._numbers.get(_id(image)) if image is not None else None,
            acquisition=acquisitions.get(_id(sample)),
            x=_quantity(sample, "PositionX", "reference frame"),
            y=_quantity(sample, "PositionY", "reference frame"),
            taken=_time(sample.get("Timepoint")),
        )


def _channels(pixels: Element, size_c: int) -> tuple[Channel, ...]:
    """Give one a channel; samples of RGB are channels of their own, of which nothing is told but of the first."""
    told = [_channel(channel) for channel in pixels.iterfind("{*}Channel")][:size_c]
    return tuple(told + [Channel()] * (size_c - len(told)))


def _channel(channel: Element) -> Channel:
    return Channel(
        name=channel.get("Name"),
        color=_color(channel),
        emission=_quantity(channel, "EmissionWavelength", "nm"),
        excitation=_quantity(channel, "ExcitationWavelength", "nm"),
        pinhole=_quantity(channel, "PinholeSize", "µm"),
        fluor=channel.get("Fluor"),
        nd_filter=_number(channel, "NDFilter"),
        illumination=channel.get("IlluminationType"),
        mode=channel.get("AcquisitionMode"),
        contrast=channel.get("ContrastMethod"),
    )


def _plane(plane: Element) -> Plane | None:
    if not {"TheZ", "TheC", "TheT"} <= plane.attrib.keys():
        return None
    return Plane(
        z=int(plane.attrib["TheZ"]),
        c=int(plane.attrib["TheC"]),
        t=int(plane.attrib["TheT"]),
        delta=_quantity(plane, "DeltaT", "s"),
        exposure=_quantity(plane, "ExposureTime", "s"),
        x=_quantity(plane, "PositionX", "reference frame"),
        y=_quantity(plane, "PositionY", "reference frame"),
        height=_quantity(plane, "PositionZ", "reference frame"),
    )


def _objective(objective: Element) -> Objective:
    return Objective(
        manufacturer=objective.get("Manufacturer"),
        model=objective.get("Model"),
        serial_number=objective.get("SerialNumber"),
        magnification=_number(objective, "NominalMagnification"),
        calibrated_magnification=_number(objective, "CalibratedMagnification"),
        numerical_aperture=_number(objective, "LensNA"),
        working_distance=_quantity(objective, "WorkingDistance", "µm"),
        correction=objective.get("Correction"),
        immersion=objective.get("Immersion"),
    )


def _acquisition(run: Element) -> Acquisition:
    return Acquisition(
        name=run.get("Name"),
        description=_child(run, "Description"),
        start=_time(run.get("StartTime")),
        end=_time(run.get("EndTime")),
        maximum_fields=_integer(run, "MaximumFieldCount"),
    )


def _id(element: Element) -> str:
    return element.get("ID", "")


def _child(element: Element, name: str) -> str | None:
    found = element.find(f"{{*}}{name}")
    return found.text if found is not None else None


def _number(element: Element, name: str) -> float | None:
    try:
        value = float(element.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _integer(element: Element, name: str) -> int | None:
    value = _number(element, name)
    return None if value is None else int(value)


def _quantity(element: Element, name: str, unit: str) -> Quantity | None:
    value = _number(element, name)
    return None if value is None else Quantity(value=value, unit=element.get(f"{name}Unit", unit))


def _color(element: Element) -> Color | None:
    """Read a colour: a signed number of 32 bits, red the highest byte and alpha the lowest."""
    value = _integer(element, "Color")
    if value is None:
        return None
    red, green, blue, alpha = (value & 0xFFFFFFFF).to_bytes(4, "big")
    return Color(red=red, green=green, blue=blue, alpha=alpha)


def _time(text: str | None) -> datetime | None:
    """Read a time; one without a zone is UTC, as OMERO takes it (recorded: an acquisition date of a fake)."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


#: The kinds of annotations that are one value, and how it is read.
_SINGLE: Mapping[str, Callable[[str], str | float | bool | datetime | None]] = {
    "CommentAnnotation": str,
    "TagAnnotation": str,
    "TermAnnotation": str,
    "LongAnnotation": int,
    "DoubleAnnotation": float,
    "BooleanAnnotation": lambda text: text.strip() in ("true", "1"),
    "TimestampAnnotation": _time,
}


def _notes(root: Element) -> dict[str, Note]:
    """Read the annotations by their ids; lists of others, and files, are left out."""
    notes = {}
    for element in root.iterfind("{*}StructuredAnnotations/*"):
        kind, value = element.tag.rpartition("}")[2], element.find("{*}Value")
        content = _content(kind, value) if value is not None else None
        if content is not None:
            omero = "XmlAnnotation" if kind == "XMLAnnotation" else kind
            text = _child(element, "Description")
            notes[_id(element)] = Note(kind=omero, value=content, namespace=element.get("Namespace"), description=text)
    return notes


def _content(kind: str, value: Element) -> str | float | bool | datetime | tuple[tuple[str, str], ...] | None:
    if kind == "MapAnnotation":
        return tuple((pair.get("K", ""), pair.text or "") for pair in value.iterfind("{*}M"))
    if kind == "XMLAnnotation":
        return "".join([value.text or "", *(ET.tostring(inside, encoding="unicode") for inside in value)]).strip()
    try:
        return _SINGLE[kind](value.text or "") if kind in _SINGLE else None
    except ValueError:
        return None
