# SPDX-License-Identifier: GPL-2.0-or-later
"""Log-ins: each refusal by its type and before anything is done, and nothing left when a session is closed."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import omero.all
import pytest
from omero.rtypes import rstring

from omero_adi_plugin.errors import ConfigurationError, ConnectionBroken, GroupUnknown, NotInGroup, OmeroDown, UserUnknown
from omero_adi_plugin.sessions import Account, Logins
from tests.fixtures.laboratory import make_group, make_user

if TYPE_CHECKING:
    from tests.fixtures.laboratory import Lab


def test_a_session_is_the_users_in_the_orders_group(logins: Logins) -> None:
    admin = logins.service().factory.getAdminService()
    groups = [make_group(admin), make_group(admin)]
    user = make_user(admin, *groups)
    for group in groups:
        with logins.act_for(user, group) as session:
            assert (session.user, session.group) == (user, group)
            assert session.gateway() is session.gateway()
            assert session.gateway().getUser().getName() == user


def test_a_user_that_is_not_there_is_unknown(lab: Lab, logins: Logins) -> None:
    for user in ("nobody-at-all", lab.user.upper(), ""):
        with pytest.raises(UserUnknown):
            logins.act_for(user, lab.group)


def test_a_group_that_is_not_there_is_unknown(lab: Lab, logins: Logins) -> None:
    for group in ("no-such-group", lab.group.upper(), ""):
        with pytest.raises(GroupUnknown):
            logins.act_for(lab.user, group)


def test_a_group_that_the_user_is_not_in_is_refused(lab: Lab, logins: Logins) -> None:
    admin = logins.service().factory.getAdminService()
    for group in (make_group(admin), "system", "user"):  # of the last, OMERO would make the default group without a word
        with pytest.raises(NotInGroup):
            logins.act_for(lab.user, group)


def test_a_refused_user_leaves_no_session(lab: Lab, logins: Logins) -> None:
    def open_sessions() -> int:
        query = "select count(s.id) from Session s where s.closed is null and s.owner.omeName = :name"
        [[count]] = logins.service().query(query, all_groups=True, name=lab.user)
        return int(count)

    before = open_sessions()
    with pytest.raises(NotInGroup):
        logins.act_for(lab.user, "system")
    assert open_sessions() == before


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


def test_where_nobody_listens_omero_is_down(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OmeroDown, match=str(port)):
        Logins(Account(host="127.0.0.1", port=port, user="root", password="x")).service()


def test_a_lost_service_session_is_replaced(lab: Lab) -> None:
    with Logins(lab.account) as logins:
        first = logins.service()
        assert logins.service() is first
        first.client.killSession()
        assert logins.service() is not first
        assert logins.service().query("select e.id from Experimenter e where e.omeName = :name", name=lab.user)


def test_a_closed_session_is_gone_on_the_server(lab: Lab, logins: Logins) -> None:
    session = logins.act_for(lab.user, lab.group)
    key = session.client.getSessionId()
    session.close()
    session.close()  # once more is no harm
    with pytest.raises(omero.RemovedSessionException):
        logins.service().factory.getSessionService().getReferenceCount(key)


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


def test_a_query_gives_plain_values(lab: Lab) -> None:
    session = lab.session
    rows = session.query(
        "select e.id, e.omeName from Experimenter e where e.id in (:ids) and e.omeName = :name",
        ids=[session.user_id, 0],
        name=session.user,
    )
    assert rows == [[session.user_id, session.user]]
