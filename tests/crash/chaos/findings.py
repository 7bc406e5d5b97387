# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings: what is not as promised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Promise(StrEnum):
    """Which promise is broken."""

    LOST = "lost"
    DOUBLED = "doubled"
    LEFTOVER = "leftover"
    FAULT = "fault"  # of ours: something that must never be in a log, or a process that ended by itself


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be; `what` is enough for whoever looks into it."""

    promise: Promise
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"
