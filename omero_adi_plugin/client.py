# SPDX-License-Identifier: GPL-2.0-or-later
"""Client: place orders and ask what became of them, for programs in Python.

Each call opens a connection of its own and closes it, so threads and forked processes may call as they like. Errors are those of
`errors`; what could not be written raises, and is never answered as if it had been. Nothing of OMERO is needed or loaded.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import DatabaseDown, StillUnderWay, UsageError
from omero_adi_plugin.orders import Target
from omero_adi_plugin.tracking import submit, views
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.views import OrderStatus

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.tracking.contract import Preprocessing

__all__ = ["OrderStatus", "order_status", "submit_order", "wait_for_order"]

LOOK_SECONDS = 0.5
"""How often a wait looks: a small indexed read."""

ABSENCE_SECONDS = 300.0
"""How long a wait without a time limit does without the database: longer than a restart of PostgreSQL, or a fail-over, takes."""


def submit_order(
    files: Sequence[str | os.PathLike[str]],
    *,
    user: str,
    group: str,
    target: str,
    preprocessing: Preprocessing | None = None,
    file_names: Sequence[str] = (),
    uuid: str | None = None,
    url: str | None = None,
) -> str:
    """Order an import. When this returns, the order is committed, and is carried out as soon as a service runs.

    Parameters
    ----------
    files : sequence of str or path
        Absolute paths of files or directories, as the host sees them that imports.
    user : str
        OMERO login of the person to import for.
    group : str
        Name of the OMERO group to import into.
    target : str
        An existing container, ``Dataset:151`` or ``Screen:12``.
    preprocessing : Preprocessing, optional
        What a container is to make of the files first; ``Preprocessing(container="…", extra_params={…})`` is enough.
    file_names : sequence of str, optional
        What to call the files, a name for each; or none at all.
    uuid : str, optional
        Of the order, 1 to 36 letters, digits, ``-`` or ``_``. None: a new UUID. That of an earlier order runs it again, with what
        is said now; what is in OMERO already is not imported again.
    url : str, optional
        postgresql://user:password@host:port/database. None: as the settings say, INGEST_TRACKING_DB_URL first.

    Returns
    -------
    str
        The uuid of the order.

    Raises
    ------
    UsageError
        Something of it can be no order; the sentence says what. Nothing was written.
    ConfigurationError
        There is no URL, or it is none; or the database has no table for orders. Nothing was written.
    NotPermitted
        The account may not write orders. Nothing was written.
    DatabaseDown
        PostgreSQL is not there. If the connection broke during the commit, nobody on this side can know whether the order was
        written: call again with the same `uuid` (so give one, if you want to be able to). Its files are imported once.
    """
    place = _target(target)
    with _tracking(url) as database:
        return submit.submit_order(
            database,
            user=user,
            group=group,
            target=place,
            files=files,
            file_names=file_names,
            preprocessing=preprocessing,
            uuid=uuid,
        )


def order_status(uuid: str, *, url: str | None = None) -> OrderStatus:
    """Return where an order stands, with its files and its stages.

    Parameters
    ----------
    uuid : str
        Of the order.
    url : str, optional
        As for `submit_order`.

    Returns
    -------
    OrderStatus
        `state` says whether it waits, runs or has ended (``state.ended``); `description` why it failed.

    Raises
    ------
    OrderNotFound
        There is no such order.
    ConfigurationError
        As for `submit_order`; or no service of ours has been set up on this database.
    NotPermitted
        The account may write orders but not see what became of them; docs/producers.md has the rights that it needs.
    DatabaseDown
        PostgreSQL is not there.
    """
    with _tracking(url) as database:
        return views.order_status(database, uuid)


def wait_for_order(uuid: str, *, timeout_seconds: float | None, url: str | None = None) -> OrderStatus:
    """Wait until an order has ended, and return how. An order that failed raises nothing: look at `state`.

    The database may be away for a while meanwhile, for a restart, say.

    Parameters
    ----------
    uuid : str
        Of the order.
    timeout_seconds : float or None
        How long to wait at most; 0 looks once; None: for as long as it takes. A network gone silent can make it half a minute
        more.
    url : str, optional
        As for `submit_order`.

    Returns
    -------
    OrderStatus
        Of the order at its end, with files and stages.

    Raises
    ------
    StillUnderWay
        The time is over; the order goes on. Wait again, if you like.
    DatabaseDown
        The time is over, and PostgreSQL is away; or, without a time limit, it has been away for 5 minutes on end.
    UsageError
        `timeout_seconds` is no time.
    OrderNotFound, ConfigurationError, NotPermitted
        As for `order_status`.
    """
    if timeout_seconds is not None and not timeout_seconds >= 0:  # so that NaN is refused too
        raise UsageError(f"`timeout_seconds` is {timeout_seconds}, which is no time to wait. Give seconds, 0 or more, or None.")
    started = answered = time.monotonic()
    with _tracking(url) as database:
        while True:
            trouble: DatabaseDown | None = None
            try:
                if (status := _ended(database, uuid)) is not None:
                    return status
                answered = time.monotonic()
            except DatabaseDown as error:
                trouble = error
            pause = LOOK_SECONDS
            if timeout_seconds is not None:
                left = started + timeout_seconds - time.monotonic()
                if left <= 0:
                    raise trouble or StillUnderWay(uuid=uuid, seconds=timeout_seconds)
                pause = min(pause, left)
            elif trouble and time.monotonic() - answered >= ABSENCE_SECONDS:
                raise trouble
            time.sleep(pause)


def _ended(database: Database, uuid: str) -> OrderStatus | None:
    """Return the status of an order that has ended; None of one that has not."""
    state = views.order_summary(database, uuid).state
    return views.order_status(database, uuid) if state is not None and state.ended else None


def _target(text: str) -> Target:
    if not isinstance(text, str):
        raise UsageError(f"`target` is {text!r:.80}, which is no text. Write Dataset:ID or Screen:ID, for example Dataset:151.")
    return Target.parse(text)


@contextlib.contextmanager
def _tracking(url: str | None) -> Iterator[Database]:
    """Open the tracking database for one call."""
    if url is None:
        from omero_adi_plugin.settings import Settings  # noqa: PLC0415 (settings take a while to load, and a URL needs none)

        url = Settings.load().ingest_tracking_db.get_secret_value()
    database = Database(url, name="adi producer")
    try:
        yield database
    finally:
        database.close()
