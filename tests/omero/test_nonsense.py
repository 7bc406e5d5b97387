# SPDX-License-Identifier: GPL-2.0-or-later
"""Nonsense as arguments of administrative operations: each is answered with an exception of OMERO's, and the session lives on."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import omero
import pytest
from omero.model import AdminPrivilegeI, ExperimenterGroupI, ExperimenterI, SessionI
from omero.rtypes import rstring

from tests.fixtures.omero import OmeroServer

NO_USER, NO_GROUP = ExperimenterI(999_999, False), ExperimenterGroupI(999_999, False)
USERS, GROUPS = (None, ExperimenterI(), NO_USER), (None, ExperimenterGroupI(), NO_GROUP)
ADMIN: dict[str, Callable[[Any], None]] = {
    **{f"createSystemUser {at}": methodcaller("createSystemUser", u) for at, u in enumerate(USERS)},
    **{f"createGroup {at}": methodcaller("createGroup", g) for at, g in enumerate(GROUPS)},
    **{f"updateExperimenter {at}": methodcaller("updateExperimenter", u) for at, u in enumerate(USERS)},
    **{f"updateGroup {at}": methodcaller("updateGroup", g) for at, g in enumerate(GROUPS)},
    **{f"deleteExperimenter {at}": methodcaller("deleteExperimenter", u) for at, u in enumerate(USERS)},
    **{f"deleteGroup {at}": methodcaller("deleteGroup", g) for at, g in enumerate(GROUPS)},
    **{f"addGroups {at}": methodcaller("addGroups", u, [ExperimenterGroupI(0, False)]) for at, u in enumerate(USERS)},
    **{f"setGroupOwner {at}": methodcaller("setGroupOwner", g, NO_USER) for at, g in enumerate(GROUPS[1:])},
    "createExperimenter": lambda s: s.createExperimenter(None, NO_GROUP, []),
    "createExperimenter, group": lambda s: s.createExperimenter(ExperimenterI(), None, []),
    "createRestrictedSystemUser": lambda s: s.createRestrictedSystemUser(ExperimenterI(), [None]),
    "setAdminPrivileges": lambda s: s.setAdminPrivileges(NO_USER, []),
    "setAdminPrivileges, unset": lambda s: s.setAdminPrivileges(ExperimenterI(0, False), [AdminPrivilegeI()]),
    "removeGroups": lambda s: s.removeGroups(NO_USER, [ExperimenterGroupI()]),
    "setDefaultGroup": lambda s: s.setDefaultGroup(NO_USER, NO_GROUP),
    "changeUserPassword": lambda s: s.changeUserPassword("", rstring("x")),
    "canUpdate": lambda s: s.canUpdate(None),
    "getMemberOfGroupIds": lambda s: s.getMemberOfGroupIds(ExperimenterI()),
    "updateSelf": lambda s: s.updateSelf(None),
}
SESSION: dict[str, Callable[[Any], None]] = {
    "getSession": lambda s: s.getSession(""),
    "closeSession": lambda s: s.closeSession(None),
    "closeSession, empty": lambda s: s.closeSession(SessionI()),
    "closeSession, unloaded": lambda s: s.closeSession(SessionI(1, False)),
    "getInput": lambda s: s.getInput("", ""),
    "createSessionWithTimeouts": lambda s: s.createSessionWithTimeouts(None, 0, 0),
    "createSessionWithTimeouts, empty": lambda s: s.createSessionWithTimeouts(omero.sys.Principal(), 0, 0),
}
FACTORY: dict[str, Callable[[Any], None]] = {
    "setSecurityContext": lambda sf: sf.setSecurityContext(None),
    "setSecurityContext, empty": lambda sf: sf.setSecurityContext(ExperimenterGroupI()),
    "setSecurityContext, missing": lambda sf: sf.setSecurityContext(NO_GROUP),
    "setSecurityContext, user": lambda sf: sf.setSecurityContext(ExperimenterI(0, False)),
    "subscribe": lambda sf: sf.subscribe("", None),
    "setSecurityPassword": lambda sf: sf.setSecurityPassword(""),
}


@pytest.fixture(scope="module")
def root(omero_server: OmeroServer) -> Any:
    with omero_server.client() as client:
        yield client


@pytest.mark.parametrize("call", ADMIN.values(), ids=ADMIN.keys())
def test_of_users_and_groups(root: Any, call: Callable[[Any], None]) -> None:
    service = root.sf.getAdminService()
    with pytest.raises(omero.ServerError):
        call(service)
    assert service.getEventContext().userName == root.sf.getAdminService().getExperimenter(0).omeName.val


@pytest.mark.parametrize("call", SESSION.values(), ids=SESSION.keys())
def test_of_sessions(root: Any, call: Callable[[Any], None]) -> None:
    service = root.sf.getSessionService()
    with pytest.raises(omero.ServerError):
        call(service)
    assert service.getSession(root.getSessionId()).uuid.val == root.getSessionId()


@pytest.mark.parametrize("call", FACTORY.values(), ids=FACTORY.keys())
def test_of_the_service_factory(root: Any, call: Callable[[Any], None]) -> None:
    with pytest.raises(omero.ServerError):
        call(root.sf)
    assert root.sf.getQueryService().get("ExperimenterGroup", 0).name.val == "system"
