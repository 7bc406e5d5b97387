# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture: channels blended into red, green and blue, scaled, and compressed as JPEG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from omero_devserver.rendering.colours import Colour

#: Quality of a JPEG that nobody chose, of 0 to 1 (omero-server's LocalCompress).
DEFAULT_QUALITY = 0.85


def black(height: int, width: int) -> NDArray[np.uint8]:
    """Make a picture without any channel, shape (height, width, 3)."""
    return np.zeros((height, width, 3), np.uint8)


def grey(shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make a picture of one channel's brightness, shape (height, width, 3)."""
    return np.repeat(shown[..., np.newaxis], 3, axis=2)


def blended(layers: Sequence[tuple[NDArray[np.uint8], Colour]]) -> NDArray[np.uint8]:
    """Add coloured channels up; what is brighter than white is white.

    Parameters
    ----------
    layers : sequence of (array of uint8, Colour)
        Brightness of each channel, all of one shape (height, width), and its colour.

    Returns
    -------
    array of uint8, shape (height, width, 3)
        Red, green and blue.
    """
    height, width = layers[0][0].shape
    total = np.zeros((height, width, 3), np.uint16)
    for shown, colour in layers:
        steps = np.arange(256, dtype=np.float64)
        for part, strength in enumerate(colour[:3]):
            if strength:
                table = np.floor(np.floor(steps * (strength / 255)) * (colour.alpha / 255)).astype(np.uint16)
                total[..., part] += table[shown]
    found: NDArray[np.uint8] = np.minimum(total, 255).astype(np.uint8)
    return found


def packed(picture: NDArray[np.uint8]) -> list[int]:
    """Give the pixels row by row as signed 32-bit numbers 0xFFRRGGBB, as Java keeps pictures."""
    wide = picture.astype(np.uint32)
    whole = (np.uint32(0xFF000000) | wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).astype(np.uint32)
    found: list[int] = whole.view(np.int32).ravel().tolist()
    return found


def scaled(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale a picture to a size in pixels, each side at least one."""
    size = (max(1, width), max(1, height))
    if size == (picture.shape[1], picture.shape[0]):
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def jpeg(picture: NDArray[np.uint8], quality: float = DEFAULT_QUALITY) -> bytes:
    """Compress a picture; `quality` from 0 to 1."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=round(min(max(quality, 0.0), 1.0) * 100))
    return buffer.getvalue()


def fitting(width: int, height: int, longest: int) -> tuple[int, int]:
    """Give the size of a thumbnail whose longest side has `longest` pixels; no side is below one."""
    if width > height:
        return longest, max(1, int(height * longest / width))
    return max(1, int(width * longest / height)), longest
