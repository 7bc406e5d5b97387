# SPDX-License-Identifier: GPL-2.0-or-later
"""Crew: the worker processes of a service. It hires them, hears what they report, replaces those that end, and ends them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.logs import event
from omero_adi_plugin.service.restarts import Restarts
from omero_adi_plugin.tracking.services import WorkerState

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from omero_adi_plugin.service.reports import Trouble
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

REAP_SECONDS = 2.0
"""How long the end of a worker may take that was killed; one that waits for a dead file system ends when that answers."""


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A process, and what is known of it.

    ear:    our end of the pipe that it reports through; None: it has closed its own.
    trial:  whether it was started to see if workers can be started again.
    worked: whether it has ever reported that all is well.
    """

    process: SpawnProcess
    ear: Connection | None
    trial: bool
    trouble: Trouble | None = None
    worked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A worker that has ended.

    status:  its exit status, or minus the number of the signal that killed it.
    trouble: what it was in when it ended.
    news:    whether it is to be said: it is not when it ended right after its start like the one before.
    """

    pid: int
    status: int
    trouble: Trouble | None
    news: bool = True

    @property
    def why(self) -> str:
        """What it died of, to follow "was"."""
        if self.status == -signal.SIGKILL:
            return "killed by SIGKILL, perhaps for want of memory"
        if self.status < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-self.status).name}"
            return f"killed by signal {-self.status}"
        words = f" ({self.trouble.why})" if self.trouble is not None else ""
        return f"ended with status {self.status}{words}"


class Crew:
    """The workers of one service. The main thread has it; `ask_to_end` and `kill` may be called by others too.

    Parameters
    ----------
    settings : Settings
        All of them: a worker gets them.
    once : bool
        Whether workers end when no order is left.
    """

    def __init__(self, settings: Settings, *, once: bool) -> None:
        self._settings, self._once = settings, once
        self._spawn = multiprocessing.get_context("spawn")  # Ice's threads do not survive a fork
        self._workers: list[_Worker] = []
        self._restarts = Restarts()
        self._lock = threading.Lock()
        self._hiring = True
        self._first = True  # whether nobody has been hired yet

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def states(self) -> list[WorkerState]:
        """What there is to say of each worker."""
        return [
            WorkerState(pid=each.process.pid or 0, trouble=None if each.trouble is None else each.trouble.why)
            for each in self._workers
        ]

    @property
    def troubles(self) -> dict[int, Trouble]:
        """The troubles of the workers, by process id."""
        return {each.process.pid or 0: each.trouble for each in self._workers if each.trouble is not None}

    @property
    def trouble(self) -> str | None:
        """What keeps the service from having workers, for people; None: nothing."""
        why = self._restarts.why
        return None if why is None else f"The last worker was {why}, before it had done anything."

    @property
    def ears(self) -> list[int]:
        """Descriptors from which something can be read when a worker has reported, or has ended."""
        return [each.ear.fileno() for each in self._workers if each.ear is not None]

    @property
    def hires_in_seconds(self) -> float | None:
        """In how many s `hire` will start another worker; None if it would not, whatever the time."""
        trial = any(each.trial and not each.worked and each.trouble is None for each in self._workers)
        if trial or not self._hiring or len(self._workers) >= self._settings.max_workers:
            return None
        return self._restarts.due_seconds

    def hire(self) -> None:
        """Have as many workers as are wanted; fewer while they end right after their start."""
        while self.hires_in_seconds == 0.0:
            try:
                with self._lock, _undisturbed():
                    if self._hiring:
                        self._start()
            except OSError as error:  # no memory, or no more processes allowed
                if self._restarts.failed(f"not started: {error.strerror}"):
                    event(_log, logging.ERROR, "worker.not_started", why=error.strerror)
                return

    def listen(self) -> list[Departure]:
        """Hear what the workers report; return those that have ended."""
        with self._lock:
            for each in self._workers:
                self._hear(each)
            gone = [each for each in self._workers if not each.process.is_alive()]
            for each in gone:
                self._hear(each)  # its last words
                if each.ear is not None:
                    each.ear.close()
            self._workers = [each for each in self._workers if each not in gone]
        return [self._departure(each) for each in gone]

    def ask_to_end(self) -> None:
        """Hire no more, and ask all to end: to finish their orders in `shutdown_timeout`, or to give them back."""
        with self._lock:
            self._hiring = False
            for each in self._workers:
                each.process.terminate()

    def kill(self) -> list[int]:
        """Hire no more, and end at once whoever is left; return the process ids of those."""
        with self._lock:
            self._hiring = False
            for each in self._workers:
                each.process.kill()
            until = time.monotonic() + REAP_SECONDS
            for each in self._workers:
                each.process.join(max(0.0, until - time.monotonic()))
            killed = [each.process.pid or 0 for each in self._workers]
            self._workers = []
        return killed

    def _start(self) -> None:
        ear, mouth = self._spawn.Pipe(duplex=False)
        try:
            arguments = {"once": self._once, "first": self._first, "pipe": mouth}
            process = self._spawn.Process(target=_work, args=(self._settings, os.getpid()), kwargs=arguments, name="adi worker")
            process.start()
        except BaseException:
            ear.close()
            raise
        finally:
            mouth.close()  # the worker has its own; when that is closed too, the pipe ends
        self._first = False
        self._workers.append(_Worker(process=process, ear=ear, trial=self._restarts.on_trial))
        reached(Point.WORKER_HIRED)

    def _hear(self, each: _Worker) -> None:
        """Take note of what a worker has reported; never waits, since whole reports come or none."""
        try:
            while each.ear is not None and each.ear.poll():
                each.trouble = each.ear.recv()
                if each.trouble is None:
                    each.worked = True
                    self._restarts.went_well()
        except Exception:  # noqa: BLE001 (its end; or nonsense, of one whose memory is broken: it is not listened to any more)
            if each.ear is not None:
                each.ear.close()
            each.ear = None

    def _departure(self, gone: _Worker) -> Departure:
        departure = Departure(pid=gone.process.pid or 0, status=gone.process.exitcode or 0, trouble=gone.trouble)
        gone.process.close()
        if gone.worked or departure.status == os.EX_OK:
            return departure
        news = self._restarts.failed(departure.why)
        return Departure(pid=departure.pid, status=departure.status, trouble=departure.trouble, news=news)


def _work(settings: Settings, parent: int, *, once: bool, first: bool, pipe: Connection) -> None:
    """Be a worker, in a process of its own. Only there its code is loaded: the service itself does without OMERO's."""
    from omero_adi_plugin.service import worker  # noqa: PLC0415

    worker.main(settings, parent, once=once, first=first, pipe=pipe)


class _undisturbed(contextlib.AbstractContextManager[None]):  # noqa: N801 (reads as what it does)
    """Lets a process that is started meanwhile begin with SIGTERM and SIGINT blocked, until it has handlers for them."""

    def __enter__(self) -> None:
        resource_tracker.ensure_running()  # else it is started now, which unblocks them (CPython's `ensure_running`)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
