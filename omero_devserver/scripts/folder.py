# SPDX-License-Identifier: GPL-2.0-or-later
"""Folder: the official scripts, as files below the data folder and as rows of OriginalFile.

The files lead: whoever lists the scripts brings the rows up to date first. A file that was changed on disk becomes a new row
with a new id, and the row of a file that has gone stays but is official no longer (ScriptRepoHelper of OMERO's source).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rstring

from omero_devserver.scripts.kinds import MIMETYPES, PROGRAMS, of_name
from omero_devserver.store.caller import SERVER
from omero_devserver.store.repositories import SCRIPTS
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from omero_devserver.wire.server import Server

log = logging.getLogger(__name__)

HASHER = "SHA1-160"
PACKAGE = "omero-scripts"  # the scripts that come with OMERO.server
USER_GROUP = 1  # what belongs to everybody


class ScriptFolder:
    """The folder ``lib/scripts`` and its rows; filled from the package omero-scripts when it does not exist."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._lock = threading.RLock()
        self.root = server.disk.root.parent / "lib" / "scripts"
        if not self.root.exists():
            self.root.mkdir(parents=True)
            _copy_installed(self.root)
        self.row_id = self._describe()
        self.update()

    def update(self) -> None:
        """Bring the rows up to date with the files; a read-only server leaves them as they are."""
        try:
            self._store.check_writable()
        except omero.ApiUsageException:
            return
        with self._lock, self._store.transaction():
            known = {row["c_path"] + row["c_name"]: row for row in self._rows()}
            missing = {row["id"] for row in known.values() if row["c_mimetype"] in MIMETYPES}
            for file in self._files():
                path = f"/{file.relative_to(self.root)}"
                row = known.get(path)
                if row is None:
                    self._add(path, file.read_bytes())
                    continue
                missing.discard(row["id"])
                if row["c_mimetype"] in MIMETYPES and row["c_hash"] != hash_of(content := file.read_bytes()):
                    self._forget(row["id"])
                    self._add(path, content)
            for identifier in missing:
                self._forget(identifier)

    def ids(self, mimetypes: Collection[str] = PROGRAMS) -> list[int]:
        """List the ids of official scripts of some kinds, by path."""
        rows = [row for row in self._rows() if row["c_mimetype"] in mimetypes]
        return [int(row["id"]) for row in sorted(rows, key=lambda row: (row["c_path"], row["c_name"]))]

    def find(self, path: str) -> int | None:
        """Find the id of an official script by its path."""
        row = self._row(path)
        return int(row["id"]) if row is not None and row["c_mimetype"] in MIMETYPES else None

    def holds(self, script: int) -> bool:
        """Tell whether a script is an official one."""
        return any(row["id"] == script for row in self._rows() if row["c_mimetype"] in MIMETYPES)

    def place(self, path: str) -> Path:
        """Give the place of a path.

        Raises
        ------
        omero.ValidationException
            It leaves the folder.
        omero.InternalException
            It is a folder, or could not be a file (recorded: facts 11, for a path that is null).
        """
        parts = [part for part in (path or "").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise fault(omero.ValidationException, "Path may not make references above root")
        place = self.root.joinpath(*parts)
        if place.is_dir():
            raise fault(omero.InternalException, f"File '{place}' exists but is a directory")
        return place

    def add(self, path: str, text: str) -> int:
        """Write a new script, in place of a file of that path that is no script; returns its id."""
        self._store.check_writable()
        place = self.place(path)
        content = text.encode()
        with self._lock, self._store.transaction():
            former = self._row(path)
            if former is not None:
                self._forget(former["id"])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            return self._add(f"/{place.relative_to(self.root)}", content)

    def rewrite(self, script: int, path: str, text: str) -> None:
        """Write a script anew; it keeps its id."""
        self._store.check_writable()
        content = text.encode()
        place = self.place(path)
        with self._lock, self._store.transaction():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            self._store.update("OriginalFile", script, c_hash=hash_of(content), c_size=len(content))

    def remove(self, path: str) -> None:
        """Remove the file of a script whose row has gone."""
        self.place(path).unlink(missing_ok=True)

    def read(self, path: str) -> str:
        """Read a script; raises OSError where it has gone."""
        return self.place(path).read_text(encoding="utf-8", errors="replace")

    def _files(self) -> list[Path]:
        """List the files that are scripts: not empty, not hidden, of a known kind."""
        found = (path for path in sorted(self.root.rglob("*")) if path.is_file() and of_name(path.name) is not None)
        return [path for path in found if not path.name.startswith(".") and path.stat().st_size]

    def _rows(self) -> list[Any]:
        columns = "id, c_path, c_name, c_hash, c_mimetype"
        return self._store.rows(f"SELECT {columns} FROM t_OriginalFile WHERE c_repo = ?", SCRIPTS)

    def _row(self, path: str) -> Any:
        full = f"/{self.place(path).relative_to(self.root)}"
        return next((row for row in self._rows() if row["c_path"] + row["c_name"] == full), None)

    def _add(self, path: str, content: bytes) -> int:
        file = new_file(path, content)
        file.repo = rstring(SCRIPTS)
        file.hasher = omero.model.ChecksumAlgorithmI(rlong(self._store.enumeration("ChecksumAlgorithm", HASHER)), False)
        return int(self._store.save(replace(SERVER, group=USER_GROUP), [file])[0].id.val)

    def _forget(self, script: int) -> None:
        self._store.update("OriginalFile", script, c_repo=None)

    def _describe(self) -> int:
        """Have the row that describes the folder among the repositories."""
        found = self._store.rows("SELECT id FROM t_OriginalFile WHERE c_hash = ? AND c_mimetype = 'Repository'", SCRIPTS)
        if found:
            self._store.update("OriginalFile", found[0]["id"], c_path=f"{self.root.parent}/")
            return int(found[0]["id"])
        file = omero.model.OriginalFileI()
        file.name, file.path = rstring(self.root.name), rstring(f"{self.root.parent}/")
        file.mimetype, file.hash = rstring("Repository"), rstring(SCRIPTS)
        return int(self._store.save(replace(SERVER, group=USER_GROUP), [file])[0].id.val)


def new_file(path: str, content: bytes) -> Any:
    """Make an unsaved OriginalFile for a script; its `hasher` is still to be set."""
    folder, _, name = path.rpartition("/")
    file = omero.model.OriginalFileI()
    file.name, file.path = rstring(name), rstring(f"{folder}/")
    file.size, file.hash = rlong(len(content)), rstring(hash_of(content))
    kind = of_name(name)
    file.mimetype = None if kind is None else rstring(kind.mimetype)
    return file


def hash_of(content: bytes) -> str:
    """Compute the checksum that rows of scripts have."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _copy_installed(root: Path) -> None:
    """Copy the scripts of the package omero-scripts, if it is installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        log.info("%s is not installed: there are no official scripts", PACKAGE)
        return
    for file in files:
        if file.suffix == ".py" and file.parent.name.endswith("_scripts") and file.name != "__init__.py":
            place = root / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), place)
