# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults: each kind of fault done to a site, on what is at work there just now."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg2

from omero_adi_plugin.ice import TROUBLE
from omero_devserver.disturb.control import Refused
from tests.crash.chaos.omero import Root
from tests.crash.chaos.plan import OPERATIONS, Fault, Kind
from tests.crash.chaos.processes import Process, children
from tests.crash.chaos.surroundings import LEASE_SECONDS, Site

MOMENT_SECONDS = 10
"""How long it is waited for an import that passes a moment."""

RUNNING = "SELECT uuid, attempt, lease_owner, deaths FROM adi_order WHERE state = 'running' ORDER BY uuid"
OF_SCRIPT = "script@"
"""How the owner of a lease begins that a script has."""


_Victim = TypeVar("_Victim")


class NoVictim(Exception):
    """There is nothing just now that this fault could hit."""


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt that runs, and the process that has it: a worker, or a script.

    deaths: how many workers have died over the order just before, one after the other.
    """

    uuid: str
    attempt: int
    worker: Process
    deaths: int
    in_script: bool


@dataclass
class Dealt:
    """A fault that was dealt, and the attempts that were in its reach then."""

    fault: Fault
    running: list[tuple[str, int]]


@dataclass
class Dealer:
    """Deals faults to a site; `dealt` are those that were."""

    site: Site
    dealt: list[Dealt] = field(default_factory=list)
    _armed: tuple[Fault, float, int] | None = None

    def deal(self, fault: Fault) -> None:
        """Deal one.

        Raises
        ------
        NoVictim
            Nothing was done.
        """
        if not self.site.postgres_runs:
            raise NoVictim
        try:
            running = self._running()
            if not running:
                raise NoVictim
            reached = _DEALS[fault.kind](self, fault, running)
        except psycopg2.Error as error:
            raise NoVictim from error
        if not fault.moment:  # else it is dealt when that has come
            self.dealt.append(Dealt(fault, [(each.uuid, each.attempt) for each in reached]))

    def look(self) -> Fault | None:
        """See whether what is waited for has come; return the fault if it did not come in time."""
        if self._armed is None:
            if not self.site.omero.runs and not self.site.omero_returns:
                self._note_end()
                self.site.return_omero(0)
            return None
        fault, until, closed = self._armed
        if not self.site.omero.runs:
            self._armed = None
            self.site.return_omero(fault.seconds)
            if fault.kind is Kind.ANSWER:
                return fault
            self._note_end(by_signal=signal.SIGKILL)
            self.dealt.append(Dealt(fault, self._attempts()))
        elif fault.kind is Kind.ANSWER and self.site.wire.closed > closed:
            self._armed = None
            self.dealt.append(Dealt(fault, self._attempts()))
        elif time.monotonic() > until:
            try:
                self.site.omero.do("clear")
            except OSError:  # it dies just now: of this, perhaps
                return None
            self._armed = None
            return fault
        return None

    @property
    def waits(self) -> bool:
        """Whether a moment is waited for."""
        return self._armed is not None

    def end(self) -> None:
        """Wait for nothing any more."""
        if self._armed is not None and self.site.omero.runs:
            with suppress(OSError):  # it has just died
                self.site.omero.do("clear")
        self._armed = None

    def _note_end(self, *, by_signal: int = 0) -> None:
        if not by_signal or self.site.omero.status != -by_signal:
            self.site.trouble.append(f"OMERO ended by itself, with status {self.site.omero.status}")

    def _running(self) -> list[Running]:
        found = []
        for uuid, attempt, owner, deaths in self.site.tracking.sql(RUNNING):
            in_script = owner.startswith(OF_SCRIPT)
            worker = self.site.grid.script_of(owner) if in_script else Process.of(int(owner.rpartition(":")[2]))
            if worker is not None:
                found.append(Running(uuid, attempt, worker, deaths, in_script))
        return found

    def _attempts(self) -> list[tuple[str, int]]:
        with suppress(psycopg2.Error):
            return [(each.uuid, each.attempt) for each in self._running()]
        return []

    # --- processes

    def _service(self, fault: Fault, running: list[Running], *, with_workers: bool = False) -> list[Running]:
        at_work = [
            (service, workers)
            for service in self.site.services
            if service.lives and (any(each.worker in (workers := service.workers()) for each in running) or service.launches)
        ]
        service, workers = _picked(at_work, fault)
        assert service.process is not None
        self.site.killed.add(service.process.pid)
        service.process.kill()
        for worker in workers if with_workers else ():
            worker.kill()
        return [each for each in running if each.worker in workers]

    def _host(self, fault: Fault, running: list[Running]) -> list[Running]:
        return self._service(fault, running, with_workers=True)

    def _worker(self, fault: Fault, running: list[Running]) -> list[Running]:
        return self._killed(running, fault, in_script=False)

    def _script(self, fault: Fault, running: list[Running]) -> list[Running]:
        return self._killed(running, fault, in_script=True)

    def _killed(self, running: list[Running], fault: Fault, *, in_script: bool) -> list[Running]:
        # one after the other over the same order is taken for the order's fault, and rightly fails it
        victim = _picked([each for each in running if each.in_script == in_script and not each.deaths], fault)
        victim.worker.kill()
        return [victim]

    def _reader(self, fault: Fault, running: list[Running]) -> list[Running]:
        chosen = [(each, child) for each in running for child in children([each.worker.pid])]
        victim, child = _picked(chosen, fault)
        child.kill()
        return [victim]

    def _converter(self, fault: Fault, running: list[Running]) -> list[Running]:
        wanted = "SELECT DISTINCT uuid FROM imports WHERE preprocessing_id IS NOT NULL AND uuid = ANY(%s)"
        asking = {uuid for (uuid,) in self.site.tracking.sql(wanted, [each.uuid for each in running])}
        victim = _picked([each for each in running if each.uuid in asking], fault)
        if not self.site.foundry.kill(f"adi-{victim.uuid}-{victim.attempt}-0"):
            raise NoVictim
        return [victim]

    def _frozen(self, fault: Fault, running: list[Running]) -> list[Running]:
        in_script = fault.kind is Kind.FROZEN_SCRIPT
        victim = _picked([each for each in running if each.in_script == in_script], fault)
        victim.worker.signal(signal.SIGSTOP)
        self.site.agenda.later(LEASE_SECONDS + fault.seconds, lambda: victim.worker.signal(signal.SIGCONT))
        return [victim]

    # --- Processors

    def _processor(self, fault: Fault, running: list[Running]) -> list[Running]:
        host = _picked([each for each in self.site.grid.hosts if each.processors()], fault)
        host.kill_processor()
        return []  # scripts go on without it

    def _node(self, fault: Fault, running: list[Running]) -> list[Running]:
        at_work = []
        for host in self.site.grid.hosts:
            scripts = set(host.scripts())
            reached = [each for each in running if each.worker.pid in scripts]
            at_work += [(host, reached)] if reached else []
        host, reached = _picked(at_work, fault)
        self.site.grid.kill(host, fault.seconds)
        return reached

    # --- PostgreSQL

    def _postgres(self, fault: Fault, running: list[Running]) -> list[Running]:
        self.site.stop_postgres(fault.seconds)
        return running

    def _backends(self, fault: Fault, running: list[Running]) -> list[Running]:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        some = "" if fault.all else " AND pid %% 2 = 0"
        [[count]] = self.site.tracking.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}{some}")
        if not count:
            raise NoVictim
        return running

    # --- OMERO

    def _connections(self, fault: Fault, running: list[Running]) -> list[Running]:
        if not self.site.omero_is_there or not self.site.wire.cut(every=1 if fault.all else 2):
            raise NoVictim
        return running

    def _sessions(self, fault: Fault, running: list[Running]) -> list[Running]:
        if not self.site.omero_is_there or not self.site.omero.answers:
            raise NoVictim
        try:
            with Root(self.site.omero) as root:
                found = root.sessions(of_users=True)
                chosen = [*found, *root.sessions(of_users=False)] if fault.all else [_picked(found, fault)]
                for session in chosen:
                    if fault.seconds < 1:
                        root.kill(session)
                    else:
                        self._expire(session)
        except TROUBLE as error:  # it has just died
            raise NoVictim from error
        return running

    def _expire(self, session: str) -> None:
        try:
            self.site.omero.do("expire", session)
        except Refused:  # it has just ended
            return
        except OSError as error:
            raise NoVictim from error

    def _omero(self, fault: Fault, running: list[Running]) -> list[Running]:
        if self._armed or not self.site.omero_is_there:
            raise NoVictim
        self.site.omero.kill()
        self.site.return_omero(fault.seconds)
        return running

    def _at_moment(self, fault: Fault, running: list[Running]) -> list[Running]:
        if self._armed or not self.site.omero_is_there or not self.site.omero.answers:
            raise NoVictim
        after = {"after": True} if fault.moment in OPERATIONS else {}
        try:
            self.site.omero.do("kill" if fault.kind is Kind.MOMENT else "lose_connection", fault.moment, **after)
        except OSError as error:  # it has just died, or has just begun
            raise NoVictim from error
        self._armed = fault, time.monotonic() + MOMENT_SECONDS, self.site.wire.closed
        return running


def _picked(found: Sequence[_Victim], fault: Fault) -> _Victim:
    if not found:
        raise NoVictim
    return found[int(fault.pick * len(found))]


_DEALS = {
    Kind.SERVICE: Dealer._service,
    Kind.HOST: Dealer._host,
    Kind.WORKER: Dealer._worker,
    Kind.CONVERTER: Dealer._converter,
    Kind.READER: Dealer._reader,
    Kind.FROZEN: Dealer._frozen,
    Kind.POSTGRES: Dealer._postgres,
    Kind.BACKENDS: Dealer._backends,
    Kind.CONNECTIONS: Dealer._connections,
    Kind.SESSIONS: Dealer._sessions,
    Kind.OMERO: Dealer._omero,
    Kind.MOMENT: Dealer._at_moment,
    Kind.ANSWER: Dealer._at_moment,
    Kind.PROCESSOR: Dealer._processor,
    Kind.NODE: Dealer._node,
    Kind.SCRIPT: Dealer._script,
    Kind.FROZEN_SCRIPT: Dealer._frozen,
}
