# SPDX-License-Identifier: GPL-2.0-or-later
"""Graph: rows made into omero.model objects that refer to each other.

Within one graph a row is one object, whoever refers to it; what is not asked for comes unloaded, with its id only. The
details' group is always loaded (real server, recorded); collections are not, unless somebody fills them or they come unasked
(see `unasked`).
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import omero.model
from omero.rtypes import rbool, rdouble, rfloat, rint, rlong, rstring, rtime

from omero_devserver.hql.paths import USER_NAMES
from omero_devserver.model.schema import ENTITIES, Kind, new
from omero_devserver.model.tables import DETAILS
from omero_devserver.store.unasked import collections, references

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping

    from omero_devserver.store.access import Access
    from omero_devserver.store.rows import Rows

#: Root table and id.
Key = tuple[str, int]

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "RString": rstring,
    "RLong": rlong,
    "RInt": rint,
    "RBool": lambda value: rbool(bool(value)),
    "RDouble": rdouble,
    "RFloat": rfloat,
    "RTime": rtime,
}


class KindOfRights(NamedTuple):
    """What a caller's rights to a row depend on: many rows are of one kind."""

    cls: str
    owner: int | None
    group: int | None
    repository: str | None


def kind_of_rights(row: sqlite3.Row) -> KindOfRights:
    """Tell what the rights to a row depend on; the group of a group is itself."""
    cls = row["cls"]
    group = row["id"] if cls == "ExperimenterGroup" else row["group_id"]
    return KindOfRights(cls, row["owner_id"], group, row["c_repo"] if cls == "OriginalFile" else None)


class Graph:
    """Objects of some rows, as one caller sees them."""

    def __init__(self, rows: Rows, access: Access) -> None:
        self._rows, self._access = rows, access
        self._objects: dict[Key, Any] = {}
        self._unloaded: dict[Key, Any] = {}
        self._classes: dict[Key, str] = {}
        self._denied: dict[KindOfRights, list[bool]] = {}

    def load(self, wanted: Mapping[str, Collection[int]], *, with_details: bool = False) -> None:
        """Make objects of rows, given by root table and ids; missing ones are left out.

        with_details: load owner and creation event too, as after a save.
        """
        found = self._make(wanted)
        # After a save objects have what was saved with them, and nothing besides.
        loaded = [] if with_details else collections(found, self._rows, self._access)
        elements: dict[str, set[int]] = defaultdict(set)
        for one in loaded:
            elements[one.element_root].update(one.elements)
        found += self._make(elements)
        extra = references(found, self._access)
        for _, row in found if with_details else ():
            extra.setdefault("Experimenter", set()).add(row["owner_id"])
            extra.setdefault("Event", set()).add(row["creation_id"])
        found += self._make(extra)
        self._learn_classes(row for _, row in found)
        for root, row in found:
            self._fill(root, row)
        self._fill_maps(found)
        for one in loaded:
            every = [self.get(one.element_root, element) for element in one.elements]
            self.set_collection(self.get(one.root, one.owner), one.field, [element for element in every if element is not None])

    def get(self, root: str, row_id: int) -> Any | None:
        """Give the loaded object of a row, if it was asked for and exists."""
        return self._objects.get((root, row_id))

    def set_collection(self, owner: Any, field: str, elements: Iterable[Any]) -> None:
        """Make a collection a loaded one with these elements."""
        setattr(owner, f"_{field}Seq", list(elements))
        setattr(owner, f"_{field}Loaded", True)

    def reference(self, entity: str, row_id: int | None) -> Any | None:
        """Object of a row: the loaded one if the graph has it, else an unloaded one."""
        if row_id is None:
            return None
        key = (ENTITIES[entity].root, row_id)
        if key in self._objects:
            return self._objects[key]
        if key not in self._unloaded:
            self._unloaded[key] = new(ENTITIES[self._classes.get(key, entity)], row_id, loaded=False)
        return self._unloaded[key]

    def reference_of_unknown_class(self, entity: str, row_id: int) -> Any | None:
        """Like `reference`, for a row that no loaded row refers to."""
        root = ENTITIES[entity].root
        if (root, row_id) not in self._objects:
            self._ask_classes({root: {row_id}})
        return self.reference(entity, row_id)

    def _make(self, wanted: Mapping[str, Collection[int | None]]) -> list[tuple[str, sqlite3.Row]]:
        found = []
        for root, ids in wanted.items():
            for row in self._rows.rows_by_id(root, [i for i in ids if i is not None and (root, i) not in self._objects]):
                self._objects[root, row["id"]] = new(ENTITIES[row["cls"]], row["id"])
                found.append((root, row))
        return found

    def _learn_classes(self, rows: Iterable[sqlite3.Row]) -> None:
        """Find out what a reference to a super class refers to: abstract classes cannot be sent."""
        unknown: dict[str, set[int]] = defaultdict(set)
        for row in rows:
            for column, root in _polymorphic(row["cls"]):
                row_id = row[column]
                if row_id is not None and (root, row_id) not in self._objects and (root, row_id) not in self._classes:
                    unknown[root].add(row_id)
        self._ask_classes(unknown)

    def _ask_classes(self, unknown: Mapping[str, Collection[int]]) -> None:
        for root, ids in unknown.items():
            for row in self._rows.rows(
                f"SELECT id, cls FROM t_{root} WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids))
            ):
                self._classes[root, row["id"]] = row["cls"]

    def _fill(self, root: str, row: sqlite3.Row) -> None:
        obj = self._objects[root, row["id"]]
        if hasattr(obj, "_toggleCollectionsLoaded"):
            obj._toggleCollectionsLoaded(False)
        for attribute, column, wrapper in _scalars(row["cls"]):
            value = row[column]
            setattr(obj, attribute, None if value is None else wrapper(value))
        for attribute, column, entity in _references(row["cls"]):
            setattr(obj, attribute, self.reference(entity, row[column]))
        for attribute, column, unit_column, unit in _units(row["cls"]):
            value = row[column]
            setattr(obj, attribute, None if value is None else unit(value, row[unit_column]))
        if root == "Experimenter" and not self._access.sees_names(row["id"]):
            for name, hidden in USER_NAMES.items():
                setattr(obj, f"_{name}", rstring(hidden) if hidden else None)
        obj._details = self._details(row)

    def _details(self, row: sqlite3.Row) -> Any:
        details = omero.model.DetailsI()
        for name, (column, target) in DETAILS.items():
            setattr(details, f"_{name}", self.reference(target, row[column]))
        details._permissions = self.permissions(row)
        return details

    def permissions(self, row: sqlite3.Row) -> Any:
        """Make the permissions of a row, with what the caller may not do to it."""
        key = kind_of_rights(row)
        if key not in self._denied:
            self._denied[key] = self._access.rights_to(ENTITIES[row["cls"]], row).restrictions()
        permissions = omero.model.PermissionsI(self._access.permissions(key.group))
        permissions._restrictions = list(self._denied[key])
        permissions._extendedRestrictions = []
        return permissions

    def _fill_maps(self, found: list[tuple[str, sqlite3.Row]]) -> None:
        owners: dict[str, list[int]] = defaultdict(list)
        for root, row in found:
            for name in _maps(row["cls"]):
                setattr(self._objects[root, row["id"]], f"_{name}", [])
                owners[root].append(row["id"])
        for root, ids in owners.items():
            for value in self._rows.rows(
                "SELECT object, field, name, value FROM map_value"
                " WHERE root = ? AND object IN (SELECT value FROM json_each(?)) ORDER BY object, field, position",
                root,
                json.dumps(ids),
            ):
                values = getattr(self._objects[root, value["object"]], f"_{value['field']}")
                values.append(omero.model.NamedValue(value["name"], value["value"]))


@functools.cache
def _scalars(cls: str) -> list[tuple[str, str, Callable[[Any], Any]]]:
    fields = ENTITIES[cls].fields.values()
    found = [(f"_{f.name}", f"c_{f.name}", WRAPPERS[f.type]) for f in fields if f.kind is Kind.SCALAR]
    return found + [(f"_{f.name}", f"c_{f.name}", bytes) for f in fields if f.kind is Kind.BYTES]


@functools.cache
def _references(cls: str) -> list[tuple[str, str, str]]:
    return [(f"_{f.name}", f"r_{f.name}", f.type) for f in ENTITIES[cls].fields.values() if f.kind is Kind.REF]


@functools.cache
def _units(cls: str) -> list[tuple[str, str, str, Callable[[float, str], Any]]]:
    fields = ENTITIES[cls].fields.values()
    return [
        (f"_{f.name}", f"c_{f.name}", f"u_{f.name}", getattr(omero.model, f"{f.type}I")) for f in fields if f.kind is Kind.UNIT
    ]


@functools.cache
def _maps(cls: str) -> list[str]:
    return [f.name for f in ENTITIES[cls].fields.values() if f.kind is Kind.MAP]


@functools.cache
def _polymorphic(cls: str) -> list[tuple[str, str]]:
    return [
        (f"r_{f.name}", ENTITIES[f.type].root)
        for f in ENTITIES[cls].fields.values()
        if f.kind is Kind.REF and len(ENTITIES[f.type].subs) > 1
    ]
