# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: the service itself. It takes orders in, keeps its workers alive, and ends in good order."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING

from omero_adi_plugin import logs
from omero_adi_plugin.errors import OmeroDown, SurroundingsDown
from omero_adi_plugin.logs import event
from omero_adi_plugin.service import worker
from omero_adi_plugin.service.attempt import Attempts, owner
from omero_adi_plugin.service.reception import Reception
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.bell import Bell
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.pipeline.progress import OnProgress
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

RESTART_SECONDS = 2.0
"""Pause before a worker that died is replaced, so that one that cannot start does not keep the machine busy."""

KILL_SECONDS = 15.0
"""How long after `shutdown_timeout` a worker may take to give its order back before it is killed."""


def serve(settings: Settings, *, once: bool) -> None:
    """Serve until asked to end by SIGTERM or SIGINT, or, with `once`, until every order is done.

    Raises
    ------
    SurroundingsDown, ImportsPaused
        With `once`: OMERO or the database is not there, or all imports are paused.
    """
    logs.set_up(settings)
    for key in settings.legacy:
        event(
            _log,
            logging.WARNING,
            "settings.key_without_effect",
            key=key,
            why="a setting of the former importer; it can be removed",
        )
    Service(settings, once=once).run()


def carry_out(settings: Settings, claim: Claim, *, on_progress: OnProgress) -> None:
    """Carry out, in this process, an order that was inserted already leased to it.

    Parameters
    ----------
    settings : Settings
        All of them.
    claim : Claim
        The order and the lease on it.
    on_progress : OnProgress
        Told of each step.

    Raises
    ------
    AdiError
        What ended the attempt. The outcome is in queue and stage rows by then: a failed order is failed, one that is worth
        another attempt waits for a service.
    """
    attempts = Attempts(settings)
    try:
        error = attempts.carry_out(claim, on_progress=on_progress)
    finally:
        attempts.close()
    if error is not None:
        raise error


class Service:
    """One service on one host: intake and supervision here, orders in worker processes."""

    def __init__(self, settings: Settings, *, once: bool) -> None:
        self._settings, self._once = settings, once
        self._url = settings.ingest_tracking_db.get_secret_value()
        self._spawn = multiprocessing.get_context("spawn")  # Ice's threads do not survive a fork
        self._workers: list[SpawnProcess] = []
        self._ending = False
        self._down = False
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._started_worker = float("-inf")

    def run(self) -> None:
        """Serve until asked to end, or drained."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        signal.signal(signal.SIGCHLD, self._woken_up)
        event(
            _log, logging.INFO, "service.started", owner=owner(), workers=self._settings.max_workers, omero=self._settings.omero
        )
        database = Database(self._url, name="adi service")
        bell = Bell(self._url, channels=("adi_inbox",))
        queue = Queue(database, lease_seconds=self._settings.lease_seconds)
        reception = Reception(database, settings=self._settings, who=owner())
        try:
            if self._prepare(reception):
                self._loop(reception, queue, bell)
        finally:
            self._end_workers()
            bell.close()
            database.close()
            event(_log, logging.INFO, "service.ended", owner=owner())

    def _prepare(self, reception: Reception) -> bool:
        """Bring the tables up to date, waiting for the database if need be; False if asked to end meanwhile."""
        while not self._ending:
            try:
                if self._settings.run_migrations:
                    migrate.upgrade(
                        self._url, allow_stamp=self._settings.allow_auto_stamp, trigger=self._settings.intake == "trigger"
                    )
                reception.open()
            except SurroundingsDown as error:
                self._say_down(error)
                self._sleep(self._settings.poll_seconds)
            else:
                return True
        return False

    def _loop(self, reception: Reception, queue: Queue, bell: Bell) -> None:
        while not self._ending:
            try:
                reception.take_in()
                self._down = False
                if self._once:
                    reception.check_not_paused()
                    if queue.pending() == 0:
                        return
                self._hire()
                logs.rotate(self._settings)
                bell.wait(self._settings.poll_seconds, also=(self._woken,))
            except SurroundingsDown as error:
                self._say_down(error)
                self._hire()  # a worker may die just now as well; the new one waits as the others do
                self._sleep(self._settings.poll_seconds)
            self._quiet()

    def _hire(self) -> None:
        """Have as many workers as are wanted; one that died is replaced, and its order's lease will lapse."""
        for process in [each for each in self._workers if not each.is_alive()]:
            self._workers.remove(process)
            if self._once and process.exitcode == os.EX_OK:  # it found nothing more to do
                continue
            event(_log, logging.ERROR, "worker.died", worker=process.pid, status=process.exitcode)
            if self._once and process.exitcode == os.EX_UNAVAILABLE:
                raise OmeroDown(where=self._settings.omero, why="a worker had to stop, the log says more")
        missing = self._settings.max_workers - len(self._workers)
        if not missing or time.monotonic() - self._started_worker < RESTART_SECONDS:
            return
        self._started_worker = time.monotonic()
        for _ in range(missing):
            process = self._spawn.Process(
                target=worker.main, args=(self._settings, os.getpid()), kwargs={"once": self._once}, name="adi worker"
            )
            process.start()
            self._workers.append(process)

    def _end_workers(self) -> None:
        for process in self._workers:
            process.terminate()
        deadline = time.monotonic() + self._settings.shutdown_timeout + KILL_SECONDS
        for process in self._workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                event(_log, logging.ERROR, "worker.killed", worker=process.pid)
                process.kill()
                process.join()

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        self._woken_up(number, frame)

    def _woken_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        try:
            os.write(self._wake, b"!")
        except BlockingIOError:  # the pipe is full of wake-ups: one more would say nothing new
            return

    def _quiet(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            return

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._ending and time.monotonic() < deadline:
            time.sleep(0.1)

    def _say_down(self, error: SurroundingsDown) -> None:
        if self._once:
            raise error
        if not self._down:  # said once, not every few seconds of a whole weekend
            event(_log, logging.ERROR, "surroundings.down", why=str(error))
        self._down = True
