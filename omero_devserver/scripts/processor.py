# SPDX-License-Identifier: GPL-2.0-or-later
"""Processor: a program that runs scripts for a server, with omero-py's own ProcessorI.

It talks to the server only over Ice, as a client, so it may run on any host that reaches the server's SSL port:

    python -m omero_devserver.scripts.processor --host HOST --port PORT --user root

It stays in the foreground, prints a line when it takes scripts, and ends with Ctrl-C or when it loses the server.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD_VARIABLE = "OMERO_PASSWORD"  # noqa: S105  a name, not a password
CHECK_SECONDS = 10  # how often it makes sure that the server is there
SECONDS_TO_END = 6  # after which it ends whatever its scripts do
THREADS = 50  # calls of the server that it answers at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a processor until it is told to end or loses the server; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with _home(options.folder) as home:
        os.environ["OMERO_TMPDIR"] = str(home / "tmp")  # read by omero-py when it is imported
        return _run(options, home, ended)


def _run(options: argparse.Namespace, home: Path, ended: threading.Event) -> int:
    import Glacier2  # noqa: PLC0415  all of them late, see main
    import Ice  # noqa: PLC0415
    import omero.clients  # noqa: PLC0415
    import omero.processor  # noqa: PLC0415
    from omero_ext.path import path  # noqa: PLC0415

    client = omero.client(args=[f"--Ice.ThreadPool.Client.SizeMax={THREADS}"], host=options.host, port=options.port)
    client.setAgent("OMERO.processor")
    try:
        _log_in(client, options, ended)
    except (Glacier2.CannotCreateSessionException, Glacier2.PermissionDeniedException, Ice.LocalException) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        sys.stderr.write(f"processor: Cannot log in at {options.host}:{options.port}: {reason}\n")
        return os.EX_UNAVAILABLE
    try:
        processor = omero.processor.usermode_processor(
            client,
            serverid=options.name,
            cfg=str(home / "etc" / "ice.config"),
            accepts_list=[],  # official scripts, and no others
            stop_event=ended,
            omero_home=path(str(home)),
        )
        sys.stdout.write(f"ready: {options.name} runs scripts of {options.host}:{options.port}\n")
        sys.stdout.flush()
        status = _watch(client, ended)
        _end_in_time(status)
        processor.cleanup()
    finally:
        client.closeSession()
    return status


def _log_in(client: Any, options: argparse.Namespace, ended: threading.Event) -> None:
    if not options.session_on_stdin:
        password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass(f"Password of {options.user}: ")
        client.createSession(options.user, password)
        return
    client.joinSession(sys.stdin.readline().strip())

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def _watch(client: Any, ended: threading.Event) -> int:
    """Wait for the end; returns the exit status."""
    while not ended.wait(CHECK_SECONDS):
        try:
            client.sf.keepAlive(None)
        except Exception:  # noqa: BLE001  whatever it is, the server does not know this client any more
            logging.getLogger(__name__).warning("the server has gone")
            ended.set()
            return os.EX_UNAVAILABLE
    return os.EX_OK


def _end_in_time(status: int) -> None:
    """Make sure that this process ends, even if a script or the server does not let it."""
    late = threading.Timer(SECONDS_TO_END, os._exit, [status])
    late.daemon = True
    late.start()


@contextmanager
def _home(folder: Path | None) -> Iterator[Path]:
    """Give a folder with what ProcessorI wants to find in its OMERO_HOME; a temporary one if `folder` is None."""
    with tempfile.TemporaryDirectory(prefix="omero-processor-") as temporary:
        home = Path(temporary if folder is None else folder).absolute()
        for part in ("lib/server", "lib/python", "etc", "tmp"):
            (home / part).mkdir(parents=True, exist_ok=True)
        (home / "etc" / "ice.config").write_text("# read by scripts' sessions; where the server is comes from elsewhere\n")
        yield home


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m omero_devserver.scripts.processor",
        description="Run official scripts for an OMERO server, on this host.",
        epilog=f"The password is taken from ${PASSWORD_VARIABLE}, or asked for.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="where the server is (default: %(default)s)")
    add("--port", type=int, default=4064, help="its SSL port (default: %(default)s)")
    add("--user", default="root", help="an administrator (default: %(default)s)")
    add("--name", default="Processor", help="name in logs (default: %(default)s)")
    add("--folder", type=Path, help="where scripts run, and what they print is kept meanwhile (default: a temporary folder)")
    add("--session-on-stdin", action="store_true", help="join the session whose key comes on stdin; end when stdin does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
