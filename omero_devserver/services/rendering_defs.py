# SPDX-License-Identifier: GPL-2.0-or-later
"""Rendering definitions: the rows that say how an image is shown, one set a user.

What a new one holds: omero-server's RenderingSettingsImpl. Whose one counts: its PixelsImpl.retrieveRndSettings: the user's own,
else that of the owner of the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
import omero.model
import omero.sys
from omero.model.enums import UnitsLength
from omero.rtypes import rbool, rdouble, rint, rlong, rstring, unwrap

from omero_devserver.rendering.colours import Colour, Light, first_colours
from omero_devserver.rendering.levels import BRIGHTEST, DARKEST
from omero_devserver.rendering.ranges import Window, first_window, type_range

if TYPE_CHECKING:
    from omero_devserver.services.pixel_sets import PixelSet
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store

WHOLE = (
    "select r from RenderingDef r left outer join fetch r.quantization left outer join fetch r.model"
    " left outer join fetch r.waveRendering b left outer join fetch b.family"
    " left outer join fetch b.spatialDomainEnhancement where "
)
_NEWEST_PART = (
    "SELECT max(update_id) AS event FROM (SELECT update_id FROM t_RenderingDef WHERE id = ?"
    " UNION SELECT update_id FROM t_ChannelBinding WHERE r_renderingDef = ?"
    " UNION SELECT update_id FROM t_QuantumDef WHERE id = ?)"
)
#: An image with so many channels or more is shown in grey (omero-renderer's Renderer.MAX_CHANNELS).
MANY_CHANNELS = 8
FIRST_ACTIVE = 3


def load(store: Store, who: Caller, definition_id: int) -> Any | None:
    """Load a rendering definition with its channels; None where there is none or `who` may not read it."""
    found = store.objects(who, WHOLE + "r.id = :id", omero.sys.ParametersI().addId(definition_id))
    return found[0] if found else None


def of_user(store: Store, who: Caller, pixels_id: int, user: int) -> Any | None:
    """Load the newest rendering definition that a user has for a pixel set."""
    found = all_of(store, who, pixels_id, user)
    return found[0] if found else None


def all_of(store: Store, who: Caller, pixels_id: int, user: int | None) -> list[Any]:
    """Load the rendering definitions of a pixel set, the newest first; those of one user, or of all for None."""
    parameters = omero.sys.ParametersI().addLong("pixels", rlong(pixels_id))
    condition = "r.pixels.id = :pixels"
    if user is not None:
        parameters.addLong("user", rlong(user))
        condition += " and r.details.owner.id = :user"
    return store.objects(who, f"{WHOLE}{condition} order by r.details.updateEvent.id desc", parameters)


def in_use(store: Store, who: Caller, pixels: Any) -> Any | None:
    """Load what `who` sees a pixel set with: his own rendering definition, else that of its owner."""
    mine = of_user(store, who, pixels.id.val, who.user)
    owner = pixels.details.owner.id.val
    return mine if mine is not None or owner == who.user else of_user(store, who, pixels.id.val, owner)


def in_use_id(store: Store, who: Caller, pixels: Any) -> int | None:
    """Find the id of what `in_use` loads, without loading it; `pixels` must be readable by `who`."""
    rows = store.rows(
        "SELECT id FROM t_RenderingDef WHERE r_pixels = ? AND owner_id IN (?, ?)"
        " ORDER BY owner_id = ? DESC, update_id DESC LIMIT 1",
        pixels.id.val,
        who.user,
        pixels.details.owner.id.val,
        who.user,
    )
    return int(rows[0]["id"]) if rows else None


def new(pixels: Any) -> Any:
    """Make an unsaved rendering definition of the middle section, without other values, with a binding for each channel."""
    definition = omero.model.RenderingDefI()
    definition.pixels = omero.model.PixelsI(pixels.id, False)
    definition.quantization = omero.model.QuantumDefI()
    definition.defaultZ, definition.defaultT = rint(pixels.sizeZ.val // 2), rint(0)
    for _ in range(pixels.sizeC.val):
        definition.addChannelBinding(omero.model.ChannelBindingI())
    return definition


def set_defaults(store: Store, planes: PixelSet, definition: Any, *, look: bool = True) -> None:
    """Give a definition the values that a server chooses.

    look: read the planes where no statistics tell their extremes; without, the whole range of the type is taken.
    """
    pixels = planes.pixels
    definition.defaultZ, definition.defaultT = rint(planes.size_z // 2), rint(0)
    coloured = 1 < planes.size_c < MANY_CHANNELS
    definition.model = _enumeration(store, "RenderingModel", "rgb" if coloured else "greyscale")
    quantum = definition.quantization = definition.quantization or omero.model.QuantumDefI()
    quantum.cdStart, quantum.cdEnd, quantum.bitResolution = rint(DARKEST), rint(BRIGHTEST), rint(BRIGHTEST)
    channels = pixels.copyChannels()
    colours = first_colours([light(channel) for channel in channels])
    windows = first_windows(planes, look=look)
    linear = _enumeration(store, "Family", "linear")
    bindings = definition.copyWaveRendering()
    for at, (channel, binding, colour, window) in enumerate(zip(channels, bindings, colours, windows, strict=True)):
        binding.family, binding.coefficient, binding.noiseReduction = linear, rdouble(1), rbool(False)
        binding.active = rbool(at < FIRST_ACTIVE)
        binding.inputStart, binding.inputEnd = rdouble(window.start), rdouble(window.end)
        set_colour(binding, colour)
        binding.lookupTable = channel.lookupTable
        binding.clearSpatialDomainEnhancement()


def first_windows(planes: PixelSet, *, look: bool) -> list[Window]:
    """Choose the values that each channel shows at first; `look` as in `set_defaults`."""
    pixels = planes.pixels
    whole = type_range(planes.type, pixels.significantBits.val if pixels.significantBits is not None else None)
    stats = [channel.statsInfo for channel in pixels.copyChannels()]
    if look and not planes.too_large and stats and stats[0] is None:
        return [Window(*planes.middle_extremes(c)) for c in range(planes.size_c)]
    return [first_window(whole, _extremes(one)) for one in stats]


def _extremes(stats: Any) -> Window | None:
    # What is not a number is not kept by SQLite.
    if stats is None or stats.globalMin is None or stats.globalMax is None:
        return None
    return Window(stats.globalMin.val, stats.globalMax.val)


def light(channel: Any) -> Light:
    """Tell what is known of a channel's colour."""
    parts = (channel.red, channel.green, channel.blue, channel.alpha)
    logical = channel.logicalChannel
    return Light(
        own=None if None in parts else Colour(*(part.val for part in parts)),
        emission_nm=_nanometres(logical.emissionWave) if logical is not None else None,
        excitation_nm=_nanometres(logical.excitationWave) if logical is not None else None,
    )


def set_colour(binding: Any, colour: Colour) -> None:
    """Give a channel a colour."""
    binding.red, binding.green, binding.blue, binding.alpha = (rint(part) for part in colour)


def copy_values(source: Any, target: Any, *, size_z: int, size_t: int) -> None:
    """Copy how one image is shown to another, whose sections and times may be fewer."""
    if source.defaultZ.val < size_z:
        target.defaultZ = source.defaultZ
    if source.defaultT.val < size_t:
        target.defaultT = source.defaultT
    target.model, target.compression, target.name = source.model, source.compression, source.name
    for field in ("cdStart", "cdEnd", "bitResolution"):
        setattr(target.quantization, field, getattr(source.quantization, field))
    for given, taken in zip(source.copyWaveRendering(), target.copyWaveRendering(), strict=True):
        for field in ("family", "coefficient", "inputStart", "inputEnd", "active", "noiseReduction"):
            setattr(taken, field, getattr(given, field))
        for field in ("red", "green", "blue", "alpha", "lookupTable"):
            setattr(taken, field, getattr(given, field))
        set_inverted(taken, inverted=is_inverted(given))


def is_inverted(binding: Any) -> bool:
    """Tell whether bright is dark in a channel."""
    maps = binding.copySpatialDomainEnhancement()
    return any(isinstance(one, omero.model.ReverseIntensityContext) and one.reverse.val for one in maps)


def set_inverted(binding: Any, *, inverted: bool) -> None:
    """Make bright dark in a channel, or no longer."""
    if is_inverted(binding) == inverted:
        return
    binding.clearSpatialDomainEnhancement()
    if inverted:
        context = omero.model.ReverseIntensityContextI()
        context.reverse = rbool(True)
        binding.addCodomainMapContext(context)


def save(store: Store, who: Caller, pixels: Any, definition: Any) -> int:
    """Save a definition into the group of its pixel set; returns its id.

    Its update event becomes that of its newest part, so that thumbnails made before are known to be old.

    Raises
    ------
    omero.SecurityViolation
        The caller may not have one there.
    """
    with store.transaction():
        into = replace(who, group=pixels.details.group.id.val)
        saved = store.save(into, [definition])[0]
        for binding in saved.copyWaveRendering():
            kept = [context.id.val for context in binding.copySpatialDomainEnhancement()]
            for row in store.rows("SELECT id FROM t_CodomainMapContext WHERE r_channelBinding = ?", binding.id.val):
                if row["id"] not in kept:
                    store.update("CodomainMapContext", row["id"], r_channelBinding=None)
        newest = store.rows(_NEWEST_PART, saved.id.val, saved.id.val, saved.quantization.id.val)
        store.update("RenderingDef", saved.id.val, update_id=newest[0]["event"])
    return int(saved.id.val)


def compatible(one: Any, other: Any) -> bool:
    """Tell whether two pixel sets can be shown alike: same type, same number of channels with the same wavelengths."""
    if _shape(one) != _shape(other):
        return False
    waves = [_wave(channel) for channel in one.copyChannels()]
    return all(_wave(channel) in waves for channel in other.copyChannels())


def _shape(pixels: Any) -> tuple[Any, Any]:
    kind = pixels.pixelsType
    return unwrap(kind.value) if kind is not None else None, unwrap(pixels.sizeC)


def _wave(channel: Any) -> float | None:
    return _nanometres(channel.logicalChannel.emissionWave) if channel.logicalChannel is not None else None


def _nanometres(length: Any) -> float | None:
    if length is None:
        return None
    if length.getUnit() == UnitsLength.NANOMETER:
        return float(length.getValue())
    return float(omero.model.LengthI(length, UnitsLength.NANOMETER).getValue())


def _enumeration(store: Store, kind: str, value: str) -> Any:
    found = getattr(omero.model, kind + "I")(rlong(store.enumeration(kind, value)), True)
    found.value = rstring(value)
    return found
