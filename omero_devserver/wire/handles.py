# SPDX-License-Identifier: GPL-2.0-or-later
"""Handles: the open files and connections that this process may have at a time.

Ice 3.6 ends the process when it cannot accept a connection for want of one. So the program takes as many as it is allowed to,
and logins are refused while there are still some left.
"""

from __future__ import annotations

import resource
from pathlib import Path

RESERVE = 24  # for connections that come at the same moment, SQLite and Java
_OPEN = next((folder for folder in (Path("/proc/self/fd"), Path("/dev/fd")) if folder.is_dir()), None)


def take_all() -> None:
    """Raise this process's limit as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS tells a hard limit that it does not allow
        return


def scarce() -> bool:
    """Tell whether only the reserve is left."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _OPEN is None or limit == resource.RLIM_INFINITY:
        return False
    try:
        return sum(1 for _ in _OPEN.iterdir()) > limit - RESERVE
    except OSError:  # not one is left to look with
        return True
