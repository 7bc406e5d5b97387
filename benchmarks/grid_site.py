# SPDX-License-Identifier: GPL-2.0-or-later
"""A site for `grid.py`: an OMERO server, Processors beside it, services of both kinds, people who order, and what it costs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import numpy as np
import psycopg2
import tifffile
from intake import database
from omero.model import DatasetI, ExperimenterGroupI, ExperimenterI
from omero.rtypes import rbool, rstring

from omero_adi_plugin.commands.demo.folder import Folder
from omero_adi_plugin.commands.demo.lab import GROUP, connected, furnish
from omero_adi_plugin.commands.demo.passwords import new_password
from omero_adi_plugin.commands.demo.processes import Processes, clean_environment, tail
from omero_adi_plugin.commands.demo.servers import START_SECONDS, Omero
from omero_adi_plugin.grid.shipped import RUN_ORDERS, shipped
from omero_devserver.wire.moments import IMPORT_BEGUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from omero_devserver.wire.server import Server

PROCESSOR = "omero_devserver.scripts.processor"
LOOK_SECONDS = 0.1
STUCK_SECONDS = 90
STEPS = 5
"""So many steps has an import in the server, and each can be made to take a while."""

TICKS = os.sysconf("SC_CLK_TCK")
FILES = 40

ORDER = """
INSERT INTO imports (group_name, user_name, destination_id, destination_type, stage, uuid, files, timestamp)
VALUES (%s, %s, %s, 'Dataset', 'Import Pending', %s, %s, now())
"""
OPEN = """
SELECT count(*) FROM unnest(%s) AS u
 WHERE NOT EXISTS (SELECT FROM adi_order WHERE uuid = u AND state NOT IN ('waiting', 'running'))
"""
OUTCOME = """
SELECT extract(epoch FROM min(a.started_at))::float,
       extract(epoch FROM max(i.timestamp) FILTER (WHERE i.stage = 'Import Completed'))::float,
       count(DISTINCT i.uuid) FILTER (WHERE i.stage = 'Import Completed'), count(DISTINCT a.owner)
  FROM imports i JOIN adi_attempt a USING (uuid) WHERE i.uuid = ANY(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who orders imports, and where to."""

    user: str
    dataset: int
    group: str = GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some orders cost, in s.

    first:   from the first claim until the server begins the first import. whole: until the last one is completed.
    own:     CPU of service, workers, Processors, scripts and readers, an order. server: CPU of the development server, an order.
    claimers: how many processes have carried them out.
    """

    first: float
    whole: float
    own: float
    server: float
    claimers: int


class Site:
    """All of it, but for the services.

    Parameters
    ----------
    server : Server
        Without Processors of its own.
    folder : Path
        Everything lies below it.
    postgres : str
        URL of the database server.
    people : int
        How many order.
    """

    def __init__(self, server: Server, folder: Path, postgres: str, *, people: int) -> None:
        self._server, self.folder, self._postgres = server, folder, postgres
        self.omero = Omero(port=server.ssl_port, root_password="omero", repository=server.disk.root)  # noqa: S106 (its default)
        lab = furnish(self.omero)
        self.people = [Person(user=lab.user, dataset=lab.dataset), *(_person(self.omero, n) for n in range(1, people))]
        self._files = _write_files(folder / "data")
        self.begun: list[float] = []
        server.moments.at(IMPORT_BEGUN, lambda _: self.begun.append(time.time()))

    def files_of(self, orders: int) -> list[str]:
        """Return the files of so many orders, one each."""
        return [self._files[number % FILES] for number in range(orders)]

    def take_seconds(self, file: float) -> None:
        """Let each file that is imported take the server so long, in s, in which it does nothing."""
        self._server.options = dataclasses.replace(self._server.options, step_seconds=file / STEPS)

    def install(self) -> None:
        """Put the script that services launch on the server; a Processor has to be there."""
        [ours] = [each for each in shipped() if each.path == RUN_ORDERS]
        with connected(self.omero, "root", self.omero.root_password) as root:
            root.getScriptService().uploadOfficialScript(ours.path, ours.text)

    def settings(self, **others: Any) -> dict[str, Any]:
        """Return what services and scripts have in common."""
        common = {"base_dir": str(self.folder / "data"), "settle_seconds": 0, "parallel_filesets_per_worker": 1}
        return common | others

    @contextmanager
    def service(self, name: str, **settings: Any) -> Iterator[Service]:
        """Run a service meanwhile, on a database of its own."""
        folder = _folder(self.folder / name)
        processes, url, log = Processes(Folder(folder)), database(self._postgres), folder / "service.log"
        of_omero = {"omero_host": self.omero.host, "omero_port": self.omero.port, "omero_password": self.omero.root_password}
        values = self.settings(ingest_tracking_db=url, log_file_path=str(log), **of_omero, **settings)
        (folder / "settings.yml").write_text(json.dumps(values))  # which is YAML too
        command = [sys.executable, "-m", "omero_adi_plugin", "serve", "--config", str(folder / "settings.yml")]
        processes.start("serve", command, environment=clean_environment())
        try:
            processes.wait_for("serve", r"event=service\.started", log=log, limit_seconds=START_SECONDS)
            with contextlib.closing(psycopg2.connect(url)) as connection:
                connection.autocommit = True
                yield Service(self, url, connection, pid=_pid(folder), log=log)
        finally:
            processes.stop()

    def server_seconds(self) -> float:
        """Return the CPU time of the server so far, which is that of this process."""
        return time.process_time()


class Processors:
    """Processors of a site, each with a folder of its own, as if it were on a host of its own."""

    def __init__(self, site: Site, name: str) -> None:
        self._site, self._folder = site, _folder(site.folder / name)
        self._processes = Processes(Folder(self._folder))
        self._homes: list[Path] = []
        self._pids: list[int] = []

    def add(self) -> None:
        """Start one more."""
        name = f"processor-{len(self._homes)}"
        home = self._folder / name
        (home / "etc").mkdir(parents=True)
        omero = self._site.omero
        environment = clean_environment() | {"OMERODIR": str(home), "OMERO_PASSWORD": omero.root_password}
        where = ["--host", omero.host, "--port", str(omero.port), "--name", name, "--folder", str(home / "processor")]
        log = self._processes.start(name, [sys.executable, "-W", "ignore", "-m", PROCESSOR, *where], environment=environment)
        self._processes.wait_for(name, "^ready:", log=log, limit_seconds=START_SECONDS)
        self._homes.append(home)
        self._pids.append(_pid(self._folder))

    def serve(self, service: Service, **settings: Any) -> None:
        """Have the scripts that are started from now on work for a service."""
        for home in self._homes:
            values = self._site.settings(ingest_tracking_db=service.url, log_file_path=str(home / "adi.log"), **settings)
            (home / "etc" / "omero-adi.yml").write_text(json.dumps(values))
            (home / "adi.log").unlink(missing_ok=True)

    def shares(self) -> list[int]:
        """Return how many orders were begun on each since `serve`."""
        logs = [home / "adi.log" for home in self._homes]
        return [log.read_text().count("event=order.started") if log.exists() else 0 for log in logs]

    def wait(self) -> None:
        """Wait until no script runs."""
        _until(lambda: not any(_alive(script) for pid in self._pids for script in _children(pid)), "the scripts do not end")

    def seconds(self) -> float:
        """Return the CPU time of all, with the scripts that they have run, so far."""
        return sum(map(_seconds, self._pids))

    def __enter__(self) -> Self:
        """Start none yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        self._processes.stop()


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs, and the database that it works on."""

    site: Site
    url: str
    connection: Any
    pid: int = field(kw_only=True)
    log: Path = field(kw_only=True)

    def carry_out(self, files: Sequence[str], *, people: int, processors: Processors | None = None) -> Cost:
        """Have so many people order in turn, a file each time, and return what it cost to carry the orders out."""
        server, own = self.site.server_seconds(), self._own(processors)
        self.site.begun.clear()
        uuids = self._order(files, self.site.people[:people])
        self._wait(uuids)
        if processors is not None:
            processors.wait()
        server, own = self.site.server_seconds() - server, self._own(processors) - own
        [(claimed, completed, count, claimers)] = self._sql(OUTCOME, uuids)
        if count != len(uuids):
            left = len(uuids) - count
            raise RuntimeError(f"{left} of {len(uuids)} orders were not completed:\n{tail(self.log, lines=20)}")
        first = min(self.site.begun) - claimed
        return Cost(first=first, whole=completed - claimed, own=own / count, server=server / count, claimers=claimers)

    def _order(self, files: Sequence[str], people: Sequence[Person]) -> list[str]:
        uuids = [str(uuid4()) for _ in files]
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for number, uuid in enumerate(uuids):
                who = people[number % len(people)]
                cursor.execute(ORDER, (who.group, who.user, str(who.dataset), uuid, json.dumps([files[number]])))
            cursor.execute("COMMIT")
        return uuids

    def _wait(self, uuids: Sequence[str]) -> None:
        """Wait until these orders have ended."""
        left, since = 0, time.monotonic()
        while now := int(self._sql(OPEN, uuids)[0][0]):
            if now != left:
                left, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_SECONDS:
                raise RuntimeError(f"the service does not get on, {now} orders are left:\n{tail(self.log, lines=20)}")
            time.sleep(LOOK_SECONDS)

    def _own(self, processors: Processors | None) -> float:
        return _seconds(self.pid) + (0.0 if processors is None else processors.seconds())

    def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found


# --- people and files -------------------------------------------------------------------------------------------------


def _person(omero: Omero, number: int) -> Person:
    """Make a member of the lab, and a Dataset of theirs."""
    name, password = f"researcher-{number}", new_password()
    with connected(omero, "root", omero.root_password) as root:
        admin = root.getAdminService()
        group = ExperimenterGroupI(admin.lookupGroup(GROUP).getId().getValue(), False)
        everybody = ExperimenterGroupI(admin.getSecurityRoles().userGroupId, False)
        user = ExperimenterI()
        user.omeName, user.firstName, user.lastName, user.ldap = rstring(name), rstring("R"), rstring("Example"), rbool(False)
        admin.createExperimenterWithPassword(user, rstring(password), group, [everybody, group])
    with connected(omero, name, password) as gateway:
        dataset = DatasetI()
        dataset.name = rstring("Cells")
        saved = gateway.getUpdateService().saveAndReturnObject(dataset)
    return Person(user=name, dataset=saved.getId().getValue())


def _write_files(folder: Path) -> list[str]:
    """Write the files that are ordered again and again."""
    paths = [folder / f"{number:03}.tif" for number in range(FILES)]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, np.full((64, 64), number, "u2"))
    return [str(path) for path in paths]


def _folder(folder: Path) -> Path:
    (folder / "logs").mkdir(parents=True)
    return folder


# --- processes, as /proc has them (proc(5)) ---------------------------------------------------------------------------


def _pid(folder: Path) -> int:
    """Return the process that was started last."""
    return int(Folder(folder).pids.read_text(encoding="ascii").splitlines()[-1].split()[1])


def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + STUCK_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(LOOK_SECONDS)


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from the third one on; none if it has gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _children(pid: int) -> list[int]:
    stats = ((int(entry.name), _stat(int(entry.name))) for entry in Path("/proc").glob("[0-9]*"))
    return [child for child, fields in stats if fields and int(fields[1]) == pid]


def _alive(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody has asked about yet does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in {"Z", "X"}


def _seconds(pid: int) -> float:
    """Return the CPU time of a process and of all that it has started, directly or not (utime, stime, cutime, cstime), in s."""
    fields = _stat(pid)
    own = sum(map(int, fields[11:15])) / TICKS if fields else 0.0
    return own + sum(map(_seconds, _children(pid)))
