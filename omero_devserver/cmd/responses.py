# SPDX-License-Identifier: GPL-2.0-or-later
"""Responses: how a request that failed is answered. It never raises; the client reads an ``omero.cmd.ERR``."""

from __future__ import annotations

from typing import Any

import omero.cmd


def failure(request: Any, *, name: str, message: str, trace: str = "") -> Any:
    """Make an ERR.

    Parameters
    ----------
    request : omero.cmd.Request
        What failed; its class becomes the category.
    name, message, trace : str
        As clients show them; `message` also begins the stack trace (recorded: facts 1 and 10).
    """
    error = omero.cmd.ERR()
    error.category, error.name = request.ice_id(), name
    error.parameters = {"message": message, "stacktrace": trace or message}
    return error


def graph_failure(request: Any, *, message: str) -> Any:
    """Make a GraphException: its text is in its own field, not in the parameters (recorded: facts 10)."""
    error = omero.cmd.GraphException()
    error.category, error.name, error.message = request.ice_id(), "graph-fail", message
    error.parameters = {"message": "", "stacktrace": f"ome.services.graphs.GraphException: {message}"}
    return error
