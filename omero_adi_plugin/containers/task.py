# SPDX-License-Identifier: GPL-2.0-or-later
"""Task: one run of a converter, and by which labels its container is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_adi_plugin.containers.rooms import Room
    from omero_adi_plugin.preprocessing import Preprocessing

LABEL = "omero-adi"
ORDER, ATTEMPT, NUMBER, OWNER = (f"{LABEL}.{each}" for each in ("order", "attempt", "number", "owner"))
"""Labels of a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a converter is to be run for.

    order:         uuid, checked to be harmless in names.
    attempt:       of the order.
    number:        tells the entries of the order apart.
    owner:         of the lease on the order, `host:pid`.
    path:          of the entry, as the order gives it; for sentences.
    room:          where files lie.
    preprocessing: what the converter is to do.
    """

    order: str
    attempt: int
    number: int
    owner: str
    path: str
    room: Room
    preprocessing: Preprocessing

    @property
    def name(self) -> str:
        """Of the container; no two have the same, since numbers of attempts are never used again."""
        return f"adi-{self.order}-{self.attempt}-{self.number}"

    @property
    def labels(self) -> dict[str, str]:
        """Of the container: by these it is found when its worker has died."""
        return {ORDER: self.order, ATTEMPT: str(self.attempt), NUMBER: str(self.number), OWNER: self.owner}
