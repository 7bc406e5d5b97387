# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours: which colour a channel gets that nobody has coloured (rules: omero-renderer's ColorsFactory)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Colour(NamedTuple):
    """Four numbers from 0 to 255."""

    red: int
    green: int
    blue: int
    alpha: int = 255


RED, GREEN, BLUE, WHITE = Colour(255, 0, 0), Colour(0, 255, 0), Colour(0, 0, 255), Colour(255, 255, 255)
#: Wavelengths in nanometres below which light is called blue, and green.
_BLUE_BELOW, _GREEN_BELOW = 500, 560


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What is known of a channel's colour.

    own:                 the colour that the file gives it.
    emission_nm, excitation_nm: wavelengths in nanometres.
    """

    own: Colour | None = None
    emission_nm: float | None = None
    excitation_nm: float | None = None


def first_colours(channels: Sequence[Light]) -> list[Colour]:
    """Choose the colours of all channels of an image.

    The file's own colour counts first, then the wavelength, else red, green and blue take turns. Where some of the channels
    without a colour of their own have an emission wavelength and others do not, the others are taken for transmitted light.
    """
    guessed = [light for light in channels if light.own is None]
    mixed = len({light.emission_nm is None for light in guessed}) > 1
    return [_first(at, light, mixed=mixed) for at, light in enumerate(channels)]


def _first(at: int, light: Light, *, mixed: bool) -> Colour:
    if light.own is not None:
        return light.own
    if mixed and light.emission_nm is None:
        return WHITE
    wavelength = light.emission_nm if light.emission_nm is not None else light.excitation_nm
    if wavelength is None:
        return (RED, GREEN, BLUE)[at % 3]
    if wavelength < _BLUE_BELOW:
        return BLUE
    return GREEN if wavelength < _GREEN_BELOW else RED
