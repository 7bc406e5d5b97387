# SPDX-License-Identifier: GPL-2.0-or-later
"""Testing: servers in the process of a test, quick enough for a new one in each test.

What takes time at the first start on a folder (key and certificate, tables with their first rows) is done once, in a template
folder, and copied. `Disturbances(server)` from `omero_devserver.disturb.disturbances` makes things go wrong in it.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omero_devserver.entry.start import start
from omero_devserver.wire.server import Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from omero_devserver.wire.server import Server


def make_template(folder: Path, **options: Any) -> Path:
    """Make a data folder to be copied for each test, and return it.

    Parameters
    ----------
    folder : Path
        Does not exist yet.
    options
        Fields of `Options`; only `root_password` has a lasting effect.
    """
    start(Options(data=folder, **options)).close()
    return folder


@contextmanager
def running(data: Path, *, template: Path | None = None, **options: Any) -> Iterator[Server]:
    """Run a server in this process for the time of a block.

    Parameters
    ----------
    data : Path
        Data folder; what it has is still there in the next server on it.
    template : Path or None
        Copied to `data`, if that does not exist.
    options
        Fields of `Options`, as ``step_seconds=0``.

    Returns
    -------
    Server
        Clients log in at `ssl_port` or `tcp_port` of 127.0.0.1, as root with the password ``omero``.
    """
    if template is not None and not data.exists():
        shutil.copytree(template, data)
    server = start(Options(data=data, **options))
    try:
        yield server
    finally:
        server.close()
