# SPDX-License-Identifier: GPL-2.0-or-later
"""Person: whoever has launched a script, and whose orders that person may see and change.

An administrator reads everything in OMERO, with or without privileges, so may see all orders. To change what another has ordered
is to act for that person: in OMERO that takes the privilege Sudo (real server, facts 5 and 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from omero_adi_plugin.sessions import OmeroSession

SUDO = "Sudo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who asks.

    name: as OMERO has it, which is how orders name their user.
    """

    name: str
    sees_all: bool = False
    changes_all: bool = False

    @classmethod
    def of(cls, session: OmeroSession) -> Self:
        """Return whose session it is.

        Raises
        ------
        OmeroDown, ConnectionBroken, ServerTrouble
            OMERO does not say.
        """
        with translated("asking OMERO who you are", session.where):
            context = session.factory.getAdminService().getEventContext()
        admin = bool(context.isAdmin)
        return cls(name=context.userName, sees_all=admin, changes_all=admin and SUDO in context.adminPrivileges)

    @property
    def who(self) -> str:
        """How this person stands in the record of who did what."""
        return f"{self.name}@OMERO.web"

    def may_see(self, user: str) -> bool:
        """Return whether orders of a user may be seen."""
        return self.sees_all or user == self.name

    def may_change(self, user: str) -> bool:
        """Return whether orders of a user may be ordered again and called off."""
        return self.changes_all or user == self.name
