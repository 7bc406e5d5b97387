# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO ADI: automated data import for OMERO.

What producers of orders need is here. The models load SQLAlchemy when they are first asked for, so that importing the package
costs nothing; and nothing here loads OMERO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_adi_plugin.stages import (
    STAGE_IMPORTED,
    STAGE_INGEST_FAILED,
    STAGE_INGEST_STARTED,
    STAGE_NEW_ORDER,
    STAGE_PREPROCESSING,
)

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.contract import IngestionTracking, Preprocessing

__all__ = [
    "STAGE_IMPORTED",
    "STAGE_INGEST_FAILED",
    "STAGE_INGEST_STARTED",
    "STAGE_NEW_ORDER",
    "STAGE_PREPROCESSING",
    "IngestionTracking",
    "Preprocessing",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (mypy takes the types from the imports above)
    if name in {"IngestionTracking", "Preprocessing"}:
        from omero_adi_plugin.tracking import contract  # noqa: PLC0415 (loads SQLAlchemy, only when asked for)

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
