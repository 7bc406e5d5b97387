# SPDX-License-Identifier: GPL-2.0-or-later
"""Systemd: tells the service manager how the service fares, if one has started it (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

PATIENCE_SECONDS = 3600
"""How long the tables may take to be brought up to date before the watchdog counts the service as hung."""


class Systemd:
    """The way to the service manager; without one, and whatever goes wrong on it, nothing happens.

    Parameters
    ----------
    environment : mapping of str to str
        The process's own. What is for this process alone is taken out of it, so that no program that it starts speaks for it.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        mine = microseconds.isdecimal() and pid in ("", str(os.getpid()))
        self._watchdog_microseconds = int(microseconds) if mine else 0
        self._alive_at = float("-inf")
        self._status: str | None = None
        self._stopping = False

    @property
    def alive_seconds(self) -> float | None:
        """How often `alive` wants to be called: three times as often as it must; None: no watchdog waits for it."""
        return self._watchdog_microseconds / 3e6 if self._watchdog_microseconds else None

    def ready(self) -> None:
        """Say that signals are seen to: the service can be stopped in good order."""
        self._tell("READY=1")

    def alive(self) -> None:
        """Say that the main loop goes round; only that loop may."""
        now = time.monotonic()
        if self.alive_seconds is not None and now - self._alive_at >= self.alive_seconds / 2:
            self._alive_at = now
            self._tell("WATCHDOG=1")

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Let the main loop stand still meanwhile, for something that must not be cut short."""
        if not self._watchdog_microseconds:
            yield
            return
        self._tell(f"WATCHDOG_USEC={PATIENCE_SECONDS * 1_000_000}")
        try:
            yield
        finally:
            self._tell(f"WATCHDOG_USEC={self._watchdog_microseconds}")

    def status(self, words: str) -> None:
        """Say how it stands, for people, if that is new."""
        if words != self._status:
            self._status = words
            self._tell(f"STATUS={' '.join(words.split())}")

    def stopping(self, *, seconds: float) -> None:
        """Say, once, that the service ends, and how long that may take, whatever TimeoutStopSec is."""
        if not self._stopping:
            self._stopping = True
            self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # "@" stands for the zero byte that an abstract address begins with (unix(7))
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0)  # a manager that hangs must not hold up the service
            channel.sendto(message.encode(errors="replace"), address)
