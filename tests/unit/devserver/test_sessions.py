# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions in the server: those whose time is over are ended by and by, and a read-only server keeps them in memory."""

from __future__ import annotations

import gc
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import Ice
import omero
import pytest

from omero_devserver.store.store import Store
from omero_devserver.wire.clients import Client, Clients
from omero_devserver.wire.session import stamp
from omero_devserver.wire.sessions import CLOSED, NOT_THERE, Session, Sessions
from tests.fixtures.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Lab

QUICK = 0.02
WAIT_SECONDS = 10


@pytest.fixture
def sessions(lab: Lab) -> Iterator[Sessions]:
    opened = Sessions(lab.store, sync_seconds=QUICK)
    yield opened
    opened.close()


def closed(lab: Lab, session: Session) -> bool:
    return lab.store.rows("SELECT c_closed FROM t_Session WHERE id = ?", session.row)[0][0] is not None


def test_a_silent_session_is_ended_without_anybody_calling(lab: Lab, sessions: Sessions) -> None:
    told: queue.SimpleQueue[Session] = queue.SimpleQueue()
    sessions.on_end(told.put)
    silent, endless = sessions.create(user=0, group=0, time_to_idle=1), sessions.create(user=0, group=0, time_to_idle=0)
    assert told.get(timeout=WAIT_SECONDS) is silent
    assert (closed(lab, silent), closed(lab, endless)) == (True, False)
    assert (told.empty(), sessions.all()) == (True, [endless])
    with pytest.raises(Ice.ObjectNotExistException):
        sessions.use(silent)
    with pytest.raises(omero.RemovedSessionException, match="No context for"):
        sessions.get(silent.uuid)


def test_no_session_lives_or_is_silent_for_longer_than_the_server_allows(lab: Lab) -> None:
    sessions = Sessions(lab.store, sync_seconds=3600, idle_seconds=2, live_seconds=5)
    try:
        ordinary = sessions.create(user=0, group=0)
        endless = sessions.create(user=0, group=0, time_to_idle=0, time_to_live=0)
        shorter = sessions.create(user=0, group=0, time_to_idle=1000, time_to_live=3000)
        limits = [(each.time_to_idle, each.time_to_live) for each in (ordinary, endless, shorter)]
        assert limits == [(2000, 5000), (2000, 5000), (1000, 3000)]
    finally:
        sessions.close()


def test_a_session_whose_end_fails_does_not_keep_the_others(lab: Lab, sessions: Sessions) -> None:
    ended: queue.SimpleQueue[Session] = queue.SimpleQueue()

    def fail(_: Session) -> None:
        raise RuntimeError("on purpose")

    sessions.on_end(fail)
    sessions.on_end(ended.put)
    made = {sessions.create(user=0, group=0, time_to_live=1) for _ in range(2)}
    assert {ended.get(timeout=WAIT_SECONDS) for _ in made} == made
    closed = {sessions.create(user=0, group=0) for _ in range(2)}
    sessions.close()
    assert {ended.get(timeout=WAIT_SECONDS) for _ in closed} == closed


def test_who_does_not_listen_any_more_is_told_nothing(lab: Lab, sessions: Sessions) -> None:
    told: list[Session] = []
    stop = sessions.on_end(told.append)
    first, second = (sessions.create(user=0, group=0) for _ in range(2))
    sessions.end(first)
    stop()
    sessions.end(second)
    assert told == [first]


def test_a_session_that_was_ended_is_not_kept(sessions: Sessions) -> None:
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    sessions.on_end(lambda session: ended.put(session.uuid))
    sessions.create(user=0, group=0, time_to_idle=1)
    silent = ended.get(timeout=WAIT_SECONDS)

    def gone() -> bool:
        gc.collect()
        return not any(type(one) is Session and one.uuid == silent for one in gc.get_objects())

    wait_until(gone, seconds=WAIT_SECONDS)


def test_until_then_every_call_is_told_that_its_time_is_over(lab: Lab) -> None:
    sessions = Sessions(lab.store, sync_seconds=3600)
    session = sessions.create(user=0, group=0, time_to_live=1, references=2)
    time.sleep(0.01)
    for _ in range(2):
        with pytest.raises(omero.SessionTimeoutException) as over:
            sessions.use(session)
        assert f"Session (started={stamp(session.started)}, hits=0, last access=" in over.value.message
        assert "exceeded timeToLive (1) by" in over.value.message
        with pytest.raises(omero.SessionTimeoutException):
            sessions.get(session.uuid)
        with pytest.raises(omero.WrappedCreateSessionException, match=session.uuid):
            sessions.join(session.uuid)
        assert sessions.release(session, explicit=True) == NOT_THERE
    assert not session.ended.is_set()
    sessions.close()
    assert closed(lab, session)


def test_looking_at_a_session_keeps_it_as_a_call_does(lab: Lab, sessions: Sessions) -> None:
    session = sessions.create(user=0, group=0, time_to_idle=60_000)
    for _ in range(3):
        session.used -= 50
        assert sessions.get(session.uuid) is session
    session.used -= 61
    assert session.ended.wait(WAIT_SECONDS)


def test_the_last_of_many_who_leave_at_once_ends_a_session_once(lab: Lab, sessions: Sessions) -> None:
    session = sessions.create(user=0, group=0, references=1)
    for _ in range(15):
        assert sessions.join(session.uuid) is session
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(sessions.release(session, explicit=True))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [CLOSED, *range(1, 16)]


def test_no_session_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    first = Sessions(store)
    session = first.create(user=0, group=0)
    again = Sessions(store)
    assert store.rows("SELECT c_closed FROM t_Session WHERE id = ?", session.row)[0][0] is not None
    assert again.find(session.uuid) is None
    first.close()
    again.close()
    store.close()


def test_a_read_only_server_has_sessions_and_no_rows_of_them(lab: Lab) -> None:
    lab.store.insert("Session", c_uuid="of a writing server", r_owner=0, c_timeToIdle=1, c_timeToLive=0)
    lab.store.refuse_writes()
    sessions = Sessions(lab.store, sync_seconds=QUICK, read_only=True)
    first, second = (sessions.create(user=0, group=0, references=1) for _ in range(2))
    assert (first.row, second.row) == (-1, -2)
    described = first.as_object()
    assert (described.id.val, described.uuid.val, described.owner.id.val) == (-1, first.uuid, 0)
    assert sessions.release(first, explicit=True) == CLOSED
    sessions.close()
    assert [row[0] for row in lab.store.rows("SELECT c_uuid FROM t_Session WHERE c_closed IS NULL")] == ["of a writing server"]


class Connection:
    """A client's connection, as far as `Clients` wants one."""

    def setCallback(self, callback: Any) -> None:  # noqa: N802  Ice's name
        self.callback = callback


def test_a_client_of_a_session_that_ended_while_it_joined_is_not_kept(lab: Lab, sessions: Sessions) -> None:
    clients, session = Clients(sessions, ThreadPoolExecutor(1)), sessions.create(user=0, group=0, references=1)
    early, late = (Client(session=session, connection=Connection()) for _ in range(2))
    clients.add(early, "factory of the first")
    assert clients.factory(early.identity.category) == "factory of the first"
    sessions.end(session)
    clients.add(late, "factory of the second")
    for client in (early, late):
        assert clients.factory(client.identity.category) is None
        assert clients.of(client.connection) is None


def test_all_go_who_logged_in_over_a_connection_that_is_lost(lab: Lab, sessions: Sessions) -> None:
    with ThreadPoolExecutor(1) as workers:
        clients, connection = Clients(sessions, workers), Connection()
        made = [sessions.create(user=0, group=0, references=1) for _ in range(2)]
        for session in made:
            clients.add(Client(session=session, connection=connection), "factory")
        connection.callback.closed(connection)
    assert clients.connections() == []
    assert all(session.ended.is_set() for session in made)


@pytest.mark.parametrize(
    ("seconds", "fraction"),
    [(1_000_000_000.0, "0"), (1_000_000_000.5, "5"), (1_000_000_000.25, "25"), (1_000_000_000.125, "125")],
)
def test_times_are_written_as_java_does(seconds: float, fraction: str) -> None:
    assert stamp(seconds).rpartition(".")[2] == fraction
