# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders: making folders of the managed repository, on disk and as rows, and who may make which.

Every folder is also an OriginalFile row of mimetype `Directory` in group `user`. Its row is committed last: a death in
between leaves an empty folder without a row, which the next one who wants it takes over.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import omero

from omero_devserver.files.disk import DIRECTORY, USER_GROUP
from omero_devserver.repository.template import Facts, FolderTaken, Template, TemplateError
from omero_devserver.store.caller import SERVER
from omero_devserver.wire.faults import fault
from omero_devserver.wire.moments import DISK_WRITE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_devserver.repository.naming import Parts
    from omero_devserver.store.caller import Caller
    from omero_devserver.wire.server import Server
    from omero_devserver.wire.sessions import Session

ROOT_USER = 0
_ANNOTATE_AS_MEMBER = 1 << 4  # in `perm1` of a group

_one_at_a_time = threading.RLock()


class UserFolders:
    """The folders of the repository, as one user makes them: what `template.Folders` describes."""

    def __init__(self, server: Server, who: Caller, facts: Facts) -> None:
        self._server, self._who, self._facts = server, who, facts
        self._template = Template.parse(server.options.repository_template)

    def new_template_folder(self) -> Parts:
        """Make the folder of a new import.

        Raises
        ------
        omero.ServerError
            The template cannot be expanded. Its subclass ResourceError: the disk refuses, or the template names a folder that
            is there already.
        """
        try:
            of_root = self._template.root_folder(self._facts)
            if of_root:
                self._as_root()._make_checked(of_root, parents=True)
            return self._template.make(self._facts, self)
        except TemplateError as error:
            raise fault(omero.ServerError, str(error)) from error
        except FolderTaken as error:
            raise fault(omero.ResourceError, f"Path exists on disk: {error}") from error

    def make(self, folder: Parts, *, parents: bool) -> None:
        """Make a folder, with those above it if `parents`.

        Raises
        ------
        FolderTaken
            It is there, and `parents` was not asked for.
        omero.ValidationException
            It lies outside of what is the user's.
        omero.SecurityViolation
            The folder above it is missing, or not the user's to write to.
        omero.ResourceError
            The disk refuses, or something else is in its place.
        """
        self._check_owned_by_root(folder, parents=parents)
        self._make_checked(folder, parents=parents)

    def is_there(self, folder: Parts) -> bool:
        """Tell whether something of that name is there."""
        return self._place(folder).exists()

    def entries(self, folder: Parts) -> int | None:
        """Count what is in a folder: 0 if it could be made, None if it is no folder and cannot become one."""
        place = self._place(folder)
        if place.is_dir():
            return sum(1 for _ in place.iterdir())
        return 0 if not place.exists() and place.parent.is_dir() else None

    def may_add_to(self, folder: Parts) -> None:
        """Raise SecurityViolation unless the user may add something to a folder: a real server's rule for folders of others."""
        if not folder:
            return
        text = "/".join(folder)
        row = self._server.disk.row_id(text)
        if row is None:
            raise fault(omero.SecurityViolation, f"Cannot find parent directory: CheckedPath({text})")
        found = self._server.store.rows("SELECT owner_id, group_id FROM t_OriginalFile WHERE id = ?", row)[0]
        owner, common = found["owner_id"], found["group_id"] == USER_GROUP
        if common and owner in (ROOT_USER, self._who.user):
            return
        shared = common and bool(self._server.store.people.permissions(self._who.group) & _ANNOTATE_AS_MEMBER)
        if not (shared or self._who.admin or self._who.privileged):
            raise fault(omero.SecurityViolation, f"No annotate access for parent directory: {row}")

    def _check_owned_by_root(self, folder: Parts, *, parents: bool) -> None:
        if self._who.admin:
            return
        of_root = self._template.root_folder(self._facts)
        wanted = [folder[:length] for length in range(1, len(folder) + 1)] if parents else [folder]
        for one in wanted:
            if any(mine != theirs for mine, theirs in zip(one, of_root, strict=False)):
                text = f'cannot create directory "{"/".join(one)}" with template path\'s root-owned "{"/".join(of_root)}"'
                raise fault(omero.ValidationException, text)

    def _make_checked(self, folder: Parts, *, parents: bool) -> None:
        if not folder:
            if parents:
                raise fault(omero.ResourceError, "Cannot re-create root!")
            return
        try:
            with _one_at_a_time:
                for length in range(1, len(folder)) if parents else ():
                    self._make_one(folder[:length])
                if not parents and self._place(folder).exists():
                    raise FolderTaken("/".join(folder))
                self._make_one(folder)
        except OSError as error:
            raise fault(omero.ResourceError, f"{self._place(folder)} ({error.strerror})") from error

    def _make_one(self, folder: Parts) -> None:
        text, place = "/".join(folder), self._place(folder)
        if self._server.disk.row_id(text) is not None and place.is_dir():
            return
        if place.exists() and not place.is_dir():
            raise fault(omero.ResourceError, "Path is not a directory.")
        self.may_add_to(folder[:-1])
        if place.is_dir() and next(place.iterdir(), None) is not None:
            raise fault(omero.ResourceError, f"Directory exists but is not registered: CheckedPath({text})")
        self._register(text, place)

    def _register(self, text: str, place: Path) -> None:
        owner = SERVER if self._who.admin and self._who.user == ROOT_USER else replace(self._who, privileged=True)
        there = place.is_dir()
        try:
            with self._server.store.transaction():
                if self._server.disk.row_id(text) is None:
                    directory = self._server.disk.new_file(text, mimetype=DIRECTORY)
                    self._server.store.save(replace(owner, group=USER_GROUP), [directory])
                self._server.moments.reached(DISK_WRITE, path=place)
                place.mkdir(exist_ok=True)
        except BaseException:
            if not there and place.is_dir():
                place.rmdir()
            raise

    def _as_root(self) -> UserFolders:
        return UserFolders(self._server, SERVER, self._facts)

    def _place(self, folder: Parts) -> Path:
        return self._server.disk.below_root("/".join(folder))


def folders_of(server: Server, session: Session, who: Caller, client_paths: Sequence[str] = ()) -> UserFolders:
    """Make the folders of a caller; `client_paths` are those of the import, if it is for one."""
    people = server.store.people
    row = server.store.rows("SELECT c_institution FROM t_Experimenter WHERE id = ?", who.user)
    facts = Facts(
        user=people.user_name(who.user) or str(who.user),
        user_id=who.user,
        group=people.group_name(who.group) or "",
        group_id=who.group,
        permissions=str(omero.model.PermissionsI(people.permissions(who.group))) if who.group >= 0 else "",
        session=session.uuid,
        session_id=session.row,
        institution=row[0]["c_institution"] if row else None,
        time=datetime.now().astimezone(),
        paths=sorted(client_paths),
    )
    return UserFolders(server, who, facts)
