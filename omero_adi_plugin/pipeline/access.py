# SPDX-License-Identifier: GPL-2.0-or-later
"""Access: whether another account of this host, the one that runs OMERO.server, may read a file.

The kernel answers that for our own account alone, so for another one it is told by owner, group and mode, as path_resolution(7)
and inode(7) have it. Where a file or folder has an access list as well, mode alone says too little: then the server decides.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
READ, SEARCH = 4, 1
"""Bits of a mode, for one of its three classes."""

LISTS = frozenset({"system.posix_acl_access", "system.nfs4_acl"})
"""Extended attributes with access lists: acl(5), nfs4_acl(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """An account of this host.

    gids: its groups; None: unknown, as for an account that only a container knows, and then it may be in any group.
    """

    name: str
    uid: int
    gids: frozenset[int] | None

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the account of this name.

        Raises
        ------
        ConfigurationError
            This host has none.
        """
        try:
            return cls._of(pwd.getpwnam(name))
        except KeyError as error:
            raise ConfigurationError(
                f"This host has no account '{name}'. Correct the setting `server_account`: the account that runs OMERO.server."
            ) from error

    @classmethod
    def owner_of(cls, folder: Path) -> Self | None:
        """Return the account that a folder belongs to; None if the folder cannot be seen from here."""
        try:
            uid = folder.stat().st_uid
        except OSError:
            return None
        try:
            return cls._of(pwd.getpwuid(uid))
        except KeyError:
            return cls(name=f"uid {uid}", uid=uid, gids=None)

    @classmethod
    def _of(cls, entry: pwd.struct_passwd) -> Self:
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        return cls(name=entry.pw_name, uid=entry.pw_uid, gids=frozenset(groups))

    def may(self, wanted: int, status: os.stat_result) -> bool:
        """Say whether owner, group and mode give this account a right: `READ`, or `SEARCH` for folders."""
        mode = stat.S_IMODE(status.st_mode)
        if self.uid == 0:
            return True
        if status.st_uid == self.uid:
            return bool(mode >> 6 & wanted)
        if self.gids is None:
            return bool((mode >> 3 | mode) & wanted)
        return bool((mode >> 3 if status.st_gid in self.gids else mode) & wanted)


class Access:
    """What one account may read. Answers for folders are remembered, so one object serves one order.

    Parameters
    ----------
    account : ServerAccount or None
        None: nobody knows, so nothing is refused.
    """

    def __init__(self, account: ServerAccount | None) -> None:
        self._account = account
        self._folders: dict[str, bool] = {}

    @property
    def name(self) -> str:
        """The account's name, for a person."""
        return self._account.name if self._account else ""

    def to_file(self, place: str, status: os.stat_result) -> bool:
        """Say whether the account may read a file.

        Parameters
        ----------
        place : str
            Its path, absolute and without links.
        status : os.stat_result
            Of the file.
        """
        return self._has(READ, place, status) and self.to_folder(place.rpartition("/")[0] or "/")

    def to_folder(self, place: str) -> bool:
        """Say whether the account may open what is in a folder, absolute and without links, by its name."""
        missing = []
        while (known := self._folders.get(place)) is None and place != "/":
            missing.append(place)
            place = place.rpartition("/")[0] or "/"
        if known is None:
            known = self._folders[place] = self._has(SEARCH, place, os.stat(place))  # noqa: PTH116 (a text)
        for folder in reversed(missing):
            known = self._folders[folder] = known and self._has(SEARCH, folder, os.stat(folder))  # noqa: PTH116 (a text)
        return known

    def _has(self, wanted: int, place: str, status: os.stat_result) -> bool:
        return self._account is None or self._account.may(wanted, status) or _has_list(place)


def _has_list(place: str) -> bool:
    try:
        return not LISTS.isdisjoint(os.listxattr(place))
    except OSError:  # a file system without such attributes
        return False
