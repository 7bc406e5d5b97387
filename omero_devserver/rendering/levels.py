# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels: pixel values as brightness from 0 to 255 (rules: omero-renderer's QuantumStrategy and its maps)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from omero_devserver.rendering.ranges import Window

DARKEST, BRIGHTEST = 0, 255
FEW_VALUES = 2  # bytes of a type that has so few values that each is computed once


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How values become brightness.

    window:      values at and below its start are darkest, at and above its end brightest.
    family:      ``linear``, ``polynomial``, ``logarithmic`` or ``exponential``.
    coefficient: exponent of a polynomial or exponential curve.
    darkest, brightest: the ends of the scale in use, of 0 to 255.
    resolution:  number of steps less one, of 1 to 255.
    inverted:    bright is dark.
    """

    window: Window
    family: str = "linear"
    coefficient: float = 1.0
    darkest: int = DARKEST
    brightest: int = BRIGHTEST
    resolution: int = BRIGHTEST
    inverted: bool = False


def levels(plane: NDArray[Any], curve: Curve) -> NDArray[np.uint8]:
    """Turn a plane of values into brightness.

    Parameters
    ----------
    plane : array of numbers, any shape
        Values of one channel.
    curve : Curve
        How.

    Returns
    -------
    array of uint8, same shape
        Brightness.
    """
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= FEW_VALUES:
        whole = np.iinfo(plane.dtype)
        table = _computed(np.arange(whole.min, whole.max + 1, dtype=np.float64), curve)
        return table[plane.astype(np.int32) - whole.min]
    return _computed(np.real(plane).astype(np.float64), curve)


def _computed(values: NDArray[np.float64], curve: Curve) -> NDArray[np.uint8]:
    start, end = curve.window
    with np.errstate(all="ignore"):  # infinite and undefined values become the ends of the scale
        scaled = BRIGHTEST * (values - start) / (end - start) if end > start else np.zeros_like(values)
        low, high = _bent(np.array([0.0, float(BRIGHTEST)]), curve)
        bent = np.floor(curve.resolution * (_bent(np.clip(scaled, 0, BRIGHTEST), curve) - low) / (high - low) + 0.5)
        span = (curve.brightest - curve.darkest) / curve.resolution
        shown = np.floor(span * np.nan_to_num(bent, nan=0.0, posinf=curve.resolution, neginf=0.0) + curve.darkest + 0.5)
    shown = np.where(values < start, curve.darkest, np.where(values >= end, curve.brightest, shown))
    if curve.inverted:
        shown = curve.darkest + curve.brightest - shown
    found: NDArray[np.uint8] = np.clip(np.nan_to_num(shown), DARKEST, BRIGHTEST).astype(np.uint8)
    return found


def _bent(scaled: NDArray[np.float64], curve: Curve) -> NDArray[np.float64]:
    bent: NDArray[np.float64]
    match curve.family:
        case "logarithmic":
            bent = np.log(np.maximum(scaled, 1.0))
        case "exponential":
            bent = np.exp(np.power(scaled, curve.coefficient))
        case "polynomial":
            bent = np.power(scaled, curve.coefficient)
        case _:
            bent = scaled
    return bent
