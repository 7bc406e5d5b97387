# SPDX-License-Identifier: GPL-2.0-or-later
"""Omero: the development server of a site, a process that is killed and started again on the same folder and port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import omero
from omero.rtypes import unwrap

from omero_adi_plugin.sessions import Account
from omero_devserver.disturb.control import Control
from tests.crash.chaos.processes import MARK
from tests.fixtures.waiting import wait_until

IDLE_SECONDS, SYNC_SECONDS = 6, 1
"""How long a session may be silent, and how often the server looks for those that have been."""

STEP_SECONDS = 0.02
START_SECONDS = 30


class Omero:
    """A server in `folder`, which does not run yet; `port` stays the same over restarts."""

    def __init__(self, folder: Path, *, site: str, script_seconds: float) -> None:
        self.data, self.log = folder / "omero", folder / "omero.log"
        self.repository = self.data / "ManagedRepository"
        self.port, self.deaths = _free_port(), 0
        self._site, self._script_seconds = site, script_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def account(self) -> Account:
        """The administrator, beside the wire."""
        return Account(host="127.0.0.1", port=self.port, user="root", password="omero")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def answers(self) -> bool:
        """Whether it can be connected to."""
        with socket.socket() as end:
            end.settimeout(1)
            return self.runs and end.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def status(self) -> int | None:
        """With what it has ended, if it has."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; it answers some time later."""
        options = {
            "ssl-port": self.port,
            "session-idle-seconds": IDLE_SECONDS,
            "session-sync-seconds": SYNC_SECONDS,
            "step-seconds": STEP_SECONDS,
            "processors": 0,  # those of a grid are on hosts of their own
            "script-seconds": self._script_seconds,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            "omero_devserver",
            "--data",
            str(self.data),
            "--control",
        ]
        environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"} | {MARK: f"{self._site}/omero"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, *words], stdout=log, stderr=log, env=environment)

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: self.answers, seconds=START_SECONDS, what="OMERO's answer")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self.runs:
            assert self._process is not None
            self._process.terminate()
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def do(self, command: str, *values: object, **arguments: object) -> Any:
        """Have it disturb itself."""
        return Control(self.data).do(command, *values, **arguments)


class Root:
    """What an administrator does with other people's sessions."""

    def __init__(self, omero_: Omero) -> None:
        self._client = omero.client("127.0.0.1", omero_.port)
        try:
            self._client.createSession("root", "omero")
        except BaseException:
            self._client.closeSession()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.closeSession()

    def sessions(self, *, of_users: bool | None = None, endless: bool = False) -> list[str]:
        """Return the uuids of open sessions, but not of this one, oldest first.

        of_users: only those of users, or only those of the service account.
        endless:  only those whose life has no end, as that of a script's session has.
        """
        rows = self._client.sf.getQueryService().projection(
            "select s.uuid, o.omeName, s.timeToLive from Session s join s.owner o where s.closed is null order by s.id", None
        )
        found = [(unwrap(uuid), unwrap(name) != "root", unwrap(life) == 0) for uuid, name, life in rows]
        own = self._client.getSessionId()
        return [uuid for uuid, user, no_end in found if uuid != own and of_users in {None, user} and no_end >= endless]

    def kill(self, session: str) -> None:
        """Take all references from a session."""
        service = self._client.sf.getSessionService()
        found = service.getSession(session)
        for _ in range(20):
            if service.closeSession(found) < 0:
                return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
