# SPDX-License-Identifier: GPL-2.0-or-later
"""Session: one login, its limits of time, and how clients see it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from omero.model import ExperimenterGroupI, ExperimenterI, NodeI, SessionI
from omero.rtypes import rlong, rstring, rtime

NODE = 0  # row of the server itself among the nodes


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One login.

    row:                id of its row in the table of sessions; below zero on a read-only server, which has no rows for them.
    group:              the group of calls that name none; `setSecurityContext` changes it.
    sudoer:             id of the one who made it for `user`, or None.
    agent:              the client's name for itself.
    time_to_idle:       longest silence between two calls, milliseconds; 0 or less for no limit.
    time_to_live:       life from `started` on, milliseconds; 0 or less for no limit.
    started, used:      when it was made and when its last call came, seconds since 1970.
    references, starting: clients and running requests; requests that were accepted and have not begun.
    kept:               the client that went last left it open (`detachOnDestroy`).
    ended:              set once, when the session is over for whatever reason.
    services:           servants that belong to it, by the name in their identity.
    """

    uuid: str
    row: int
    user: int
    group: int
    event_type: str
    sudoer: int | None
    agent: str | None
    time_to_idle: int
    time_to_live: int
    started: float
    used: float
    message: str = "Initial message."
    references: int = 0
    starting: int = 0
    kept: bool = False
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
                    f"Session (started={stamp(self.started)}, hits={self.hits}, last access={stamp(self.used)}) "
                    f"exceeded {name} ({limit}) by {over} ms"
                )
        return None

    def alive(self) -> bool:
        """Tell whether work in the session's name may go on."""
        return not self.ended.is_set() and self.overdue() is None

    def as_object(self) -> Any:
        """Describe it as ``omero.model.SessionI``; users, group and node are unloaded."""
        described = SessionI(rlong(self.row), True)
        described.uuid, described.message = rstring(self.uuid), rstring(self.message)
        described.started = rtime(milliseconds(self.started))
        described.timeToIdle, described.timeToLive = rlong(self.time_to_idle), rlong(self.time_to_live)
        described.defaultEventType = rstring(self.event_type)
        described.userAgent = None if self.agent is None else rstring(self.agent)
        described.owner = ExperimenterI(self.user, False)
        described.sudoer = None if self.sudoer is None else ExperimenterI(self.sudoer, False)
        described.node = NodeI(NODE, False)
        described.details.owner, described.details.group = ExperimenterI(self.user, False), ExperimenterGroupI(self.group, False)
        return described


def milliseconds(seconds: float) -> int:
    """Turn seconds since 1970 into milliseconds, as OMERO counts."""
    return int(seconds * 1000)


def stamp(seconds: float) -> str:
    """Write seconds since 1970 as a Java timestamp does: local time, without zeros at the end of the fraction."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}.{f'{int(seconds * 1000) % 1000:03d}'.rstrip('0') or '0'}"  # noqa: DTZ006
