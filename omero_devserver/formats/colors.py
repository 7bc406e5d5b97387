# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours: those of channels that the file gives none, and their names, by wavelength or by number.

The rules are a real server's (ome.formats.model.ChannelProcessor and ColorsFactory in OMERO's source).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omero_devserver.formats.values import Channel, Color

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_devserver.formats.values import Quantity

RED = Color(red=255, green=0, blue=0, alpha=255)
GREEN = Color(red=0, green=255, blue=0, alpha=255)
BLUE = Color(red=0, green=0, blue=255, alpha=255)
GREY = Color(red=128, green=128, blue=128, alpha=255)
WHITE = Color(red=255, green=255, blue=255, alpha=255)
TRANSPARENT = Color(red=0, green=0, blue=0, alpha=0)

_BY_NUMBER = (RED, GREEN, BLUE)
_GRAPHICS_NAMES = ("Red", "Green", "Blue", "Alpha")
_GREEN_FROM, _RED_FROM = 500, 560  # nm
_RANGE = 15  # nm: what a filter lets through is taken to be so far behind its edge


def completed(channels: Sequence[Channel], *, graphics: bool) -> tuple[Channel, ...]:
    """Give every channel of an image a colour, and a name where one follows from a wavelength.

    Parameters
    ----------
    channels : sequence of Channel
        All of one image.
    graphics : bool
        The format is one of pictures, whose channels are red, green, blue and alpha.

    Returns
    -------
    tuple of Channel
        In the same order.
    """
    if len(channels) == 1:
        only = channels[0]
        return (replace(only, color=only.color or GREY),)
    if graphics:
        return tuple(_of_graphics(channel, number) for number, channel in enumerate(channels))
    fluorescent = [channel.color is not None or _emits(channel) for channel in channels]
    some_are_not = any(fluorescent) and not all(fluorescent)
    return tuple(
        replace(_of_microscope(channel, number), color=WHITE) if some_are_not and not emits else _of_microscope(channel, number)
        for number, (channel, emits) in enumerate(zip(channels, fluorescent, strict=True))
    )


def of_wavelength(wavelength: Quantity) -> Color:
    """Choose blue, green or red."""
    if wavelength.value < _GREEN_FROM:
        return BLUE
    return GREEN if wavelength.value < _RED_FROM else RED


def _emits(channel: Channel) -> bool:
    through = channel.emission_filter
    return channel.emission is not None or (through is not None and through.cut_in is not None)


def _of_graphics(channel: Channel, number: int) -> Channel:
    name = _GRAPHICS_NAMES[number] if number < len(_GRAPHICS_NAMES) else None
    color = TRANSPARENT if number == len(_BY_NUMBER) else _BY_NUMBER[number % len(_BY_NUMBER)]
    return replace(channel, name=channel.name if channel.name is not None else name, color=color)


def _of_microscope(channel: Channel, number: int) -> Channel:
    light = next(_lights(channel), None)
    color = channel.color
    if color is None:
        color = of_wavelength(light.color) if light is not None else _BY_NUMBER[number % len(_BY_NUMBER)]
    name = channel.name
    if name is None and light is not None:
        name = light.name
    return replace(channel, name=name, color=color)


@dataclass(frozen=True, slots=True)
class _Light:
    """What stands for a channel's light: a wavelength for its colour, and a name."""

    color: Quantity
    name: str | None


def _lights(channel: Channel) -> Iterator[_Light]:
    """Give what is known of a channel's light, what says most first."""
    emitted, lit = channel.emission_filter, channel.excitation_filter
    if channel.emission is not None:
        yield _of_number(channel.emission)
    if emitted is not None and emitted.cut_in is not None:
        yield _Light(replace(emitted.cut_in, value=emitted.cut_in.value + _RANGE), str(emitted.cut_in.value))
    for wavelength in (channel.laser, channel.excitation):
        if wavelength is not None:
            yield _of_number(wavelength)
    if lit is not None and lit.cut_out is not None:
        begin = lit.cut_in.value if lit.cut_in is not None and lit.cut_in.value else lit.cut_out.value - 2 * _RANGE
        middle = max(0.0, (begin + lit.cut_out.value) / 2)
        yield _Light(replace(lit.cut_out, value=middle), str(lit.cut_in.value) if lit.cut_in is not None else None)


def _of_number(wavelength: Quantity) -> _Light:
    return _Light(wavelength, str(wavelength.value))
