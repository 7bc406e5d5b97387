# SPDX-License-Identifier: GPL-2.0-or-later
"""Save: graphs of omero.model objects into the tables, as IUpdate does.

Everything of one call goes in within one transaction or not at all. New rows get their ids before their references are
followed, so that graphs may have cycles. Texts and order of the refusals are those recorded on a real server.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from omero_devserver.model.schema import ENTITIES, Entity, Field, Kind, entity_of
from omero_devserver.model.tables import UNIQUE, table
from omero_devserver.store import refusals
from omero_devserver.store.events import new_event
from omero_devserver.store.graph import Graph
from omero_devserver.store.linking import Linking
from omero_devserver.store.people import USER_GROUP
from omero_devserver.store.permits import Permits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.store.access import Access
    from omero_devserver.store.graph import Key
    from omero_devserver.store.rows import Rows

#: Columns that the real database fills when a client leaves them out.
_DEFAULTS: Mapping[tuple[str, str], object] = {("Image", "series"): 0}
_LIMITED_LENGTHS = {("ExternalInfo", "lsid"): 255}


class Save:
    """One call of a saving method."""

    def __init__(self, rows: Rows, access: Access) -> None:
        self._rows, self._access, self._caller = rows, access, access.caller
        self._linking, self._permits = Linking(access), Permits(rows, access)
        #: id() of each object met, with its row. The objects are kept: a freed one's id() is given out again.
        self._seen: dict[int, Key] = {}
        self._objects: list[Any] = []
        self._new: set[Key] = set()
        self._next_ids: dict[str, int] = {}
        self._event: int | None = None
        self._logs: list[tuple[str, str, int]] = []  # what the event's EventLogs say: action, class, id

    def save(self, objects: Sequence[Any]) -> list[Any]:
        """Save graphs and give them back: the same shape, with ids, details and everything that the server filled in."""
        if any(obj is None for obj in objects):
            raise refusals.api_usage("Argument to save cannot be null.")
        with self._rows.transaction():
            keys = [self._save_given(obj) for obj in objects]
            if self._event is not None:
                self._rows.add_logs(self._event, self._logs)
            return self._saved_graph(keys)

    def _save_given(self, obj: Any) -> Key:
        """Save one of the objects that were given: an unloaded one comes back loaded, to those who may read it."""
        key = self._save(obj)
        if not obj._loaded:
            entity = entity_of(obj)
            if not self._access.can_read(entity, self._row(entity, key[1])):
                raise refusals.unreadable(entity, key[1])
        return key

    def _save(self, obj: Any, back: tuple[str, Key] | None = None) -> Key:
        """Save one object with all it refers to.

        back: reference and key of the row whose collection it stands in.
        """
        if id(obj) in self._seen:
            return self._seen[id(obj)]
        entity = entity_of(obj)
        row_id = None if obj._id is None else obj._id.val
        if not obj._loaded:
            return entity.root, self._row(entity, -1 if row_id is None else row_id)["id"]
        self._objects.append(obj)
        if row_id is not None:
            return self._update(obj, entity, row_id)
        if entity.enumeration and (known := self._enumeration(entity, obj)) is not None:
            self._seen[id(obj)] = known
            return known
        return self._insert(obj, entity, back)

    def _row(self, entity: Entity, row_id: int) -> sqlite3.Row:
        """Read a row of an entity; raises omero.ValidationException if there is none, or one of another class."""
        row = self._rows.row(entity, row_id)
        if row is None or row["cls"] not in entity.subs:
            raise refusals.missing(entity, row_id)
        return row

    def _enumeration(self, entity: Entity, obj: Any) -> Key | None:
        if obj._value is None:
            return None
        found = self._rows.rows(f"SELECT id FROM {table(entity)} WHERE c_value = ?", obj._value.val)
        return (entity.root, int(found[0][0])) if found else None

    def _insert(self, obj: Any, entity: Entity, back: tuple[str, Key] | None) -> Key:
        row_id = self._new_id(entity)
        key = (entity.root, row_id)
        self._seen[id(obj)] = key
        self._new.add(key)
        if entity.system and not self._access.may_create(entity):
            value = obj._value.val if entity.enumeration and obj._value is not None else ""
            what = refusals.named(entity, row_id, value)
            raise refusals.security(f"{what} is a System-type, and may be created only through privileged APIs.")
        group = None if entity.system else self._permits.group_of_new(obj, entity, row_id)
        values = self._values(obj, entity)
        if back is not None and values.get(f"r_{back[0]}") is None:
            values[f"r_{back[0]}"] = back[1][1]
        self._require_values(entity, values)
        group = self._check_links(entity, key, values, {}, group)
        if not entity.system:
            self._permits.may_create(entity, row_id, group)
        values["external_id"] = self._external_info(obj)
        if not entity.system:
            owner = self._permits.owner_of_new(obj, entity, row_id)
            event = self._current_event(group)
            values.update(owner_id=owner, group_id=group, creation_id=event, update_id=event)
        self._write(entity, lambda: self._rows.insert(entity.name, id=row_id, **values))
        self._logs.append(("INSERT", entity.full_name, row_id))
        self._save_maps(obj, entity, row_id)
        self._save_collections(obj, entity, key)
        return key

    def _update(self, obj: Any, entity: Entity, row_id: int) -> Key:
        key = (entity.root, row_id)
        self._seen[id(obj)] = key
        row = self._row(entity, row_id)
        if not self._access.can_read(entity, row):
            raise refusals.unreadable(entity, row_id)
        values = self._values(obj, entity)
        self._require_values(entity, values)
        self._permits.check_details(obj, entity, row)
        if obj._details is not None:
            values["external_id"] = self._external_info(obj)
        changes = {column: value for column, value in values.items() if row[column] != value}
        if entity.name == "OriginalFile":
            changes.pop("c_repo", None)  # a file stays in its repository, without a word (OmeroInterceptor.onFlushDirty)
            self._permits.may_name(values, changes)
        maps = self._maps_differ(obj, entity, row_id)
        if (changes or maps) and entity.name not in refusals.IMMUTABLE:
            self._permits.may_change(obj, entity, row)
            self._check_links(entity, key, changes, dict(row), row["group_id"])
            if not entity.system:
                changes["update_id"] = self._current_event(row["group_id"])
            self._write(entity, lambda: self._rows.update(entity.name, row_id, **changes))
            self._logs.append(("UPDATE", entity.full_name, row_id))
            self._save_maps(obj, entity, row_id)
        self._save_collections(obj, entity, key)
        return key

    # What goes into the columns

    def _values(self, obj: Any, entity: Entity) -> dict[str, object]:
        """Column values of an object; saves what it refers to, in the order in which Hibernate does: by name."""
        values: dict[str, object] = {}
        for f in sorted(entity.fields.values(), key=lambda f: f.name):
            given = getattr(obj, f"_{f.name}", None)
            match f.kind:
                case Kind.SCALAR:
                    values[f"c_{f.name}"] = self._scalar(entity, f, given)
                case Kind.BYTES:
                    values[f"c_{f.name}"] = None if given is None else bytes(given)
                case Kind.UNIT:
                    values[f"c_{f.name}"] = None if given is None else given._value
                    values[f"u_{f.name}"] = None if given is None else given._unit.name
                case Kind.REF:
                    values[f"r_{f.name}"] = None if given is None else self._save(given)[1]
                case Kind.SEQ | Kind.MAP:
                    pass
        return values

    def _scalar(self, entity: Entity, f: Field, given: Any) -> object:
        value = None if given is None else given.val
        if value is None:
            return _DEFAULTS.get((entity.name, f.name))
        if isinstance(value, str):
            limit = _LIMITED_LENGTHS.get((entity.name, f.name), len(value))
            if "\0" in value or len(value) > limit:
                raise refusals.not_inserted(entity)
        return int(value) if isinstance(value, bool) else value

    def _require_values(self, entity: Entity, values: Mapping[str, object]) -> None:
        for f in sorted(entity.fields.values(), key=lambda f: f.name):
            column = f"r_{f.name}" if f.kind is Kind.REF else f"c_{f.name}"
            if not f.nullable and f.kind not in (Kind.SEQ, Kind.MAP) and values[column] is None:
                raise refusals.not_null(entity, f.name)

    def _external_info(self, obj: Any) -> int | None:
        info = None if obj._details is None else obj._details._externalInfo
        return None if info is None else self._save(info)[1]

    def _save_maps(self, obj: Any, entity: Entity, row_id: int) -> None:
        for f in entity.fields.values():
            if f.kind is Kind.MAP and getattr(obj, f"_{f.name}") is not None:
                values = _named_values(obj, f)
                if any("\0" in text for pair in values for text in pair):
                    raise refusals.not_inserted(entity)
                self._rows.set_map(entity.root, row_id, f.name, values)

    def _maps_differ(self, obj: Any, entity: Entity, row_id: int) -> bool:
        for f in entity.fields.values():
            if f.kind is Kind.MAP and getattr(obj, f"_{f.name}") is not None:
                stored = self._rows.rows(
                    "SELECT name, value FROM map_value WHERE root = ? AND object = ? AND field = ? ORDER BY position",
                    entity.root,
                    row_id,
                    f.name,
                )
                if [tuple(row) for row in stored] != _named_values(obj, f):
                    return True
        return False

    def _save_collections(self, obj: Any, entity: Entity, key: Key) -> None:
        for f in entity.fields.values():
            if f.kind is Kind.SEQ and getattr(obj, f"_{f.name}Loaded"):
                for element in getattr(obj, f"_{f.name}Seq"):
                    if element is not None:
                        self._save(element, back=(f.inverse, key))

    def _write(self, entity: Entity, write: Any) -> None:
        try:
            write()
        except sqlite3.IntegrityError as error:
            raise refusals.not_inserted(entity, constraint=_constraint(entity, str(error))) from error

    def _new_id(self, entity: Entity) -> int:
        if entity.root not in self._next_ids:
            found = self._rows.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", table(entity))
            self._next_ids[entity.root] = int(found[0][0]) + 1 if found else 1
        row_id = self._next_ids[entity.root]
        self._next_ids[entity.root] = row_id + 1
        return row_id

    # What it may refer to

    def _check_links(
        self, entity: Entity, key: Key, values: Mapping[str, object], before: Mapping[str, object], group: int | None
    ) -> int | None:
        """Check each reference to a row that was there before this save.

        Returns the group of the row: with ``omero.group=-1`` what an administrator makes goes where the first of them is.
        """
        for f in sorted(entity.fields.values(), key=lambda f: f.name):
            if f.kind is not Kind.REF:
                continue
            target_id = values.get(f"r_{f.name}")
            target_key = (ENTITIES[f.type].root, target_id)
            if not isinstance(target_id, int) or before.get(f"r_{f.name}") == target_id or ENTITIES[f.type].system:
                continue
            if target_key in self._new:
                continue
            row = self._rows.row(ENTITIES[f.type], target_id)
            if row is None:
                raise refusals.missing(ENTITIES[f.type], target_id)
            if group is None and self._caller.admin:
                group = row["group_id"]
            self._linking.check(entity=entity, row_id=key[1], group=group, target=ENTITIES[row["cls"]], row=row)
        return group

    def _current_event(self, group: int | None) -> int:
        if self._event is None:
            caller = self._caller
            if group is None:
                group = caller.group if caller.group >= 0 else USER_GROUP
            self._event = new_event(self._rows, caller, group)
        return self._event

    # What is given back

    def _saved_graph(self, keys: Sequence[Key]) -> list[Any]:
        graph = Graph(self._rows, self._access)
        wanted: dict[str, set[int]] = {}
        for root, row_id in (*self._seen.values(), *keys):
            wanted.setdefault(root, set()).add(row_id)
        graph.load(wanted, with_details=True)
        for obj in self._objects:
            saved = graph.get(*self._seen[id(obj)])
            for f in entity_of(obj).fields.values():
                if f.kind is Kind.SEQ and getattr(obj, f"_{f.name}Loaded"):
                    elements = [e for e in getattr(obj, f"_{f.name}Seq") if e is not None]
                    known = [self._element(graph, e) for e in elements]
                    graph.set_collection(saved, f.name, known)
        return [graph.get(*key) for key in keys]

    def _element(self, graph: Graph, element: Any) -> Any:
        if id(element) in self._seen:
            return graph.get(*self._seen[id(element)])
        return graph.reference_of_unknown_class(entity_of(element).name, element._id.val)


def _named_values(obj: Any, f: Field) -> list[tuple[str, str]]:
    """Named values of a map field; the server stores an empty text where there is none (recorded)."""
    return [(value.name or "", value.value or "") for value in getattr(obj, f"_{f.name}") if value is not None]


def _constraint(entity: Entity, message: str) -> str:
    """Name of the unique constraint that SQLite names by its columns: "UNIQUE constraint failed: t_Well.r_plate, …"."""
    columns = tuple(part.rpartition(".")[2] for part in message.partition(": ")[2].split(", "))
    if columns == ("r_parent", "r_child", "owner_id"):
        return f"{entity.root.lower()}_parent_child_owner_id_key"
    return UNIQUE.get((entity.root, columns), message)
