# SPDX-License-Identifier: GPL-2.0-or-later
"""Transfer: rows that go to another group (`move`) or to another user (`give`), with all that belongs to them.

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
from omero_devserver.store.delete import DeletedFile, erase
from omero_devserver.store.dropped import Dropped
from omero_devserver.store.errors import GraphFailed
from omero_devserver.store.gather import Gathering
from omero_devserver.store.graphrules import LINKS, OF_IMPORTS, SHARED, WITH_THEIR_OWNER, Tie
from omero_devserver.store.items import by_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graphrules import ChildOption
    from omero_devserver.store.items import Item
    from omero_devserver.store.rows import Rows

_CONTAINED = frozenset({"Dataset", "Folder", "Image", "Plate", "Roi"})
#: What each user has of an image.
OF_EACH_USER = frozenset({"RenderingDef", "Thumbnail"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What was moved or given, and what was deleted for it: ids by full class name."""

    included: Mapping[str, Sequence[int]]
    deleted: Mapping[str, Sequence[int]]
    files: Sequence[DeletedFile] = ()


class Transfer(Gathering):
    """What moving and giving have in common."""

    #: Column that gets a new value.
    column = ""

    def __init__(self, rows: Rows, access: Access, options: Sequence[ChildOption], to: int, *, stop_at: frozenset[str]) -> None:
        super().__init__(rows, access, options, stop_at=stop_at)
        self._to = to
        self._dropped = Dropped(rows)
        #: For each row that could go, who owns what it hangs on.
        self._hangs_on: dict[tuple[str, int], set[int | None]] = defaultdict(set)

    def run(self, targets: Mapping[str, Sequence[int]], *, dry_run: bool) -> Transferred:
        """Move or give, or say what would be.

        Raises
        ------
        GraphFailed
            A target is missing or not the caller's to touch, or something that would remain shares what would go.
        """
        self.gather(targets)
        self._dropped.add_orphans(self.chosen["Annotation"])
        self._sort_links()
        self._check_shared()
        self._check_users()
        deletion = erase(self._rows, self._dropped.items, dry_run=dry_run)
        external = sorted(self._items.external_infos(self.chosen))
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
        return WITH_THEIR_OWNER.isdisjoint(annotation.entity.bases) or annotation.owner == annotated.owner

    def _considers_content(self, content: Item, container: Item) -> bool:
        return content.owner == container.owner

    def _sort_links(self) -> None:
        """Take the links whose ends both go; delete those that would tie what goes to what may not be tied to it."""
        for name in [entity.name for entity in ENTITIES.values() if entity.link]:
            ends = {end: Tie(name, end) for end in ("parent", "child")}
            touched = {
                link.id: link
                for tie in ends.values()
                for link, _ in self._items.referring(tie, self.chosen.get(tie.target.root, ()))
                if link.id not in self.chosen[link.entity.root]
            }
            there = {end: {link: item for item, link in self._items.named(tie, touched)} for end, tie in ends.items()}
            for link_id, link in touched.items():
                parent, child = there["parent"][link_id], there["child"][link_id]
                remaining = [end for end in (parent, child) if end.id not in self.chosen[end.entity.root]]
                if not remaining and self._goes_along(link, (parent, child)):
                    self.chosen[link.entity.root][link_id] = link
                elif remaining and name == "JobOriginalFileLink":
                    self._refuse_split_job(parent, child)
                elif remaining and self._parts_company(link, remaining[0]):
                    self._dropped.add_alone(link)

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
                shared = [(target, user) for target, user in self._items.named(tie, goers) if self._stays_together(target)]
                users = self._items.referring(tie, {target.id for target, _ in shared})
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
                for user, target in self._items.referring(tie, items):
                    kept = user.id not in self.chosen[user.entity.root] and user.id not in self._dropped.items[user.entity.root]
                    if kept and self._stays_together(items[target]):
                        raise GraphFailed(f"may not {self.verb} {items[target]} while {user} remains")

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
