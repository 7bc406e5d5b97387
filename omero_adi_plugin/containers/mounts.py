# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts: whether a container has been given the folders that were meant, looked at before anything of its image runs.

Podman finds folders by their paths, and long after we have looked. Whoever owns the folder of a source can put a link in its
place meanwhile, and the container would be shown what is another group's. A folder by its descriptor instead,
`/proc/<pid>/fd/<n>`, cannot be mounted (tried with 4.3.1: EINVAL, it is of another mount namespace).
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.folders import opened
from omero_adi_plugin.containers.private import host
from omero_adi_plugin.errors import ConverterNotStarted, PodmanDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.containers.container import Container, State
    from omero_adi_plugin.containers.task import Task

MOST_LINKS = 40
"""So many links Linux follows in one path (path_resolution(7))."""

_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ITSELF = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


def check_mounts(container: Container, *, task: Task) -> None:
    """Return if what is mounted in a container is what was meant.

    Parameters
    ----------
    container : Container
        All is mounted in it, and its first process waits.
    task : Task
        What it is to run for.

    Raises
    ------
    ConverterNotStarted
        Something else is mounted, or nobody can tell.
    PodmanDown
        It is not there any more, or where its processes cannot be seen.
    """
    state = container.state()
    if state is None or not state.process:
        raise _not_started(task, "it was gone before it began")
    try:
        _check_is_here(state)
        root = os.open(f"/proc/{state.process}/root", _ROOT)
        try:
            wrong = next(_wrong(root, task), None)
        finally:
            os.close(root)
    except OSError as error:
        raise _not_started(task, f"whether it was given the right folders cannot be told ({error.strerror})") from error
    if wrong is not None:
        event(_log, logging.WARNING, "security.folder_replaced", order=task.order, entry=task.path, folder=wrong)
        raise _not_started(task, f"'{wrong}' was replaced by something else while it was started")


def _check_is_here(state: State) -> None:
    """Return if a container's process is one that we see; in another namespace its number is nobody's, or somebody else's."""
    try:
        status = Path(f"/proc/{state.process}/status").read_text("utf-8", "replace")
    except OSError:
        status = ""
    if f"\nPPid:\t{state.parent}\n" not in status:
        raise PodmanDown(
            host=host(),
            why="podman's processes cannot be seen from there, so that nobody can tell what a container was given; a service that"
            " itself runs in one needs `--pid=host`",
        )


def _wrong(root: int, task: Task) -> Iterator[str]:
    """Give the folders of this host that were meant, and are not what is mounted; raises OSError."""
    wanted, room = task.preprocessing, task.room
    with ExitStack() as held:
        source = _entered(root, wanted.output_folder, held)
        if _identity(source) != _of_source(task):
            yield os.fspath(room.source)
            return
        inside = {room.staging: _looked_up(source, PROCESSED_IN_CONTAINER, held)}
        if room.temp is not None and wanted.alt_output_folder is not None:
            inside[room.temp] = _entered(root, wanted.alt_output_folder, held)
        for leaf, made in zip(room.folders, room.made, strict=True):
            if _identity(inside[leaf]) != made:
                yield os.fspath(leaf)


def _of_source(task: Task) -> tuple[int, int] | None:
    """Return what lies under the path that the order may use; None if a link is in it by now."""
    try:
        with opened(task.room.source) as folder:
            return _identity(folder)
    except NotADirectoryError:
        return None


def _identity(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _looked_up(folder: int, name: str, held: ExitStack) -> int:
    """Return a descriptor of what has a name in a folder, be it a link: the owner of a source's folder may have made that."""
    handle = os.open(name, _ITSELF, dir_fd=folder)
    held.callback(os.close, handle)
    return handle


def _entered(root: int, path: str, held: ExitStack) -> int:
    """Return a descriptor of what a path of the image leads to; its links start at its own root, as its runtime has them.

    openat2(2) does so with RESOLVE_IN_ROOT, but Python does not have it.
    """
    at, rest, links = [root], path.split("/")[::-1], 0
    while rest:
        name = rest.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            at = at[:-1] or [root]
            continue
        handle = _looked_up(at[-1], name, held)
        if not stat.S_ISLNK(os.fstat(handle).st_mode):
            at = [*at, handle]
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=handle)
        rest += target.split("/")[::-1]
        if target.startswith("/"):
            at = [root]
    return at[-1]


def _not_started(task: Task, words: str) -> ConverterNotStarted:
    return ConverterNotStarted(path=task.path, container=task.preprocessing.container, words=words)
