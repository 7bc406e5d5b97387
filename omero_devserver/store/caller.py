# SPDX-License-Identifier: GPL-2.0-or-later
"""Caller: on whose behalf, and in which group, something is read or written."""

from dataclasses import dataclass

#: The context of a call that looks at all groups of its caller (``omero.group=-1``).
ALL_GROUPS = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user in the context of one call.

    user:       row id of the Experimenter; what is created belongs to it.
    group:      row id of the ExperimenterGroup of the call; -1 means all groups, and is good for reading only.
    admin:      member of group `system`, with or without privileges.
    member_of:  groups of the user, the default group first.
    leader_of:  those of them that the user owns.
    privileges: values of AdminPrivilege that an administrator holds.
    session:    row id of the Session that events are recorded for.
    sudoer:     row id of the Experimenter who acts for the user, if somebody does.
    event_type: value of EventType of those events.
    privileged: skips all checks: what the server itself does in the user's name, as a user may not link to a script
                of root, but a job of the user may.
    """

    user: int
    group: int
    admin: bool
    member_of: tuple[int, ...]
    leader_of: tuple[int, ...]
    privileges: frozenset[str]
    session: int | None
    sudoer: int | None = None
    event_type: str = "User"
    privileged: bool = False

    @property
    def real_user(self) -> int:
        """Row id of the Experimenter behind the call: who acts for the user, or the user itself."""
        return self.user if self.sudoer is None else self.sudoer


#: The server itself, for what it keeps for its own use.
SERVER = Caller(
    user=0,
    group=ALL_GROUPS,
    admin=True,
    member_of=(0, 1),
    leader_of=(0,),
    privileges=frozenset(),
    session=None,
    event_type="Internal",
    privileged=True,
)
