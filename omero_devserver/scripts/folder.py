# SPDX-License-Identifier: GPL-2.0-or-later
"""Folder: the official scripts, as files below the data folder and as rows of OriginalFile.

The files lead: whoever lists the scripts brings the rows up to date first. A file that was changed on disk becomes a new row
with a new id, and the row of a file that has gone stays but is official no longer (ScriptRepoHelper of OMERO's source).
"""

from __future__ import annotations

import contextlib
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

    from omero_devserver.store.caller import Caller
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
        with self._lock:
            rows = {row["c_path"] + row["c_name"]: row for row in self._rows()}
            files = self._files()
            changed = {path: content for path, content in files.items() if _is_new(rows.get(path), content)}
            gone = [row["id"] for path, row in rows.items() if _is_script(row) and (path in changed or path not in files)]
            if not changed and not gone:
                return  # who only looks need not wait for those who write
            with self._store.transaction():
                for identifier in gone:
                    self._forget(identifier)
                for path, content in changed.items():
                    self._add(path, content)

    def ids(self, mimetypes: Collection[str] = PROGRAMS) -> list[int]:
        """List the ids of official scripts of some kinds, by path."""
        rows = [row for row in self._rows() if row["c_mimetype"] in mimetypes]
        return [int(row["id"]) for row in sorted(rows, key=lambda row: (row["c_path"], row["c_name"]))]

    def find(self, path: str) -> int | None:
        """Find the id of an official script by its path."""
        row = self._row(path)
        return int(row["id"]) if row is not None and _is_script(row) else None

    def holds(self, script: int) -> bool:
        """Tell whether a script is an official one."""
        return any(row["id"] == script for row in self._rows() if _is_script(row))

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
        """Write a new script, in place of a file of that path that is no script; returns its id.

        Raises
        ------
        omero.ApiUsageException
            There is a script of that path.
        """
        self._store.check_writable()
        place = self.place(path)
        content = text.encode()
        with self._lock, self._store.transaction():
            former = self._row(path)
            if former is not None:
                if _is_script(former):
                    lines = f"Path already exists: {path}\nUse editScript to modify existing official scripts."
                    raise fault(omero.ApiUsageException, lines)
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

    def delete(self, who: Caller, script: int, path: str) -> None:
        """Delete a script, its row and its file; raises what `Store.delete` raises."""
        with self._lock:  # or `update` would find a file without a row
            self._store.delete(who, {"OriginalFile": [script]})
            self.place(path).unlink(missing_ok=True)

    def read(self, path: str) -> str:
        """Read a script; raises OSError where it has gone."""
        return self.place(path).read_text(encoding="utf-8", errors="replace")

    def _files(self) -> dict[str, bytes]:
        """Read the files that are scripts, by path: not empty, not hidden, of a known kind."""
        found = {}
        for place in sorted(self.root.rglob("*")):
            if place.is_file() and of_name(place.name) is not None and not place.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # it has gone meanwhile
                    found[f"/{place.relative_to(self.root)}"] = place.read_bytes()
        return {path: content for path, content in found.items() if content}

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


def _is_script(row: Any) -> bool:
    return row["c_mimetype"] in MIMETYPES


def _is_new(row: Any, content: bytes) -> bool:
    """Tell whether a file needs a new row: it has none, or that of a script with another text; one switched off stays so."""
    return row is None or (_is_script(row) and row["c_hash"] != hash_of(content))


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
