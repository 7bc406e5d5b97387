# SPDX-License-Identifier: GPL-2.0-or-later
"""Given: the session that one of OMERO's Processors gave to a script. It can be joined as often as wanted, and not be replaced.

It is a session of whoever launched the script, in one group, with an absolute life (`omero.scripts.timeout`) and no limit of
idleness (real server, recorded).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import Glacier2

from omero_adi_plugin.errors import NotInGroup, OmeroDown, SessionOver
from omero_adi_plugin.ice import TROUBLE, translated
from omero_adi_plugin.sessions.clients import CALL_MILLISECONDS, brief, close, given_client, means_overload
from omero_adi_plugin.sessions.keepalive import KeepAlive
from omero_adi_plugin.sessions.session import OmeroSession


class GivenSession:
    """The session of a script.

    Parameters
    ----------
    client : omero.client
        That of the script, joined to its session; kept alive until `close`, and not closed here.
    config : str
        File of Ice's properties by which a client joins it, as `ICE_CONFIG` names it in a script's environment.

    Attributes
    ----------
    where : str
        Host and port of OMERO, for messages.
    user, group : str
        Whose session it is, and in which group.
    life_seconds : float or None
        How long the session lives from its beginning on; None: without an end.

    Raises
    ------
    OmeroDown, ConnectionBroken
        OMERO does not answer.
    """

    def __init__(self, client: Any, *, config: str) -> None:  # noqa: ANN401 (omero.client is untyped)
        self._client, self._config = client, config
        self.where = _where(client)
        with translated("looking at the session of the script", self.where):
            context = client.sf.getAdminService().getEventContext()
            described = client.sf.getSessionService().getSession(client.getSessionId())
        self.user: str = context.userName
        self.group: str = context.groupName
        # the script's own client is silent while orders are carried out, and needed at the end
        self._keep_alive = KeepAlive(client.sf, idle_milliseconds=0, user=self.user, group=self.group)
        life = described.getTimeToLive().getValue()
        self.life_seconds: float | None = life / 1000 if life > 0 else None

    def act_for(self, user: str, group: str) -> OmeroSession:
        """Join the session anew, in a connection of its own; whoever asked for it closes it.

        Raises
        ------
        NotInGroup
            It is another user's, or in another group.
        SessionOver
            It has ended.
        OmeroDown, ConnectionBroken
            OMERO does not answer.
        """
        if (user, group) != (self.user, self.group):
            raise NotInGroup(user=user, group=group)
        client = given_client(self._config, call_milliseconds=CALL_MILLISECONDS)
        try:
            with translated(f"joining the session of '{user}'", self.where):
                try:
                    client.createSession()
                except Glacier2.PermissionDeniedException as error:
                    if means_overload(error):
                        raise OmeroDown(where=self.where, why="the server is overloaded") from error
                    raise SessionOver from error
                except Glacier2.CannotCreateSessionException as error:
                    raise SessionOver from error
                client.sf.detachOnDestroy()  # it is not ours to end
                return OmeroSession(client, where=self.where, idle_milliseconds=0)
        except BaseException:
            close(client)
            raise

    def end(self) -> None:
        """Have the session end when the script's own client is closed; never raises.

        Whoever launched the script has let it go, and with that the one reference to the session that nobody would take away
        before its life is over.
        """
        with contextlib.suppress(*TROUBLE):
            factory = brief(self._client.sf)
            service = brief(factory.getSessionService())
            service.closeSession(service.getSession(self._client.getSessionId()))
            factory.closeOnDestroy()

    def close(self) -> None:
        """Say no more that the session is wanted; never raises."""
        self._keep_alive.stop()


def age_seconds() -> float:
    """Return how long this process has lived by now, in s.

    The session of a script is made just before its process is started, perhaps on another host, whose clock may be another one.
    Source: proc(5), `starttime`.
    """
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def _where(client: Any) -> str:  # noqa: ANN401 (as above)
    for endpoint in client.getCommunicator().getDefaultRouter().ice_getEndpoints():
        info = endpoint.getInfo()
        if getattr(info, "host", ""):
            return f"{info.host}:{info.port}"
    return "the server"
