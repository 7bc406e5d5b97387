# SPDX-License-Identifier: GPL-2.0-or-later
"""Start: a server with its door open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_devserver.entry.router import IDENTITY, Router, servant
from omero_devserver.wire.server import Server

if TYPE_CHECKING:
    from omero_devserver.wire.server import Options


def start(options: Options) -> Server:
    """Start a server in this process; clients may log in when this returns, until its `close`.

    Raises
    ------
    PortInUse
        Another program listens on a port that it was told to use.
    """
    server = Server(options)
    server.open(servant(Router(server)), IDENTITY)
    return server
