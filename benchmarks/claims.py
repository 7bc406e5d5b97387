# SPDX-License-Identifier: GPL-2.0-or-later
"""How many orders can be claimed in a second, and how soon after its commit an order is begun.

    .venv/bin/python benchmarks/claims.py [--rounds 60] [--old-orders 1000000] [--pickups 120]

First part: orders of ten users wait, and 1, 4, 8 processes claim them with `Queue.claim`, which is all of a claim: whose turn it
is, the limits, lease, turn, attempt and the row in the trail, committed. They work in rounds: each claims eight, and completes
them before the next round; completing is not counted. Rounds in a database without history and in one with many old orders take
turns, so that whatever else the machine does is the same for both. Claims per second are those of the median round; one claim is
from question to answer, with the wait for the claims of others.

Second part: from the commit of a producer's transaction to the commit of the one that holds `Import Started`, by PostgreSQL's own
record of commits (track_commit_timestamp). Orders come at random moments to an idle service with one worker, whose database has
the old orders, and at the same moments to a loop that asks every 5 s for rows beyond its watermark, as plain programs do. The
orders fail at once, because their file does not exist. In the last line `baseline_pickup_ratio` is p95 of the loop over p95 of
the service.

All of it runs on servers of its own, with fsync, and leaves nothing behind; about four minutes. Measured on two cores, on
28 November 2026: 819 claims a second with one claimer, 0.97 of that with history, 1,190 and 1,070 with 4 and 8; p95 to
`Import Started` 10.7 ms, for the loop 452 times as long. With other programs on the same cores (load 3 to 6) 323 to 393
claims a second, p95 21 to 33 ms. A claim costs PostgreSQL 0.65 ms of a processor and the claimer 0.43 ms; the rest is the
commit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import statistics
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg2
from intake import POLL_SECONDS, STARTED, database, postgres, quantile, run, scratch

from omero_adi_plugin.commands.demo.folder import Folder
from omero_adi_plugin.commands.demo.lab import furnish
from omero_adi_plugin.commands.demo.processes import Processes, clean_environment
from omero_adi_plugin.commands.demo.servers import START_SECONDS, start_omero
from omero_adi_plugin.orders import Limits
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from omero_adi_plugin.commands.demo.lab import Lab
    from omero_adi_plugin.commands.demo.servers import Omero
    from omero_adi_plugin.orders import Claim

CLAIMERS = (1, 4, 8)
AT_ONCE = 8
"""How many orders each claimer takes in a round."""

YEARS = 3
WARM_UP = 5
LIMITS = Limits(per_user=1000, per_group=1000, in_flight=10_000)
"""All of them are counted, and none is reached."""

WAITING = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
SELECT 'group-' || n % 10, 'user-' || n % 10, '1', 'Dataset', 'Import Pending', gen_random_uuid(), '["/data/none.tif"]', now()
  FROM generate_series(1, :count) n
"""
OLD_ROWS = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
SELECT 'group-' || n % 10, 'user-' || n % 10, '1', 'Dataset', stage, 'old-' || n, '["/data/old.tif"]',
       now() - make_interval(days => 365 * :years) * (1 - n::float / :count) + number * interval '1 second'
  FROM generate_series(1, :count) n,
       (VALUES (0, 'Import Pending'), (1, 'Import Started'), (2, 'Import Completed')) stages (number, stage)
"""
OLD_ORDERS = """
INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, attempt, created_at, finished_at)
SELECT uuid, id, user_name, group_name, 'completed', 1, timestamp, timestamp FROM imports WHERE stage = 'Import Pending'
"""
OLD_ATTEMPTS = """
INSERT INTO adi_attempt (uuid, attempt, imports_id, owner, started_at, ended_at, outcome)
SELECT uuid, 1, id, 'host:1', timestamp, timestamp, 'completed' FROM imports WHERE stage = 'Import Started'
"""
PENDING = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
VALUES (%s, %s, %s, 'Dataset', 'Import Pending', %s, %s, now())
"""
PLAIN_POLL = "SELECT id FROM imports WHERE id > %s AND stage = 'Import Pending' ORDER BY id"
WAITED = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(s.xmin) - pg_xact_commit_timestamp(p.xmin))::float
  FROM imports p JOIN imports s ON s.uuid = p.uuid AND s.stage = 'Import Started'
 WHERE p.uuid = ANY(%(uuids)s) AND p.stage = 'Import Pending'
 ORDER BY 1
"""
OPEN = "SELECT count(*) FROM adi_order WHERE state IN ('waiting', 'running')"


def main() -> None:
    """Run both parts, and print them and the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="how many rounds each figure of the first part is of (60)")
    parser.add_argument("--old-orders", type=int, default=1_000_000, help="how many old orders there are (1,000,000)")
    parser.add_argument("--pickups", type=int, default=120, help="how many orders the second part is of (120)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (1)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        server = stack.enter_context(recording_postgres(folder))
        empty, full = database(server), database(server)
        make_history(full, given.old_orders)
        rates = [claims_per_second(empty, full, claimers=claimers, rounds=given.rounds) for claimers in CLAIMERS]
        chance = random.Random(given.seed)  # noqa: S311 (no secret)
        ours, loop = pickups(stack, folder, (full, database(server)), orders=given.pickups, chance=chance)
    without, with_history = rates[0]
    print(
        f"queue: claims_per_second={without:.0f} with_history_ratio={with_history / without:.2f} "
        f"pickup_p95_ms={quantile(ours, 95) * 1000:.1f} baseline_pickup_ratio={quantile(loop, 95) / quantile(ours, 95):.0f}"
    )


def make_history(url: str, orders: int) -> None:
    """Write old orders, all of them completed, and what our tables hold of them."""
    began = time.monotonic()
    run(url, "ALTER TABLE imports DISABLE TRIGGER adi_note_pending")
    run(url, bound(OLD_ROWS, years=YEARS, count=orders))
    run(url, OLD_ORDERS)
    run(url, OLD_ATTEMPTS)
    run(url, "ALTER TABLE imports ENABLE TRIGGER adi_note_pending")
    run(url, "ANALYZE")
    print(f"{orders:,} old orders, {3 * orders:,} rows in `imports`, made in {time.monotonic() - began:.0f} s\n", flush=True)


def bound(statement: str, **values: int) -> str:
    """Return a statement with numbers in it."""
    for name, value in values.items():
        statement = statement.replace(f":{name}", str(value))
    return statement


# --- claims -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Figures:
    """What the rounds in one database took, in s."""

    rounds: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)

    def row(self, name: str, claimers: int) -> str:
        """Return a line of the table."""
        one = [quantile(self.claims, percent) * 1000 for percent in (50, 95)]
        return f"{claimers:8} {name:>16} {self.rate(claimers):10.0f} {one[0]:8.2f} {one[1]:8.2f}"

    def rate(self, claimers: int) -> float:
        """Return the claims per second of all claimers in the median round."""
        return claimers * AT_ONCE / statistics.median(self.rounds)


def claims_per_second(empty: str, full: str, *, claimers: int, rounds: int) -> tuple[float, float]:
    """Let so many processes claim in both databases by turns; print and return what all of them manage."""
    for url in (empty, full):
        run(url, bound(WAITING, count=(rounds + 1) * claimers * AT_ONCE))
        with closing(Database(url, name="benchmark")) as tracking:
            Intake(tracking, pending_days=10).take_in()
        run(url, "ANALYZE")
    figures = (Figures(), Figures())
    with crew(claimers, (empty, full)) as ends:
        for number in range(rounds + 1):  # the first one is for plans and caches
            for which, figure in enumerate(figures):
                answers = asked(ends, which)
                asked(ends, None)
                if number:
                    figure.rounds.append(max(times[-1] for times in answers) - min(times[0] for times in answers))
                    figure.claims += [later - earlier for times in answers for earlier, later in itertools.pairwise(times)]
    if claimers == CLAIMERS[0]:
        print(f"{'claimers':>8} {'history':>16} {'claims/s':>10} {'p50 ms':>8} {'p95 ms':>8}   (one claim)")
    for name, figure in zip(("none", "old orders"), figures, strict=True):
        print(figure.row(name, claimers), flush=True)
    return figures[0].rate(claimers), figures[1].rate(claimers)


@contextmanager
def crew(size: int, urls: tuple[str, str]) -> Iterator[list[Connection]]:
    """Have so many claimers meanwhile; give the ends of the pipes to them."""
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(size)]
    processes = [spawn.Process(target=claimer, args=(theirs, urls)) for _, theirs in pipes]
    for process in processes:
        process.start()
    try:
        for ours, theirs in pipes:
            theirs.close()
            ours.recv()  # it is ready
        yield [ours for ours, _ in pipes]
    finally:
        for ours, _ in pipes:
            ours.close()  # which ends it
        for process in processes:
            process.join()


def asked(ends: list[Connection], what: int | None) -> list[list[float]]:
    """Ask all claimers for the same; return their answers."""
    for end in ends:
        end.send(what)
    return [end.recv() for end in ends]


def claimer(asked: Connection, urls: tuple[str, str]) -> None:
    """Claim eight orders in the database whose number comes, or, for None, complete them; answer the times in between."""
    trackings = [Database(url, name="benchmark") for url in urls]
    queues = [Queue(tracking, lease_seconds=60, limits=LIMITS) for tracking in trackings]
    asked.send(None)
    which = 0
    claims: list[Claim] = []
    while True:
        try:
            what = asked.recv()
        except EOFError:
            break
        times = [time.monotonic()]
        if what is None:
            for claim in claims:
                queues[which].complete(claim.lease)
        else:
            which, claims = what, []
            for _ in range(AT_ONCE):
                claim = queues[which].claim(owner="benchmark:1")
                times.append(time.monotonic())
                if claim is None:
                    raise RuntimeError("there are too few orders")
                claims.append(claim)
        asked.send(times)
    for tracking in trackings:
        tracking.close()


# --- pickup -----------------------------------------------------------------------------------------------------------


def pickups(
    stack: ExitStack, folder: Path, urls: tuple[str, str], *, orders: int, chance: random.Random
) -> tuple[list[float], list[float]]:
    """Let a service and a loop wait for orders; print and return how long each order waited, in s, shortest first."""
    processes = Processes(Folder(folder))
    stack.callback(processes.stop)
    omero = start_omero(Folder(folder), processes)
    lab = furnish(omero)
    serve(processes, folder, omero, urls[0])
    stop = threading.Event()
    loop = threading.Thread(target=plain_loop, args=(urls[1], stop))
    loop.start()
    try:
        for _ in range(WARM_UP):
            order(urls[0], lab)
            settled(urls[0])
        ordered: tuple[list[str], list[str]] = ([], [])
        for _ in range(orders):
            time.sleep(chance.uniform(0.2, 1.2))
            for url, uuids in zip(urls, ordered, strict=True):
                uuids.append(order(url, lab))
            settled(urls[0])
        time.sleep(2 * POLL_SECONDS)
    finally:
        stop.set()
        loop.join()
    waited = [
        [float(seconds) for (seconds,) in run(url, WAITED, {"uuids": uuids})] for url, uuids in zip(urls, ordered, strict=True)
    ]
    print(f"\nFrom commit to commit, {orders} orders at random moments:\n")
    print(f"{'':12} {'begun':>6} {'p50 ms':>9} {'p95 ms':>9} {'most ms':>9}")
    for name, values in zip(("service", f"poll of {POLL_SECONDS} s"), waited, strict=True):
        figures = [each * 1000 for each in (quantile(values, 50), quantile(values, 95), values[-1])]
        print(f"{name:12} {len(values):6} " + " ".join(f"{each:9.1f}" for each in figures))
    print()
    return waited[0], waited[1]


def order(url: str, lab: Lab) -> str:
    """Write an order as a producer does."""
    uuid = str(uuid4())
    with closing(psycopg2.connect(url)) as producer, producer, producer.cursor() as cursor:
        cursor.execute(PENDING, (lab.group, lab.user, str(lab.dataset), uuid, json.dumps(["/data/none.tif"])))
    return uuid


def settled(url: str) -> None:
    """Wait until the service has nothing more to do: an order that comes next meets an idle one."""
    deadline = time.monotonic() + START_SECONDS
    while run(url, OPEN) != [(0,)] or run(url, "SELECT count(*) FROM adi_inbox") != [(0,)]:
        if time.monotonic() > deadline:
            raise RuntimeError("the service does not come to an end with an order")
        time.sleep(0.05)


def serve(processes: Processes, folder: Path, omero: Omero, url: str) -> None:
    """Start a service with one worker."""
    settings, log = folder / "settings.yml", folder / "service.log"
    values: dict[str, Any] = {
        "ingest_tracking_db": url,
        "omero_host": omero.host,
        "omero_port": omero.port,
        "omero_password": omero.root_password,
        "base_dir": str(folder),
        "max_workers": 1,
        "keep_days": 36_500,  # the old orders are to stay
        "log_file_path": str(log),
    }
    settings.write_text(json.dumps(values))  # which is YAML too
    command = [sys.executable, "-m", "omero_adi_plugin", "serve", "--config", str(settings)]
    processes.start("serve", command, environment=clean_environment())
    processes.wait_for("serve", r"event=service\.started", log=log, limit_seconds=START_SECONDS)


def plain_loop(url: str, stop: threading.Event) -> None:
    """Look every few seconds for rows with a greater id than the last one seen, and say that they are begun."""
    watermark = 0
    while not stop.wait(POLL_SECONDS):
        for (pending,) in run(url, PLAIN_POLL, watermark):
            run(url, STARTED, pending)
            watermark = pending


@contextmanager
def recording_postgres(folder: Path) -> Iterator[str]:
    """Have a PostgreSQL meanwhile that records when transactions were committed."""
    with postgres(folder) as url, closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    with postgres(folder) as url:  # it wants a new start
        yield url


if __name__ == "__main__":
    main()
