# SPDX-License-Identifier: GPL-2.0-or-later
"""Start: a server with its door open."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from omero_devserver.disturb.pool import Pool
from omero_devserver.entry.router import IDENTITY, Router, servant
from omero_devserver.formats import readers
from omero_devserver.scripts.folder import ScriptFolder
from omero_devserver.wire.server import Server

if TYPE_CHECKING:
    from omero_devserver.wire.server import Options

log = logging.getLogger(__name__)


def start(options: Options) -> Server:
    """Start a server in this process; clients may log in when this returns, until its `close`.

    Raises
    ------
    CannotListen
        Another program listens on a port that it was told to use, or the host is not this machine.
    OSError, sqlite3.Error
        The data folder cannot be used.
    """
    server = Server(options)
    try:
        if options.pool is not None:
            Pool(server, size=options.pool, wait_seconds=options.pool_wait_seconds)
        log.info(readers.describe())
        server.part(ScriptFolder)  # so that queries find the official scripts from the start
        if options.read_only:
            server.store.refuse_writes()
        server.open(servant(Router(server)), IDENTITY)
    except BaseException:
        server.close()
        raise
    return server
