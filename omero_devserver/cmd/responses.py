# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses: how a request that failed is answered. It never raises; the client reads an ``omero.cmd.ERR``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.cmd

from omero_devserver.model.schema import UnknownEntityError
from omero_devserver.store.errors import (
    BadOption,
    BadTarget,
    GraphFailed,
    NoGroupOwned,
    NoSuchUser,
    NotCopied,
    NotInGroup,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def failure(request: Any, *, name: str, message: str, trace: str = "") -> Any:
    """Make an ERR.

    Parameters
    ----------
    request : omero.cmd.Request
        What failed; its class becomes the category.
    name, message, trace : str
        As clients show them; `message` also begins the stack trace (recorded: facts 1 and 10).
    """
    return refusal(request, name, {"message": message, "stacktrace": trace or message})


def refusal(request: Any, name: str, parameters: Mapping[str, str]) -> Any:
    """Make an ERR with parameters of its own, as requests have them that no exception ended."""
    error = omero.cmd.ERR()
    error.category, error.name, error.parameters = request.ice_id(), name, dict(parameters)
    return error


def graph_failure(request: Any, *, message: str) -> Any:
    """Make a GraphException: its text is in its own field, not in the parameters (recorded: facts 10)."""
    error = omero.cmd.GraphException()
    error.category, error.name, error.message = request.ice_id(), "graph-fail", message
    error.parameters = {"message": "", "stacktrace": f"ome.services.graphs.GraphException(message={message})"}
    return error


def refused(request: Any, error: StoreError | UnknownEntityError, *, planning: bool) -> Any:
    """Answer what the store refused, with the names and texts of a real server (recorded: facts 10).

    planning: the request had begun; what is wrong with its options shows before.
    """
    if isinstance(error, GraphFailed):
        return graph_failure(request, message=error.message)
    if isinstance(error, UnknownEntityError):
        # A real server stumbles over an unknown class: in the targets once it has begun, in the options before.
        name = "graph-fail" if planning else "steps-cancel"
        return refusal(request, name, {"message": "", "stacktrace": "java.lang.NullPointerException"})
    name, java, text = "graph-fail", "java.lang.RuntimeException", str(error)
    match error:
        case BadTarget():
            name, java = "bad-target", "java.lang.IllegalArgumentException"
        case NotCopied():
            name = "not-implemented"
        case NotInGroup():
            name, java = "not-in-group", "java.lang.IllegalArgumentException"
        case NoGroupOwned():
            name, text = "steps-cancel", f"ome.services.graphs.GraphException(message={error})"
        case NoSuchUser():
            java, text = "org.hibernate.exception.ConstraintViolationException", "could not execute update query"
        case BadOption():
            name, java = "steps-cancel", "java.lang.IllegalArgumentException"
    return failure(request, name=name, message=text, trace=f"{java}: {text}")
