# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a service can work off any number of orders: memory, open descriptors and rows of our tables must not grow with them.

    .venv/bin/python benchmarks/orders.py [--orders 20000] [--workers 2]

Small orders, nine of ten a TIFF of 64 x 64 pixels and the tenth a file that is not there, go through one real service; the server
is the development server, without waits between its steps. Twenty times on the way, when all orders so far are done and the
service rests, everything is counted and printed: orders a second since the last time; resident memory of the service, its workers
and their readers (Java), in MB, all of a kind added up; open descriptors of all of them; rows of all tables `adi_*`. Then the
orders so far are made to look as if they had ended long ago, and what services forget is forgotten, as they do every hour: rows
are counted before that.

Last line: what there is at the end over what there was after the tenth part of the orders. All of it runs on servers of its own
and leaves nothing behind; 20 to 45 minutes.

20,000 orders with two workers on two cores that others used as well, 44 minutes: memory_ratio=1.032 descriptors=103->101
rows=4615->4567. The service and the readers stay as they are; a worker grows by 0.6 kB an order, outside of Python's own memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from intake import database, postgres, run, scratch

from omero_adi_plugin.commands.demo.folder import Folder
from omero_adi_plugin.commands.demo.lab import furnish
from omero_adi_plugin.commands.demo.processes import Processes, clean_environment
from omero_adi_plugin.commands.demo.servers import START_SECONDS, Omero
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.pruning import prune
from omero_devserver.testing import running

if TYPE_CHECKING:
    from omero_adi_plugin.commands.demo.lab import Lab

STEPS = 20
FILES = 100
WITHOUT_FILE = 10
"""One of so many orders names a file that is not there."""

KEEP_DAYS = 90
STUCK_SECONDS = 120
KINDS = ("service", "workers", "readers")
MEGABYTE = 1 << 20

ORDER = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
SELECT %(group)s, %(user)s, %(dataset)s, 'Dataset', 'Import Pending', gen_random_uuid(), file, now() FROM unnest(%(files)s) file
"""
OPEN = """
SELECT (SELECT count(*) FROM adi_order WHERE state = 'waiting') + (SELECT count(*) FROM adi_order WHERE state = 'running')
     + (SELECT count(*) FROM adi_inbox)
"""
LONG_AGO = """
UPDATE adi_order SET finished_at = finished_at - interval '1 year' WHERE finished_at > now() - interval '1 day';
UPDATE adi_attempt SET ended_at = ended_at - interval '1 year' WHERE ended_at > now() - interval '1 day';
UPDATE adi_action SET at = at - interval '1 year' WHERE at > now() - interval '1 day';
UPDATE adi_control SET pruned_at = NULL
"""
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'adi\\_%' ORDER BY relname"


def main() -> None:
    """Work orders off, and print the table and the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000, help="how many orders (20,000)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the service (2)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = database(stack.enter_context(postgres(folder)))
        server = stack.enter_context(running(folder / "omero", step_seconds=0))
        omero = Omero(port=server.ssl_port, root_password="omero", repository=server.disk.root)  # noqa: S106 (its default)
        processes = Processes(Folder(folder))
        stack.callback(processes.stop)
        tracking = stack.enter_context(closing(Database(url, name="benchmark")))
        bench = Bench(url, tracking, furnish(omero), files=write_files(folder / "data"), log=folder / "service.log")
        serve(processes, folder, omero, url, workers=given.workers)
        print(
            f"{'orders':>7} {'a second':>9}" + "".join(f" {kind:>9}" for kind in KINDS) + f" {'open':>6} {'rows':>7}", flush=True
        )
        counts = [bench.step(given.orders // STEPS, service=service_pid(folder)) for _ in range(STEPS)]
        stages = dict(run(url, "SELECT stage, count(*) FROM imports GROUP BY stage"))
    failed = given.orders // WITHOUT_FILE
    if (stages["Import Completed"], stages["Import Failed"]) != (given.orders - failed, failed):
        sys.exit(f"not only the {failed} orders without a file have failed: {stages}")
    then, now = counts[STEPS // 10 - 1], counts[-1]
    print(
        f"orders: per_second={given.orders / sum(count.seconds for count in counts):.1f} "
        f"memory_ratio={sum(now.memory) / sum(then.memory):.3f} descriptors={then.descriptors}->{now.descriptors} "
        f"rows={then.rows}->{now.rows}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What was counted after a step. seconds: that it took; memory: of each kind of process, in MB."""

    seconds: float
    memory: tuple[float, ...]
    descriptors: int
    rows: int


class Bench:
    """What is ordered, and what is counted."""

    def __init__(self, url: str, tracking: Database, lab: Lab, *, files: list[str], log: Path) -> None:
        self._url, self._tracking, self._lab, self._files, self._log = url, tracking, lab, files, log
        self._ordered = 0

    def step(self, orders: int, *, service: int) -> Count:
        """Order, wait for the end of all, and count; print it, and let what has ended be forgotten."""
        began = time.monotonic()
        self._order(orders)
        self._wait()
        seconds = time.monotonic() - began
        kinds = family(service)
        memory = tuple(sum(map(resident, pids)) / MEGABYTE for pids in kinds)
        descriptors = sum(descriptors_of(pid) for pids in kinds for pid in pids)
        rows = sum(run(self._url, f"SELECT count(*) FROM {table}")[0][0] for (table,) in run(self._url, TABLES))  # noqa: S608
        print(
            f"{self._ordered:7} {orders / seconds:9.1f}"
            + "".join(f" {each:9.1f}" for each in memory)
            + f" {descriptors:6} {rows:7}",
            flush=True,
        )
        run(self._url, LONG_AGO)
        while prune(self._tracking, keep_days=KEEP_DAYS):
            pass
        return Count(seconds=seconds, memory=memory, descriptors=descriptors, rows=rows)

    def _order(self, orders: int) -> None:
        numbers = range(self._ordered, self._ordered + orders)
        files = [self._files[n % FILES] if n % WITHOUT_FILE else f"{self._files[0]}.not-there" for n in numbers]
        lab = {"group": self._lab.group, "user": self._lab.user, "dataset": str(self._lab.dataset)}
        run(self._url, ORDER, {**lab, "files": [json.dumps([file]) for file in files]})
        self._ordered += orders

    def _wait(self) -> None:
        """Wait until all is done that was ordered."""
        left, since = 0, time.monotonic()
        while now := run(self._url, OPEN)[0][0]:
            if now != left:
                left, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                sys.exit("the service does not get on:\n" + "\n".join(self._log.read_text().splitlines()[-20:]))
            time.sleep(0.1)


def write_files(folder: Path) -> list[str]:
    """Write the files that are ordered again and again."""
    paths = [folder / f"{number:03}.tif" for number in range(FILES)]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, np.full((64, 64), number, "u2"))
    return [str(path) for path in paths]


def serve(processes: Processes, folder: Path, omero: Omero, url: str, *, workers: int) -> None:
    """Start the service."""
    settings, log = folder / "settings.yml", folder / "service.log"
    values: dict[str, Any] = {
        "ingest_tracking_db": url,
        "omero_host": omero.host,
        "omero_port": omero.port,
        "omero_password": omero.root_password,
        "base_dir": str(folder / "data"),
        "settle_seconds": 0,
        "max_workers": workers,
        "keep_days": KEEP_DAYS,
        "reconcile_seconds": 5,  # what ended before the last scan may be forgotten
        "log_file_path": str(log),
    }
    settings.write_text(json.dumps(values))  # which is YAML too
    command = [sys.executable, "-m", "omero_adi_plugin", "serve", "--config", str(settings)]
    processes.start("serve", command, environment=clean_environment())
    processes.wait_for("serve", r"event=service\.started", log=log, limit_seconds=START_SECONDS)


# --- processes, as /proc has them (proc(5)) ---------------------------------------------------------------------------


def service_pid(folder: Path) -> int:
    """Return the process id of the service."""
    [line] = Folder(folder).pids.read_text(encoding="ascii").splitlines()
    return int(line.split()[1])


def family(service: int) -> tuple[list[int], list[int], list[int]]:
    """Return the service, its workers, and their children."""
    workers = children(service)
    return [service], workers, [child for worker in workers for child in children(worker)]


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024


def descriptors_of(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


if __name__ == "__main__":
    main()
