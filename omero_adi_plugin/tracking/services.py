# SPDX-License-Identifier: GPL-2.0-or-later
"""Services: which of them are at work, on which hosts, with which workers. Each says so itself, every few seconds.

Nothing depends on these rows but what people are shown: an order is safe by its lease.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from omero_adi_plugin._version import __version__
from omero_adi_plugin.tracking.audit import shortened, storable
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.tracking.database import Database

_SQL = statements("services.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker process of a service.

    pid:     on the service's host.
    trouble: why it begins nothing at the moment, for people; None: nothing keeps it.
    """

    pid: int
    trouble: str | None = None


class Presence:
    """What one service says of itself.

    Parameters
    ----------
    database : Database
        With our tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = str(uuid4())

    def tell(self, workers: Sequence[WorkerState], *, trouble: str | None = None, ending: bool = False) -> None:
        """Say that this service is at work.

        Parameters
        ----------
        workers : sequence of WorkerState
            Its worker processes.
        trouble : str, optional
            Why it begins nothing at the moment.
        ending : bool
            Whether it takes no new orders, because it is being stopped.

        Raises
        ------
        DatabaseDown
            PostgreSQL is not there.
        """
        values = {
            "id": self._id,
            "host": storable(socket.gethostname()),
            "pid": os.getpid(),
            "version": __version__,
            "ending": ending,
            "workers": json.dumps([asdict(worker) for worker in workers]),
            "trouble": None if trouble is None else shortened(trouble),
        }
        self._database.at_once(_SQL["tell"], values)

    def leave(self) -> None:
        """Say that this service has ended; see `tell`."""
        with self._database.begin() as connection:
            connection.execute(_SQL["leave"], {"id": self._id})
