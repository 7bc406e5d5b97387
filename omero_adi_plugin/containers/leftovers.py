# SPDX-License-Identifier: GPL-2.0-or-later
"""Leftovers: containers of workers that have died; they are known by their labels."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.container import Container
from omero_adi_plugin.containers.engine import Engine
from omero_adi_plugin.containers.slots import tidy
from omero_adi_plugin.containers.task import ORDER, OWNER
from omero_adi_plugin.errors import PodmanDown
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


def remove_containers(
    settings: Settings,
    *,
    order: str | None = None,
    owner: str | None = None,
    is_alive: Callable[[str], bool] | None = None,
) -> int:
    """Remove containers of this host that nobody waits for any more; return how many.

    Where there is no podman, and where it would have to be started and no image may run, nothing is done. Trouble is logged:
    whoever calls has other things to do, and they are looked for again at the next opportunity.

    Parameters
    ----------
    settings : Settings
        All of them.
    order : str, optional
        Those of this order alone.
    owner : str, optional
        Those of this owner of leases alone, `host:pid`.
    is_alive : callable, optional
        Tells whether an owner still lives: then its containers are left alone.
    """
    with Engine(settings) as engine:
        if not engine.is_at_hand():
            return 0
        return remove_through(engine, order=order, owner=owner, is_alive=is_alive)


def remove_through(
    engine: Engine,
    *,
    order: str | None = None,
    owner: str | None = None,
    is_alive: Callable[[str], bool] | None = None,
) -> int:
    """Do what `remove_containers` does, by a podman that is known."""
    removed = 0
    try:
        for name, labels in _found(engine, {ORDER: order, OWNER: owner}):
            whose = labels.get(OWNER, "")
            if is_alive is not None and is_alive(whose):
                continue
            gone = Container(engine, name).remove()
            removed += gone
            level = logging.INFO if gone else logging.WARNING
            event(_log, level, "container.left", container=name, owner=whose, order=labels.get(ORDER), gone=gone)
        tidy()
    except PodmanDown as error:
        event(_log, logging.WARNING, "container.leftovers_unknown", why=error)
    return removed


def _found(engine: Engine, wanted: dict[str, str | None]) -> list[tuple[str, dict[str, str]]]:
    """Return names and labels of our containers, running or not."""
    labels = [label if value is None else f"{label}={value}" for label, value in wanted.items()]
    answer = engine.ask("GET", "/containers/json", parameters={"all": True, "filters": json.dumps({"label": labels})})
    told = answer.value
    return [(each["Names"][0], each.get("Labels") or {}) for each in told] if isinstance(told, list) else []
