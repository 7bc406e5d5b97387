# SPDX-License-Identifier: GPL-2.0-or-later
"""Images: unsaved images with pixels, channels, planes and instrument, from what a reader found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model
from omero.model.enums import UnitsLength
from omero.rtypes import rint, rstring

from omero_devserver.formats import colors
from omero_devserver.repository.regions import region
from omero_devserver.repository.values import Values, length, moment, number, paint, text, time, whole

if TYPE_CHECKING:
    from omero_devserver.formats.values import Channel, Found, Objective, Picture, Plane
    from omero_devserver.repository.notes import Notes
    from omero_devserver.store.store import Store

NAME_LENGTH = 255


def name_of_image(found: Found, series: int, settings: Any) -> str:
    """Name an image after the user's choice or the file, and if there are several after itself as well.

    As a real server does (recorded: facts 1; ome.formats.model.PixelsProcessor in OMERO's source).
    """
    given = settings.userSpecifiedName.val.strip() if settings.userSpecifiedName is not None else ""
    name = given or found.main
    if len(found.pictures) > 1:
        own = (found.pictures[series].name or "").strip()
        name = f"{name} [{own or series}]"
    return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]


class Images:
    """The images of one fileset, in the order of the series; those with the same instrument share it."""

    def __init__(self, store: Store, found: Found, notes: Notes, settings: Any) -> None:
        self._values = Values(store)
        self._found, self._notes, self._settings = found, notes, settings
        self._instruments: dict[int | None, Any] = {}
        self._objectives: dict[tuple[int | None, Objective], Any] = {}

    def built(self) -> list[Any]:
        """Build them all; each gets the user's annotations, and series 0 as long as the import is not further."""
        return [self._image(series, picture) for series, picture in enumerate(self._found.pictures)]

    def _image(self, series: int, picture: Picture) -> Any:
        image = omero.model.ImageI()
        image.name = rstring(name_of_image(self._found, series, self._settings))
        description = self._settings.userSpecifiedDescription
        image.description = description if description is not None else text(picture.description)
        image.series = rint(0)
        image.acquisitionDate = moment(picture.acquired)
        image.format = self._values.format(self._found.format)
        if picture.instrument is not None or picture.objective is not None:
            image.instrument = self._instrument(picture.instrument)
        if picture.objective is not None:
            image.objectiveSettings = omero.model.ObjectiveSettingsI()
            image.objectiveSettings.objective = self._objective(picture.instrument, picture.objective)
        image.addPixels(self._pixels(picture))
        for annotation in self._settings.userSpecifiedAnnotationList or []:
            if annotation is not None:
                image.linkAnnotation(annotation)
        self._notes.link(image, picture.notes)
        for told in picture.regions:
            image.addRoi(region(told))
        return image

    def _pixels(self, picture: Picture) -> Any:
        pixels = omero.model.PixelsI()
        pixels.sizeX, pixels.sizeY, pixels.sizeZ = rint(picture.size_x), rint(picture.size_y), rint(picture.size_z)
        pixels.sizeC, pixels.sizeT = rint(picture.size_c), rint(picture.size_t)
        pixels.sha1, pixels.significantBits = rstring("Pending..."), whole(picture.significant_bits or None)
        pixels.pixelsType = self._values.enumeration("PixelsType", picture.pixels_type)
        pixels.dimensionOrder = self._values.enumeration("DimensionOrder", picture.order)
        pixels.timeIncrement = time(picture.time_increment)
        chosen = list(self._settings.userSpecifiedPixels or [])
        for place, axis in enumerate("XYZ"):
            size = length(picture.sizes.get(axis))
            if size is None and len(chosen) == len("XYZ"):
                size = omero.model.LengthI(chosen[place], UnitsLength.MICROMETER)
            setattr(pixels, f"physicalSize{axis}", size)
        for channel in colors.completed(picture.channels, graphics=self._found.graphics):
            pixels.addChannel(self._channel(channel))
        for plane in picture.planes:
            if plane.tells_something():
                pixels.addPlaneInfo(_plane_info(plane))
        return pixels

    def _channel(self, channel: Channel) -> Any:
        made, logical = omero.model.ChannelI(), omero.model.LogicalChannelI()
        made.logicalChannel = logical
        paint(made, channel.color)
        logical.name, logical.fluor, logical.ndFilter = text(channel.name), text(channel.fluor), number(channel.nd_filter)
        logical.emissionWave, logical.excitationWave = length(channel.emission), length(channel.excitation)
        logical.pinHoleSize = length(channel.pinhole)
        logical.photometricInterpretation = self._values.enumeration("PhotometricInterpretation", "Monochrome")
        logical.illumination = self._values.enumeration("Illumination", channel.illumination, channel.illumination and "Other")
        logical.mode = self._values.enumeration("AcquisitionMode", channel.mode, channel.mode and "Other")
        logical.contrastMethod = self._values.enumeration("ContrastMethod", channel.contrast, channel.contrast and "Other")
        return made

    def _instrument(self, which: int | None) -> Any:
        if which not in self._instruments:
            self._instruments[which] = omero.model.InstrumentI()
        return self._instruments[which]

    def _objective(self, which: int | None, told: Objective) -> Any:
        known = self._objectives.get((which, told))
        if known is not None:
            return known
        made = omero.model.ObjectiveI()
        made.instrument = self._instrument(which)
        made.manufacturer, made.model, made.serialNumber = text(told.manufacturer), text(told.model), text(told.serial_number)
        made.nominalMagnification = number(told.magnification)
        made.calibratedMagnification, made.lensNA = number(told.calibrated_magnification), number(told.numerical_aperture)
        made.workingDistance = length(told.working_distance)
        made.correction = self._values.enumeration("Correction", told.correction, "Other")
        made.immersion = self._values.enumeration("Immersion", told.immersion, "Other")
        self._objectives[which, told] = made
        return made


def _plane_info(plane: Plane) -> Any:
    made = omero.model.PlaneInfoI()
    made.theZ, made.theC, made.theT = rint(plane.z), rint(plane.c), rint(plane.t)
    made.deltaT, made.exposureTime = time(plane.delta), time(plane.exposure)
    made.positionX, made.positionY, made.positionZ = length(plane.x), length(plane.y), length(plane.height)
    return made
