# SPDX-License-Identifier: GPL-2.0-or-later
"""Engine: podman, as one process of ours has it: a service that is found or started, and what it answers.

Nothing is started before it is needed. Who asks gets an answer, with its status, or `PodmanDown`.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from omero_adi_plugin.containers.private import host
from omero_adi_plugin.containers.service import Service, listens
from omero_adi_plugin.errors import PodmanDown, quoted
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

QUICK_SECONDS = 30
"""How long a question may take that podman answers at once, on a busy host."""

SLOW_SECONDS = 600
"""How long making, starting or removing a container may take: rootless podman may give a new owner to each file of an image."""

OLDEST_VERSION = 4
"""The first release whose service knows what is asked of it here (tried with 4.3.1)."""

REFUSED = 400
"""From here on a status says that podman has not done it (RFC 9110, 15)."""

MISSING = 404
CONFLICT = 409


class Lost(Exception):
    """A request came to nothing: nobody listens, or nobody answers, or not to the end; the text says what happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What podman answers. status: of HTTP. body: as it came."""

    status: int
    body: bytes

    @property
    def refused(self) -> bool:
        """Whether podman has not done it."""
        return self.status >= REFUSED

    @property
    def value(self) -> Any:  # noqa: ANN401 (JSON)
        """The body, read as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def words(self) -> str:
        """Why podman has not done it, in its own words, on one line."""
        value = self.value
        said = value.get("message") or value.get("cause") if isinstance(value, dict) else None
        return " ".join(str(said or self.body.decode("utf-8", "backslashreplace")).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What podman says of itself.

    version:     as `4.3.1`.
    rootless:    it does not run as root.
    controllers: kinds of limits that it can set, as `memory`; None: it says nothing of that.
    """

    version: str
    rootless: bool
    controllers: frozenset[str] | None

    @classmethod
    def read(cls, info: Any) -> Self:  # noqa: ANN401 (JSON)
        """Take them out of the answer to `info`."""
        told = info["host"]
        controllers = told.get("cgroupControllers")
        return cls(
            version=str(info["version"]["Version"]),
            rootless=bool(told["security"]["rootless"]),
            controllers=None if controllers is None else frozenset(controllers),
        )


class Engine:
    """Podman's service, for all threads of a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._service: Service | None = None
        self._facts: Facts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def facts(self) -> Facts:
        """What podman says of itself; raises PodmanDown."""
        if self._facts is None:
            answer = self.ask("GET", "/info")
            try:
                facts = Facts.read(answer.value)
            except (KeyError, TypeError) as error:
                raise PodmanDown(host=host(), why=f"what listens there is not podman ({quoted(answer.words)})") from error
            if int(facts.version.partition(".")[0]) < OLDEST_VERSION:
                raise PodmanDown(host=host(), why=f"podman {facts.version} is too old, {OLDEST_VERSION} or later is needed")
            event(_log, logging.DEBUG, "podman.found", version=facts.version, rootless=facts.rootless)
            self._facts = facts
        return self._facts

    def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, object] | None = None,
        body: object = None,
        seconds: float = QUICK_SECONDS,
    ) -> Answer:
        """Ask podman for something, and wait for its answer.

        Parameters
        ----------
        method, path : str
            Of HTTP; the path below `/libpod` (source: Podman's API, "Libpod").
        parameters : mapping, optional
            Of the request.
        body : object, optional
            Sent as JSON.
        seconds : float
            How long podman may be silent.

        Raises
        ------
        PodmanDown
            It is not there, or is silent for longer.
        """
        from omero_adi_plugin.containers.wire import request  # noqa: PLC0415 (0.1 s, and most processes never need it)

        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        try:
            return request(self._address(), method, path, parameters=given, body=body, seconds=seconds)
        except Lost as error:
            raise PodmanDown(host=host(), why=f"podman does not answer ({quoted(str(error))})") from error

    def is_at_hand(self) -> bool:
        """Tell whether there is a podman to be asked without starting anything, or images are allowed that it would run."""
        try:
            if self.listening() is not None:
                return True
        except PodmanDown:
            return False
        return bool(self._settings.allowed_containers)

    def close(self) -> None:
        """End what was started."""
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            service.close()

    # --- where it listens

    def _address(self) -> Path:
        with self._lock:
            if self._service is not None and self._service.lives():
                return self._service.socket
            found = self.listening()
            if found is not None:
                return found
            if self._service is not None:
                event(_log, logging.WARNING, "podman.service_died")
                self._service.close()
                self._service = None
            self._service = Service()
            return self._service.socket

    def listening(self) -> Path | None:
        """Return where a podman listens that was there before us; raises PodmanDown if none does where the site says."""
        if self._settings.podman_socket is not None:
            return _told(self._settings.podman_socket, by="`podman_socket`")
        address = os.environ.get("CONTAINER_HOST")
        if address:
            scheme, _, path = address.partition("://")
            if scheme != "unix":
                why = f"CONTAINER_HOST is {quoted(address)}, and files can only be shared with a podman of this host (`unix://…`)"
                raise PodmanDown(host=host(), why=why)
            return _told(Path(path), by="CONTAINER_HOST")
        usual = _usual()
        return usual if listens(usual) else None


def _told(path: Path, *, by: str) -> Path:
    if not listens(path):
        raise PodmanDown(host=host(), why=f"no podman listens at {quoted(str(path))}, which {by} names")
    return path


def _usual() -> Path:
    """Return where podman's service listens for this account (source: podman-system-service(1))."""
    if os.geteuid() == 0:
        return Path("/run/podman/podman.sock")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}", "podman", "podman.sock")
