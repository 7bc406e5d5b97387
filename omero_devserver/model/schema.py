# SPDX-License-Identifier: GPL-2.0-or-later
"""Schema: the entities of the OMERO model, their fields and how they hang together.

Read once, at import, from omero-py: types from the Slice definitions, "not null" and package names from the classes.
An entity is named as clients name it ("Image"); `full_name` is the server's name for it ("ome.model.core.Image").
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import omero
import omero.all  # loads every generated module
import omero.model
from omero.rtypes import rlong

from omero_devserver.model.slice import Definitions, SliceClass, read_definitions

SCALAR_TYPES = frozenset({"RString", "RLong", "RInt", "RBool", "RDouble", "RFloat", "RTime"})
UNIT_TYPES = frozenset({"Length", "Time", "Temperature", "Power", "Pressure", "Frequency", "ElectricPotential"})
#: References that say nothing about the collection on the other side; everywhere else there is one candidate, or `parent`.
_INVERSES = {
    ("Folder", "childFolders"): "parentFolder",
    ("OriginalFile", "pixelsFileMaps"): "parent",
    ("Pixels", "pixelsFileMaps"): "child",
}
#: System types: rows that belong to nobody and that everybody reads (ome.system.Roles, ome.model.IGlobal in OMERO's source).
_SYSTEM_TYPES = frozenset(
    {
        "AdminPrivilege",
        "ChecksumAlgorithm",
        "Event",
        "EventLog",
        "Experimenter",
        "ExperimenterGroup",
        "GroupExperimenterMap",
        "Node",
        "Session",
        "Share",
        "ShareMember",
    }
)


class Kind(StrEnum):
    """How a field is stored."""

    SCALAR = "scalar"  # one value, one column
    REF = "ref"  # the id of another row
    SEQ = "seq"  # rows of another table that refer to this one
    UNIT = "unit"  # a number and the name of its unit
    MAP = "map"  # named values, in a table of their own
    BYTES = "bytes"  # a byte array


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an entity.

    type:     RType of a scalar, entity of a reference, element entity of a collection, class of a unit.
    declared: the entity that declares it; subclasses inherit it.
    inverse:  of a collection: the reference of the element that points back.
    ordered:  of a collection: the server keeps the order of its elements (a list, not a set).
    """

    name: str
    kind: Kind
    type: str
    declared: str
    nullable: bool
    inverse: str = ""
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One class of the model.

    bases:  itself first, then its parents, without IObject. The last one is `root`, whose table holds the rows.
    fields: own and inherited ones by name.
    subs:   names of itself and everything below.
    """

    name: str
    full_name: str
    bases: tuple[str, ...]
    fields: Mapping[str, Field]
    subs: frozenset[str]
    concrete: bool
    enumeration: bool
    own: Mapping[str, Field] = field(repr=False)

    @property
    def root(self) -> str:
        """Name of the topmost parent: one table holds the whole hierarchy."""
        return self.bases[-1]

    @property
    def system(self) -> bool:
        """Whether its rows have neither owner nor group."""
        return self.enumeration or self.name in _SYSTEM_TYPES

    @property
    def link(self) -> bool:
        """Whether its rows tie a `parent` to a `child`."""
        return self.name.endswith("Link") and {"parent", "child"} <= self.fields.keys()


class UnknownEntityError(LookupError):
    """A name that is no class of the model."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"{name} is no class of the OMERO model.")
        self.name = name


def _fields_of(slice_class: SliceClass, definitions: Definitions, entities: frozenset[str]) -> Iterator[Field]:
    info = getattr(_python_class(slice_class.name), "_field_info", None)
    for member, type_name in slice_class.members.items():
        if member == "version" or member.endswith(("Loaded", "CountPerOwner")):
            continue
        name, kind, target = member, Kind.BYTES, type_name
        if type_name in SCALAR_TYPES:
            kind = Kind.SCALAR
        elif member.endswith("Seq") and type_name in definitions.sequences:
            name, kind, target = member.removesuffix("Seq"), Kind.SEQ, definitions.sequences[type_name]
        elif type_name in UNIT_TYPES:
            kind = Kind.UNIT
        elif type_name == "NamedValueList":
            kind = Kind.MAP
        elif type_name in entities:
            kind = Kind.REF
        elif type_name != "ByteSeq":
            continue  # Namespace.keywords, the one array of strings: nobody who imports or looks at images uses it
        nullable = info is None or not hasattr(info, name) or bool(getattr(info, name).nullable)
        yield Field(name=name, kind=kind, type=target, declared=slice_class.name, nullable=nullable)


def _python_class(name: str) -> Any:
    return getattr(omero.model, f"{name}I", None) or getattr(omero.model, name)


def _line(name: str, classes: Mapping[str, SliceClass]) -> tuple[str, ...]:
    """`name` and its parents up to IObject; empty if it is no entity."""
    line: list[str] = []
    at: str | None = name
    while at is not None and at in classes:
        if at == "IObject":
            return tuple(line)
        line.append(at)
        at = classes[at].base
    return ()


def _read() -> dict[str, Entity]:
    definitions = read_definitions()
    lines = {name: line for name in definitions.classes if (line := _line(name, definitions.classes))}
    names = frozenset(lines)
    own = {name: {f.name: f for f in _fields_of(definitions.classes[name], definitions, names)} for name in lines}
    inherited = {name: {k: v for base in reversed(line) for k, v in own[base].items()} for name, line in lines.items()}
    complete = {name: {k: _with_inverse(f, lines, inherited) for k, f in fields.items()} for name, fields in inherited.items()}
    return {
        name: Entity(
            name=name,
            full_name=_full_name(name, names, lines),
            bases=line,
            fields=complete[name],
            own={k: complete[name][k] for k in own[name]},
            subs=frozenset(sub for sub in lines if name in lines[sub]),
            concrete=hasattr(omero.model, f"{name}I"),
            enumeration="value" in inherited[name] and inherited[name].keys() <= {"value", "bitSize", "measurementSystem"},
        )
        for name, line in lines.items()
    }


def _with_inverse(f: Field, lines: Mapping[str, tuple[str, ...]], fields: Mapping[str, Mapping[str, Field]]) -> Field:
    if f.kind is not Kind.SEQ:
        return f
    candidates = [g.name for g in fields[f.type].values() if g.kind is Kind.REF and g.type in lines[f.declared]]
    inverse = _INVERSES.get((f.declared, f.name)) or ("parent" if "parent" in candidates else candidates[0])
    # Lists, and only lists, have an accessor of their first element in the generated classes.
    return replace(f, inverse=inverse, ordered=hasattr(_python_class(f.declared), f"getPrimary{f.type}"))


def _full_name(name: str, names: frozenset[str], lines: Mapping[str, tuple[str, ...]]) -> str:
    """Read from the generated constants, as ``ImageI.DETAILS = "ome.model.core.Image_details"``; abstract classes have none."""
    for other in (name, *sorted(n for n in names if name in lines[n])):
        details = getattr(_python_class(other), "DETAILS", None)
        if details is not None:
            package = str(details).removesuffix(f".{other}_details")
            return f"{package}.{name}"
    raise TypeError(f"omero-py has no class from which the package of {name} can be told.")


ENTITIES: Mapping[str, Entity] = _read()
ROOTS = frozenset(entity.root for entity in ENTITIES.values())


@functools.lru_cache(maxsize=1024)
def find_class(name: str) -> Entity:
    """Look an entity up by any of the names that clients use.

    Parameters
    ----------
    name : str
        "Image", "ImageI", "omero.model.ImageI", "::omero::model::Image" or "ome.model.core.Image".

    Raises
    ------
    UnknownEntityError
        There is no such class.
    """
    short = name.replace("::", ".").rpartition(".")[2]
    for candidate in (short, short.removesuffix("I")):
        if candidate in ENTITIES:
            return ENTITIES[candidate]
    raise UnknownEntityError(name=name)


def entity_of(obj: Any) -> Entity:
    """Entity of an omero.model object."""
    return find_class(obj.ice_staticId())


def new(entity: Entity, row_id: int | None = None, *, loaded: bool = True) -> Any:
    """Make an omero.model object of a concrete entity."""
    return getattr(omero.model, f"{entity.name}I")(None if row_id is None else rlong(row_id), loaded)


def rows_that_refer_to(root: str) -> tuple[tuple[Entity, Field], ...]:
    """List references, each with the entity that declares it, whose target lies in the table of `root`."""
    return _REFERRERS[root]


def _referrers() -> dict[str, tuple[tuple[Entity, Field], ...]]:
    found: dict[str, list[tuple[Entity, Field]]] = {root: [] for root in ROOTS}
    for entity in ENTITIES.values():
        for f in entity.own.values():
            if f.kind is Kind.REF:
                found[ENTITIES[f.type].root].append((entity, f))
    return {root: tuple(pairs) for root, pairs in found.items()}


_REFERRERS = _referrers()
