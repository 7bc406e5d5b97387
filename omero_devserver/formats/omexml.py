# SPDX-License-Identifier: GPL-2.0-or-later
"""OME-XML: the text in which Bio-Formats and OME-TIFFs say what they hold, as values.

Any release of the schema is read: elements are told by their local names. What is not there or makes no sense is None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from omero_devserver.formats.elements import child, color, identity, number, quantity, time, whole
from omero_devserver.formats.regions import regions
from omero_devserver.formats.values import (
    Acquisition,
    Band,
    Channel,
    Field,
    Note,
    Objective,
    Picture,
    Plane,
    Plate,
    Region,
    Unreadable,
    Well,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
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
        self._instruments = {identity(one): number for number, one in enumerate(root.iterfind("{*}Instrument"))}
        self._parts = {identity(one): one for one in root.iterfind("{*}Instrument/*")}
        self._notes = _notes(root)
        self._regions = regions(root)
        self._note_numbers = {name: number for number, name in enumerate(self._notes)}
        self._numbers = {identity(one): number for number, one in enumerate(self._images)}

    def pictures(self) -> tuple[Picture, ...]:
        return tuple(self._picture(image, image.find("{*}Pixels")) for image in self._images)

    def plates(self) -> tuple[Plate, ...]:
        return tuple(self._plate(plate) for plate in self._plates)

    def notes(self) -> tuple[Note, ...]:
        return tuple(self._notes.values())

    def _noted(self, element: Element) -> tuple[int, ...]:
        references = [identity(reference) for reference in element.iterfind("{*}AnnotationRef")]
        return tuple(self._note_numbers[one] for one in dict.fromkeys(references) if one in self._note_numbers)

    def _marked(self, image: Element) -> tuple[Region, ...]:
        references = [identity(reference) for reference in image.iterfind("{*}ROIRef")]
        return tuple(self._regions[one] for one in dict.fromkeys(references) if one in self._regions)

    def _picture(self, image: Element, pixels: Element | None) -> Picture:
        if pixels is None:
            raise ValueError(f"{identity(image)} has no Pixels")
        size_c = int(pixels.attrib["SizeC"])
        settings = image.find("{*}ObjectiveSettings")
        objective = self._part(settings)
        instrument = image.find("{*}InstrumentRef")
        return Picture(
            name=image.get("Name"),
            description=child(image, "Description"),
            size_x=int(pixels.attrib["SizeX"]),
            size_y=int(pixels.attrib["SizeY"]),
            size_z=int(pixels.attrib["SizeZ"]),
            size_c=size_c,
            size_t=int(pixels.attrib["SizeT"]),
            pixels_type=pixels.attrib["Type"],
            significant_bits=whole(pixels, "SignificantBits") or 0,
            order=pixels.get("DimensionOrder", "XYZCT"),
            channels=self._channels(pixels, size_c),
            sizes={axis: size for axis in "XYZ" if (size := quantity(pixels, f"PhysicalSize{axis}", "µm")) is not None},
            acquired=time(child(image, "AcquisitionDate")),
            time_increment=quantity(pixels, "TimeIncrement", "s"),
            planes=tuple(plane for element in pixels.iterfind("{*}Plane") if (plane := _plane(element)) is not None),
            instrument=self._instruments.get(identity(instrument)) if instrument is not None else None,
            objective=_objective(objective) if objective is not None else None,
            notes=self._noted(image),
            regions=self._marked(image),
        )

    def _channels(self, pixels: Element, size_c: int) -> tuple[Channel, ...]:
        """Give one a channel; samples of RGB are channels of their own, of which nothing is told but of the first."""
        told = [self._channel(channel) for channel in pixels.iterfind("{*}Channel")][:size_c]
        return tuple(told + [Channel()] * (size_c - len(told)))

    def _channel(self, channel: Element) -> Channel:
        light = self._part(channel.find("{*}LightSourceSettings"))
        return replace(
            _channel(channel),
            laser=quantity(light, "Wavelength", "nm") if light is not None else None,  # others have none
            emission_filter=self._filter(channel, "EmissionFilterRef"),
            excitation_filter=self._filter(channel, "ExcitationFilterRef"),
        )

    def _filter(self, channel: Element, kind: str) -> Band | None:
        """Find the first filter of a kind, of those in the light path and of the filter set, that says what it lets through."""
        filter_set = self._part(channel.find("{*}FilterSetRef"))
        references = [*channel.iterfind(f"{{*}}LightPath/{{*}}{kind}")]
        references += [] if filter_set is None else filter_set.iterfind(f"{{*}}{kind}")
        for reference in references:
            part = self._part(reference)
            through = part.find("{*}TransmittanceRange") if part is not None else None
            if through is not None:
                return Band(cut_in=quantity(through, "CutIn", "nm"), cut_out=quantity(through, "CutOut", "nm"))
        return None

    def _part(self, reference: Element | None) -> Element | None:
        """Find the part of an instrument that is referred to."""
        return self._parts.get(identity(reference)) if reference is not None else None

    def _plate(self, plate: Element) -> Plate:
        runs = list(plate.iterfind("{*}PlateAcquisition"))
        of_field = {
            identity(reference): number for number, run in enumerate(runs) for reference in run.iterfind("{*}WellSampleRef")
        }
        return Plate(
            name=plate.get("Name"),
            description=child(plate, "Description"),
            rows=whole(plate, "Rows"),
            columns=whole(plate, "Columns"),
            wells=tuple(self._well(well, of_field) for well in plate.iterfind("{*}Well")),
            acquisitions=tuple(replace(_acquisition(run), notes=self._noted(run)) for run in runs),
            notes=self._noted(plate),
            row_convention=plate.get("RowNamingConvention"),
            column_convention=plate.get("ColumnNamingConvention"),
            external_identifier=plate.get("ExternalIdentifier"),
            status=plate.get("Status"),
            origin_x=quantity(plate, "WellOriginX", "reference frame"),
            origin_y=quantity(plate, "WellOriginY", "reference frame"),
        )

    def _well(self, well: Element, acquisitions: Mapping[str, int]) -> Well:
        return Well(
            row=int(well.attrib["Row"]),
            column=int(well.attrib["Column"]),
            fields=tuple(self._field(sample, acquisitions) for sample in well.iterfind("{*}WellSample")),
            description=child(well, "Description"),
            kind=well.get("Type"),
            external_identifier=well.get("ExternalIdentifier"),
            color=color(well),
            notes=self._noted(well),
        )

    def _field(self, sample: Element, acquisitions: Mapping[str, int]) -> Field:
        image = sample.find("{*}ImageRef")
        return Field(
            picture=self._numbers.get(identity(image)) if image is not None else None,
            acquisition=acquisitions.get(identity(sample)),
            x=quantity(sample, "PositionX", "reference frame"),
            y=quantity(sample, "PositionY", "reference frame"),
            taken=time(sample.get("Timepoint")),
        )


def _channel(channel: Element) -> Channel:
    return Channel(
        name=channel.get("Name"),
        color=color(channel),
        emission=quantity(channel, "EmissionWavelength", "nm"),
        excitation=quantity(channel, "ExcitationWavelength", "nm"),
        pinhole=quantity(channel, "PinholeSize", "µm"),
        fluor=channel.get("Fluor"),
        nd_filter=number(channel, "NDFilter"),
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
        delta=quantity(plane, "DeltaT", "s"),
        exposure=quantity(plane, "ExposureTime", "s"),
        x=quantity(plane, "PositionX", "reference frame"),
        y=quantity(plane, "PositionY", "reference frame"),
        height=quantity(plane, "PositionZ", "reference frame"),
    )


def _objective(objective: Element) -> Objective:
    return Objective(
        manufacturer=objective.get("Manufacturer"),
        model=objective.get("Model"),
        serial_number=objective.get("SerialNumber"),
        magnification=number(objective, "NominalMagnification"),
        calibrated_magnification=number(objective, "CalibratedMagnification"),
        numerical_aperture=number(objective, "LensNA"),
        working_distance=quantity(objective, "WorkingDistance", "µm"),
        correction=objective.get("Correction"),
        immersion=objective.get("Immersion"),
    )


def _acquisition(run: Element) -> Acquisition:
    return Acquisition(
        name=run.get("Name"),
        description=child(run, "Description"),
        start=time(run.get("StartTime")),
        end=time(run.get("EndTime")),
        maximum_fields=whole(run, "MaximumFieldCount"),
    )


#: The kinds of annotations that are one value, and how it is read.
_SINGLE: Mapping[str, Callable[[str], str | float | bool | datetime | None]] = {
    "CommentAnnotation": str,
    "TagAnnotation": str,
    "TermAnnotation": str,
    "LongAnnotation": int,
    "DoubleAnnotation": float,
    "BooleanAnnotation": lambda text: text.strip() in ("true", "1"),
    "TimestampAnnotation": time,
}


def _notes(root: Element) -> dict[str, Note]:
    """Read the annotations by their ids; lists of others, and files, are left out."""
    notes = {}
    for element in root.iterfind("{*}StructuredAnnotations/*"):
        kind, value = element.tag.rpartition("}")[2], element.find("{*}Value")
        content = _content(kind, value) if value is not None else None
        if content is not None:
            omero = "XmlAnnotation" if kind == "XMLAnnotation" else kind
            text = child(element, "Description")
            notes[identity(element)] = Note(kind=omero, value=content, namespace=element.get("Namespace"), description=text)
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
