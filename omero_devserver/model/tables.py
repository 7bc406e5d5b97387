# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables: where the model's rows lie in SQLite.

One table `t_<root>` for each hierarchy, with the class of the row in `cls`. Columns: `c_<scalar>` (times in milliseconds,
booleans 0 and 1), `r_<reference>` (id of the other row), `c_<unit field>` and `u_<unit field>` (number and unit name), and the
details `owner_id`, `group_id`, `creation_id`, `update_id`, `external_id`. `position` orders the elements of a list.
`map_value` has the named values of all map fields, `password` the hashes.
"""

import functools
import sqlite3
from collections.abc import Iterator

from omero_devserver.model.schema import ENTITIES, ROOTS, Entity, Field, Kind

#: Details of a row that refer to other rows: name in HQL, column, entity.
DETAILS = {
    "owner": ("owner_id", "Experimenter"),
    "group": ("group_id", "ExperimenterGroup"),
    "creationEvent": ("creation_id", "Event"),
    "updateEvent": ("update_id", "Event"),
    "externalInfo": ("external_id", "ExternalInfo"),
}
_SCALAR_COLUMNS = {
    "RString": "TEXT",
    "RLong": "INTEGER",
    "RInt": "INTEGER",
    "RBool": "INTEGER",
    "RTime": "INTEGER",
    "RDouble": "REAL",
    "RFloat": "REAL",
}
#: What clients filter by, besides references. `value` of enumerations and `name` of all roots that have one are indexed too.
_INDEXED = (
    ("Annotation", "c_ns"),
    ("Annotation", "c_textValue"),
    ("Experimenter", "c_omeName"),
    ("FilesetEntry", "c_clientPath"),
    ("OriginalFile", "c_hash"),
    ("Session", "c_uuid"),
)
#: References of the elements of lists to what has the list.
_LISTS = {(ENTITIES[f.type].root, f"r_{f.inverse}") for entity in ENTITIES.values() for f in entity.own.values() if f.ordered}
#: (root, columns): constraints of the real database, by the names that clients see in messages (real server, recorded).
UNIQUE = {
    ("Well", ("r_plate", "c_row", "c_column")): "well_col_row",
    ("OriginalFile", ("c_repo", "c_path", "c_name")): "originalfile_repo_path_index",
    ("Experimenter", ("c_omeName",)): "experimenter_omename_key",
    ("ExperimenterGroup", ("c_name",)): "experimentergroup_name_key",
    ("GroupExperimenterMap", ("r_parent", "r_child")): "groupexperimentermap_parent_child_key",
}


def table(entity: Entity) -> str:
    """Name of the table that holds the rows of an entity."""
    return f"t_{entity.root}"


def columns(f: Field) -> dict[str, str]:
    """Columns of a field in the table of its entity, with their SQL types; none for collections and maps."""
    match f.kind:
        case Kind.SCALAR:
            return {f"c_{f.name}": _SCALAR_COLUMNS[f.type]}
        case Kind.REF:
            return {f"r_{f.name}": "INTEGER"}
        case Kind.UNIT:
            return {f"c_{f.name}": "REAL", f"u_{f.name}": "TEXT"}
        case Kind.BYTES:
            return {f"c_{f.name}": "BLOB"}
        case Kind.SEQ | Kind.MAP:
            return {}


@functools.cache
def columns_of(root: str) -> dict[str, str]:
    """All columns of the table of `root`, with their SQL types."""
    found = {
        "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "cls": "TEXT NOT NULL",
        "version": "INTEGER",
        "position": "INTEGER",
        **{column: "INTEGER" for column, _ in DETAILS.values()},
    }
    if root == "ExperimenterGroup":
        found["permissions"] = "INTEGER"
    for name in sorted(ENTITIES[root].subs):
        for f in ENTITIES[name].own.values():
            found.update(columns(f))
    return found


@functools.cache
def targets_of(root: str) -> dict[str, str]:
    """Map the references of the table of `root`, by column, to the one table that each refers to.

    `LightSource.type` is left out: each subclass has an enumeration of its own there.
    """
    targets: dict[str, set[str]] = {}
    for name in sorted(ENTITIES[root].subs):
        for f in ENTITIES[name].own.values():
            if f.kind is Kind.REF:
                targets.setdefault(f"r_{f.name}", set()).add(ENTITIES[f.type].root)
    return {column: roots.pop() for column, roots in targets.items() if len(roots) == 1}


def create_tables(connection: sqlite3.Connection) -> None:
    """Make what is not there yet."""
    for statement in _statements():
        connection.execute(statement)


def _statements() -> Iterator[str]:
    for root in sorted(ROOTS):
        names = columns_of(root)
        lines = [f"{name} {kind}" for name, kind in names.items()]
        # Checked at the commit: within a transaction rows may come and go in any order.
        lines += [
            f"FOREIGN KEY ({column}) REFERENCES t_{target}(id) DEFERRABLE INITIALLY DEFERRED"
            for column, target in targets_of(root).items()
        ]
        yield f"CREATE TABLE IF NOT EXISTS t_{root} ({', '.join(lines)})"
        indexed = [name for name in names if name.startswith("r_") or name in ("c_name", "c_value", "external_id")]
        for column in [*indexed, *(column for other, column in _INDEXED if other == root)]:
            # With the position, so that the end of a list is found without a look at all that is in it.
            of = f"{column}, position" if (root, column) in _LISTS else column
            yield f"CREATE INDEX IF NOT EXISTS i_{root}_{column} ON t_{root}({of})"
    for (root, unique), name in {**UNIQUE, **_unique_links()}.items():
        yield f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON t_{root}({', '.join(unique)})"
    yield (
        "CREATE TABLE IF NOT EXISTS map_value "
        "(root TEXT NOT NULL, object INTEGER NOT NULL, field TEXT NOT NULL, position INTEGER NOT NULL, name TEXT, value TEXT)"
    )
    yield "CREATE INDEX IF NOT EXISTS i_map_object ON map_value(object, root, field)"
    yield "CREATE INDEX IF NOT EXISTS i_map_value ON map_value(value, name)"
    yield "CREATE TABLE IF NOT EXISTS password (user INTEGER PRIMARY KEY, hash TEXT NOT NULL)"


def _unique_links() -> dict[tuple[str, tuple[str, ...]], str]:
    return {
        (entity.name, ("r_parent", "r_child", "owner_id")): f"{entity.name.lower()}_parent_child_owner_id_key"
        for entity in ENTITIES.values()
        if entity.link and entity.root == entity.name
    }
