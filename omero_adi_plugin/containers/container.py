# SPDX-License-Identifier: GPL-2.0-or-later
"""Container: one of them in podman's hands, known by its name: what can be done to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.containers.engine import CONFLICT, MISSING, SLOW_SECONDS, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_adi_plugin.containers.engine import Engine

_OVER = frozenset({"exited", "stopped", "dead", "removing"})

ALREADY_IN_USE = "already in use"
"""What podman says when there is a container of that name; its status is that of a fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How it is with a container.

    is_over:    nothing in it runs any more.
    status:     with which its first process has ended, 128 + the signal that has killed it; negative when podman did at its
                own time-out.
    process:    id of its first process, as podman sees it; 0: it has none.
    parent:     the same of that one's parent, podman's conmon.
    no_memory:  podman noticed that the kernel has killed something in it for want of memory; it often does not (tried).
    """

    is_over: bool
    status: int
    process: int
    parent: int
    no_memory: bool


class Container:
    """A container by its name; whether it is there, podman knows.

    All methods raise PodmanDown.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self.name = engine, name

    def make(self, specification: Mapping[str, Any]) -> Answer:
        """Make it; one of the same name goes: an attempt of ours has not heard that it had made it."""
        answer = self._make(specification)
        if answer.status == CONFLICT or (answer.refused and ALREADY_IN_USE in answer.words):
            self.remove()
            answer = self._make(specification)
        return answer

    def mount(self) -> Answer:
        """Have all mounted and its first process made, which does not run anything of the image yet."""
        return self._post("init", seconds=SLOW_SECONDS)

    def start(self) -> Answer:
        """Have it run."""
        return self._post("start", seconds=SLOW_SECONDS)

    def signal(self, name: str) -> None:
        """Send a signal to its first process; whoever has ended does not mind."""
        self._post("kill", parameters={"signal": name})

    def state(self) -> State | None:
        """Return how it is; None: it is not there."""
        answer = self._engine.ask("GET", f"/containers/{self.name}/json")
        if answer.status == MISSING:
            return None
        told = answer.value
        state = told.get("State", {}) if isinstance(told, dict) else {}
        return State(
            is_over=state.get("Status") in _OVER and not state.get("Running"),
            status=int(state.get("ExitCode", 0)),
            process=int(state.get("Pid", 0)),
            parent=int(state.get("ConmonPid", 0)),
            no_memory=bool(state.get("OOMKilled")),
        )

    def wait(self, *, seconds: float) -> bool:
        """Wait for its end; tell whether it came in time, or it is not there."""
        deadline = time.monotonic() + seconds
        while (state := self.state()) is not None and not state.is_over:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def remove(self) -> bool:
        """Kill what runs in it and remove it, with what it has written; tell whether it is gone."""
        gone = {MISSING, 200, 204}
        asked = {"force": True, "v": True, "volumes": True, "timeout": 0}  # `v` is Docker's name; podman has both
        answer = self._engine.ask("DELETE", f"/containers/{self.name}", parameters=asked, seconds=SLOW_SECONDS)
        return answer.status in gone or self.state() is None

    def _make(self, specification: Mapping[str, Any]) -> Answer:
        return self._engine.ask("POST", "/containers/create", body=specification, seconds=SLOW_SECONDS)

    def _post(self, what: str, **given: Any) -> Answer:  # noqa: ANN401 (see `Engine.ask`)
        return self._engine.ask("POST", f"/containers/{self.name}/{what}", **given)
