# SPDX-License-Identifier: GPL-2.0-or-later
"""Specification: what podman is asked for to run a converter, with all its limits.

Source: Podman's API, "Libpod", `POST /libpod/containers/create` (SpecGenerator); tried with 4.3.1. What a converter gets of us is
files and arguments: no environment, no network unless the site wants it, no capability, nothing of the host but three folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_adi_plugin.containers.arguments import arguments
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.containers.engine import Facts
    from omero_adi_plugin.containers.images import Image
    from omero_adi_plugin.containers.task import Task
    from omero_adi_plugin.settings import Settings

GRACE_SECONDS = 60
"""So much longer than we wait podman lets a converter run: it ends it when we are not there any more."""

LARGEST_LOG_BYTES = 1 << 30
"""At this size podman begins its log of a container anew. Who listens has ended such a one long before (see `hearing`)."""

CPU_PERIOD_MICROSECONDS = 100_000
"""Of which a container gets so many processors' share (source: Linux, CFS bandwidth control)."""

KEEP_ID = "keep-id"


def specification(task: Task, *, image: Image, log: Path, settings: Settings, facts: Facts) -> dict[str, Any]:
    """Return the body of the request that makes a container; what it says goes to `log`.

    Folders go by themselves, never in one text with where they are mounted, so that their names may have any characters.
    """
    asked: dict[str, Any] = {
        "name": task.name,
        "image": image.id,
        "command": list(arguments(task.preprocessing, basename=task.room.basename)),
        "labels": task.labels,
        "mounts": _mounts(task, settings, facts),
        "log_configuration": {"driver": "k8s-file", "path": str(log), "size": LARGEST_LOG_BYTES},
        "netns": {"nsmode": "none"} if settings.converter_network == "none" else {},
        "cap_drop": ["ALL"],
        "cap_add": list(settings.converter_capabilities),
        "no_new_privileges": True,
        "resource_limits": _limits(settings, facts),
        "timeout": settings.converter_timeout_seconds + GRACE_SECONDS,
        "stop_timeout": 0,
        "env_host": False,
        "httpproxy": False,  # the address of a proxy may have a password in it
        "systemd": "false",
        "healthconfig": {"Test": ["NONE"]},  # an image's own would be run by timers of systemd
        "image_volume_mode": "anonymous",
        "terminal": False,
        "stdin": False,
        "remove": False,  # how it has ended is asked for afterwards
    }
    if (userns := _userns(settings, facts)) is not None:
        asked["userns"] = userns
    return asked


def userns_is_ignored(settings: Settings, facts: Facts) -> bool:
    """Tell whether a setting asks for what only rootless podman does; as root, files belong to the account anyway."""
    return not facts.rootless and (settings.podman_userns_mode or "").startswith(KEEP_ID)


def limits_ignored(facts: Facts) -> list[str]:
    """Name the limits that this podman cannot set."""
    return [name for name in ("memory", "cpu", "pids") if not _has(facts, name)]


def _mounts(task: Task, settings: Settings, facts: Facts) -> list[dict[str, object]]:
    wanted, room = task.preprocessing, task.room
    # what is mounted below the source would stay writable: only the outermost mount becomes read-only; without root a part of
    # what is mounted together cannot be shown alone
    bind = "rbind" if facts.rootless else "bind"
    mounts = [
        _mount(room.source, wanted.output_folder, bind, settings.source_mount),
        _mount(room.staging, f"{wanted.output_folder}/{PROCESSED_IN_CONTAINER}", bind, "rw"),
    ]
    if wanted.alt_output_folder is not None and room.temp is not None:
        mounts.append(_mount(room.temp, wanted.alt_output_folder, bind, "rw"))
    return mounts


def _mount(source: Path, destination: str, *options: str) -> dict[str, object]:
    return {
        "type": "bind",
        "source": str(source),
        "destination": destination,
        "options": [*options, "nosuid", "nodev", "rprivate"],
    }


def _limits(settings: Settings, facts: Facts) -> dict[str, dict[str, int]]:
    memory = settings.converter_memory_mb << 20
    limits = {
        "memory": {"limit": memory, "swap": memory},  # both together: no swap
        "cpu": {"quota": int(settings.converter_cpus * CPU_PERIOD_MICROSECONDS), "period": CPU_PERIOD_MICROSECONDS},
        "pids": {"limit": settings.converter_pids},
    }
    return {name: limit for name, limit in limits.items() if _has(facts, name)}


def _has(facts: Facts, controller: str) -> bool:
    return facts.controllers is None or controller in facts.controllers


def _userns(settings: Settings, facts: Facts) -> dict[str, str] | None:
    mode = settings.podman_userns_mode
    if not mode or userns_is_ignored(settings, facts):
        return None
    name, _, value = mode.partition(":")
    return {"nsmode": name, "value": value} if value else {"nsmode": name}
