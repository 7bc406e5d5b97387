# SPDX-License-Identifier: GPL-2.0-or-later
"""Command line of the development server: `python -m omero_devserver --data FOLDER`."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sqlite3
import sys
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from omero_devserver.wire.server import Server

PASSWORD_VARIABLE = "OMERO_DEVSERVER_ROOT_PASSWORD"  # noqa: S105  a name, not a password
HIGHEST_PORT = 65535
LONGEST_SECONDS = 86_400
SECONDS_TO_END = 4

DESCRIPTION = """\
A development OMERO server on the real Ice protocol: unmodified omero-py clients, BlitzGateway, the omero command and
ezomero talk to it. For trying and testing software that talks to OMERO, not for keeping data."""
EPILOG = """\
The server stays in the foreground and logs to stderr. When it answers, it prints one line to stdout:

    ready: ssl=PORT tcp=PORT managed_repository=PATH

Ctrl-C or SIGTERM ends it. Started again on the same folder, it has everything that was there.

First steps, in another terminal:
    omero login root@127.0.0.1:PORT -w omero          (PORT: the ssl one)
    omero group add lab --type read-only
    omero user add ada Ada Lovelace --group-name lab -P secret"""


class CannotStart(Exception):
    """The server cannot be started; the text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to end; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        with _locked(options.data):
            return _serve(options)
    except CannotStart as error:
        sys.stderr.write(f"omero_devserver: {error}\n")
        return 1


def _serve(options: argparse.Namespace) -> int:
    # Imported late: `--help` and a refused folder need no Ice.
    from omero_devserver.entry.start import start  # noqa: PLC0415
    from omero_devserver.wire import handles  # noqa: PLC0415
    from omero_devserver.wire.ended import Ended  # noqa: PLC0415
    from omero_devserver.wire.server import CannotListen, Options  # noqa: PLC0415

    handles.take_all()
    ended = Ended()
    ended.listen()
    chosen = {one.name: getattr(options, one.name) for one in fields(Options) if hasattr(options, one.name)}
    try:
        server = start(Options(**{**chosen, "data": options.data.absolute()}))
    except CannotListen as error:
        raise CannotStart(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"Cannot use the data folder '{options.data}': {error}.") from error
    try:
        with _controlled(server) if options.control else nullcontext():
            sys.stdout.write(f"ready: ssl={server.ssl_port} tcp={server.tcp_port} managed_repository={server.disk.root}\n")
            sys.stdout.flush()
            ended.wait()
    finally:
        _end_in_time()
        server.close()
    return os.EX_OK


def _end_in_time() -> None:
    """Make sure that this process ends, even in the middle of a long call: what has been committed is on disk."""
    late = threading.Timer(SECONDS_TO_END, os._exit, [os.EX_OK])
    late.daemon = True
    late.start()


@contextmanager
def _controlled(server: Server) -> Iterator[None]:
    from omero_devserver.disturb.control import CannotOpen, ControlSocket  # noqa: PLC0415
    from omero_devserver.disturb.disturbances import Disturbances  # noqa: PLC0415

    try:
        control = ControlSocket(server.options.data, Disturbances(server))
    except CannotOpen as error:
        raise CannotStart(str(error)) from error
    try:
        yield
    finally:
        control.close()


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise CannotStart(f"Cannot use the data folder '{data}': {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"Another server runs on the data folder '{data}'. End it, or choose another folder with --data."
            ) from None
        yield


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{port} is no port: choose 1 to {HIGHEST_PORT}, or 0 for any free one")
    return port


class _Operations(argparse.Action):
    """As `--help`: prints and ends, whatever else is missing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from omero_devserver.entry.operations import described  # noqa: PLC0415  as above

        sys.stdout.write(described())
        parser.exit()


def _template(text: str) -> str:
    from omero_devserver.repository.template import Template, TemplateError  # noqa: PLC0415  as above

    try:
        Template.parse(text)
    except TemplateError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few: choose 1 or more")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0 to {LONGEST_SECONDS}")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m omero_devserver",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder for database, certificate and managed repository; made if missing")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    add("--ssl-port", type=_port, default=0, metavar="N", help="port for SSL, what clients use (default: any free one)")
    add("--tcp-port", type=_port, default=0, metavar="N", help="port without SSL (default: any free one)")
    add(
        "--root-password",
        default=os.environ.get(PASSWORD_VARIABLE, "omero"),
        help=f"password of the user root, at the first start on a folder (default: ${PASSWORD_VARIABLE}, or omero)",
    )
    add(
        "--read-only",
        action="store_true",
        help="answer, and refuse whatever would change something, like a server with omero.cluster.read_only=true",
    )
    _add_behaviour(add)
    add("--operations", action=_Operations, nargs=0, help="print which of OMERO's operations are there, in Markdown, and end")
    add("--verbose", action="store_true", help="log more")
    return parser


def _add_behaviour(add: Callable[..., object]) -> None:
    """Add what makes the server behave like a certain real one, or like one in trouble."""
    add(
        "--repository-template",
        type=_template,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="where imports go, as omero.fs.repo.path (default: %%user%%_%%userId%%//%%year%%-%%month%%/%%day%%/%%time%%)",
    )
    add(
        "--step-seconds",
        type=_seconds,
        default=0.02,
        metavar="S",
        help="least time of each of the five import steps, to interrupt an import on purpose (default: %(default)s)",
    )
    add(
        "--session-idle-seconds",
        type=_seconds,
        metavar="S",
        help="longest silence of a session, whatever its maker asks for; those of scripts have no limit, as on a real server"
        " (default: what is asked, else 600)",
    )
    add(
        "--session-live-seconds",
        type=_seconds,
        metavar="S",
        help="longest life of a session, whatever its maker asks for (default: what is asked, else no limit)",
    )
    add(
        "--session-sync-seconds",
        type=_seconds,
        default=120,
        metavar="S",
        help="how often sessions that nobody uses are looked for whose time is over, omero.sessions.sync_interval of a real"
        " server (default: %(default)s)",
    )
    add(
        "--processors",
        type=int,
        default=1,
        metavar="N",
        help="programs that run scripts, started with the first script; 0 for none (default: %(default)s)",
    )
    add(
        "--script-seconds",
        type=_seconds,
        default=3600,
        metavar="S",
        help="how long a script may run, omero.scripts.timeout of a real server (default: %(default)s)",
    )
    add(
        "--pool",
        type=_count,
        metavar="N",
        help="have N database connections, as a real server, whose default is 10: with more imports at a time than that"
        " nothing gets on (default: no limit)",
    )
    add(
        "--pool-wait-seconds",
        type=_seconds,
        default=95,
        metavar="S",
        help="with --pool: how long who finds no connection waits until it is refused (default: %(default)s, as recorded)",
    )
    add(
        "--control",
        action="store_true",
        help="take commands that disturb the server, from `python -m omero_devserver.disturb --data FOLDER …`",
    )


if __name__ == "__main__":
    sys.exit(main())
