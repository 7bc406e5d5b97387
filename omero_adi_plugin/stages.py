# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages and states: the words for where an order stands, in the shared table and in our own queue.

The constants have the names and values that other programs import and compare with; neither may change. They are apart from
`orders`, because every `omero` command loads them to know its arguments.
"""

from enum import StrEnum
from typing import Final

STAGE_NEW_ORDER: Final = "Import Pending"
STAGE_INGEST_STARTED: Final = "Import Started"
STAGE_PREPROCESSING: Final = "Import Preprocessing"
STAGE_IMPORTED: Final = "Import Completed"
STAGE_INGEST_FAILED: Final = "Import Failed"


class OrderState(StrEnum):
    """Where an order stands in our queue."""

    WAITING = "waiting"  # until somebody claims it, not before `run_after`
    RUNNING = "running"  # a worker has a lease on it; a lapsed lease is taken over
    COMPLETED = "completed"  # every entry is in OMERO, and annotated
    FAILED = "failed"  # ended with a reason; a person may order it again
    CANCELLED = "cancelled"  # a person has called it off

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the order by itself."""
        return self not in {OrderState.WAITING, OrderState.RUNNING}
