# SPDX-License-Identifier: GPL-2.0-or-later
"""Control: a Unix socket in the data folder, by which another process disturbs the server.

A command is one line of JSON, `{"do": NAME, …arguments}`, as `{"do": "fail", "where": "IUpdate.saveObject"}`; NAME is a method
of `Disturbances`. The answer is one line: `{"done": RESULT}` or `{"refused": "why"}`. A connection may send any number of them.
Only the account that runs the server may connect.
"""

from __future__ import annotations

import inspect
import json
import os
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from omero_devserver.disturb.disturbances import Disturbances

SOCKET_NAME = "control"
LONGEST_PATH = 107  # bytes; the operating system's limit for a Unix socket
COMMANDS = (
    "fail",
    "delay",
    "lose_connection",
    "kill",
    "stop",
    "drop_connections",
    "expire",
    "exhaust_pool",
    "fill_disk",
    "protect_disk",
    "clear",
)


class CannotOpen(Exception):
    """The socket cannot be made; the text says why, and what to do."""


class Refused(Exception):
    """The server did not take a command; the text says why."""


class ControlSocket:
    """Takes commands for `disturbances` at the socket in `data`, until `close`."""

    def __init__(self, data: Path, disturbances: Disturbances) -> None:
        self._path = data / SOCKET_NAME
        if len(os.fsencode(self._path)) > LONGEST_PATH:
            raise CannotOpen(
                f"The path of the control socket, '{self._path}', is too long: choose a data folder with a shorter one."
            )
        self._path.unlink(missing_ok=True)  # of a server that was killed: the folder is locked, so none listens there now
        before = os.umask(0o177)
        try:
            self._server = _SocketServer(str(self._path), _Handler)
        except OSError as error:
            raise CannotOpen(f"Cannot make the control socket '{self._path}': {error.strerror}.") from error
        finally:
            os.umask(before)
        self._server.disturbances = disturbances
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more commands."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class Control:
    """The other side: sends commands to the server on the data folder `data`, for tests and the command line."""

    def __init__(self, data: Path) -> None:
        self._path = data / SOCKET_NAME

    def do(self, command: str, *values: object, **arguments: object) -> Any:
        """Carry out one command, as `do("fail", "IUpdate.saveObject", call=2)`; returns its result.

        Parameters
        ----------
        command : str
            Name of a method of `Disturbances`, which describes the arguments: the same by place and by name.
        values, arguments : str, int, float, bool or None
            Its arguments.

        Raises
        ------
        Refused
            The server did not take it; nothing has changed.
        OSError
            No server listens there.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self._path))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps({"do": command, "values": values, **arguments}) + "\n")
                stream.flush()
                line = stream.readline()
        if not line:
            return None  # the command ended the server
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["done"]


class _SocketServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    disturbances: Disturbances


class _Handler(socketserver.StreamRequestHandler):
    server: _SocketServer

    def handle(self) -> None:
        for line in self.rfile:
            answer = _answer(self.server.disturbances, line)
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _answer(disturbances: Disturbances, line: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(line)
        if not isinstance(given, dict) or given.get("do") not in COMMANDS:
            return {"refused": f'a command is a JSON object with "do" as one of: {", ".join(COMMANDS)}'}
        method = getattr(disturbances, given.pop("do"))
        bound = inspect.signature(method).bind(*given.pop("values", ()), **given)
        return {"done": method(*bound.args, **bound.kwargs)}
    except (TypeError, ValueError) as error:  # what was sent makes no sense; JSON's errors are ValueErrors
        return {"refused": str(error)}
