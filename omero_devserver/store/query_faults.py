# SPDX-License-Identifier: GPL-2.0-or-later
"""Query faults: errors of HQL as the exceptions that a real server was recorded to raise."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.hql.errors import (
    DmlError,
    EmptyListError,
    HqlError,
    NotExecutableError,
    NullParameterError,
    ParameterTypeError,
    PositionalError,
    TooManyValuesError,
    UnsendableError,
)
from omero_devserver.store.refusals import api_usage, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYNTAX = "org.hibernate.hql.ast.QuerySyntaxException"
_JAVA = {"RBool": "Boolean", "RDouble": "Double", "RFloat": "Float", "RInt": "Integer", "RLong": "Long", "RString": "String"}


@contextmanager
def refused_as_recorded(text: str) -> Iterator[None]:
    """Raise errors of HQL in a block as what clients see; `text` is the query as the client sent it."""
    try:
        yield
    except HqlError as error:
        raise _exception(text, error) from error


def _exception(text: str, error: HqlError) -> Any:  # noqa: PLR0911  (one return a kind of error)
    match error:
        case DmlError():
            return _nested("org.hibernate.hql.QueryExecutionRequestException", str(error))
        case EmptyListError():
            return _nested(_SYNTAX, str(error))
        case PositionalError():
            return _nested("org.hibernate.QueryException", f"{error} [{text}]")
        case NullParameterError() | UnsendableError():
            return api_usage(str(error))
        case NotExecutableError():
            return (api_usage if error.in_select else invalid)(str(error))
        case ParameterTypeError():
            given, wanted = (f"java.lang.{_JAVA.get(kind, kind)}" for kind in (error.given, error.wanted))
            return _wrapped("java.lang.ClassCastException", f"class {given} cannot be cast to class {wanted} ({error})")
        case TooManyValuesError():
            return _wrapped("org.springframework.transaction.TransactionSystemException", str(error))
        case _:
            return omero.QueryException("", _SYNTAX, f"Illegal query:{text}\n{error}")


def _nested(java: str, message: str) -> Any:
    return api_usage(f"{message}; nested exception is {java}: {message}")


def _wrapped(java: str, message: str) -> Any:
    return omero.InternalException("", "ome.conditions.InternalException", f"Wrapped Exception: ({java}):\n{message}")
