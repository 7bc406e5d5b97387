# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: the folders that the files of an order must lie in, after links and `..` are resolved."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.errors import ConfigurationError, PathOutsideRoots
from omero_adi_plugin.settings.roots import OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_adi_plugin.settings import Settings

MOST_NAMED = 3
"""So many roots are named in a sentence."""


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
    ConfigurationError
        `base_dir` is not there, or one of the folders leads out of it.
    """

    def __init__(self, *, base_dir: Path, folders: Sequence[Path]) -> None:
        self._configured, self._base = os.path.abspath(base_dir), os.path.realpath(base_dir)  # noqa: PTH100 (links stay)
        if not os.path.isdir(self._base):  # noqa: PTH112 (a mount that is away fails no order)
            raise self._not_there()
        self._roots = [os.path.realpath(folder) for folder in folders]
        for folder, root in zip(folders, self._roots, strict=True):
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
        named = settings.group_roots
        folders = named.get(group) or named.get(OTHERS) or (settings.base_dir,)
        return cls(base_dir=settings.base_dir, folders=folders)

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

    def away(self) -> ConfigurationError | None:
        """Return what to say if nothing at all is in `base_dir`, as when what is mounted there is away; None if something is."""
        try:
            with os.scandir(self._base) as found:
                if next(found, None) is not None:
                    return None
        except OSError:
            return self._not_there()
        return ConfigurationError(
            f"The folder '{self._configured}', which files to import must lie in (`base_dir`), is empty. "
            "Mount what belongs there, or correct the setting; orders wait meanwhile."
        )

    def _not_there(self) -> ConfigurationError:
        return ConfigurationError(
            f"The folder '{self._configured}', which files to import must lie in (`base_dir`), is not there. "
            "Mount it, or correct the setting; orders wait meanwhile."
        )

    def hold(self, place: str) -> bool:
        """Say whether a path without links lies in the roots."""
        return any(_lies_in(place, root) for root in self._roots)

    def hold_by_any_name(self, place: str) -> bool:
        """Say whether a path lies in the roots, by what the folders are and not by what they are called.

        Where capitals do not count (a share of Windows, say) the kernel may spell a folder otherwise than the settings do.
        """
        known = {_identity(root) for root in self._roots}
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
