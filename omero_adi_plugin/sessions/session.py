# SPDX-License-Identifier: GPL-2.0-or-later
"""Session: one log-in to OMERO that has been joined, and is kept alive until it is closed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Self

import omero.all
from omero.rtypes import rlist, rlong, rstring, unwrap

from omero_adi_plugin.ice import TROUBLE, translated
from omero_adi_plugin.sessions import clients
from omero_adi_plugin.sessions.keepalive import KeepAlive

if TYPE_CHECKING:
    from collections.abc import Callable


class OmeroSession:
    """A joined session.

    Parameters
    ----------
    client : omero.client
        Logged in; closed with the session.
    where : str
        Host and port of OMERO, for messages.
    idle_milliseconds : int
        How long the server lets it be silent, 0: for ever.

    Attributes
    ----------
    client : omero.client
    factory : omero.api.ServiceFactoryPrx
    where : str
    user, group : str
        Whose session it is, and in which group it reads and writes.
    user_id, group_id : int
        Their ids.
    give_back : callable or None
        What else is to be done at the end, once.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 (omero.client is untyped)
        *,
        where: str,
        idle_milliseconds: int,
    ) -> None:
        self.client, self.where = client, where
        self.factory: Any = client.getSession()
        self.give_back: Callable[[], None] | None = None
        context = self.factory.getAdminService().getEventContext()
        self.user: str = context.userName
        self.user_id: int = context.userId
        self.group: str = context.groupName
        self.group_id: int = context.groupId
        self._keep_alive = KeepAlive(self.factory, idle_milliseconds=idle_milliseconds, user=self.user, group=self.group)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<OmeroSession of {self.user} in {self.group} at {self.where}>"

    def query(self, hql: str, *, all_groups: bool = False, **parameters: object) -> list[list[Any]]:
        """Return the rows of a projection.

        Parameters
        ----------
        hql : str
            A query that selects values: `select d.id, d.name from Dataset d where d.id = :id`.
        all_groups : bool
            Look into all groups of the user, not only into the session's.
        parameters
            int, str, or a list of either. OMERO answers an empty list with an error: do not ask then.

        Returns
        -------
        list of list
            Rows of Python values; objects stay objects of omero.model. A row of one null is empty.
        """
        values = omero.sys.ParametersI()
        for name, value in parameters.items():
            values.add(name, _rtype(value))
        context = {"omero.group": "-1"} if all_groups else None
        with translated("asking OMERO", self.where):
            service = self.factory.getQueryService()
            rows = service.projection(hql, values, context) if context else service.projection(hql, values)
        return [[unwrap(value) for value in row] for row in rows]

    @functools.cached_property
    def callback_category(self) -> str:
        """What Ice's identities of objects must have as category for the server to reach them (Glacier2); asked for once."""
        return str(self.client.getCategory())

    def alive(self) -> bool:
        """Tell whether the session still answers. "Busy" is an answer: a server short of connections needs no further log-in."""
        try:
            self.factory.getAdminService().getEventContext()
        except omero.ConcurrencyException:
            return True
        except TROUBLE:
            return False
        return True

    def let_go(self) -> None:
        """Keep it alive no longer, and leave its end to whoever made its client."""
        self._keep_alive.stop()

    def close(self) -> None:
        """End what was made for this session; never raises.

        A session made for a user counts one reference of its own beside its client's, which has to be given back as well. It is
        given back and not killed, so that an import that still runs in it comes to its end (real server, recorded).
        """
        self._keep_alive.stop()
        clients.close(self.client)
        self._keep_alive.join()
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()


def _rtype(value: object) -> Any:  # noqa: ANN401 (omero.RType is untyped)
    if isinstance(value, int):
        return rlong(value)
    if isinstance(value, str):
        return rstring(value)
    if isinstance(value, (list, tuple)):
        return rlist([_rtype(item) for item in value])
    raise TypeError(f"a query cannot take {value!r}")
