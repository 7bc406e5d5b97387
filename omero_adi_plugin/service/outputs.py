# SPDX-License-Identifier: GPL-2.0-or-later
"""Outputs: what a script prints, Java and other libraries included, goes to the logs of the order that it carries out.

A Processor would make a file of it in OMERO, which belongs to the order's user: nobody looks there, and it would stay for ever.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING

from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def printed_to_log(settings: Settings, *, uuid: str) -> Iterator[None]:
    """Have what this process prints meanwhile, to stdout and stderr, appended to `cli.<uuid>.logs`.

    Without an application log there are no logs of orders either, and nothing changes. `uuid` must have been checked to be
    harmless in a path.
    """
    if settings.log_file_path is None:
        yield
        return
    former: list[tuple[int, int]] = []
    try:
        log = os.open(settings.log_file_path.with_name(f"cli.{uuid}.logs"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for descriptor in (1, 2):
                former.append((descriptor, os.dup(descriptor)))
                os.dup2(log, descriptor)
        finally:
            os.close(log)
    except OSError as error:
        event(_log, logging.WARNING, "log.unwritable", order=uuid, why=error.strerror)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for descriptor, before in former:
            os.dup2(before, descriptor)
            os.close(before)
