# SPDX-License-Identifier: GPL-2.0-or-later
"""Log-ins: each refusal by its type and before anything is done, and nothing left when a session is closed."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero.all
import pytest
from omero.rtypes import rbool, rstring

from omero_adi_plugin.errors import (
    ConfigurationError,
    ConnectionBroken,
    GroupForNobody,
    GroupUnknown,
    NotInGroup,
    OmeroDown,
    OmeroReadOnly,
    ServerTrouble,
    UserInactive,
    UserNeverLoggedIn,
    UserUnknown,
)
from omero_adi_plugin.sessions import Account, Logins, OmeroSession, clients
from omero_adi_plugin.sessions.keepalive import interval_seconds
from omero_devserver.services.directory import Directory
from tests.fixtures.administrators import add_administrator
from tests.fixtures.earlier import keeping_alive
from tests.fixtures.laboratory import make_group, make_user
from tests.fixtures.omero import OmeroServer, ServerHere, running_here, started
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.waiting import freeze, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.laboratory import Lab

IDLE_SECONDS = 3.0
"""Silence that a server allows: the shortest that our keep-alive, once a second at most, is good for."""


@pytest.fixture
def short(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server that gives every session `IDLE_SECONDS`, with a user `ada` in `lab`."""
    with running_here(tmp_path / "omero", template=server_template, session_idle_seconds=IDLE_SECONDS) as server:
        server.add_group("lab")
        server.add_user("ada", PASSWORD, ["lab"])
        yield server


@pytest.fixture
def here(server_here: ServerHere) -> ServerHere:
    """A server of the test's own with a user `ada` in `lab`."""
    server_here.add_group("lab")
    server_here.add_user("ada", PASSWORD, ["lab"])
    return server_here


def on_server(server: ServerHere, session: OmeroSession) -> Any:
    return server.server.sessions.get(session.client.getSessionId())


def open_sessions(server: ServerHere) -> list[str]:
    """What an administrator sees of who is logged in, himself left out."""
    with server.client() as root:
        own = root.getSessionId()
        response = root.submit(omero.cmd.CurrentSessionsRequest()).getResponse()
        return [session.userAgent.val for session in response.sessions if session.uuid.val != own]


# --- who may


def test_a_session_is_the_users_in_the_orders_group(logins: Logins) -> None:
    admin = logins.service().factory.getAdminService()
    groups = [make_group(admin), make_group(admin)]
    user = make_user(admin, *groups)
    for group in groups:
        with logins.act_for(user, group) as session:
            assert (session.user, session.group) == (user, group)
            assert session.query("select e.omeName from Experimenter e where e.id = :id", id=session.user_id) == [[user]]
    assert logins.default_group(user) == groups[0]


def test_a_user_that_is_not_there_is_unknown(lab: Lab, logins: Logins) -> None:
    for user in ("nobody-at-all", "", " ", "x' or 'a'='a", "<hidden>", "ädä", "n" * 300):
        for ask in (lambda user: logins.act_for(user, lab.group), logins.default_group):
            with pytest.raises(UserUnknown, match="order again") as caught:
                ask(user)
            assert (caught.value.similar, caught.value.directory) == (None, False)
            assert len(str(caught.value)) < 300


def test_of_a_user_written_otherwise_the_right_name_is_told(lab: Lab, logins: Logins) -> None:
    for user in (lab.user.upper(), f" {lab.user}"):
        with pytest.raises(UserUnknown, match=f"but one called '{lab.user}'") as caught:
            logins.act_for(user, lab.group)
        assert caught.value.similar == lab.user


def test_where_two_are_meant_none_is_told(here: ServerHere) -> None:
    here.add_user("Ada", PASSWORD, ["lab"])
    with Logins(here.account) as logins, pytest.raises(UserUnknown) as caught:
        logins.act_for("ADA", "lab")
    assert caught.value.similar is None


def test_where_there_is_a_directory_a_new_user_is_told_to_log_in_once(here: ServerHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Directory, "getSetting", lambda *_: True)  # the development server has no LDAP
    with Logins(here.account) as logins, pytest.raises(UserUnknown, match=r"LDAP.* log in to OMERO once"):
        logins.act_for("newcomer", "lab")


def test_a_user_who_is_switched_off_is_inactive(here: ServerHere) -> None:
    with here.client() as root:
        service = root.sf.getAdminService()
        service.removeGroups(service.lookupExperimenter("ada"), [service.lookupGroup("user")])
    with Logins(here.account) as logins:
        for ask in (lambda: logins.act_for("ada", "lab"), lambda: logins.default_group("ada")):
            with pytest.raises(UserInactive, match="'ada' is inactive"):
                ask()


def test_a_user_in_no_group_has_to_log_in_once(here: ServerHere) -> None:
    with here.client() as root:
        service = root.sf.getAdminService()
        user = omero.model.ExperimenterI()
        for set_to in (user.setOmeName, user.setFirstName, user.setLastName):
            set_to(rstring("eve"))
        user.setLdap(rbool(True))
        everybody = service.lookupGroup("user")
        service.createExperimenterWithPassword(user, rstring(PASSWORD), everybody, [])
    with Logins(here.account) as logins:
        for ask in (lambda: logins.act_for("eve", "lab"), lambda: logins.default_group("eve")):
            with pytest.raises(UserNeverLoggedIn, match="log in to OMERO once"):
                ask()


def test_the_guest_is_no_user_to_import_for(here: ServerHere) -> None:
    with Logins(here.account) as logins:
        for group in ("lab", "guest", "user"):
            with pytest.raises(UserInactive, match="visitors"):
                logins.act_for("guest", group)


def test_a_group_that_is_not_there_is_unknown(lab: Lab, logins: Logins) -> None:
    for group in ("no-such-group", lab.group.upper(), ""):
        with pytest.raises(GroupUnknown):
            logins.act_for(lab.user, group)


def test_a_group_that_the_user_is_not_in_is_refused(lab: Lab, logins: Logins) -> None:
    admin = logins.service().factory.getAdminService()
    for group in (make_group(admin), "system"):
        with pytest.raises(NotInGroup):
            logins.act_for(lab.user, group)


def test_the_groups_that_omero_keeps_for_itself_are_refused(lab: Lab, logins: Logins) -> None:
    for group in ("user", "guest"):  # of the first, OMERO would make the default group without a word
        with pytest.raises(GroupForNobody):
            logins.act_for(lab.user, group)


def test_a_wrong_password_names_the_settings_and_not_the_password(lab: Lab) -> None:
    wrong = Logins(replace(lab.account, password="not the password"))
    with pytest.raises(ConfigurationError, match="OMERO_PASSWORD") as caught:
        wrong.service()
    assert "not the password" not in str(caught.value)
    assert "not the password" not in repr(wrong)


def test_an_account_without_a_password_is_a_setting_to_correct(lab: Lab) -> None:
    with pytest.raises(ConfigurationError, match="OMERO_PASSWORD"):
        Logins(replace(lab.account, password="")).service()


def test_an_ordinary_account_cannot_act_for_others_and_the_privilege_is_named(lab: Lab) -> None:
    with (
        Logins(replace(lab.account, user=lab.user, password="secret")) as ordinary,
        pytest.raises(ConfigurationError, match="Sudo"),
    ):
        ordinary.act_for(lab.user, lab.group)


def test_an_administrator_with_sudo_alone_tells_each_trouble_of_users_as_root_does(lab: Lab, devserver: OmeroServer) -> None:
    account = replace(lab.account, user=add_administrator(devserver, ["Sudo"]), password=PASSWORD)
    with Logins(account) as logins:
        with logins.act_for(lab.user, lab.group) as session:
            assert (session.user, session.group) == (lab.user, lab.group)
        assert logins.default_group(lab.user) == lab.group
        for user, group, error in (
            ("nobody", lab.group, UserUnknown),
            (lab.user.upper(), lab.group, UserUnknown),
            (lab.user, "nothing", GroupUnknown),
            (lab.user, "system", NotInGroup),
            ("guest", lab.group, UserInactive),
        ):
            with pytest.raises(error) as caught:
                logins.act_for(user, group)
            assert getattr(caught.value, "similar", None) == (lab.user if user == lab.user.upper() else None)


# --- down, lost, replaced


def test_where_nobody_listens_omero_is_down(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OmeroDown, match=str(port)):
        Logins(Account(host="127.0.0.1", port=port, user="root", password="x")).service()


def test_a_read_only_server_is_one_that_nothing_can_be_done_with(server_template: Path, tmp_path: Path) -> None:
    with running_here(tmp_path / "omero", template=server_template) as server:
        server.add_group("lab")
        server.add_user("ada", PASSWORD, ["lab"])
    with running_here(tmp_path / "omero", read_only=True) as server, Logins(server.account) as logins:
        for attempt in (logins.service, lambda: logins.act_for("ada", "lab")):
            with pytest.raises(OmeroReadOnly, match="is read-only, so nothing can be imported"):
                attempt()
    with running_here(tmp_path / "omero") as server, Logins(server.account) as logins:
        logins.act_for("ada", "lab").close()


def test_a_lost_service_session_is_replaced(lab: Lab) -> None:
    with Logins(lab.account) as logins:
        first = logins.service()
        assert logins.service() is first
        first.client.killSession()
        assert logins.service() is not first
        assert logins.service().query("select e.id from Experimenter e where e.omeName = :name", name=lab.user)


def test_a_service_session_over_its_absolute_time_is_replaced(server_template: Path, tmp_path: Path) -> None:
    with (
        running_here(tmp_path / "omero", template=server_template, session_live_seconds=1.5) as server,
        Logins(server.account) as logins,
    ):
        first = logins.service()
        wait_until(on_server(server, first).overdue, what="the end of its time")
        assert logins.service() is not first
        assert logins.service().alive()


def test_a_busy_server_gets_no_further_log_ins(here: ServerHere) -> None:
    with Logins(here.account) as logins:
        first = logins.service()
        here.disturb.fail("IAdmin.getEventContext", exception="omero.DatabaseBusyException")
        assert logins.service() is first


def test_a_session_lost_while_it_asks_for_another_blames_no_user(here: ServerHere) -> None:
    with Logins(here.account) as logins:
        here.disturb.fail("ISession.createSessionWithTimeouts", exception="omero.RemovedSessionException")
        with pytest.raises(UserUnknown):  # it answers, so that it is the user who is not there
            logins.act_for("ada", "lab")
        here.disturb.fail("ISession.createSessionWithTimeouts", exception="omero.RemovedSessionException")
        here.disturb.fail("IAdmin.getEventContext", exception="omero.RemovedSessionException", call=2)
        with pytest.raises(ConnectionBroken):
            logins.act_for("ada", "lab")


def test_work_in_a_session_that_was_taken_away_is_a_broken_connection(lab: Lab, logins: Logins) -> None:
    session = logins.act_for(lab.user, lab.group)
    mine = omero.model.SessionI()
    mine.setUuid(rstring(session.client.getSessionId()))
    service = logins.service().factory.getSessionService()
    while service.closeSession(mine) >= 0:  # until the last reference is gone
        pass
    with pytest.raises(ConnectionBroken):
        session.query("select d.id from Dataset d")
    session.close()


# --- kept alive


@pytest.mark.parametrize(
    ("idle_milliseconds", "seconds"), [(600_000, 60), (30_000, 10), (3000, 1), (500, 1), (0, 60), (-1, 60), (10**12, 60)]
)
def test_a_session_is_kept_alive_three_times_within_its_idle_time(idle_milliseconds: int, seconds: float) -> None:
    assert interval_seconds(idle_milliseconds) == seconds


def test_silent_sessions_outlive_their_idle_time(short: ServerHere) -> None:
    with Logins(short.account) as logins, logins.act_for("ada", "lab") as session:
        both = [on_server(short, each) for each in (logins.service(), session)]
        assert [each.time_to_idle for each in both] == [1000 * IDLE_SECONDS] * 2
        begun = time.time()
        wait_until(lambda: time.time() > begun + IDLE_SECONDS + 1, what="a silence that the server does not allow")
        assert [each.overdue() for each in both] == [None, None]
        assert session.query("select g.name from ExperimenterGroup g where g.id = :id", id=session.group_id) == [["lab"]]


def test_a_call_that_fails_does_not_end_the_keeping_alive(short: ServerHere) -> None:
    with Logins(short.account) as logins:
        hits = on_server(short, logins.service())
        short.disturb.fail("ServiceFactory.keepAlive", exception="omero.DatabaseBusyException", times=2)
        before = hits.hits
        wait_until(lambda: hits.hits >= before + 4, what="further calls")


def test_of_a_session_that_has_ended_nothing_is_kept(short: ServerHere) -> None:
    with Logins(short.account) as logins:
        session = logins.act_for("ada", "lab")
        (thread,) = [each for each in threading.enumerate() if each.name == "keep-alive ada"]
        short.server.sessions.end(on_server(short, session))
        thread.join(10)
        assert not thread.is_alive()
        session.close()


# --- closed


def test_a_closed_session_is_gone_on_the_server(lab: Lab, logins: Logins) -> None:
    session = logins.act_for(lab.user, lab.group)
    key = session.client.getSessionId()
    session.close()
    session.close()  # once more is no harm
    with pytest.raises(omero.RemovedSessionException):
        logins.service().factory.getSessionService().getReferenceCount(key)


def test_a_refused_user_leaves_no_session(here: ServerHere) -> None:
    with Logins(here.account) as logins:
        for user, group in (("ada", "system"), ("nobody", "lab"), ("ada", "nothing"), ("ada", "user")):
            with pytest.raises((NotInGroup, UserUnknown, GroupUnknown, GroupForNobody)):
                logins.act_for(user, group)
        assert open_sessions(here) == ["omero-adi-plugin"]
    assert open_sessions(here) == []


@pytest.mark.parametrize(
    ("exception", "error"),
    [
        ("omero.SecurityViolation", NotInGroup),
        ("omero.InternalException", ServerTrouble),
        ("omero.SessionTimeoutException", ConnectionBroken),
    ],
)
def test_whatever_goes_wrong_at_a_log_in_leaves_no_session(here: ServerHere, exception: str, error: type[Exception]) -> None:
    with Logins(here.account) as logins:
        logins.service()
        here.disturb.fail("IAdmin.getEventContext", exception=exception, call=2)  # the first is that of the service account
        with pytest.raises(error):
            logins.act_for("ada", "lab")
        assert open_sessions(here) == ["omero-adi-plugin"]
        assert keeping_alive() == ["keep-alive root"]


def test_a_log_in_that_is_interrupted_leaves_no_session(here: ServerHere, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Logins(here.account) as logins:
        monkeypatch.setattr(logins, "_join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            logins.act_for("ada", "lab")
        assert open_sessions(here) == ["omero-adi-plugin"]


def test_a_session_is_given_back_although_the_service_accounts_own_was_lost(here: ServerHere) -> None:
    with Logins(here.account) as logins:
        session = logins.act_for("ada", "lab")
        here.server.sessions.end(on_server(here, logins.service()))
        session.close()
        assert open_sessions(here) == ["omero-adi-plugin"]
    assert open_sessions(here) == []


def test_sessions_of_a_server_that_has_gone_are_closed_without_it(server_template: Path, tmp_path: Path) -> None:
    with running_here(tmp_path / "omero", template=server_template) as server:
        server.add_group("lab")
        server.add_user("ada", PASSWORD, ["lab"])
        logins = Logins(server.account)
        session = logins.act_for("ada", "lab")
    session.close()
    logins.close()
    assert keeping_alive() == []


@pytest.mark.timeout(30)  # it would take twice Ice's minute, or the ten minutes of a call
def test_a_server_that_hangs_does_not_hold_up_the_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CLOSE_MILLISECONDS", 300)  # else it would be as long as a call may take: minutes
    with started(tmp_path / "omero") as server:
        server.add_group("lab")
        server.add_user("ada", PASSWORD, ["lab"])
        logins = Logins(server.account)
        session = logins.act_for("ada", "lab")
        assert server.process is not None
        freeze(server.process.pid)
        try:
            session.close()
            logins.close()
        finally:
            server.process.send_signal(signal.SIGCONT)
    assert keeping_alive() == []


def test_two_hundred_sessions_leave_no_thread_no_socket_and_nothing_on_the_server(here: ServerHere) -> None:
    def ours() -> tuple[int, int]:
        gc.collect()
        servers = sum(thread.name.startswith("worker_") for thread in threading.enumerate())  # as many as it likes
        return len(os.listdir("/proc/self/task")) - servers, len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (only to be counted)

    with Logins(here.account) as logins:
        for number in range(200):
            with logins.act_for("ada", "lab") as session:
                assert session.user == "ada"
            if number == 20:  # by then Ice has started all threads that it wants
                before = ours()
        wait_until(lambda: all(now <= then + 5 for now, then in zip(ours(), before, strict=True)), what="no more than before")
        assert open_sessions(here) == ["omero-adi-plugin"]
        assert keeping_alive() == ["keep-alive root"]
    assert open_sessions(here) == []
    assert keeping_alive() == []


def test_a_query_gives_plain_values(lab: Lab) -> None:
    session = lab.session
    rows = session.query(
        "select e.id, e.omeName from Experimenter e where e.id in (:ids) and e.omeName = :name",
        ids=[session.user_id, 0],
        name=session.user,
    )
    assert rows == [[session.user_id, session.user]]


def test_the_category_of_callbacks_is_asked_for_once(lab: Lab, logins: Logins) -> None:
    session = logins.act_for(lab.session.user, lab.session.group)
    category = session.callback_category
    assert category == session.client.getCategory()
    session.close()
    assert session.callback_category == category
