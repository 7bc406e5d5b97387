# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting: has a container made and started, again and again where a folder cannot be mounted at the moment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.containers.mounts import check_mounts
from omero_adi_plugin.containers.verdict import failed
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ConverterNotStarted, Halted, quoted
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from omero_adi_plugin.containers.container import Container
    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

_LONGEST_WORDS = 200

_OF_THE_IMAGE = (
    "exec:",
    "exec format error",
    "executable file",
    "command that was not found",
    "no command or entrypoint",
    "exec user process",
)
"""What podman says when an image has nothing that can be run. Its status is that of a fault of its own for all that goes wrong
here, so that its words are all there is to tell one thing from another."""

_WHILE_MOUNTING = ("error mounting", "mount `")
"""How runc and crun say that a folder was not to be mounted; podman adds that a command was not found when it was the folder."""

_OF_A_MOUNT = (
    *("statfs", "mount", "resource busy", "stale file handle", "transport endpoint", "input/output error", "host is down"),
    *("no such file or directory", "no such device", "connection timed out", "resource temporarily unavailable"),
)
"""What it says of folders: network file systems come and go."""


def start(
    container: Container, specification: Mapping[str, Any], *, task: Task, settings: Settings, stop: threading.Event
) -> None:
    """Make a container and have it run; when that fails, one may be left that does not.

    Raises
    ------
    ConverterFailed
        The image cannot be run.
    ConverterNotStarted
        Podman could not do it, or has mounted something else than what was meant.
    PodmanDown
        It is not there.
    Halted
        `stop` was set meanwhile.
    """
    tries = settings.podman_bind_retry_attempts
    while (words := _begin(container, specification, task)) is not None:
        said, shown = words.lower(), quoted(words, length=_LONGEST_WORDS)
        mounting = any(each in said for each in _WHILE_MOUNTING)
        if not mounting and any(each in said for each in _OF_THE_IMAGE):
            raise failed(task, f"podman says {shown}")
        if tries == 0 or not any(each in said for each in _OF_A_MOUNT):
            raise ConverterNotStarted(path=task.path, container=task.preprocessing.container, words=shown)
        event(_log, logging.WARNING, "container.mount_failed", order=task.order, entry=task.path, why=words, tries=tries)
        tries -= 1
        container.remove()
        if stop.wait(settings.podman_bind_retry_delay_seconds):
            raise Halted


def _begin(container: Container, specification: Mapping[str, Any], task: Task) -> str | None:
    """Make it and start it; return why that failed."""
    answer = container.make(specification)
    if not answer.refused:
        reached(Point.CONTAINER_MADE)
        answer = container.mount()
    if not answer.refused:
        check_mounts(container, task=task)
        answer = container.start()
    return answer.words if answer.refused else None
