# SPDX-License-Identifier: GPL-2.0-or-later
"""Access: in whose name, and in which group, a call is made.

The session says who; the call's context may name another group (`omero.group`, -1 for all) or, for an administrator,
another user (`omero.user`). Texts of the refusals: real server, recorded (facts 4 and 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.store.caller import Caller
from omero_devserver.store.people import Memberships
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_devserver.store.people import People
    from omero_devserver.store.store import Store
    from omero_devserver.wire.sessions import Session

ALL_GROUPS = -1
SYSTEM_GROUP, USER_GROUP = 0, 1
LARGEST_ID = 2**63 - 1  # a Java long


def caller(store: Store, session: Session, context: Mapping[str, str]) -> Caller:
    """Work out the caller of one call.

    Parameters
    ----------
    store : Store
        Knows users and groups.
    session : Session
        The session of the call.
    context : mapping of str to str
        The call's context; an `omero.group` that is no number (of 64 bits) is ignored (recorded). With `omero.user` an
        administrator keeps his own rights, but what he makes belongs to that user (BasicEventContext of OMERO's source).

    Returns
    -------
    Caller
        With the group of the call.

    Raises
    ------
    omero.SecurityViolation
        The user is not in the group, or is no administrator and names another user.
    omero.ValidationException
        There is no such group or user.
    """
    found, privileges = standing(store.people, session)
    admin = SYSTEM_GROUP in found.member_of
    user = _number(context.get("omero.user"))
    if user is None:
        user = session.user
    elif user != session.user and not admin:
        raise fault(omero.SecurityViolation, f"User {session.user} is not an admin and so cannot set uid to {user}")
    elif store.people.user_name(user) is None:
        raise _missing("Experimenter", user)
    group = _number(context.get("omero.group"))
    if group is None:
        group = session.group
    if group != ALL_GROUPS:
        if store.people.group_name(group) is None:
            raise _missing("ExperimenterGroup", group)
        if not admin and group not in found.member_of:
            raise fault(omero.SecurityViolation, f"User {user} is not a member of group {group} and cannot login")
    return Caller(
        user=user,
        group=group,
        admin=admin,
        member_of=found.member_of,
        leader_of=found.leader_of,
        privileges=privileges,
        session=session.row,
        sudoer=session.sudoer,
        event_type=session.event_type,
    )


def require_group(store: Store, session: Session, *, group: int, who: Caller) -> None:
    """Refuse a caller who is not in `group`: 0 for administrators, 1 for active users.

    Raises
    ------
    omero.SecurityViolation
        With the names of the groups that the caller is in, his default group first (recorded).
    """
    if group in who.member_of:
        return
    mine = ", ".join(store.people.group_name(member) or "" for member in who.member_of)
    allowed = store.people.group_name(group)
    raise fault(omero.SecurityViolation, f"No matching roles found in [{mine}] for session {session.uuid} (allowed: [{allowed}])")


def login_group(store: Store, *, user: int | None, name: str | None) -> int:
    """Work out the group of a new session.

    Parameters
    ----------
    store : Store
        Knows the groups.
    user : int or None
        Whose session it will be; None for one that does not exist.
    name : str or None
        Wanted group; None, empty and `user` mean the default group. A group that he is not in is accepted here, and
        refused at the first call (recorded: facts 5).

    Returns
    -------
    int
        Id of the group.

    Raises
    ------
    omero.WrappedCreateSessionException
        There is no such group, or the user is in none but `user`.
    """
    people = store.people
    if name and name != "user":
        found = people.group_id(name)
        number = _number(name)
        if found is None and number is not None and people.group_name(number) is not None:
            found = number
        if found is None:
            raise _cannot_create(f"No such group: {name}")
        return found
    groups = [] if user is None else [group for group in people.memberships(user).member_of if group != USER_GROUP]
    if user is None or not groups:
        raise _cannot_create(f"Can't find default group for {None if user is None else people.user_name(user)}")
    return groups[0]


def standing(people: People, session: Session) -> tuple[Memberships, frozenset[str]]:
    """Look up groups and privileges of the session's user, less what the one lacks who acts for him.

    Acting for another administrator gives no privilege that oneself does not have; a group owner sees only the groups that
    both are in (recorded: facts 5; SessionManagerImpl of OMERO's source).
    """
    found, privileges = people.memberships(session.user), people.privileges(session.user)
    if session.sudoer is None:
        return found, privileges
    held, shared = people.privileges(session.sudoer), people.memberships(session.sudoer)
    if "Sudo" not in held:
        found = Memberships(
            member_of=tuple(group for group in found.member_of if group in shared.member_of),
            leader_of=tuple(group for group in found.leader_of if group in shared.leader_of),
        )
    return found, privileges & held


def _missing(kind: str, identifier: int) -> Any:
    text = f"No row with the given identifier exists: [ome.model.meta.{kind}#{identifier}]"
    return fault(omero.ValidationException, f"{text}; nested exception is org.hibernate.ObjectNotFoundException: {text}")


def _cannot_create(reason: str) -> Any:
    return omero.WrappedCreateSessionException(reason, False, 0, "ome.conditions.ApiUsageException")


def _number(text: str | None) -> int | None:
    try:
        number = int(text) if text else None
    except ValueError:
        return None
    return number if number is not None and abs(number) <= LARGEST_ID else None
