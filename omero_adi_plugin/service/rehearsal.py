# SPDX-License-Identifier: GPL-2.0-or-later
"""Rehearsal: an order that is only looked at, with the login and the reader that carrying it out would use."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from omero_adi_plugin.pipeline.dryrun import foresee, foresee_conversions
from omero_adi_plugin.service.attempt import account, reader_of
from omero_adi_plugin.sessions import Logins

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.dryrun import Foreseen, ToConvert
    from omero_adi_plugin.settings import Settings


def rehearse(settings: Settings, order: Order, *, skip_existing: bool, tell: Callable[[Foreseen], None]) -> str | None:
    """Find out what an order would do; nothing is changed, and the tracking database is not needed.

    Parameters
    ----------
    settings : Settings
        All of them.
    order : Order
        The order.
    skip_existing : bool
        Whether files that the target already holds would be left alone.
    tell : callable
        Told of one entry after the other.

    Returns
    -------
    str or None
        The version of Bio-Formats that read the files, None if it was not Bio-Formats.

    Raises
    ------
    OrderFailed
        Nothing of it would be imported.
    OmeroDown, ConfigurationError
        Nobody can say.
    """
    with (
        Logins(account(settings)) as logins,
        contextlib.closing(reader_of(settings)) as reader,
        logins.act_for(order.user, order.group) as session,
    ):
        skip = skip_existing or settings.skip_existing
        for foreseen in foresee(order, session=session, reader=reader, settings=settings, skip_existing=skip):
            tell(foreseen)
        return reader.version


def rehearse_conversions(settings: Settings, order: Order) -> list[ToConvert]:
    """Find out of an order that asks for a converter which of its entries that would be given; raises as `rehearse`."""
    with Logins(account(settings)) as logins, logins.act_for(order.user, order.group) as session:
        return list(foresee_conversions(order, session=session, settings=settings))
