# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire: the network between services and OMERO, which can be cut at any byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _End(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: _End | None = None
        self.on_close: Callable[[], None] = lambda: None
        self.made = asyncio.Event()
        self._early: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made.set()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    def join(self, other: _End) -> None:
        self.other, other.other = other, self
        other.transport.writelines(self._early)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.close()
            self.on_close()


class Wire:
    """A port of this host that leads to another one, which need not be listened at.

    port:   where to connect to.
    closed: how many connections were closed by who listens there.
    """

    def __init__(self, target: int) -> None:
        self._target, self.closed = target, 0
        self._loop = asyncio.new_event_loop()
        self._ways: list[tuple[_End, _End]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._accept, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire")
        self._thread.start()

    def cut(self, *, every: int = 1) -> int:
        """Break the connections, or every second, third …, without a word; return how many."""
        return asyncio.run_coroutine_threadsafe(self._cut(every), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cut(1)
        await asyncio.sleep(0)  # the ends are told

    async def _cut(self, every: int) -> int:
        self._ways = [way for way in self._ways if not way[0].transport.is_closing()]
        chosen = self._ways[::every]
        for here, there in chosen:
            here.transport.abort()
            there.transport.abort()
        return len(chosen)

    def _accept(self) -> _End:
        here = _End()
        task = self._loop.create_task(self._connect(here))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return here

    def _count(self) -> None:
        self.closed += 1

    async def _connect(self, here: _End) -> None:
        await here.made.wait()
        try:
            _, there = await self._loop.create_connection(_End, "127.0.0.1", self._target)
        except OSError:  # nobody listens
            here.transport.abort()
            return
        here.join(there)
        there.on_close = self._count
        self._ways.append((here, there))
        if here.transport.is_closing():
            there.transport.abort()


@contextmanager
def wired(target: int) -> Iterator[Wire]:
    """Have a wire to a port of this host for a while."""
    wire = Wire(target)
    try:
        yield wire
    finally:
        wire.close()
