# SPDX-License-Identifier: GPL-2.0-or-later
"""Projections: several planes as one (rules: omero-server's ProjectionBean).

Its two oddities are kept, since pictures would differ: the maximum starts at 0, so negative values are lost, and sum and mean
leave the last plane out unless there is only one.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Projection(Enum):
    """Which of several values is taken."""

    MAXIMUM = 0
    MEAN = 1
    SUM = 2


def projected(
    kind: Projection, plane: Callable[[int], NDArray[Any]], *, sections: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Project a stack.

    Parameters
    ----------
    kind : Projection
        How.
    plane : callable
        Reads the plane of a section, shape (Y, X).
    sections : tuple of int
        The first and the last one, and every how many of them one is taken, at least 1.
    dtype : numpy dtype
        Of the result; greater values are cut to what it can have.

    Returns
    -------
    array, shape (Y, X)
        One plane.
    """
    first, last, step = sections
    if kind is Projection.MAXIMUM:
        highest = np.zeros_like(plane(first))
        for z in range(first, last + 1, step):
            highest = np.maximum(highest, plane(z))
        return _cut(highest.astype(np.float64), dtype)
    taken = list(range(first, last, step)) or [first]
    total = np.zeros(plane(first).shape)
    for z in taken:
        total = total + plane(z)
    return _cut(total / len(taken) if kind is Projection.MEAN else total, dtype)


def _cut(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind in "iu":
        whole = np.iinfo(dtype)
        return np.clip(values, whole.min, whole.max).astype(dtype)
    return values.astype(dtype)
