# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture: what OMERO holds, as a person would look at it: the channels in colour, each with a contrast of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLOURS = ((0.25, 0.45, 1.0), (0.1, 0.9, 0.35), (1.0, 0.25, 0.6))
"""Red, green and blue shares of each channel."""

DARK, BRIGHT = 20.0, 99.7
"""Percentiles shown as black and as full colour: the background goes dark, single noisy pixels do not rule the contrast."""


def write_picture(pixels: NDArray[np.uint16], path: Path) -> None:
    """Write the maximum projection of an image as PNG.

    Parameters
    ----------
    pixels : array of uint16, shape (z, c, y, x)
        The image, with up to three channels.
    path : Path
        Where to.
    """
    projection = pixels.max(axis=0).astype(np.float32)
    blended = np.zeros((*projection.shape[1:], 3), dtype=np.float32)
    for channel, colour in zip(projection, COLOURS, strict=False):
        dark, bright = np.percentile(channel, (DARK, BRIGHT))
        shown = np.clip((channel - dark) / max(bright - dark, 1.0), 0, 1) ** 0.8
        blended += shown[:, :, np.newaxis] * np.asarray(colour, dtype=np.float32)
    Image.fromarray((np.clip(blended, 0, 1) * 255).astype(np.uint8), "RGB").save(path)
