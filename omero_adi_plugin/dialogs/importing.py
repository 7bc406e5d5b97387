# SPDX-License-Identifier: GPL-2.0-or-later
"""Importing: "Import Files" orders an import for whoever launched it and, if that is wanted, waits for the images.

The order is the service's from the moment it is placed: whatever becomes of this process, it is carried out once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from omero_adi_plugin.client import wait_for_order
from omero_adi_plugin.dialogs.request import Request
from omero_adi_plugin.dialogs.results import outcome_of
from omero_adi_plugin.dialogs.run import Said
from omero_adi_plugin.dialogs.wording import for_people
from omero_adi_plugin.errors import DatabaseDown, StillUnderWay
from omero_adi_plugin.ice import translated
from omero_adi_plugin.sessions.given import age_seconds
from omero_adi_plugin.tracking.pausing import standing_pause
from omero_adi_plugin.tracking.queue import limits_of
from omero_adi_plugin.tracking.status import status
from omero_adi_plugin.tracking.submit import submit_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.dialogs.run import Desk
    from omero_adi_plugin.tracking.views import OrderStatus

FOLLOW_UP = '"Import Status" tells what becomes of it.'

NOBODY = "But no import service is at work at the moment: tell your administrator. It goes on by itself when one is."

WAITS = 0.8
"""The part of the session's life for which a script waits: in the rest it tells what it knows by then."""


def import_files(desk: Desk) -> Said:
    """Order what the parameters of the dialog say, and wait for its end if they say so too."""
    hindrance = _hindrance(desk)  # also tells that the database answers, before anything is written
    request = Request.read(desk)
    uuids = _ordered(desk, request)
    if desk.flag("Wait_For_Images", default=True) and hindrance is None:
        return outcome_of(desk, request, _ended(desk, uuids), uuids)
    return Said(message=f"{desk.done} {hindrance or FOLLOW_UP}", texts=named(uuids))


def _hindrance(desk: Desk) -> str | None:
    """Return why no order is begun at the moment, so that there is no sense in waiting for one; None if orders are."""
    pause = standing_pause(desk.database)
    if pause is not None:
        return for_people(pause.sentence)
    services = status(desk.database, limits=limits_of(desk.settings)).services
    return None if any(service.at_work for service in services) else NOBODY


def named(uuids: Sequence[str]) -> dict[str, str]:
    """Return the numbers of orders as the script puts them out."""
    return {"Order" if len(uuids) == 1 else "Orders": ", ".join(uuids)}


def _ordered(desk: Desk, request: Request) -> list[str]:
    """Place the orders, and return their numbers; what was placed is told whatever happens after it."""
    uuids: list[str] = []
    for paths in request.orders:
        uuid = str(uuid4())
        try:
            submit_order(
                desk.database,
                user=desk.person.name,
                group=request.place.group,
                target=request.place.target,
                files=paths,
                preprocessing=request.preprocessing,
                uuid=uuid,
                who=desk.person.who,
            )
        except DatabaseDown:  # the connection broke, perhaps after the order was written
            desk.done = f'{desk.done} Look with "Import Status" whether order {uuid} was placed before you order again.'.strip()
            raise
        uuids.append(uuid)
        desk.note(_placed(uuids, of=len(request.orders)))
    return uuids


def _placed(uuids: Sequence[str], *, of: int) -> str:
    if of == 1:
        return f"Order {uuids[0]} is placed, and carried out by itself."
    placed = f"{len(uuids)} orders are" if len(uuids) == of else f"{len(uuids)} of {of} orders are"
    return f"{placed} placed, and carried out by themselves."


def _ended(desk: Desk, uuids: Sequence[str]) -> list[OrderStatus | None]:
    """Wait for the end of orders, and return how each ended; None of one that has not when the time is over."""
    left = _seconds_to_wait(desk)
    until = None if left is None else time.monotonic() + left
    url = desk.settings.ingest_tracking_db.get_secret_value()
    found: list[OrderStatus | None] = []
    for uuid in uuids:
        seconds = None if until is None else max(0.0, until - time.monotonic())
        try:
            found.append(wait_for_order(uuid, timeout_seconds=seconds, url=url))
        except StillUnderWay:
            found.append(None)
    return found


def _seconds_to_wait(desk: Desk) -> float | None:
    """Return how long this script may wait; None: as long as it takes."""
    session = desk.session
    with translated("asking for the life of the session", session.where):
        described = session.factory.getSessionService().getSession(session.client.getSessionId())
    life = described.getTimeToLive().getValue() / 1000
    return max(0.0, WAITS * life - age_seconds()) if life > 0 else None
