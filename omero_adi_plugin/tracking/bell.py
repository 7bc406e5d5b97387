# SPDX-License-Identifier: GPL-2.0-or-later
"""Bell: sleep until PostgreSQL tells of something (LISTEN and NOTIFY), or the time is over.

A notification that comes while nobody listens is lost. So the bell also rings whenever it has connected anew: the caller looks
for work once, and from then on misses nothing.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, quote_ident

from omero_adi_plugin.tracking.database import connect_options, place, read_url, translated

if TYPE_CHECKING:
    from collections.abc import Sequence


class Bell:
    """Rings when one of some channels is notified. It has a connection of its own, outside of any transaction."""

    def __init__(self, url: str, channels: Sequence[str]) -> None:
        """Make it known; the first `wait` or `fileno` connects.

        Parameters
        ----------
        url : str
            postgresql://…
        channels : sequence of str
            Names as NOTIFY has them.
        """
        self._url = read_url(url)
        self._channels = tuple(channels)
        self._connection: Any = None

    def wait(self, timeout_seconds: float, *, also: Sequence[int] = ()) -> bool:
        """Sleep until the bell rings.

        Parameters
        ----------
        timeout_seconds : float
            How long at most.
        also : sequence of int
            Descriptors that wake too when something can be read from them, such as one that a signal handler writes to.

        Returns
        -------
        bool
            Whether it rang, has just connected anew, or was woken by `also`; False when the time is over.

        Raises
        ------
        DatabaseDown
            There is no connection. The next call tries anew; the caller decides how long to leave between the two.
        """
        with self._errors():
            if self._connection is None:
                self._connect()
                return True
            end = time.monotonic() + timeout_seconds
            while True:
                woken, heard = self._sleep(end - time.monotonic(), also)
                self._connection.poll()
                rang = bool(self._connection.notifies)
                self._connection.notifies.clear()
                if rang or woken or not heard:  # else it was the last message of a server that stops: the next poll tells
                    return rang or woken

    def fileno(self) -> int:
        """Return the descriptor of the connection, for a selector of the caller.

        Raises
        ------
        DatabaseDown
            There is no connection.
        """
        with self._errors():
            if self._connection is None:
                self._connect()
            return int(self._connection.fileno())

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def _connect(self) -> None:
        arguments, options = self._url.get_dialect()().create_connect_args(self._url)
        connection = psycopg2.connect(*arguments, **options, **connect_options("omero-adi bell"))
        self._connection = connection
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            for channel in self._channels:
                cursor.execute(f"LISTEN {quote_ident(channel, connection)}")

    def _sleep(self, timeout_seconds: float, also: Sequence[int]) -> tuple[bool, bool]:
        """Return whether one of the other descriptors is the reason for waking, and whether the connection is."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            for descriptor in also:
                selector.register(descriptor, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(max(0.0, timeout_seconds))]
        return any(woken is not self._connection for woken in ready), self._connection in ready

    @contextlib.contextmanager
    def _errors(self) -> Any:  # noqa: ANN401 (a generator, as contextmanager wants it)
        try:
            yield
        except psycopg2.Error as error:
            self.close()
            ours = translated(error, where=place(self._url))
            if ours is None:
                raise
            raise ours from error
