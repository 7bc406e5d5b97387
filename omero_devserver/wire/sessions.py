# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: who is logged in, for how long, and how many hold on to it.

A session lives as long as somebody refers to it: each joined client counts one, each running request counts one, and a
session that was made for somebody (`createSessionWithTimeouts`) counts one itself. Its two time limits are checked when
it is used, not by a reaper (real server, recorded: facts 4).
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import Ice
import omero

from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_devserver.store.store import Store

DEFAULT_IDLE_MILLISECONDS = 600_000  # omero.sessions.timeout of a real server
CLOSED = -2  # what ISession.closeSession answers when it took the last reference (recorded)
NOT_THERE = -1  # and when there is no such session


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One login.

    row:                id of its row in the table of sessions.
    group:              the group of calls that name none; `setSecurityContext` changes it.
    sudoer:             id of the one who made it for `user`, or None.
    privileges:         upper limit of the administrator's privileges in it, None for no limit.
    time_to_idle:       longest silence between two calls, milliseconds; 0 or less for no limit.
    time_to_live:       life from `started` on, milliseconds; 0 or less for no limit.
    references, starting: clients and running requests; requests that were accepted and have not begun.
    ended:              set once, when the session is over for whatever reason.
    services:           servants that belong to it, by the name in their identity.
    """

    uuid: str
    row: int
    user: int
    group: int
    event_type: str
    sudoer: int | None
    privileges: frozenset[str] | None
    time_to_idle: int
    time_to_live: int
    started: float
    used: float
    references: int = 0
    starting: int = 0
    hits: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    services: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def overdue(self) -> str | None:
        """Say by how much the session is over its limits, as the real server words it; None while it is not."""
        now = time.time()
        for limit, since, name in (
            (self.time_to_live, self.started, "timeToLive"),
            (self.time_to_idle, self.used, "timeToIdle"),
        ):
            over = int((now - since) * 1000) - limit
            if limit > 0 and over > 0:
                return (
                    f"Session (started={_stamp(self.started)}, hits={self.hits}, last access={_stamp(self.used)}) "
                    f"exceeded {name} ({limit}) by {over} ms"
                )
        return None

    def alive(self) -> bool:
        """Tell whether work in the session's name may go on."""
        return not self.ended.is_set() and self.overdue() is None


class Sessions:
    """All sessions of the server, by uuid."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: dict[str, Session] = {}
        self._overdue: dict[str, Session] = {}
        self._lock = threading.RLock()
        self._listeners: list[Callable[[Session], None]] = []
        for row in store.rows("SELECT id FROM t_Session WHERE c_closed IS NULL"):
            # No session survives a restart (recorded: facts 3).
            store.update("Session", row["id"], c_closed=_milliseconds(time.time()))

    def on_end(self, listener: Callable[[Session], None]) -> None:
        """Call `listener` for every session that ends, after it has ended."""
        self._listeners.append(listener)

    def create(
        self,
        *,
        user: int,
        group: int,
        event_type: str = "User",
        sudoer: int | None = None,
        privileges: frozenset[str] | None = None,
        time_to_idle: int = DEFAULT_IDLE_MILLISECONDS,
        time_to_live: int = 0,
        agent: str | None = None,
        references: int = 0,
    ) -> Session:
        """Make a session and its row; the arguments are those of `Session`, `agent` is the client's name for itself."""
        now = time.time()
        identifier = str(uuid.uuid4())
        row = self._store.insert(
            "Session",
            c_uuid=identifier,
            c_started=_milliseconds(now),
            c_timeToIdle=time_to_idle,
            c_timeToLive=time_to_live,
            c_defaultEventType=event_type,
            c_userAgent=agent,
            c_message="Initial message.",
            r_owner=user,
            r_sudoer=sudoer,
            r_node=self._node(),
        )
        session = Session(
            uuid=identifier,
            row=row,
            user=user,
            group=group,
            event_type=event_type,
            sudoer=sudoer,
            privileges=privileges,
            time_to_idle=time_to_idle,
            time_to_live=time_to_live,
            started=now,
            used=now,
            references=references,
        )
        with self._lock:
            self._all[identifier] = session
            old = list(self._all.values())
        for other in old:
            if other.overdue():
                self._expire(other)
        return session

    def find(self, identifier: str) -> Session | None:
        """Find a session that has not ended, by uuid; its time limits are not looked at."""
        return self._all.get(identifier)

    def join(self, identifier: str) -> Session | None:
        """Find a session to join; raises WrappedCreateSessionException for one whose time is over (recorded)."""
        session = self._all.get(identifier)
        if session is not None and session.overdue():
            self._expire(session)
            session = None
        if session is None and identifier in self._overdue:
            reason = f"Can't find default group for {identifier}"
            raise omero.WrappedCreateSessionException(reason, False, 0, "ome.conditions.ApiUsageException")
        return session

    def get(self, identifier: str) -> Session:
        """Find a session by uuid.

        Raises
        ------
        omero.SessionTimeoutException, omero.RemovedSessionException
            Its time is over; there is none (recorded: facts 4).
        """
        if identifier in self._overdue:
            raise fault(omero.SessionTimeoutException, self._overdue[identifier].overdue() or "")
        session = self._all.get(identifier)
        if session is None:
            raise fault(omero.RemovedSessionException, f"No context for {identifier}")
        self._check(session)
        return session

    def of_category(self, category: str) -> Session | None:
        """Find a session by the category of its servants' identities: also one whose time is over, not a closed one."""
        return self._all.get(category) or self._overdue.get(category)

    def all(self) -> Sequence[Session]:
        """List the open sessions."""
        with self._lock:
            return list(self._all.values())

    def of_user(self, user: int) -> Sequence[Session]:
        """List the open sessions of a user, oldest first."""
        with self._lock:
            return [session for session in self._all.values() if session.user == user and not session.overdue()]

    def use(self, session: Session) -> None:
        """Note a call in the session.

        Raises
        ------
        Ice.ObjectNotExistException
            The session has been closed.
        omero.SessionTimeoutException
            One of its time limits has passed.
        """
        if session.uuid not in self._overdue:
            if session.ended.is_set():
                raise Ice.ObjectNotExistException
            self._check(session)
            session.used = time.time()
            session.hits += 1
            return
        raise fault(omero.SessionTimeoutException, session.overdue() or "")

    def hold(self, session: Session) -> None:
        """Add a reference."""
        with self._lock:
            session.references += 1

    def release(self, session: Session, *, explicit: bool, keep: bool = False) -> int:
        """Take a reference away, and end the session with the last one.

        Parameters
        ----------
        session : Session
            Whose reference it is.
        explicit : bool
            Somebody closed it. Then a request that was accepted but has not begun does not hold the session, as it does
            when only a connection was lost (recorded: facts 2).
        keep : bool
            Leave the session open even without references (`detachOnDestroy`).

        Returns
        -------
        int
            References left, `CLOSED`, or `NOT_THERE`.
        """
        with self._lock:
            if session.ended.is_set():
                return NOT_THERE
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
        """Close a session, however many references there are."""
        with self._lock:
            if session.ended.is_set():
                return
            session.ended.set()
            self._all.pop(session.uuid, None)
        self._store.update("Session", session.row, c_closed=_milliseconds(time.time()))
        for listener in self._listeners:
            listener(session)

    def _expire(self, session: Session) -> None:
        self._overdue[session.uuid] = session
        self.end(session)

    def _check(self, session: Session) -> None:
        reason = session.overdue()
        if reason:
            self._expire(session)
            raise fault(omero.SessionTimeoutException, reason)

    def _node(self) -> int | None:
        rows = self._store.rows("SELECT id FROM t_Node ORDER BY id LIMIT 1")
        return rows[0]["id"] if rows else None


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}"
