# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that wait: they keep no others from being answered, whatever OMERO's interfaces say of their operations."""

from __future__ import annotations

import sys
import threading
from typing import Any

import Glacier2
import omero
import omero.grid
import pytest
from omero.rtypes import rstring

from omero_devserver.store.database import Database
from omero_devserver.wire.servant import Call, make, waiting
from omero_devserver.wire.server import DISPATCH_THREADS
from tests.fixtures.omero import ServerHere
from tests.fixtures.omero_client import make_user
from tests.fixtures.waiting import wait_until

PATIENCE_MILLISECONDS = 20_000
#: A thread whose innermost frame is this one has the write lock, which it then leaves at once, or waits for it.
WRITING = Database.writing.__wrapped__.__code__  # type: ignore[attr-defined]  # what contextmanager wraps


def dataset() -> Any:
    made = omero.model.DatasetI()
    made.name = rstring("data")
    return made


def test_calls_that_wait_leave_room_for_others(server_here: ServerHere) -> None:
    class Patient:
        @waiting
        def wait(self, call: Call) -> int:  # in the interface it is answered at once, on a thread that others need
            assert held.wait(30)
            return 7

    held = threading.Event()
    server = server_here.server
    with server_here.client() as client:
        session = server.sessions.find(client.getSessionId())
        assert session is not None
        session.services["patient"] = make(Patient(), omero.grid.Process, server=server, session=session)
        here = server.proxy(session, "patient")
        proxy = omero.grid.ProcessPrx.uncheckedCast(client.getCommunicator().stringToProxy(str(here)))
        calls = [proxy.begin_wait() for _ in range(2 * DISPATCH_THREADS)]
        try:
            assert client.sf.getAdminService().getEventContext().userName == "root"
        finally:
            held.set()
        assert [proxy.end_wait(call) for call in calls] == [7] * len(calls)


def test_who_waits_to_write_keeps_nobody_from_logging_in_and_reading(server_here: ServerHere) -> None:
    with server_here.client() as client:
        service = client.sf.getUpdateService()
        with server_here.server.store.transaction():
            saves = [service.begin_saveObject(dataset()) for _ in range(2 * DISPATCH_THREADS)]
            admin = client.sf.getAdminService().ice_invocationTimeout(PATIENCE_MILLISECONDS)
            assert omero.api.IAdminPrx.uncheckedCast(admin).getEventContext().userName == "root"
            with pytest.raises(Glacier2.PermissionDeniedException), server_here.client("nobody", "nothing"):
                pass
            assert not any(save.isCompleted() for save in saves)
        for save in saves:
            service.end_saveObject(save)


def test_two_who_take_a_user_out_of_groups_at_once_leave_him_one(server_here: ServerHere) -> None:
    user, server = make_user(server_here), server_here.server
    with server_here.client() as client:
        service = client.sf.getAdminService()
        member = omero.model.ExperimenterI(user.id, False)
        service.addGroups(member, [omero.model.ExperimenterGroupI(user.other_group_id, False)])
        with server.store.transaction():
            server.store.people.remove_member(user.id, user.other_group_id)
            second = service.begin_removeGroups(member, [omero.model.ExperimenterGroupI(user.group_id, False)])
            wait_until(somebody_waits_to_write, what="the second one")
        with pytest.raises(omero.ValidationException, match="only the 'user' group"):
            service.end_removeGroups(second)


def somebody_waits_to_write() -> bool:
    frames = sys._current_frames().items()
    return any(top.f_code is WRITING for thread, top in frames if thread != threading.get_ident())


def test_a_part_of_the_server_is_made_once_and_closed_with_it(server_here: ServerHere) -> None:
    class Part:
        def __init__(self, server: object) -> None:
            self.server, self.closed = server, False

        def close(self) -> None:
            self.closed = True

    part = server_here.server.part(Part)
    assert server_here.server.part(Part) is part
    assert part.server is server_here.server
    server_here.server.close()
    assert part.closed
