# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: the folders that the files of an order must lie in, after links and `..` are resolved."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.errors import ConfigurationError, PathOutsideRoots, StorageDown
from omero_adi_plugin.pipeline.storage import check_above, check_root
from omero_adi_plugin.settings.roots import OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_adi_plugin.settings import Settings

MOST_NAMED = 3
"""So many roots are named in a sentence."""


def folders_of(settings: Settings, group: str) -> tuple[Path, ...]:
    """Return the folders that the settings name for a group, links not resolved."""
    named = settings.group_roots
    return named.get(group) or named.get(OTHERS) or (settings.base_dir,)


class Roots:
    """The roots of one group. Resolved folders are remembered, so one object serves one order.

    Parameters
    ----------
    base_dir : Path
        As configured; may be, or lead through, a link.
    folders : sequence of Path
        Where files may lie; all of them in `base_dir`.

    Raises
    ------
    StorageDown
        `base_dir` is not there.
    ConfigurationError
        One of the folders leads out of it.
    """

    def __init__(self, *, base_dir: Path, folders: Sequence[Path]) -> None:
        self._configured, self._base = os.path.abspath(base_dir), os.path.realpath(base_dir)  # noqa: PTH100 (links stay)
        if not os.path.isdir(self._base):  # noqa: PTH112 (a mount that is away fails no order)
            raise StorageDown(folder=self._configured, why="is not there")
        self._roots = {str(folder): os.path.realpath(folder) for folder in folders}
        for folder, root in self._roots.items():
            if not _lies_in(root, self._base):
                raise ConfigurationError(
                    f"`group_roots` names '{folder}', which leads out of `base_dir` ('{base_dir}') to '{root}'. "
                    "Correct one of the two settings; orders wait meanwhile."
                )
        self._names = "' or '".join(str(folder) for folder in folders[:MOST_NAMED])
        self._folders: dict[str, str] = {}

    @classmethod
    def of(cls, settings: Settings, group: str) -> Self:
        """Return the roots of a group; raises as the class."""
        return cls(base_dir=settings.base_dir, folders=folders_of(settings, group))

    def locate(self, path: str) -> str:
        """Return where a path leads, without links and `..`; whether something is there is not asked.

        Raises
        ------
        PathOutsideRoots
            It leads out of the roots.
        """
        folder, _, name = path.rpartition("/")
        if name in {"", ".", ".."}:
            place = os.path.realpath(path)
        else:
            known = self._folders.get(folder)
            if known is None:
                known = self._folders[folder] = os.path.realpath(folder or "/")
            place = f"{known.rstrip('/')}/{name}"
            if _is_link(place):
                place = os.path.realpath(place)
        if not self.hold(place):
            raise self.refusal(path)
        return place

    def check_storage(self, place: str) -> None:
        """Return if the storage that a path of the order leads to is there; whether a file is, is not asked.

        Parameters
        ----------
        place : str
            As `locate` gives it.

        Raises
        ------
        StorageDown
            `base_dir`, or the root that the path lies in, is away or empty, or the file system of a folder above it is away.
        """
        check_root(self._base, shown=self._configured)
        for folder, root in self._roots.items():
            if _lies_in(place, root):
                if root != self._base:
                    check_root(root, shown=folder)
                check_above(place, root=root)
                return

    def hold(self, place: str) -> bool:
        """Say whether a path without links lies in the roots."""
        return any(_lies_in(place, root) for root in self._roots.values())

    def hold_by_any_name(self, place: str) -> bool:
        """Say whether a path lies in the roots, by what the folders are and not by what they are called.

        Where capitals do not count (a share of Windows, say) the kernel may spell a folder otherwise than the settings do.
        """
        known = {_identity(root) for root in self._roots.values()}
        while not (found := _identity(place) in known) and place != "/":
            place = place.rpartition("/")[0] or "/"
        return found

    def refusal(self, path: str) -> PathOutsideRoots:
        """Return what to say of a path outside."""
        return PathOutsideRoots(path=path, root=self._names)

    def source(self, place: str) -> str:
        """Return a path that `locate` gave as OMERO is to know it.

        It begins with `base_dir` as configured: should that be a link of the administrator, it may be pointed elsewhere when the
        data moves. What follows has no links, which somebody else could change later.
        """
        if self._configured == self._base:
            return place
        return os.path.join(self._configured, os.path.relpath(place, self._base))  # noqa: PTH118 (texts, 100,000 of them)


def _lies_in(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")


def _identity(place: str) -> tuple[int, int] | str:
    try:
        status = os.stat(place)  # noqa: PTH116 (a text, 100,000 of them)
    except OSError:
        return place
    return status.st_dev, status.st_ino


def _is_link(place: str) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.lstat(place).st_mode)
    return False
