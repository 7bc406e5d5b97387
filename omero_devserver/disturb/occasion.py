# SPDX-License-Identifier: GPL-2.0-or-later
"""Occasions: when a disturbance happens: at which moment or operation, and at which passing of it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from omero_devserver.wire import moments
from omero_devserver.wire.moments import Part, import_step

IMPORT_STEPS = 5
MOMENTS = (
    moments.LOGIN,
    moments.IMPORT_LOGGED,
    moments.IMPORT_REGISTERED,
    moments.IMPORT_VERIFIED,
    moments.IMPORT_BEGUN,
    *(import_step(step, part) for step in range(IMPORT_STEPS) for part in Part),
    moments.IMPORT_ENDED,
)
"""What may be named beside an operation."""

_OPERATION = re.compile(r"[A-Z]\w*\.[a-z]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Which passings of a moment are meant.

    where: an operation, as ``IUpdate.saveAndReturnObject``, or one of `MOMENTS`.
    call:  the first passing that is meant, counted from 1 and from now on.
    times: how many from there on, None for all.
    after: of an operation: when it took effect and is not answered yet, instead of before it begins.

    Raises ValueError for a name that is neither, and for numbers below 1.
    """

    where: str
    call: int = 1
    times: int | None = 1
    after: bool = False

    def __post_init__(self) -> None:
        if self.where not in MOMENTS and not _OPERATION.fullmatch(self.where):
            raise ValueError(f"'{self.where}' is neither an operation, as IUpdate.saveObject, nor one of: {', '.join(MOMENTS)}")
        if self.call < 1 or (self.times is not None and self.times < 1):
            raise ValueError("call and times are counted from 1")
        if self.after and self.where in MOMENTS:
            raise ValueError(f"'after' is for operations; '{self.where}' is a moment")

    @property
    def moment(self) -> str:
        """The name to register for."""
        if self.where in MOMENTS:
            return self.where
        return moments.CALL_AFTER if self.after else moments.CALL_BEFORE


@dataclass(slots=True, kw_only=True)
class Counted:
    """Counts the passings of an occasion; safe for any number of threads."""

    occasion: Occasion
    _passed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def over(self) -> bool:
        """Whether no passing is meant any more."""
        return self.occasion.times is not None and self._passed >= self.occasion.call + self.occasion.times - 1

    def is_now(self, operation: str) -> bool:
        """Tell whether this passing is one of those that are meant; `operation` is the one that is called, if any."""
        if operation and operation != self.occasion.where:
            return False
        with self._lock:
            self._passed += 1
            over = self._passed - self.occasion.call
        return over >= 0 and (self.occasion.times is None or over < self.occasion.times)
