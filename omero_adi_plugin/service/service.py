# SPDX-License-Identifier: GPL-2.0-or-later
"""Service: the process that takes orders in and keeps its workers at work, until it is asked to end."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import TYPE_CHECKING

from omero_adi_plugin import logs
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, DatabaseDown, SurroundingsDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.caretaker import Caretaker
from omero_adi_plugin.service.crew import Crew
from omero_adi_plugin.service.deaths import Deaths
from omero_adi_plugin.service.ending import FAREWELL_SECONDS, KILL_SECONDS, Ending
from omero_adi_plugin.service.notice import TELL_SECONDS, Notice
from omero_adi_plugin.service.reception import Reception
from omero_adi_plugin.service.reports import NOBODYS_FAULT, Trouble
from omero_adi_plugin.service.signals import Signals
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.service.surroundings import Surroundings
from omero_adi_plugin.service.systemd import Systemd
from omero_adi_plugin.service.waking import Waker
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.services import Presence
from omero_adi_plugin.tracking.sweeps import Sweeps

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.service.crew import Departure
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


class Service:
    """One service on one host: intake and supervision here, orders in worker processes.

    Parameters
    ----------
    settings : Settings
        All of them.
    once : bool
        Whether it ends when every order is done.
    """

    def __init__(self, settings: Settings, *, once: bool) -> None:
        self._settings, self._once = settings, once
        self._url = settings.ingest_tracking_db.get_secret_value()
        self._database = Database(self._url, name="adi service")
        self._notice = Notice(Presence(self._database))
        self._crew, self._deaths, self._surroundings = Crew(settings, once=once), Deaths(), Surroundings()
        self._caretaker = Caretaker(settings)
        self._trouble: Trouble | None = None
        self._misses = 0  # tries with the database, one after the other, that it did not answer
        self._open = self._over = False  # whether there is work for workers; whether the end has begun
        self._waker, self._systemd = Waker(), Systemd()
        self._end_seconds = settings.shutdown_timeout + KILL_SECONDS
        self._ending = Ending(asked=self._asked_to_end, farewell=self._farewell, seconds=self._end_seconds)

    def run(self) -> None:
        """Serve until asked to end, or drained.

        Raises
        ------
        SurroundingsDown, ConfigurationError, NotPermitted, ImportsPaused
            With `once`: OMERO or the database is not there or lets us not work, or all imports are paused.
        """
        to_end = {signal.SIGTERM: self._ending.ask, signal.SIGINT: self._ending.ask}
        Signals({**to_end, signal.SIGCHLD: self._waker.wake}).listen()
        self._systemd.ready()
        event(
            _log, logging.INFO, "service.started", owner=owner(), workers=self._settings.max_workers, omero=self._settings.omero
        )
        bell = Bell(self._url, channels=("adi_inbox",))
        reception = Reception(self._database, settings=self._settings, who=owner())
        self._caretaker.look()
        try:
            if self._prepare(reception):
                self._loop(reception, bell)
        finally:
            self._end()
            bell.close()
            self._database.close()
            event(_log, logging.INFO, "service.ended", owner=owner())

    # --- what it does, again and again

    def _prepare(self, reception: Reception) -> bool:
        """Bring the tables up to date, waiting for the database if need be; False if asked to end meanwhile."""
        while not self._ending:
            try:
                if self._settings.run_migrations:
                    with self._systemd.patient():
                        migrate.upgrade(
                            self._url, allow_stamp=self._settings.allow_auto_stamp, trigger=self._settings.intake == "trigger"
                        )
                reached(Point.TABLES_READY)
                reception.open()
            except SurroundingsDown as error:
                self._meet(error)
            else:
                self._trouble = None
                return True
        return False

    def _loop(self, reception: Reception, bell: Bell) -> None:
        queue = Queue(self._database, lease_seconds=self._settings.lease_seconds)
        sweeps = Sweeps(self._database, delay_seconds=self._settings.sweep_seconds)
        while not self._ending:
            self._look_after()
            try:
                self._deaths.report(self._database)
                reception.take_in()
                if self._once:
                    reception.check_not_paused()
                    if queue.pending() == 0 and not sweeps.any_due():
                        return
                self._open = True
                self._wait(lambda seconds: self._listen(bell, seconds))
            except NOBODYS_FAULT as error:
                self._meet(error)
            logs.rotate(self._settings)

    def _listen(self, bell: Bell, seconds: float) -> bool:
        if self._deaths:
            return True
        rang = bell.wait(seconds, also=(self._waker.fileno(), *self._crew.ears))
        self._trouble, self._misses = None, 0
        return rang

    def _meet(self, error: AdiError) -> None:
        """Take note that the database is away, or does not let us work, and leave it alone for a while."""
        self._misses += 1
        if isinstance(error, DatabaseDown) and self._misses == 1:
            return  # a connection was cut, perhaps by a restart: the next one tells
        if self._once:
            raise error
        self._trouble = Trouble.of(error)
        self._wait(self._doze)

    def _doze(self, seconds: float) -> bool:
        self._waker.wait(seconds, also=self._crew.ears)
        return False

    def _wait(self, wait: Callable[[float], bool]) -> None:
        """Wait for `poll_seconds`, or until `wait` tells of something; look after everybody meanwhile."""
        until = time.monotonic() + self._settings.poll_seconds
        self._look_after()
        while not self._ending:
            hires = self._crew.hires_in_seconds if self._open else None
            times = [until - time.monotonic(), TELL_SECONDS, self._systemd.alive_seconds, hires]
            if wait(max(0.0, min(each for each in times if each is not None))) or time.monotonic() >= until:
                return
            self._look_after()

    def _look_after(self) -> None:
        """See to the workers, and say how it all stands."""
        self._waker.clear()
        for gone in self._crew.listen():
            self._see_off(gone)
        if self._open:
            self._crew.hire()
        troubles = self._crew.troubles
        self._surroundings.are(troubles if self._trouble is None else {os.getpid(): self._trouble, **troubles})
        why = self._surroundings.why or self._crew.trouble
        self._systemd.alive()
        self._systemd.status("ending" if self._over else why or f"{len(self._crew)} workers")
        if self._trouble is None:
            self._notice.show(self._crew.states, trouble=why, ending=bool(self._ending))

    def _see_off(self, gone: Departure) -> None:
        """Do what is to be done for a worker that has ended; another one replaces it."""
        match gone.status:
            case os.EX_OK:
                if not (self._once or self._over):
                    event(_log, logging.INFO, "worker.ended", worker=gone.pid)
            case os.EX_TEMPFAIL:  # it was stuck, has said so, and has given its order back if the database let it
                self._deaths.add(gone.pid, why="it was stuck", counts=False)
                self._caretaker.bury(gone.pid)
            case _:
                if self._once and gone.trouble is not None and not self._over:
                    raise gone.trouble.error()
                self._deaths.add(gone.pid, why=gone.why, counts=True)
                self._caretaker.bury(gone.pid)
                if gone.news:
                    event(_log, logging.ERROR, "worker.died", worker=gone.pid, why=gone.why)

    # --- its end

    def _asked_to_end(self) -> None:
        """Have the end begin, whatever the main thread does just now; in the thread of the signals."""
        self._begin_to_end()
        self._waker.wake()

    def _begin_to_end(self) -> None:
        self._systemd.stopping(seconds=self._end_seconds + 2 * FAREWELL_SECONDS)
        self._crew.ask_to_end()

    def _end(self) -> None:
        """Let the workers end, kill those that do not in time, and say good-bye."""
        self._over = True
        self._begin_to_end()
        until = min(self._ending.deadline, time.monotonic() + self._end_seconds)
        while len(self._crew) and (left := until - time.monotonic()) > 0:
            self._look_after()
            self._waker.wait(min(1.0, left), also=self._crew.ears)
        self._ending.say_farewell()
        self._caretaker.close()

    def _farewell(self) -> Callable[[], None]:
        """Kill whoever is left; return what to say to the database after that."""
        for pid in self._crew.kill():
            event(_log, logging.WARNING, "worker.killed", worker=pid)
            self._deaths.add(pid, why="its service was stopped", counts=False)
            self._caretaker.bury(pid)

        def say() -> None:
            self._deaths.report(self._database)
            self._notice.take_down()

        return say
