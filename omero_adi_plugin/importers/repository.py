# SPDX-License-Identifier: GPL-2.0-or-later
"""Repository: the managed repository of OMERO, as a service and as a folder on a disk that we share with it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero.all

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from omero_adi_plugin.importers.protocol import Session

LEAST_BYTES = 2**20
"""With less room than that, what the server cannot write counts as a full disk: links, folders and its logs are small."""

NEW_LINK = ".adi-"
"""So the name of a link begins that is about to take the place of another, see `relinking`; whoever dies over it leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRepository:
    """Where OMERO keeps imported files.

    service: omero.grid.ManagedRepositoryPrx.
    root:    its folder, as the server calls it; it must be mounted here under the same path.
    """

    service: Any
    root: Path

    @classmethod
    def of(cls, session: Session) -> ManagedRepository:
        """Return the managed repository of the session's server.

        Raises
        ------
        ConfigurationError
            The server has none.
        """
        with translated("looking for the managed repository", session.where):
            for proxy in session.factory.sharedResources().repositories().proxies:
                service = omero.grid.ManagedRepositoryPrx.checkedCast(proxy) if proxy else None
                if service:
                    folder = service.root()
                    return cls(service=service, root=Path(folder.getPath().getValue()) / folder.getName().getValue())
        raise ConfigurationError(f"OMERO at {session.where} offers no managed repository, so nothing can be imported.")

    def location(self, path: str, name: str) -> Path:
        """Return where on disk an OriginalFile of this repository lies, given its `path` and `name`."""
        return self.root / path.strip("/") / name

    def full(self) -> bool:
        """Tell whether its disk has no room left; a disk that does not say is not full."""
        try:
            status = os.statvfs(self.root)
        except OSError:
            return False
        no_more_files = status.f_files > 0 and status.f_favail == 0  # some file systems count no files
        return status.f_bavail * status.f_frsize < LEAST_BYTES or no_more_files

    def remove(self, *, template: str, files: Iterable[Path]) -> None:
        """Remove what a deleted fileset has left: its links, and its folders if they are empty then.

        OMERO leaves the template folder (real server, recorded). What cannot be removed stays: it does no harm. Nothing outside
        the template folder is touched, and the folders above it, which others share, stay.
        """
        folder = self.root / template.strip("/")
        if not template.strip("/") or ".." in folder.parts:
            return
        parents = {folder}
        for file in files:
            if folder in file.parents:
                parents |= {parent for parent in file.parents if parent == folder or folder in parent.parents}
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
        reached(Point.LINKS_REMOVED)
        for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                _remove_new_links(parent)
                os.rmdir(parent)  # noqa: PTH106 (Path.rmdir does the same; this says that only empty folders go)
        reached(Point.FOLDERS_REMOVED)


def _remove_new_links(folder: Path) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(NEW_LINK) and entry.is_symlink():
                os.unlink(entry.path)  # noqa: PTH108 (a text; Path would only cost time)
