# SPDX-License-Identifier: GPL-2.0-or-later
"""Refusals: OMERO's own exceptions, with the texts that a real server was recorded to send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero

from omero_devserver.model.schema import Kind

if TYPE_CHECKING:
    from omero_devserver.model.schema import Entity

#: Rows that stay as they were made: changes are ignored without a word (real server, recorded for ExternalInfo).
IMMUTABLE = frozenset({"ExternalInfo", "Event", "EventLog"})
#: Names that PostgreSQL wants in quotes.
_RESERVED = frozenset({"column", "row"})
_NO_CONTEXT = (
    "No valid permissions available! DUMMY permissions are not intended for copying. "
    "Make sure that you have not passed omero.group=-1 for a save without context"
)


def named(entity: Entity, row_id: int, value: str = "") -> str:
    """Name a row as the server's messages do; enumerations with their value."""
    return f"{entity.full_name}:{value + ':' if value else ''}Id_{row_id}"


def api_usage(message: str) -> omero.ApiUsageException:
    """Say that the call is wrong."""
    return omero.ApiUsageException("", "ome.conditions.ApiUsageException", message)


def read_only() -> omero.ApiUsageException:
    """Refuse to write on a server that only reads (EventHandler of OMERO's source)."""
    return api_usage("This instance is read-only")


def no_context() -> omero.ApiUsageException:
    """Refuse a save with ``omero.group=-1``."""
    return api_usage(_NO_CONTEXT)


def invalid(message: str) -> omero.ValidationException:
    """Say that the data breaks a rule of the database."""
    return omero.ValidationException("", "ome.conditions.ValidationException", message)


def missing(entity: Entity, row_id: int) -> omero.ValidationException:
    """Say that there is no row of that id."""
    text = f"No row with the given identifier exists: [{entity.full_name}#{row_id}]"
    return invalid(f"{text}; nested exception is org.hibernate.ObjectNotFoundException: {text}")


def not_null(entity: Entity, field: str) -> omero.ValidationException:
    """Say that a field wants a value."""
    text = f"not-null property references a null or transient value: {entity.full_name}.{field}"
    return invalid(f"{text}; nested exception is org.hibernate.PropertyValueException: {text}")


def not_inserted(entity: Entity, *, constraint: str = "") -> omero.ValidationException:
    """Say that the database did not take a row: for a constraint, or else for a value that does not fit.

    The text holds the statement as Hibernate writes it: columns by the names of their fields, the details among them.
    """
    text = f"could not insert: [{entity.full_name}]"
    sql = f"insert into {entity.name.lower()} ({', '.join(_columns(entity))}) values ({', '.join('?' * len(_columns(entity)))})"
    cause = "ConstraintViolationException" if constraint else "DataException"
    broken = f"constraint [{constraint}]; " if constraint else ""
    return invalid(f"{text}; SQL [{sql}]; {broken}nested exception is org.hibernate.exception.{cause}: {text}")


def _columns(entity: Entity) -> list[str]:
    immutable = entity.name in IMMUTABLE
    names: list[str] = []
    for name in sorted([*(f.name for f in entity.fields.values() if f.kind not in (Kind.SEQ, Kind.MAP)), "details"]):
        if name == "details" and entity.system:
            names += ["external_id", "permissions"]
        elif name == "details":
            names += ["creation_id", "external_id", "group_id", "owner_id", "permissions"]
            names += [] if immutable else ["update_id"]
        elif entity.fields[name].kind is Kind.UNIT:
            names += [f"{name}Unit", name]
        else:
            names.append(f'"{name}"' if name in _RESERVED else name)
    return [*names, *([] if immutable else ["version"]), "id"]


def security(message: str) -> omero.SecurityViolation:
    """Say that the caller may not do it."""
    return omero.SecurityViolation("", "ome.conditions.SecurityViolation", message)


def unreadable(entity: Entity, row_id: int) -> omero.SecurityViolation:
    """Say that the row exists and the caller may not see it."""
    return security(f"Cannot read {named(entity, row_id)}")


def group_security(message: str) -> omero.GroupSecurityViolation:
    """Say that groups do not allow it."""
    return omero.GroupSecurityViolation("", "ome.conditions.GroupSecurityViolation", message)


def read_only_group(entity: Entity, row_id: int) -> omero.ReadOnlyGroupSecurityViolation:
    """Refuse to link to what another user owns in a private group."""
    return omero.ReadOnlyGroupSecurityViolation(
        "", "ome.conditions.ReadOnlyGroupSecurityViolation", f"Cannot link to {named(entity, row_id)}"
    )


def stale(entity: Entity, row_id: int, *, now: int, given: int) -> omero.OptimisticLockException:
    """Refuse a copy that somebody else has overtaken."""
    event = "ome.model.meta.Event:Id_"
    return omero.OptimisticLockException(
        "",
        "ome.conditions.OptimisticLockException",
        f"You are not authorized to change the update event for {named(entity, row_id)} from {event}{now} to {event}{given}",
        0,
    )
