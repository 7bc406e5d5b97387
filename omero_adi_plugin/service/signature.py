# SPDX-License-Identifier: GPL-2.0-or-later
"""Signature: how a process signs its leases."""

from __future__ import annotations

import os
import socket


def owner(pid: int | None = None) -> str:
    """Return how a process of this host signs its leases, as `host:pid`; None: this one."""
    return f"{socket.gethostname()}:{os.getpid() if pid is None else pid}"


def script_owner() -> str:
    """Return how a script on a Processor signs its leases, as `script@host:pid`: never as a worker of a service would."""
    return f"script@{owner()}"
