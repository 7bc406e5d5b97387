# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: who is logged in, for how long, and how many hold on to it.

A session lives as long as somebody refers to it: each joined client counts one, each running request counts one, and a
session that was made for somebody (`createSessionWithTimeouts`) counts one itself. Its two time limits are checked when
it is used (real server, recorded: facts 4); every now and then a thread ends those that nobody uses any more.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import threading
import time
import uuid
from typing import TYPE_CHECKING

import Ice
import omero

from omero_devserver.wire.faults import fault
from omero_devserver.wire.session import NODE, Session, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_devserver.store.store import Store

__all__ = ["CLOSED", "DEFAULT_IDLE_MILLISECONDS", "NOT_THERE", "SYNC_SECONDS", "Session", "Sessions", "at_most"]

log = logging.getLogger(__name__)

DEFAULT_IDLE_MILLISECONDS = 600_000  # omero.sessions.timeout of a real server
SYNC_SECONDS = 120.0  # its omero.sessions.sync_interval: how often it looks for sessions whose time is over
CLOSED = -2  # what ISession.closeSession answers when it took the last reference (recorded)
NOT_THERE = -1  # and when there is no such session


class Sessions:
    """All sessions of the server, by uuid; `close` ends the thread that looks after them.

    sync_seconds: how often sessions whose time is over are ended.
    idle_seconds, live_seconds: longest silence and longest life of a session, whatever was asked for; None for no limit.
    read_only:    keep no rows: sessions are in memory only, as on a real server whose database is read-only
                  (SessionProviderInMemory of OMERO's source).
    """

    def __init__(
        self,
        store: Store,
        *,
        sync_seconds: float = SYNC_SECONDS,
        idle_seconds: float | None = None,
        live_seconds: float | None = None,
        read_only: bool = False,
    ) -> None:
        self._store = store
        self._idle_seconds, self._live_seconds = idle_seconds, live_seconds
        self._read_only = read_only
        self._all: dict[str, Session] = {}
        self._lock = threading.RLock()
        self._listeners: list[Callable[[Session], None]] = []
        self._rows_of_memory = itertools.count(-1, -1)
        if not read_only:
            for row in store.rows("SELECT id FROM t_Session WHERE c_closed IS NULL"):
                # No session survives a restart (recorded: facts 3).
                store.update("Session", row["id"], c_closed=milliseconds(time.time()))
        self._closing = threading.Event()
        self._reaper = threading.Thread(target=self._reap, args=(sync_seconds,), name="sessions", daemon=True)
        self._reaper.start()

    def close(self) -> None:
        """End all sessions, and the thread that looks after them."""
        self._closing.set()
        self._reaper.join()
        for session in self.all():
            self.end(session)

    def on_end(self, listener: Callable[[Session], None]) -> Callable[[], None]:
        """Call `listener` for every session that ends, after it has ended; returns how to stop that."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

        def stop() -> None:
            with self._lock:
                self._listeners = [one for one in self._listeners if one != listener]

        return stop

    def create(
        self,
        *,
        user: int,
        group: int,
        event_type: str = "User",
        sudoer: int | None = None,
        time_to_idle: int = DEFAULT_IDLE_MILLISECONDS,
        time_to_live: int = 0,
        agent: str | None = None,
        references: int = 0,
        of_server: bool = False,
    ) -> Session:
        """Make a session and its row; the arguments are those of `Session`, but one.

        of_server: it is the server's own, for a Processor or a script, and may be silent for ever (recorded: facts 11).
        """
        now = time.time()
        session = Session(
            uuid=str(uuid.uuid4()),
            row=next(self._rows_of_memory),
            user=user,
            group=group,
            event_type=event_type,
            sudoer=sudoer,
            agent=agent,
            time_to_idle=0 if of_server else at_most(time_to_idle, self._idle_seconds),
            time_to_live=at_most(time_to_live, self._live_seconds),
            started=now,
            used=now,
            references=references,
        )
        if not self._read_only:
            session.row = self._insert(session)
        with self._lock:
            self._all[session.uuid] = session
        return session

    def find(self, identifier: str) -> Session | None:
        """Find a session that has not ended, by uuid; its time limits are not looked at."""
        return self._all.get(identifier)

    def join(self, identifier: str) -> Session | None:
        """Find a session to join, and add a reference; None if there is none.

        Raises
        ------
        omero.WrappedCreateSessionException
            Its time is over (recorded).
        """
        with self._lock:
            session = self._all.get(identifier)
            if session is None:
                return None
            if session.overdue() is not None:
                reason = f"Can't find default group for {identifier}"
                raise omero.WrappedCreateSessionException(reason, False, 0, "ome.conditions.ApiUsageException")
            session.references += 1
            return session

    def get(self, identifier: str) -> Session:
        """Find a session by uuid; counts as a use of it (SessionCache of OMERO's source).

        Raises
        ------
        omero.SessionTimeoutException, omero.RemovedSessionException
            Its time is over; there is none (recorded: facts 4).
        """
        session = self._all.get(identifier)
        if session is None:
            raise fault(omero.RemovedSessionException, f"No context for {identifier}")
        _note_use(session)
        return session

    def all(self) -> Sequence[Session]:
        """List the open sessions."""
        with self._lock:
            return list(self._all.values())

    def use(self, session: Session) -> None:
        """Note a call in the session.

        Raises
        ------
        Ice.ObjectNotExistException
            The session has been closed.
        omero.SessionTimeoutException
            One of its time limits has passed.
        """
        if session.ended.is_set():
            raise Ice.ObjectNotExistException
        _note_use(session)

    def release(self, session: Session, *, explicit: bool, keep: bool | None = None) -> int:
        """Take a reference away, and end the session with the last one.

        Parameters
        ----------
        session : Session
            Whose reference it is.
        explicit : bool
            Somebody closed it. Then a request that was accepted but has not begun does not hold the session, as it does
            when only a connection was lost (recorded: facts 2).
        keep : bool or None
            Leave the session open even without references (`detachOnDestroy`). None, what a request says at its end: as the
            client wanted it that went last, so that a session that OMERO.web comes back to outlives what it started.

        Returns
        -------
        int
            References left, `CLOSED`, or `NOT_THERE`.
        """
        with self._lock:
            if not session.alive():
                return NOT_THERE
            if keep is None:
                keep = session.kept and not explicit
            session.kept = keep
            session.references = max(0, session.references - 1)
            held = session.references + (0 if explicit else session.starting)
            if held or keep:
                return session.references
        self.end(session)
        return CLOSED

    def accept(self, session: Session) -> None:
        """Note a request that will begin soon."""
        with self._lock:
            session.starting += 1

    def begin(self, session: Session) -> bool:
        """Turn an accepted request into a running one, which holds a reference; False when the session has ended."""
        with self._lock:
            session.starting -= 1
            if not session.alive():
                return False
            session.references += 1
            return True

    def end(self, session: Session) -> None:
        """Close a session, however many references there are; whoever is told and stumbles keeps nobody else from it."""
        with self._lock:
            if session.ended.is_set():
                return
            session.ended.set()
            self._all.pop(session.uuid, None)
        if not self._read_only:
            try:
                self._store.update("Session", session.row, c_closed=milliseconds(time.time()))
            except (sqlite3.Error, OSError) as error:  # it is over all the same, and the next start closes the row
                log.warning("the row of session %s stays open: %s", session.uuid, error)
        for listener in self._listeners:
            try:
                listener(session)
            except Exception:  # whatever it is, the others must know, and other sessions end as well
                log.exception("session %s did not end well", session.uuid)

    def _reap(self, sync_seconds: float) -> None:
        while not self._closing.wait(sync_seconds):
            self._end_overdue()

    def _end_overdue(self) -> None:  # apart, or the reaper would keep the last session that it has seen
        for session in self.all():
            if session.overdue() is not None:
                self.end(session)

    def _insert(self, session: Session) -> int:
        return self._store.insert(
            "Session",
            c_uuid=session.uuid,
            c_started=milliseconds(session.started),
            c_timeToIdle=session.time_to_idle,
            c_timeToLive=session.time_to_live,
            c_defaultEventType=session.event_type,
            c_userAgent=session.agent,
            c_message=session.message,
            r_owner=session.user,
            r_sudoer=session.sudoer,
            r_node=NODE,
        )


def at_most(asked: int, seconds: float | None) -> int:
    """Return a limit in milliseconds as it was asked for (0 or less: none), or the shorter one that the server has."""
    if not seconds:
        return asked
    longest = int(seconds * 1000)
    return min(asked, longest) if asked > 0 else longest


def _note_use(session: Session) -> None:
    reason = session.overdue()
    if reason is not None:
        raise fault(omero.SessionTimeoutException, reason)
    session.used = time.time()
    session.hits += 1
