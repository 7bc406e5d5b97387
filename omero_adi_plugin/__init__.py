# SPDX-License-Identifier: GPL-2.0-or-later
"""OMERO ADI: automated data import for OMERO.

What producers of orders need is here: functions to place an order and to ask what became of it, the models of the shared tables
and the words for the stages. Functions and models load SQLAlchemy when they are first asked for, so that importing the package
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
    OrderState,
)

if TYPE_CHECKING:
    from omero_adi_plugin.client import OrderStatus, order_status, submit_order, wait_for_order
    from omero_adi_plugin.tracking.contract import IngestionTracking, Preprocessing

__all__ = [
    "STAGE_IMPORTED",
    "STAGE_INGEST_FAILED",
    "STAGE_INGEST_STARTED",
    "STAGE_NEW_ORDER",
    "STAGE_PREPROCESSING",
    "IngestionTracking",
    "OrderState",
    "OrderStatus",
    "Preprocessing",
    "order_status",
    "submit_order",
    "wait_for_order",
]

_PLACES = {
    "IngestionTracking": "omero_adi_plugin.tracking.contract",
    "Preprocessing": "omero_adi_plugin.tracking.contract",
    "OrderStatus": "omero_adi_plugin.client",
    "order_status": "omero_adi_plugin.client",
    "submit_order": "omero_adi_plugin.client",
    "wait_for_order": "omero_adi_plugin.client",
}
"""Where those names are that are loaded when they are first asked for."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 (mypy takes the types from the imports above)
    if name in _PLACES:
        from importlib import import_module  # noqa: PLC0415 (every `omero` command loads this module, and few need it)

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
