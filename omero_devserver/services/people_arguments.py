# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of IAdmin: users, groups and privileges as clients send them, and what is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import unwrap

from omero_devserver.model.schema import find_class
from omero_devserver.store.errors import NameTaken, NoSuchGroup, NoSuchUser, StillReferred
from omero_devserver.store.people import Person
from omero_devserver.store.refusals import not_inserted
from omero_devserver.wire.arguments import loaded
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from omero_devserver.wire.servant import Call


def person_of(user: Any, *, name: str | None = None) -> Person:
    """Read what a client says of a user, but for the login `name` if that is given.

    Raises
    ------
    omero.ValidationException
        A name is missing.
    omero.ApiUsageException
        There is no user, or an unloaded one.
    """
    names = {field: unwrap(getattr(loaded(user), field)) for field in ("omeName", "firstName", "lastName")}
    names["omeName"] = name or names["omeName"]
    for field, given in names.items():
        if given is None:
            text = f"not-null property references a null or transient value: ome.model.meta.Experimenter.{field}"
            raise fault(omero.ValidationException, text)
    return Person(
        name=names["omeName"],
        first_name=names["firstName"],
        last_name=names["lastName"],
        middle_name=unwrap(user.middleName),
        email=unwrap(user.email),
        institution=unwrap(user.institution),
    )


def known_privileges(call: Call, privileges: Iterable[Any]) -> frozenset[str]:
    """Read the values of privileges; raises ApiUsageException for one that does not exist."""
    values = [unwrap(loaded(privilege).value) for privilege in privileges]
    for value in values:
        if value not in call.server.store.people.every_privilege():
            raise fault(omero.ApiUsageException, f"unknown light administrator privilege: {value}")
    return frozenset(values)


def refuse_special(before: str, after: str, special: Sequence[str], kind: str) -> None:
    """Refuse to rename what every OMERO has, and to give others its name; raises ValidationException (AdminImpl)."""
    if before == after:
        return
    if before in special:
        raise fault(omero.ValidationException, f"cannot change name of special {kind} '{before}'")
    if after in special:
        raise fault(omero.ValidationException, f"cannot change name to special {kind} '{after}'")


@contextmanager
def as_omero(kind: str) -> Iterator[None]:
    """Turn errors of the store about a row of `kind` (``Experimenter`` or ``ExperimenterGroup``) into ValidationExceptions."""
    column = "omename" if kind == "Experimenter" else "name"
    try:
        yield
    except NameTaken as error:
        raise not_inserted(find_class(kind), constraint=f"{kind.lower()}_{column}_key") from error
    except StillReferred as error:
        text = f"could not delete: [ome.model.meta.{error.entity}#{error.row_id}]"
        nested = f"nested exception is org.hibernate.exception.ConstraintViolationException: {text}"
        raise fault(omero.ValidationException, f"{text}; {nested}") from error
    except (NoSuchUser, NoSuchGroup) as error:
        missing = f"Experimenter#{error.user}" if isinstance(error, NoSuchUser) else f"ExperimenterGroup#{error.group}"
        text = f"No row with the given identifier exists: [ome.model.meta.{missing}]"
        nested = f"nested exception is org.hibernate.ObjectNotFoundException: {text}"
        raise fault(omero.ValidationException, f"{text}; {nested}") from error
