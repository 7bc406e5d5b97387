# SPDX-License-Identifier: GPL-2.0-or-later
"""A lost session is replaced for as long as the order gets on, a few times when it does not, and never behind OMERO's back."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import omero.all
import pytest

from omero_adi_plugin.errors import ConnectionBroken, DatabaseDown, LeaseLost, OmeroDown, ServerTrouble, UserInactive
from omero_adi_plugin.orders import Entry, Order, Target, TargetKind
from omero_adi_plugin.service import replacing
from omero_adi_plugin.service.replacing import PAUSES_SECONDS, in_sessions
from omero_adi_plugin.sessions import Logins, OmeroSession
from tests.fixtures.earlier import keeping_alive
from tests.fixtures.guards import Guard
from tests.fixtures.omero import ServerHere

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = Order(
    uuid="order",
    user="ada",
    group="lab",
    target=Target(kind=TargetKind.DATASET, id=1),
    entries=(Entry(path="/data/a.tif", name=None),),
)


def nothing() -> None:
    """What is to be done about a lost session, where that is of no interest."""


class Overtaken(Guard):
    """A guard whose lease is gone."""

    def check(self) -> None:
        raise LeaseLost(uuid="order")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "PAUSES_SECONDS", (0.0,) * len(PAUSES_SECONDS))


@pytest.fixture
def logins(server_here: ServerHere) -> Iterator[Logins]:
    server_here.add_group("lab")
    server_here.add_user("ada", "secret", ["lab"])
    with Logins(server_here.account) as logins:
        yield logins


class Work:
    """What is begun again in each session; the server ends the first ones under its hands."""

    def __init__(self, server: ServerHere, *, sessions_lost: int | None) -> None:
        self._server, self._lost = server, sessions_lost
        self.keys: list[str] = []

    def __call__(self, session: OmeroSession) -> str:
        self.keys.append(session.client.getSessionId())
        if self._lost is None or len(self.keys) <= self._lost:
            self._server.server.sessions.end(self._server.server.sessions.get(self.keys[-1]))
        session.query("select d.id from Dataset d")
        return "done"


def test_an_order_goes_on_in_a_new_session(server_here: ServerHere, logins: Logins) -> None:
    work = Work(server_here, sessions_lost=len(PAUSES_SECONDS))
    assert in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing) == "done"
    assert len(set(work.keys)) == len(PAUSES_SECONDS) + 1


def test_before_each_new_session_it_is_said_that_one_was_lost(server_here: ServerHere, logins: Logins) -> None:
    work = Work(server_here, sessions_lost=2)
    lost_after: list[int] = []
    in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=lambda: lost_after.append(len(work.keys)))
    assert lost_after == [1, 2]


def test_where_that_cannot_be_said_no_new_session_begins(server_here: ServerHere, logins: Logins) -> None:
    work = Work(server_here, sessions_lost=1)

    def unheard() -> None:
        raise DatabaseDown(where="h:5432", why="nobody answers")

    with pytest.raises(DatabaseDown):
        in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=unheard)
    assert len(work.keys) == 1


def test_an_order_that_gets_nothing_done_in_several_sessions_is_for_another_attempt(
    server_here: ServerHere, logins: Logins
) -> None:
    work = Work(server_here, sessions_lost=None)
    with pytest.raises(ConnectionBroken):
        in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 7, on_lost=nothing)
    assert len(work.keys) == len(PAUSES_SECONDS) + 1


def test_while_filesets_get_in_sessions_are_replaced_for_as_long_as_it_takes(server_here: ServerHere, logins: Logins) -> None:
    work, settled = Work(server_here, sessions_lost=20), itertools.count(1)
    assert in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: next(settled), on_lost=nothing) == "done"
    assert len(work.keys) == 21


def test_without_the_lease_no_session_is_replaced(server_here: ServerHere, logins: Logins) -> None:
    work = Work(server_here, sessions_lost=1)
    with pytest.raises(LeaseLost):
        in_sessions(logins, ORDER, work, guard=Overtaken(), settled=lambda: 0, on_lost=nothing)
    assert len(work.keys) == 1


def test_that_omero_is_down_is_not_taken_for_a_lost_session(server_here: ServerHere, logins: Logins) -> None:
    def work(session: OmeroSession) -> None:
        server_here.server.close()
        session.query("select d.id from Dataset d")

    with pytest.raises(OmeroDown):
        in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing)


def test_a_user_who_is_switched_off_meanwhile_is_told_so(server_here: ServerHere, logins: Logins) -> None:
    def work(session: OmeroSession) -> None:
        with server_here.client() as root:
            admin = root.sf.getAdminService()
            admin.removeGroups(admin.lookupExperimenter("ada"), [admin.lookupGroup("user")])
        server_here.server.sessions.end(server_here.server.sessions.get(session.client.getSessionId()))
        session.query("select d.id from Dataset d")

    with pytest.raises(UserInactive):
        in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing)


@pytest.mark.parametrize("ended", [True, False])
def test_what_the_server_says_otherwise_of_a_session_that_has_ended_counts_as_its_end(
    server_here: ServerHere, logins: Logins, *, ended: bool
) -> None:
    times = itertools.count(1)

    def work(session: OmeroSession) -> str:
        if next(times) > 1:
            return "done"
        if ended:
            server_here.server.sessions.end(server_here.server.sessions.get(session.client.getSessionId()))
        raise ServerTrouble(doing="importing", words="UnknownUserException")

    if ended:
        assert in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing) == "done"
    else:
        with pytest.raises(ServerTrouble):
            in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing)


def test_whatever_ends_the_work_no_session_is_left(server_here: ServerHere, logins: Logins) -> None:
    class Bug(Exception):
        pass

    def broken(session: OmeroSession) -> None:
        raise Bug

    def interrupted(session: OmeroSession) -> None:
        raise KeyboardInterrupt

    for work, error in ((broken, Bug), (interrupted, KeyboardInterrupt)):
        with pytest.raises(error):
            in_sessions(logins, ORDER, work, guard=Guard(), settled=lambda: 0, on_lost=nothing)
    with server_here.client() as root:
        found = root.submit(omero.cmd.CurrentSessionsRequest()).getResponse()
        assert [context.userName for context in found.contexts] == ["root", "root"]
    assert keeping_alive() == ["keep-alive root"]
