# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk: where the files of the data folder are, and their rows for folders and roots."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rstring

from omero_devserver.store.caller import SERVER
from omero_devserver.store.repositories import MANAGED, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from omero_devserver.store.store import Store

log = logging.getLogger(__name__)

REPOSITORY_UUID = MANAGED
DATA_UUID = "4f4d4552-4f2d-4445-5653-455256455233"  # of the data folder, which a real server calls a repository as well
USER_GROUP = 1  # what belongs to everybody
DIRECTORY = "Directory"
LOG_MIMETYPE = "application/omero-log-file"


class Disk:
    """The folders below the data folder.

    root:    the managed repository.
    root_id: id of the OriginalFile row that describes it.
    """

    def __init__(self, *, data: Path, store: Store) -> None:
        self._data = Path(os.path.abspath(data))  # noqa: PTH100  not resolve(): clients on the same disk see this path
        self._store = store
        self.root = self._data / "ManagedRepository"
        self.root.mkdir(parents=True, exist_ok=True)
        self._describe(self._data, DATA_UUID)
        self.root_id = self._describe(self.root, REPOSITORY_UUID)

    def below_root(self, path: str) -> Path:
        """Give the place of a repository path, as ``alice_2/2026-11/24/…/a.tif``, without looking whether it is there.

        Raises
        ------
        ValueError
            The path leaves the repository.
        """
        return _below(self.root, path)

    def location(self, file: Any) -> Path | None:
        """Give the place of an OriginalFile of the managed repository, or of an official script; None for any other.

        Raises ValueError as `below_root` does: clients may save rows with any path.
        """
        if file.repo is not None and file.repo.val == REPOSITORY_UUID:
            return self.below_root(file.path.val + file.name.val)
        if file.repo is not None and file.repo.val == SCRIPTS:
            return _below(self._data / "lib" / "scripts", file.path.val + file.name.val)
        return None

    def attachment(self, file_id: int) -> Path:
        """Give the place of an OriginalFile that belongs to no repository."""
        return self._data / "Files" / str(file_id)

    def pixel_buffer(self, pixels_id: int) -> Path:
        """Give the place of planes that were written by a client, not imported."""
        return self._data / "Pixels" / str(pixels_id)

    def thumbnail(self, thumbnail_id: int) -> Path:
        """Give the place of the picture that belongs to a Thumbnail row."""
        return self._data / "Thumbnails" / str(thumbnail_id)

    def remove(self, files: Iterable[tuple[str | None, str | None, str | None]]) -> None:
        """Remove links, logs and copies of deleted rows: what the repository holds, never what a link points to.

        Called after the deletion has been committed; a file that is not there any more is no error, and one that cannot be
        removed is only logged: its row has gone already. A folder goes as well, with nothing in it.
        """
        paths = [(path or "") + name for uuid, path, name in files if uuid == REPOSITORY_UUID and name]
        for path in sorted(paths, key=lambda path: path.count("/"), reverse=True):
            try:
                place = self.below_root(path)
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink(missing_ok=True)
            except (OSError, ValueError) as error:
                log.warning("cannot remove '%s': %s", path, error)

    def data_of(self, objects: Mapping[str, Iterable[int]]) -> list[Path]:
        """List where attachments, planes and thumbnails of some objects are; ids by full class name, as a deletion tells them."""
        places = (
            ("core.OriginalFile", self.attachment),
            ("core.Pixels", self.pixel_buffer),
            ("display.Thumbnail", self.thumbnail),
        )
        return [place(row) for name, place in places for row in objects.get(f"ome.model.{name}", ())]

    def remove_data(self, places: Iterable[Path]) -> None:
        """Remove what `data_of` listed; as `remove` says."""
        for place in places:
            try:
                place.unlink(missing_ok=True)
            except OSError as error:
                log.warning("cannot remove %s: %s", place, error)

    def row_id(self, path: str) -> int | None:
        """Find the row of a repository path."""
        folder, _, name = path.strip("/").rpartition("/")
        rows = self._store.rows(
            "SELECT id FROM t_OriginalFile WHERE c_repo = ? AND c_path = ? AND c_name = ?",
            REPOSITORY_UUID,
            folder + "/" if folder else "/",
            name,
        )
        return int(rows[0]["id"]) if rows else None

    def new_file(self, path: str, *, mimetype: str | None, algorithm: str | None = None) -> Any:
        """Make an unsaved OriginalFile for a repository path."""
        folder, _, name = path.strip("/").rpartition("/")
        file = omero.model.OriginalFileI()
        file.name, file.path = rstring(name), rstring(folder + "/" if folder else "/")
        file.repo = rstring(REPOSITORY_UUID)
        if mimetype is not None:
            file.mimetype = rstring(mimetype)
        if algorithm is not None:
            known = self._store.enumeration("ChecksumAlgorithm", algorithm)
            file.hasher = omero.model.ChecksumAlgorithmI(rlong(known), False)
        return file

    def _describe(self, folder: Path, uuid: str) -> int:
        """Have the row that describes a repository, with the folder that it has now; returns its id."""
        above = f"{folder.parent}/".replace("//", "/")
        rows = self._store.rows(
            "SELECT id, c_path, c_name FROM t_OriginalFile WHERE c_hash = ? AND c_mimetype = 'Repository'", uuid
        )
        if rows:
            if (rows[0]["c_path"], rows[0]["c_name"]) != (above, folder.name):
                self._store.update("OriginalFile", rows[0]["id"], c_path=above, c_name=folder.name)
            return int(rows[0]["id"])
        file = omero.model.OriginalFileI()
        file.name, file.path = rstring(folder.name), rstring(above)
        file.mimetype, file.hash = rstring("Repository"), rstring(uuid)
        return int(self._store.save(replace(SERVER, group=USER_GROUP), [file])[0].id.val)


def _below(root: Path, path: str) -> Path:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("Path may not make references above root")
    return root.joinpath(*parts)
