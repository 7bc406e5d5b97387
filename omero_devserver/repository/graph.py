# SPDX-License-Identifier: GPL-2.0-or-later
"""Graph: the unsaved objects of an import: images with pixels and channels, linked to target, fileset and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.model
from omero.model.enums import UnitsLength
from omero.rtypes import rint, rlong, rstring

from omero_devserver.model.schema import entity_of

if TYPE_CHECKING:
    from omero_devserver.formats.tiff import Length, Picture
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store

_UNSAVED = 'because the return value of "omero.model.IObject.getId()" is null'


class UnusableTarget(Exception):
    """The target of the import is of a kind that holds no images; the text is a real server's (recorded: facts 1)."""


class NoSuchAnnotation(Exception):
    """An annotation that the images should get does not exist; the text is a real server's (recorded: facts 1)."""


def check_annotations(store: Store, who: Caller, settings: Any) -> None:
    """Raise NoSuchAnnotation if a saved annotation of the settings is missing."""
    for annotation in settings.userSpecifiedAnnotationList or []:
        if annotation.id is None:
            continue
        name = entity_of(annotation).name
        try:
            store.get(who, name, [annotation.id.val])
        except omero.ValidationException:
            text = 'Cannot invoke "ome.model.annotations.Annotation.getNs()" because "ann" is null'
            raise NoSuchAnnotation(text) from None


def images(store: Store, found: list[Picture], *, fileset: int, file: str, settings: Any) -> list[Any]:
    """Build the images of a fileset, to be saved in one call.

    Parameters
    ----------
    store : Store
        Knows the enumerations.
    found : list of Picture
        What the file holds.
    fileset : int
        Id of the saved fileset.
    file : str
        Path of the first used file below the template folder; its name becomes the images'.
    settings : omero.grid.ImportSettings
        Name, description, pixel sizes, annotations and target that the user chose.

    Returns
    -------
    list of omero.model.Image
        In the order of the series; all with series 0 (the second step sets it).

    Raises
    ------
    UnusableTarget
        The target is neither a Dataset nor a Screen.
    """
    annotations = list(settings.userSpecifiedAnnotationList or [])
    built = []
    for number, picture in enumerate(found):
        image = omero.model.ImageI()
        image.name = rstring(_name(picture, number, several=len(found) > 1, file=file, settings=settings))
        image.description = settings.userSpecifiedDescription
        image.series = rint(0)
        image.fileset = omero.model.FilesetI(rlong(fileset), False)
        image.format = _enumeration(store, "Format", picture.format)
        image.addPixels(_pixels(store, picture, settings))
        for annotation in annotations:
            image.linkAnnotation(annotation)
        _link(image, settings.userSpecifiedTarget)
        built.append(image)
    return built


def _name(picture: Picture, number: int, *, several: bool, file: str, settings: Any) -> str:
    chosen = settings.userSpecifiedName.val if settings.userSpecifiedName is not None else file.rpartition("/")[2]
    if not several:
        return str(chosen)
    return f"{chosen} [{picture.name or number}]"


def _pixels(store: Store, picture: Picture, settings: Any) -> Any:
    pixels = omero.model.PixelsI()
    pixels.sizeX, pixels.sizeY, pixels.sizeZ = rint(picture.size_x), rint(picture.size_y), rint(picture.size_z)
    pixels.sizeC, pixels.sizeT = rint(picture.size_c), rint(picture.size_t)
    pixels.sha1, pixels.significantBits = rstring("Pending..."), rint(picture.significant_bits)
    pixels.pixelsType = _enumeration(store, "PixelsType", picture.pixels_type)
    pixels.dimensionOrder = _enumeration(store, "DimensionOrder", "XYZCT")
    chosen = list(settings.userSpecifiedPixels or [])
    for number, axis in enumerate("XYZ"):
        if number < len(chosen):
            size = omero.model.LengthI(chosen[number], UnitsLength.MICROMETER)
        else:
            size = _length(picture.sizes.get(axis))
        setattr(pixels, f"physicalSize{axis}", size)
    for name in picture.channels:
        channel = omero.model.ChannelI()
        channel.logicalChannel = omero.model.LogicalChannelI()
        channel.logicalChannel.name = rstring(name) if name is not None else None
        interpretation = _enumeration(store, "PhotometricInterpretation", "Monochrome")
        channel.logicalChannel.photometricInterpretation = interpretation
        pixels.addChannel(channel)
    return pixels


def _length(length: Length | None) -> Any:
    if length is None:
        return None
    known = {omero.model.LengthI.lookupSymbol(unit): unit for unit in UnitsLength._enumerators.values()}
    unit = known.get(length.unit)
    return None if unit is None else omero.model.LengthI(length.value, unit)


def _link(image: Any, target: Any) -> None:
    if target is None or isinstance(target, omero.model.Screen):
        return  # a Screen takes plates only: the image is imported and linked to nothing (recorded)
    if not isinstance(target, omero.model.Dataset):
        raise UnusableTarget(f"Unable to handle target: {entity_of(target).full_name}")
    if target.id is None:
        raise UnusableTarget(f'Cannot invoke "omero.RLong.getValue()" {_UNSAVED}')
    link = omero.model.DatasetImageLinkI()
    link.parent = omero.model.DatasetI(target.id, False)
    link.child = image
    image.addDatasetImageLinkToBoth(link, False)


def _enumeration(store: Store, kind: str, value: str) -> Any:
    made = getattr(omero.model, kind + "I")
    return made(rlong(store.enumeration(kind, value)), False)
