# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands: what people do to orders meanwhile: call them off, retry them, submit them twice."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from tests.crash.chaos.orders import Desk, Order
from tests.crash.chaos.plan import Sort
from tests.crash.chaos.surroundings import Site

NOW_AND_THEN = {Sort.TWICE: "running", Sort.CANCELLED: "running", Sort.RETRIED: "failed"}
"""In which state of its order something is done to it."""

TRIES = 20
AWAY = {os.EX_UNAVAILABLE, os.EX_TEMPFAIL}


class People:
    """Those who do it."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="person")
        self._busy: list[Future[None]] = []

    @property
    def are_done(self) -> bool:
        """Whether all that was to be done is done; raises what went wrong."""
        for future in [each for each in self._busy if each.done()]:
            self._busy.remove(future)
            future.result()
        return not self._busy and not self._open()

    def look(self) -> None:
        """Do what is due."""
        waiting = self._open()
        if not waiting:
            return
        asked = "SELECT uuid, state FROM adi_order WHERE uuid = ANY(%s)"
        states = dict(self._site.tracking.sql(asked, [order.uuid for order in waiting]))
        for order in waiting:
            state = states.get(order.uuid)
            if state == NOW_AND_THEN[order.sort] or state in {"completed", "failed", "cancelled"}:
                order.acted = True
                self._busy.append(self._hands.submit(self._act, order))

    def close(self) -> None:
        self._hands.shutdown(cancel_futures=True)

    def _open(self) -> Sequence[Order]:
        return [order for order in self._desk.orders if order.sort in NOW_AND_THEN and not order.acted]

    def _act(self, order: Order) -> None:
        if order.sort is Sort.TWICE:
            self._desk.submit(order)
            return
        if order.late is not None:
            tifffile.imwrite(Path(order.late), np.zeros((16, 16), "u1"))
        self._command("orders", "cancel" if order.called_off else "retry", order.uuid)

    def _command(self, *words: str) -> None:
        for _ in range(TRIES):
            done = self._site.command(*words)
            if done.returncode not in AWAY:
                break
            time.sleep(0.5)
        if done.returncode not in {os.EX_OK, os.EX_DATAERR, os.EX_USAGE}:  # an order that has ended cannot be called off
            self._site.trouble.append(f"{' '.join(words)}: {done.returncode} {done.stderr}")
