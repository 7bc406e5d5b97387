# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders: permanent trouble of an order. Trying again changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors.base import LONGEST_NAME, MOST_IDS, AdiError, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


class OrderFailed(AdiError):
    """Trying again changes nothing until a person does something."""


class OrderMalformed(OrderFailed):
    """A column of the order's row holds something that cannot be an order."""

    def __init__(self, *, column: str, problem: str) -> None:
        super().__init__(f"The order cannot be read: {problem}. Correct `{column}` and order again.")
        self.column, self.problem = column, problem


class OrderNotFound(OrderFailed):
    """There is no order with this uuid."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(f"There is no order '{uuid}'. `omero adi orders list` shows the newest ones.")
        self.uuid = uuid


class ImportsDamaged(OrderFailed):
    """Something that orders have imported is not as it was imported; the findings are printed by then."""

    def __init__(self, *, findings: int) -> None:
        super().__init__(f"{findings} finding{'' if findings == 1 else 's'} to see to, listed above with what to do.")
        self.findings = findings


class UserUnknown(OrderFailed):
    """OMERO has no user of this name.

    similar:   a user whose name differs in capitals only, None if there is none.
    directory: users of this OMERO may come from a directory (LDAP): those are known only after their first login.
    """

    def __init__(self, *, user: str, similar: str | None = None, directory: bool = False) -> None:
        name = quoted(user, length=LONGEST_NAME)
        known = f", but one called {quoted(similar, length=LONGEST_NAME)}" if similar else ""
        first = (
            " Somebody whose account comes from the directory (LDAP) has to log in to OMERO once before the first order."
            if directory
            else ""
        )
        super().__init__(
            f"OMERO has no user {name}{known}. User names are case-sensitive: correct the name and order again.{first}"
        )
        self.user, self.similar, self.directory = user, similar, directory


class UserInactive(OrderFailed):
    """The user exists, and is switched off in OMERO, or is the guest, who may never do anything."""

    def __init__(self, *, user: str, guest: bool = False) -> None:
        super().__init__(
            f"'{user}' is OMERO's account for visitors, to which nothing can belong. Order for a user of your own."
            if guest
            else f"The user '{user}' is inactive in OMERO. Let an administrator activate the account and order again, "
            "or order for another user."
        )
        self.user, self.guest = user, guest


class UserNeverLoggedIn(OrderFailed):
    """The user has an account that OMERO has put into no group yet, as one that an LDAP made: it has nowhere to put images."""

    def __init__(self, *, user: str) -> None:
        super().__init__(
            f"The user '{user}' is in no group of OMERO yet, so there is no place for the images. "
            "Let the user log in to OMERO once, or an administrator put the user into a group, then order again."
        )
        self.user = user


class GroupUnknown(OrderFailed):
    """OMERO has no group of this name."""

    def __init__(self, *, group: str) -> None:
        super().__init__(f"OMERO has no group '{group}'. Group names are case-sensitive: correct it and order again.")
        self.group = group


class NotInGroup(OrderFailed):
    """The user is no member of the order's group."""

    def __init__(self, *, user: str, group: str) -> None:
        super().__init__(
            f"The user '{user}' is not a member of the group '{group}'. "
            f"Order into one of the user's own groups, or let an administrator add '{user}' to '{group}' and order again."
        )
        self.user, self.group = user, group


class GroupForNobody(OrderFailed):
    """The order names a group that OMERO needs for itself, in which no images can lie."""

    def __init__(self, *, group: str) -> None:
        super().__init__(
            f"'{group}' is a group that OMERO keeps for itself: no images can lie in it. Order into one of the user's own groups."
        )
        self.group = group


class TargetMissing(OrderFailed):
    """The Dataset or Screen does not exist, or cannot be seen by the user in the order's group."""

    def __init__(self, *, target: str, user: str, group: str) -> None:
        super().__init__(
            f"There is no {target} that '{user}' can see in the group '{group}'. "
            "It may have been deleted or lie in another group: choose an existing one and order again."
        )
        self.target, self.user, self.group = target, user, group


class TargetVanished(OrderFailed):
    """The target was there when the import began, and is not any more; what had been imported is in no container now."""

    def __init__(self, *, target: str, kind: str, ids: Sequence[int]) -> None:
        things = {"Screen": "plate"}.get(kind, "image")
        more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
        named = ", ".join(map(str, ids[:MOST_IDS])) + more
        super().__init__(
            f"{target} went away during the import. What had been imported by then is in no {kind}: "
            f"{things}{'' if len(ids) == 1 else 's'} {named}. Put it where it belongs, or delete it, and order the rest again."
        )
        self.target, self.kind, self.ids = target, kind, tuple(ids)


class TargetNotWritable(OrderFailed):
    """The user sees the target but may not put anything into it."""

    def __init__(self, *, target: str, user: str) -> None:
        super().__init__(
            f"The user '{user}' may not add anything to {target}, because it belongs to somebody else. "
            "Choose one of the user's own and order again."
        )
        self.target, self.user = target, user
