# SPDX-License-Identifier: GPL-2.0-or-later
"""Grid: the Processors of a site, each on a host of its own; a host that has lost its power comes back by itself."""

from __future__ import annotations

from collections.abc import Mapping

from tests.crash.chaos.agenda import Agenda
from tests.crash.chaos.processes import Process
from tests.fixtures.processors import Host, Hosts

SCRIPT_SECONDS = 30
"""How long scripts may run on this OMERO: so orders outlive their scripts."""


class Grid:
    """The hosts; none runs yet.

    Parameters
    ----------
    hosts : Hosts
        What starts them.
    customize : mapping of str to str
        For each host, by its name, what Python does first there.
    agenda : Agenda
        Has killed hosts come back.
    """

    def __init__(self, hosts: Hosts, *, customize: Mapping[str, str], agenda: Agenda) -> None:
        self._hosts, self._customize, self._agenda = hosts, customize, agenda

    @property
    def hosts(self) -> list[Host]:
        """Those that run."""
        return self._hosts.running

    def start(self) -> None:
        """Start them all, and have our script on OMERO.server, which has to be there."""
        for name, customize in self._customize.items():
            self._hosts.start(name, customize=customize)
        if self.hosts:
            self._hosts.install()

    def kill(self, host: Host, seconds: float) -> None:
        """Cut a host's power, and switch it on again so many seconds later."""
        self._hosts.kill(host)
        self._agenda.later(seconds, lambda: self._hosts.begin(host.name, customize=self._customize[host.name]))

    def script_of(self, owner: str) -> Process | None:
        """Return the script that signs its leases so, if it lives."""
        for host in self.hosts:
            pid = host.script_of(owner)
            if pid is not None:
                return Process.of(pid)
        return None

    def left(self) -> list[Process]:
        """Return the scripts that run, and what they have started."""
        found = [Process.of(pid) for host in self.hosts for pid in host.left()]
        return [process for process in found if process is not None]

    def end(self) -> None:
        """End them all."""
        self._hosts.end()
