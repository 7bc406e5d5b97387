# SPDX-License-Identifier: GPL-2.0-or-later
"""Graphs: what clients ask for by naming a few objects and meaning all that hangs on them."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES, find_class
from omero_devserver.model.tables import table
from omero_devserver.store.access import Access
from omero_devserver.store.caller import ALL_GROUPS
from omero_devserver.store.chmod import Chmod
from omero_devserver.store.delete import Delete
from omero_devserver.store.duplicate import Duplicate
from omero_devserver.store.errors import BadTarget
from omero_devserver.store.events import new_event
from omero_devserver.store.give import Give
from omero_devserver.store.graphrules import TARGETS, may_be_target
from omero_devserver.store.items import by_class
from omero_devserver.store.kinship import Kinship
from omero_devserver.store.move import Move

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.store.caller import Caller
    from omero_devserver.store.delete import Deletion
    from omero_devserver.store.duplicate import Duplicated, Kept
    from omero_devserver.store.gather import Gathering
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.kinship import Family
    from omero_devserver.store.rows import Rows
    from omero_devserver.store.transfer import Transferred

    Targets = Mapping[str, Sequence[int]]


class Change(StrEnum):
    """What is done to the objects."""

    DELETE = "Delete2"
    MOVE = "Chgrp2"
    GIVE = "Chown2"


class Graphs:
    """Graph requests on one store. They look at all groups of the caller, whatever group its call is in.

    Each sees one state of the database: who may what is asked only when nobody else writes any more.

    All of them raise `GraphFailed` (a refusal, with the real server's text), `BadTarget` (not a class that the request works
    on) and `UnknownEntityError` (not a class at all).
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def delete(self, caller: Caller, targets: Targets, *, dry_run: bool = False, options: Sequence[ChildOption] = ()) -> Deletion:
        """Delete rows and what goes with them.

        The files of deleted OriginalFiles are the caller's to remove, after the commit.
        """
        check_targets(Change.DELETE, targets)
        with self._rows.transaction():
            return Delete(self._rows, self._access(caller), options).run(targets, dry_run=dry_run)

    def move(
        self, caller: Caller, targets: Targets, *, group: int, dry_run: bool = False, options: Sequence[ChildOption] = ()
    ) -> Transferred:
        """Move rows and what belongs to them into a group; also raises NotInGroup."""
        check_targets(Change.MOVE, targets)
        with self._rows.transaction():
            return Move(self._rows, self._access(caller), options, group).run(targets, dry_run=dry_run)

    def give(
        self, caller: Caller, targets: Targets, *, user: int, dry_run: bool = False, options: Sequence[ChildOption] = ()
    ) -> Transferred:
        """Give rows and what belongs to them to a user; also raises NoGroupOwned and NoSuchUser."""
        check_targets(Change.GIVE, targets)
        with self._rows.transaction():
            return Give(self._rows, self._access(caller), options, user).run(targets, dry_run=dry_run)

    def duplicate(self, caller: Caller, targets: Targets, *, kept: Kept, dry_run: bool = False) -> Duplicated:
        """Copy objects and all below them; also raises NotCopied. Files of copied rows are the caller's to copy."""
        check_targets("Duplicate", targets)
        with self._rows.transaction():
            event = None if dry_run else new_event(self._rows, caller, caller.member_of[0])
            return Duplicate(self._rows, self._access(caller), kept).run(targets, event=event, dry_run=dry_run)

    def set_permissions(self, caller: Caller, groups: Sequence[int], *, permissions: int, dry_run: bool = False) -> Transferred:
        """Change what members of groups may do to each other's data.

        permissions: `perm1` of ``omero.model.Permissions``. A group that becomes private loses what ties data of different
        users together.
        """
        with self._rows.transaction():
            return Chmod(self._rows, self._access(caller), permissions).run(groups, dry_run=dry_run)

    def heads(
        self,
        caller: Caller,
        change: Change,
        targets: Targets,
        *,
        start_from: frozenset[str],
        to: int = -1,
        options: Sequence[ChildOption] = (),
    ) -> dict[str, list[int]]:
        """Find where a request would come upon objects of some classes, as the first half of a SkipHead does.

        to: group or user that the request moves or gives to.
        """
        check_targets(change, targets)
        with self._rows.reading():
            gathering = self._gathering(caller, change, to=to, options=options, stop_at=start_from)
            gathering.gather(targets, whole=False)
        wanted = {find_class(name).name for name in start_from}
        reached = {
            root: {i: item for i, item in items.items() if not wanted.isdisjoint(item.entity.bases)}
            for root, items in gathering.chosen.items()
        }
        return by_class({root: items for root, items in reached.items() if items})

    def children(
        self, caller: Caller, targets: Targets, kinds: Sequence[str], *, stop_before: Sequence[str] = ()
    ) -> dict[str, list[int]]:
        """Find what the targets contain, at any depth: ids of the wanted kinds by full class name."""
        check_targets("FindChildren", targets)
        with self._rows.reading():
            return Kinship(self._rows, self._access(caller)).children(targets, kinds, stop_before=stop_before)

    def parents(
        self, caller: Caller, targets: Targets, kinds: Sequence[str], *, stop_before: Sequence[str] = ()
    ) -> dict[str, list[int]]:
        """Find what contains the targets, at any distance: ids of the wanted kinds by full class name."""
        check_targets("FindParents", targets)
        with self._rows.reading():
            return Kinship(self._rows, self._access(caller)).parents(targets, kinds, stop_before=stop_before)

    def descendants(self, caller: Caller, targets: Targets) -> Family:
        """Find everything that the targets contain, at any depth, the targets and links included, by root and id."""
        check_targets("DiskUsage2", targets)
        with self._rows.reading():
            return Kinship(self._rows, self._access(caller)).descendants(targets)

    def readable(self, caller: Caller, kind: str) -> list[int]:
        """Ids of all rows of a class that the caller sees."""
        entity = find_class(kind)
        condition = self._access(caller).row_filter("t", entity)
        where = f" WHERE {condition}" if condition else ""
        found = self._rows.rows(f"SELECT t.id, t.cls FROM {table(entity)} t{where}")
        return [row["id"] for row in found if row["cls"] in entity.subs]

    def owned_by(self, caller: Caller, user: int) -> dict[str, list[int]]:
        """Ids of what a user owns and the caller may give away, by class; parts of other things come along by themselves."""
        owned: dict[str, list[int]] = {}
        for name in sorted(TARGETS[Change.GIVE] & ENTITIES.keys()):
            entity = ENTITIES[name]
            if entity.link:
                continue
            found = self._rows.rows(f"SELECT id, cls, group_id FROM {table(entity)} WHERE owner_id = ?", user)
            ids = [
                row["id"] for row in found if row["cls"] in entity.subs and (caller.admin or row["group_id"] in caller.leader_of)
            ]
            if ids:
                owned[name] = ids
        return owned

    def _gathering(
        self, caller: Caller, change: Change, *, to: int, options: Sequence[ChildOption], stop_at: frozenset[str]
    ) -> Gathering:
        access = self._access(caller)
        match change:
            case Change.DELETE:
                return Delete(self._rows, access, options, stop_at=stop_at)
            case Change.MOVE:
                return Move(self._rows, access, options, to, stop_at=stop_at)
            case Change.GIVE:
                return Give(self._rows, access, options, to, stop_at=stop_at)

    def _access(self, caller: Caller) -> Access:
        return Access(replace(caller, group=ALL_GROUPS), self._rows)


def check_targets(request: str, targets: Targets) -> None:
    """Raise BadTarget if a request of that class does not work on one of the classes."""
    for name in targets:
        if not may_be_target(request, find_class(name)):
            raise BadTarget(kind=name)
