# SPDX-License-Identifier: GPL-2.0-or-later
"""Person: who types a command, for the record of who did what."""

from __future__ import annotations

import os
import pwd
import socket


def who() -> str:
    """Return the person at the terminal as `name@host`; behind `sudo` it is the one who called that."""
    return f"{os.environ.get('SUDO_USER') or _account()}@{socket.gethostname()}"


def _account() -> str:
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container that runs under any number
        return str(number)
