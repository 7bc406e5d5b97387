# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdict: what the end of a container means."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.space import is_full, needed, no_room
from omero_adi_plugin.containers.streams import LONGEST_KEPT
from omero_adi_plugin.errors import ConverterFailed, ConverterKilled

if TYPE_CHECKING:
    from omero_adi_plugin.containers.container import State
    from omero_adi_plugin.containers.hearing import Listener
    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.errors import AdiError, NoRoomToConvert
    from omero_adi_plugin.settings import Settings

LONGEST_WORDS = 200
"""So many characters of a converter's last words go into a sentence."""

LINES_SHOWN = 3

_SIGNALLED = 128
"""A status above is that of a shell whose child was killed by a signal, and of a container that was itself."""

_KILLED = frozenset({_SIGNALLED + signal.SIGKILL, _SIGNALLED + signal.SIGTERM})


def judge(state: State, listener: Listener, *, task: Task, settings: Settings, rootless: bool) -> str | None:
    """Return the last line of stdout of a container that has ended well.

    Raises
    ------
    ConverterFailed, ConverterKilled, NoRoomToConvert
        It has not.
    """
    if state.status == 0:
        try:
            return listener.stdout.result
        except OverflowError:
            raise failed(task, f"the last line of its stdout is longer than {LONGEST_KEPT >> 20} MB") from None
    if state.status < 0:  # podman's own time-out was before ours
        raise too_late(task, settings)
    if (full := _no_room(task, settings)) is not None:
        raise full
    if state.status in _KILLED or state.no_memory:
        raise _killed(state, task, settings)
    words = last_words(listener.stderr.last) or last_words(listener.stdout.last)
    why = f"it ended with status {state.status}"
    why += f" and said '{words}'" if words else " and said nothing"
    said = "\n".join([*listener.stdout.last, *listener.stderr.last])
    raise failed(task, why + _advice(said, settings, rootless=rootless))


def failed(task: Task, why: str) -> ConverterFailed:
    """Return the error that says that a converter could not do it; `why` is a clause."""
    return ConverterFailed(path=task.path, container=task.preprocessing.container, why=why)


def too_late(task: Task, settings: Settings) -> ConverterFailed:
    """Return the error that says that a converter was not ready in time."""
    return failed(task, f"it took longer than {settings.converter_timeout_seconds} seconds (`converter_timeout_seconds`)")


def last_words(lines: list[str]) -> str:
    """Return the end of what was said, on one line, fit for a sentence."""
    text = " / ".join(" ".join(line.split()) for line in lines[-LINES_SHOWN:])
    shown = "".join(each if each.isprintable() else " " for each in text).strip().rstrip(".")
    return shown if len(shown) <= LONGEST_WORDS else f"…{shown[1 - LONGEST_WORDS :]}"


def killed(task: Task, settings: Settings) -> ConverterKilled:
    """Return the error that says that somebody or something else has ended a converter."""
    return ConverterKilled(path=task.path, container=task.preprocessing.container, memory=_memory(settings))


def _killed(state: State, task: Task, settings: Settings) -> AdiError:
    if state.no_memory:
        return failed(task, f"it needed more than the {_memory(settings)} of memory that it may have (`converter_memory_mb`)")
    return killed(task, settings)


def _memory(settings: Settings) -> str:
    return f"{settings.converter_memory_mb} MB"


def _no_room(task: Task, settings: Settings) -> NoRoomToConvert | None:
    """Return the error if a disk of ours is full; what the converter says of disks may be about those of its own."""
    full = next((each for each in task.room.folders if is_full(each)), None)
    if full is None:
        return None
    source = task.room.source / task.room.basename
    return no_room(full, needed_bytes=needed(source, factor=settings.converter_space_factor))


def _advice(said: str, settings: Settings, *, rootless: bool) -> str:
    """Return what an administrator can change about it, as another clause."""
    text = said.lower()
    if "read-only file system" in text and settings.source_mount == "ro":
        return ", which `source_mount: rw` in the settings would let it do"
    if "permission denied" in text or "operation not permitted" in text:
        if not rootless:
            return ", which a right in `converter_capabilities` (`DAC_OVERRIDE`) may let it do"
        return ", which a user of its image (`USER`) may not do where root of the container could"
    return ""
