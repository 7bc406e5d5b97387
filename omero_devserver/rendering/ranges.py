# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranges: which values a pixel type can have, and which of them a channel shows at first.

Rules: omero-renderer's StatsFactory and Bio-Formats' FormatTools; for the window of a new channel omero-server's
RenderingSettingsImpl.
"""

from __future__ import annotations

from typing import NamedTuple

from omero_devserver.store.enumerations import BITS

FLOATING = frozenset({"float", "double"})
SIGNED = frozenset({"int8", "int16", "int32", "float", "double", "complex", "double-complex"})
#: Extremes nearer to each other than this are one value.
SAME = 0.00001


class Window(NamedTuple):
    """Values from `start` to `end`."""

    start: float
    end: float


def type_range(pixels_type: str, significant_bits: int | None = None) -> Window:
    """Give the values that a pixel type can have.

    Parameters
    ----------
    pixels_type : str
        OMERO's name of it, as ``uint16``.
    significant_bits : int or None
        How many bits of an integer type are used; None for all.

    Returns
    -------
    Window
        Floating-point types have that of 32-bit integers.
    """
    if pixels_type in FLOATING:
        return Window(-(2.0**31), 2.0**31 - 1)
    size = BITS[pixels_type]
    bits = min(significant_bits or size, size)
    if pixels_type in SIGNED:
        return Window(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    return Window(0.0, 2.0**bits - 1)


def first_window(whole: Window, extremes: Window | None) -> Window:
    """Choose what a channel shows as long as nobody has set it.

    Parameters
    ----------
    whole : Window
        What the pixel type can have.
    extremes : Window or None
        Least and greatest value of the channel, as far as known.

    Returns
    -------
    Window
        The extremes; the whole range where they are unknown or one value.
    """
    if extremes is None or abs(extremes.end - extremes.start) < SAME:
        return whole
    return extremes


def usable_window(pixels_type: str, whole: Window, wanted: Window) -> Window:
    """Cut a window down to the pixel type: one that is upside down or wider than the type becomes the whole range."""
    width = wanted.end - wanted.start
    if width < 0 or (pixels_type not in FLOATING and width >= 2.0 ** BITS[pixels_type]):
        return whole
    return Window(max(wanted.start, whole.start), min(wanted.end, whole.end))
