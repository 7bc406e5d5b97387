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
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omero_devserver.wire.ended import Ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD_VARIABLE = "OMERO_PASSWORD"  # noqa: S105  a name, not a password
CHECK_SECONDS = 2  # how often it makes sure that the server is there; its session may be one that is not silent for long
SECONDS_TO_END = 2.5  # after which it ends whatever its scripts do
THREADS = 50  # calls of the server that it answers at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a processor until it is told to end or loses the server; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    ended = Ended()
    ended.listen()
    with prepared(options.folder) as home:
        os.environ["OMERO_TMPDIR"] = str(home / "tmp")  # read by omero-py when it is imported
        return _run(options, home, ended)


def _run(options: argparse.Namespace, home: Path, ended: Ended) -> int:
    import Ice  # noqa: PLC0415  all of them late, see main
    import omero.clients  # noqa: PLC0415

    client = omero.client(args=[f"--Ice.ThreadPool.Client.SizeMax={THREADS}"], host=options.host, port=options.port)
    client.setAgent("OMERO.processor")
    try:
        _log_in(client, options, ended)
        processor = attach(client, home, options.name, ended.event)
        sys.stdout.write(f"ready: {options.name} runs scripts of {options.host}:{options.port}\n")
        sys.stdout.flush()
        status = _watch(client, ended)
        _end_in_time(status)
        detach(processor)
    except (Ice.Exception, omero.ClientError) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        sys.stderr.write(f"processor: Cannot log in at {options.host}:{options.port}: {reason}\n")
        return os.EX_UNAVAILABLE
    finally:
        client.closeSession()
    return status


def attach(client: Any, home: Path, name: str, ended: threading.Event) -> Any:
    """Offer the server of a logged-in client to run official scripts.

    Parameters
    ----------
    client : omero.client
        An administrator's.
    home : Path
        A folder with what ProcessorI wants to find in its OMERO_HOME.
    name : str
        For logs.
    ended : Event
        Set when the processor is to end.

    Returns
    -------
    omero.processor.ProcessorI
        To be given to `detach`.
    """
    import omero.processor  # noqa: PLC0415  see main
    from omero_ext.path import path  # noqa: PLC0415

    omero.processor.ProcessI.tmp_client = _client_of
    config = str(home / "etc" / "ice.config")
    processor = omero.processor.usermode_processor(
        client, serverid=name, cfg=config, accepts_list=[], stop_event=ended, omero_home=path(str(home))
    )
    # A processor of a real server has a session in its context. Without one, its look after the scripts that run, once a minute,
    # takes each for lost and kills it (ProcessI.check).
    processor.ctx.session = client.sf
    return processor


def _client_of(process: Any) -> Any:
    """Log in once more in the session of a script that has ended; None if the session has ended too.

    As ProcessI.tmp_client of omero-py, which keeps a client that was refused: a connection and five threads for each such script.
    """
    import omero.clients  # noqa: PLC0415  see main

    client = omero.client([f"--Ice.Config={process.config_path}"])
    client.setAgent("OMERO.process")
    try:
        client.createSession().detachOnDestroy()
    except Exception as error:  # noqa: BLE001  whatever it is, the rest of the script is to be cleaned up
        process.logger.warning("Failed to create client for %s: %s", process.uuid, type(error).__name__)
        client.__del__()  # closes whatever can be closed, and raises nothing
        return None
    return client


def detach(processor: Any) -> None:
    """End the scripts that a processor runs, and take nothing any more."""
    processor.cleanup()
    processor.ctx.session = None  # it looks there again when it is destroyed, and Ice may have gone by then


def _log_in(client: Any, options: argparse.Namespace, ended: Ended) -> None:
    if not options.session_on_stdin:
        password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass(f"Password of {options.user}: ")
        client.createSession(options.user, password)
        return
    client.joinSession(sys.stdin.readline().strip())

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def _watch(client: Any, ended: Ended) -> int:
    """Wait for the end; returns the exit status."""
    import Ice  # noqa: PLC0415  see main

    class Closed(Ice.ConnectionCallback):  # type: ignore[misc]  # Ice carries no types
        def heartbeat(self, connection: Any) -> None:
            pass

        def closed(self, connection: Any) -> None:
            lost.set()
            ended.set()

    lost = threading.Event()
    client.sf.ice_getConnection().setCallback(Closed())
    while not ended.wait(CHECK_SECONDS):
        try:
            client.sf.keepAlive(None)  # a network that is gone closes no connection
        except Ice.Exception:
            lost.set()
            ended.set()
    if lost.is_set():
        logging.getLogger(__name__).warning("the server has gone")
    return os.EX_UNAVAILABLE if lost.is_set() else os.EX_OK


def _end_in_time(status: int) -> None:
    """Make sure that this process ends, even if a script or the server does not let it."""
    late = threading.Timer(SECONDS_TO_END, os._exit, [status])
    late.daemon = True
    late.start()


@contextmanager
def prepared(folder: Path | None) -> Iterator[Path]:
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
