# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: the two ways of carrying orders out: as a service, and in the process of whoever ordered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from omero_adi_plugin import logs
from omero_adi_plugin.crashpoints import warn_if_armed
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.service import Service

if TYPE_CHECKING:
    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.pipeline.progress import OnProgress
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


def serve(settings: Settings, *, once: bool) -> None:
    """Serve until asked to end by SIGTERM or SIGINT, or, with `once`, until every order is done.

    Raises
    ------
    SurroundingsDown, ImportsPaused
        With `once`: OMERO or the database is not there, or all imports are paused.
    """
    logs.set_up(settings)
    warn_if_armed()
    for key in settings.legacy:
        event(
            _log,
            logging.WARNING,
            "settings.key_without_effect",
            key=key,
            why="a setting of the former importer; it can be removed",
        )
    Service(settings, once=once).run()


def carry_out(settings: Settings, claim: Claim, *, on_progress: OnProgress) -> None:
    """Carry out, in this process, an order that was inserted already leased to it.

    Parameters
    ----------
    settings : Settings
        All of them.
    claim : Claim
        The order and the lease on it.
    on_progress : OnProgress
        Told of each step.

    Raises
    ------
    AdiError
        What ended the attempt. The outcome is in queue and stage rows by then: a failed order is failed, one that is worth
        another attempt waits for a service.
    """
    from omero_adi_plugin.service.attempt import Attempts, account  # noqa: PLC0415 (OMERO's code, which a service does without)
    from omero_adi_plugin.sessions import Logins  # noqa: PLC0415 (as above)

    with Logins(account(settings)) as logins:
        attempts = Attempts(settings, sessions=logins)
        try:
            error = attempts.carry_out(claim, on_progress=on_progress)
        finally:
            attempts.close()
    if error is not None:
        raise error
