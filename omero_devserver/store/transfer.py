# SPDX-License-Identifier: GPL-2.0-or-later
"""Transfer: rows that go to another group (Chgrp2) or to another user (Chown2), with all that belongs to them.

What goes is gathered as for a delete (`gather`). Links go if both their ends do; those with one end are deleted where the two
ends could not be together any more. What would be shared with rows that stay is a refusal.
"""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_devserver.model.schema import ENTITIES, rows_that_refer_to
from omero_devserver.store.delete import OF_IMPORTS, DeletedFile, erase
from omero_devserver.store.errors import GraphFailed, NoGroupOwned, NoSuchUser, NotInGroup
from omero_devserver.store.gather import Gathering, Item, by_class
from omero_devserver.store.graphrules import LINKS, PARTS, SHARED, Tie
from omero_devserver.store.people import READ_ANNOTATE, READ_ONLY, READ_WRITE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.rows import Rows

_WITH_THEIR_OWNER = frozenset({"FileAnnotation", "TagAnnotation"})
_CONTAINED = frozenset({"Dataset", "Folder", "Image", "Plate", "Roi"})
#: What each user has of an image.
_OF_EACH_USER = frozenset({"RenderingDef", "Thumbnail"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What was moved or given, and what was deleted for it: ids by full class name."""

    included: Mapping[str, Sequence[int]]
    deleted: Mapping[str, Sequence[int]]
    files: Sequence[DeletedFile] = ()


class _Transfer(Gathering):
    """What moving and giving have in common."""

    #: Column that gets a new value.
    column = ""

    def __init__(self, rows: Rows, access: Access, options: Sequence[ChildOption], to: int, *, stop_at: frozenset[str]) -> None:
        super().__init__(rows, access, options, stop_at=stop_at)
        self._to = to
        self._dropped: dict[str, dict[int, Item]] = defaultdict(dict)
        #: For each row that could go, who owns what it hangs on.
        self._hangs_on: dict[tuple[str, int], set[int | None]] = defaultdict(set)

    def run(self, targets: Mapping[str, Sequence[int]], *, dry_run: bool) -> Transferred:
        """Move or give, or say what would be.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to touch, or something that would remain shares what would go.
        """
        with self._rows.transaction():
            self.gather(targets)
            self._sort_links()
            self._check_shared()
            self._check_users()
            deletion = erase(self._rows, self._dropped, dry_run=dry_run)
            external = self._external_infos()
            included = by_class(self.chosen)
            if external:
                included[ENTITIES["ExternalInfo"].full_name] = external
            if not dry_run:
                self._write(external)
            return Transferred(included=included, deleted=deletion.objects, files=deletion.files)

    # What differs

    @abstractmethod
    def _parts_company(self, link: Item, remaining: Item) -> bool:
        """Whether a link is deleted of which one end remains."""

    @abstractmethod
    def _stays_together(self, shared: Item) -> bool:
        """Whether rows that share another cannot be parted."""

    def _goes_along(self, link: Item, ends: tuple[Item, Item]) -> bool:
        """Whether a link goes of which both ends do."""
        return True

    # What goes

    def _takes_links(self, tie: Tie) -> bool:
        return False  # sorted out at the end

    def _considers(self, child: Item, whole: Item, tie: Tie) -> bool:
        if tie.name == "JobOriginalFileLink":
            return whole.entity.name in OF_IMPORTS and whole.owner == child.owner
        self._hangs_on[child.entity.root, child.id].add(whole.owner)
        if "Annotation" in child.entity.bases:
            return not whole.entity.link and self._considers_annotation(child, whole)
        return child.entity.name not in _CONTAINED or self._considers_content(child, whole)

    def _considers_annotation(self, annotation: Item, annotated: Item) -> bool:
        return _WITH_THEIR_OWNER.isdisjoint(annotation.entity.bases) or annotation.owner == annotated.owner

    def _considers_content(self, content: Item, container: Item) -> bool:
        return content.owner == container.owner

    def _drop(self, item: Item) -> None:
        """Take a row, with its parts, out of the database, as it can neither go nor stay."""
        dropped = [(item.entity.root, {item.id: item})]
        while dropped:
            root, items = dropped.pop()
            self._dropped[root].update(items)
            for tie in PARTS.get(root, ()):
                dropped.extend((tie.entity.root, {part.id: part}) for part, _ in self._referring(tie, items))
            if root == "RenderingDef":
                quanta = self._named(Tie("RenderingDef", "quantization"), items)
                dropped.extend((part.entity.root, {part.id: part}) for part, _ in quanta)

    def _sort_links(self) -> None:
        """Take the links whose ends both go; delete those that would tie what goes to what may not be tied to it."""
        for name in [entity.name for entity in ENTITIES.values() if entity.link]:
            ends = {end: Tie(name, end) for end in ("parent", "child")}
            touched = {
                link.id: link
                for tie in ends.values()
                for link, _ in self._referring(tie, self.chosen.get(tie.target.root, ()))
                if link.id not in self.chosen[link.entity.root]
            }
            there = {end: {link: item for item, link in self._named(tie, touched)} for end, tie in ends.items()}
            for link_id, link in touched.items():
                parent, child = there["parent"][link_id], there["child"][link_id]
                remaining = [end for end in (parent, child) if end.id not in self.chosen[end.entity.root]]
                if not remaining and self._goes_along(link, (parent, child)):
                    self.chosen[link.entity.root][link_id] = link
                elif remaining and name == "JobOriginalFileLink":
                    self._refuse_split_job(parent, child)
                elif remaining and self._parts_company(link, remaining[0]):
                    self._dropped[link.entity.root][link_id] = link

    def _refuse_split_job(self, job: Item, file: Item) -> None:
        if file.id in self.chosen["OriginalFile"]:
            raise GraphFailed(f"may not {self.verb} {file} until {job} can be {_PARTICIPLES[self.verb]}")
        raise GraphFailed(f"may not {self.verb} {job} while {file} remains")

    # What remains

    def _check_shared(self) -> None:
        """Refuse if rows that go and rows that stay would share a third."""
        for ties in SHARED.values():
            for tie in ties:
                if tie.reference in ("child", "parent", "fileset", "source", "file", "originalFile", "lightPath"):
                    continue
                goers = {i: item for i, item in self.chosen[tie.entity.root].items() if tie.name in item.entity.bases}
                shared = [(target, user) for target, user in self._named(tie, goers) if self._stays_together(target)]
                users = self._referring(tie, {target.id for target, _ in shared})
                stayers = {target: user for user, target in users if user.id not in goers}
                for target, user in shared:
                    if target.id in stayers:
                        raise GraphFailed(
                            f"may not {self.verb} {goers[user]} while {stayers[target.id]} remains as they share {target}"
                        )

    def _check_users(self) -> None:
        """Refuse if something that stays is part of what goes, as the field of a well is of an image."""
        for root, items in list(self.chosen.items()):
            for entity, reference in rows_that_refer_to(root) if items else ():
                tie = Tie(entity.name, reference.name)
                if entity.link or tie in LINKS.get(root, ()) or reference.nullable:
                    continue
                for user, target in self._referring(tie, items):
                    kept = user.id not in self.chosen[user.entity.root] and user.id not in self._dropped[user.entity.root]
                    if kept and self._stays_together(items[target]):
                        raise GraphFailed(f"may not {self.verb} {items[target]} while {user} remains")

    def _external_infos(self) -> list[int]:
        ids: set[int] = set()
        for root, items in self.chosen.items():
            found = self._rows.rows(
                f"SELECT external_id FROM t_{root} WHERE id IN (SELECT value FROM json_each(?)) AND external_id IS NOT NULL",
                json.dumps(list(items)),
            )
            ids.update(row[0] for row in found)
        return sorted(ids)

    def _write(self, external: Sequence[int]) -> None:
        for root, ids in [*((root, list(items)) for root, items in self.chosen.items()), ("ExternalInfo", list(external))]:
            try:
                self._rows.execute(
                    f"UPDATE t_{root} SET {self.column} = ? WHERE id IN (SELECT value FROM json_each(?))",
                    self._to,
                    json.dumps(ids),
                )
            except sqlite3.IntegrityError as error:
                raise GraphFailed(f"the new owner has such a {root} already") from error


_PARTICIPLES = {"move": "moved", "give": "given"}


class Move(_Transfer):
    """One Chgrp2; `access` looks at all groups, as graph requests do.

    Raises
    ------
    NotInGroup
        The destination is no group of the caller's.
    """

    verb = "move"
    column = "group_id"

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption], group: int, *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(rows, access, options, group, stop_at=stop_at)
        caller = access.caller
        self._owns_all = caller.admin and "Chgrp" in caller.privileges
        known = rows.rows("SELECT 1 FROM t_ExperimenterGroup WHERE id = ?", group)
        if not known or not (self._owns_all or group in caller.member_of):
            raise NotInGroup(group=group)
        self._to_private = access.is_private(group)

    def _check_target(self, item: Item) -> None:
        if not self._owns_all and item.owner != self._access.caller.user:
            raise GraphFailed(f"does not own {item.full_name}")

    def _takes_part(self, part: Item, whole: Item) -> bool:
        if part.entity.name == "FileAnnotation":
            return False  # the file goes with the annotation, not the other way round
        if part.entity.name in _OF_EACH_USER and self._to_private and part.owner != whole.owner:
            self._drop(part)
            return False
        return True

    def _considers_content(self, content: Item, container: Item) -> bool:
        if content.entity.name == "Roi":
            return True  # of whomever: see `_takes`
        rights = self._access.rights(content.entity, content.owner, content.group)
        return super()._considers_content(content, container) or (not self._to_private and (rights.delete or rights.chgrp))

    def _takes(self, item: Item) -> bool:
        """Others' annotations and regions go along where others can see them; else those that nobody would miss are deleted."""
        kinds = {"Annotation", "Roi"}.intersection(item.entity.bases)
        if not kinds or item.owner in self._hangs_on[item.entity.root, item.id]:
            return True
        if "Roi" in kinds:
            if self._to_private:
                self._drop(item)
            return not self._to_private
        deletable = self._access.rights(item.entity, item.owner, item.group).delete
        if deletable and not self._to_private:
            return True
        if deletable or not {"BasicAnnotation", "CommentAnnotation"}.isdisjoint(item.entity.bases):
            self._drop(item)
        return False

    def _parts_company(self, link: Item, remaining: Item) -> bool:
        return not remaining.entity.system

    def _stays_together(self, shared: Item) -> bool:
        return not shared.entity.system


class Give(_Transfer):
    """One Chown2; `access` looks at all groups, as graph requests do.

    Raises
    ------
    NoGroupOwned
        The caller is neither an administrator who may give nor the owner of a group.
    NoSuchUser
        Nobody has that id.
    """

    verb = "give"
    column = "owner_id"

    def __init__(
        self, rows: Rows, access: Access, options: Sequence[ChildOption], user: int, *, stop_at: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(rows, access, options, user, stop_at=stop_at)
        caller = access.caller
        self._owns_all = caller.admin and "Chown" in caller.privileges
        if not self._owns_all and not caller.leader_of:
            raise NoGroupOwned
        if not rows.rows("SELECT 1 FROM t_Experimenter WHERE id = ?", user):
            raise NoSuchUser(user=user)
        found = rows.rows("SELECT r_parent FROM t_GroupExperimenterMap WHERE r_child = ?", user)
        self._groups_of_new_owner = {row[0] for row in found}

    def _check_target(self, item: Item) -> None:
        if self._owns_all or item.owner == self._to:
            return
        if item.group not in self._access.caller.leader_of:
            raise GraphFailed(f"user {self._access.caller.user} is not an owner of group {item.group}")
        if item.group not in self._groups_of_new_owner:
            raise GraphFailed(f"user {self._to} is not a member of group {item.group}")

    def _takes_part(self, part: Item, whole: Item) -> bool:
        if part.entity.name == "FileAnnotation":
            return False
        return part.entity.name not in _OF_EACH_USER or self._private(part)

    def _considers(self, child: Item, whole: Item, tie: Tie) -> bool:
        if tie.name == "Roi":
            return child.owner == whole.owner and self._access.permissions(child.group) != READ_ANNOTATE
        return super()._considers(child, whole, tie)

    def _considers_annotation(self, annotation: Item, annotated: Item) -> bool:
        """Where all may annotate, annotations are left to who wrote them."""
        shared = self._access.permissions(annotation.group) in (READ_ANNOTATE, READ_WRITE)
        return annotation.owner == annotated.owner and not shared

    def _goes_along(self, link: Item, ends: tuple[Item, Item]) -> bool:
        return link.owner in {end.owner for end in ends}

    def _parts_company(self, link: Item, remaining: Item) -> bool:
        if link.entity.name.endswith("AnnotationLink"):
            return self._private(link)
        return self._private(link) or self._access.permissions(link.group) in (READ_ONLY, READ_ANNOTATE)

    def _stays_together(self, shared: Item) -> bool:
        return self._private(shared)

    def _private(self, item: Item) -> bool:
        return item.group is not None and self._access.is_private(item.group)
