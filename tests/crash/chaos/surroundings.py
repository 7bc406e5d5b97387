# SPDX-License-Identifier: GPL-2.0-or-later
"""Surroundings: a whole site of real processes below one folder: PostgreSQL, OMERO, and services that are started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.migrate import upgrade
from tests.crash.chaos.agenda import Agenda
from tests.crash.chaos.grid import SCRIPT_SECONDS, Grid
from tests.crash.chaos.omero import Omero
from tests.crash.chaos.processes import MARK, Process, children, marked
from tests.crash.chaos.wire import Wire, wired
from tests.fixtures.clocks import FAST_CLOCK, fast_clock_in
from tests.fixtures.cluster import Cluster, own_cluster
from tests.fixtures.foundry import Foundry
from tests.fixtures.official import StandIn
from tests.fixtures.omero import OmeroServer
from tests.fixtures.podman import podman_in
from tests.fixtures.postgres import PASSWORD_ROLES, execute, new_database
from tests.fixtures.processors import SCRIPT, Hosts
from tests.fixtures.roles import script_role
from tests.fixtures.services import Services, Tracking, clean

LEASE_SECONDS = 5
SWEEP_SECONDS, PATIENCE_SECONDS = 6, 5
RESTART_SECONDS = 0.5
"""When a service that has died is started again, as systemd does."""

END_SECONDS = 60
COMMAND_SECONDS = 120
TABLES = ("imports", "adi_order", "adi_attempt", "adi_file", "adi_action", "adi_service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a site is.

    services:  on one host; the first one's clock is ten minutes fast, the last one brings files in with OMERO's own importer.
    workers:   of each service but that one, which has one.
    launching: so many of the services, the first ones, have scripts carry orders out.
    hosts:     each with a Processor; the clock of the first one is ten minutes fast.
    """

    services: int = 3
    workers: int = 2
    launching: int = 0
    hosts: int = 0


@dataclass(eq=False)
class Service:
    """One service, started again whenever it dies. `launches`: it has scripts carry orders out."""

    services: Services
    environment: dict[str, str]
    launches: bool = False
    process: subprocess.Popen[bytes] | None = None
    restarts: bool = False

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        place = self.services.folder
        with (place / "serve.err").open("ab") as errors:
            self.process = subprocess.Popen(
                self.services.command("serve"), stdout=errors, stderr=errors, cwd=place, env=self.environment
            )

    def workers(self) -> list[Process]:
        if self.process is None:
            return []
        return [each for each in children([self.process.pid]) if "spawn_main" in each.command]


@dataclass(kw_only=True)
class Site:
    """All of it. `trouble`: what happened by itself that should not."""

    folder: Path
    data: Path
    temporary: Path
    cluster: Cluster
    tracking: Tracking
    omero: Omero
    wire: Wire
    services: list[Service]
    grid: Grid
    agenda: Agenda
    foundry: Foundry
    postgres_runs: bool = True
    trouble: list[str] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    omero_returns: bool = False

    kept: bool = False

    @property
    def name(self) -> str:
        return str(self.folder)

    @property
    def workers(self) -> list[Process]:
        return [worker for service in self.services for worker in service.workers()]

    def look_after(self) -> None:
        """Do what is due, and start again what has died."""
        self.agenda.run_due()
        for service in self.services:
            if not service.lives and not service.restarts:
                self._bury(service)
                service.restarts = True
                self.agenda.later(RESTART_SECONDS, lambda service=service: self._start(service))  # type: ignore[misc]

    def stop_postgres(self, seconds: float) -> None:
        """Stop PostgreSQL at once, and start it so many seconds later."""
        self.postgres_runs = False
        self.cluster.stop()
        self.agenda.later(seconds, self._start_postgres)

    def return_omero(self, seconds: float) -> None:
        """Start OMERO, which has just died, so many seconds later."""
        if not self.omero_returns:
            self.omero_returns = True
            self.agenda.later(seconds, self._start_omero)

    @property
    def omero_is_there(self) -> bool:
        return self.omero.runs and not self.omero_returns

    def keep(self) -> None:
        """Leave the folder there when all ends, with the tables in it."""
        self.kept = True
        tables = self.folder / "tables"
        tables.mkdir(exist_ok=True)
        for name in TABLES:
            rows = self.tracking.sql(f"SELECT row_to_json(t)::text FROM {name} t")
            (tables / f"{name}.jsonl").write_text("".join(f"{row}\n" for (row,) in rows))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end, as a person does."""
        service = self.services[0]
        line, place = service.services.command(*words), service.services.folder
        return subprocess.run(
            line, capture_output=True, text=True, check=False, cwd=place, env=service.environment, timeout=COMMAND_SECONDS
        )

    def end_services(self) -> None:
        """Have the services end in good order."""
        for service in self.services:
            if service.process is not None and service.lives:
                service.process.terminate()
        for service in self.services:
            if service.process is not None:
                try:
                    status = service.process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    service.process.kill()
                    status = service.process.wait()
                if status != os.EX_OK:
                    self.trouble.append(f"a service ended with status {status} when it was asked to end")

    def _start(self, service: Service) -> None:
        service.restarts = False
        service.start()

    def _bury(self, service: Service) -> None:
        if service.process is None:
            return
        status = service.process.wait()
        if service.process.pid not in self.killed:
            self.trouble.append(f"{service.services.folder.name} ended by itself, with status {status}")

    def _start_postgres(self) -> None:
        self.cluster.start()
        self.postgres_runs = True

    def _start_omero(self) -> None:
        self.omero.start()
        self.omero_returns = False


@contextmanager
def site_of(size: Size, *, keep: bool = False) -> Iterator[Site]:
    """Have a site, with services that wait for orders; everything of it is ended and removed after that."""
    folder = Path(tempfile.mkdtemp(prefix="adi-chaos-", dir="/tmp"))
    kept = True  # until it is known that nobody has to look at it
    try:
        with ExitStack() as stack:
            site = _built(stack, size, folder)
            yield site
            kept = keep or site.kept
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _built(stack: ExitStack, size: Size, folder: Path) -> Site:
    data, temporary = folder / "data", folder / "temporary"
    data.mkdir()
    temporary.mkdir()
    foundry = _foundry(stack, folder)
    cluster = stack.enter_context(own_cluster())
    _, url = stack.enter_context(new_database(cluster.url, "template1"))
    upgrade(url)
    omero = Omero(folder, site=str(folder), script_seconds=SCRIPT_SECONDS)
    omero.start()
    stack.callback(omero.stop)
    wire = stack.enter_context(wired(omero.port))
    stack.callback(_kill_all, str(folder))
    environment = _environment(folder, temporary)
    services = [
        Service(
            _services(folder, number, size, url=url, port=wire.port, data=data, foundry=foundry),
            environment,
            launches=number <= size.launching,
        )
        for number in range(1, size.services + 1)
    ]
    services[0].environment = environment | {"PYTHONPATH": fast_clock_in(folder / "clock")}
    agenda = Agenda()
    grid = _grid(folder, size, url=url, wire=wire, omero=omero, data=data, agenda=agenda, foundry=foundry)
    stack.callback(grid.end)
    omero.wait()
    grid.start()
    return Site(
        folder=folder,
        data=data,
        temporary=temporary,
        cluster=cluster,
        tracking=Tracking(url),
        omero=omero,
        wire=wire,
        services=services,
        grid=grid,
        agenda=agenda,
        foundry=foundry,
    )


def _foundry(stack: ExitStack, folder: Path) -> Foundry:
    place, temp = folder / "podman", folder / "inplace"
    place.mkdir()
    temp.mkdir()
    return Foundry(stack.enter_context(podman_in(place)), temp)


def _services(folder: Path, number: int, size: Size, *, url: str, port: int, data: Path, foundry: Foundry) -> Services:
    place = folder / f"service-{number}"
    place.mkdir()
    official = number == size.services
    wanted = _settings(data, foundry) | {
        "ingest_tracking_db": url,
        "omero_host": "127.0.0.1",
        "omero_port": port,
        "omero_user": "root",
        "omero_password": "omero",
        "importer": "omero" if official else "inplace",
        "dispatch": "grid" if number <= size.launching else "local",
        "max_workers": 1 if official else size.workers,
        "log_file_path": str(place / "app.logs"),
    }
    return Services(place, {name: value for name, value in wanted.items() if name in Settings.model_fields})


def _grid(folder: Path, size: Size, *, url: str, wire: Wire, omero: Omero, data: Path, agenda: Agenda, foundry: Foundry) -> Grid:
    server = OmeroServer(
        host="127.0.0.1",
        ssl_port=wire.port,
        tcp_port=0,
        root="root",
        root_password="omero",
        managed_repository=omero.repository,
    )
    if size.hosts:
        execute(url, f"CREATE ROLE {PASSWORD_ROLES}")
        url = script_role(url)
    hosts = Hosts(server, folder / "hosts", database_url=url, **_settings(data, foundry))
    marks = {MARK: str(folder), "TMPDIR": str(folder / "temporary")}
    mark = f"import os, sys\n\nif {SCRIPT!r} in sys.orig_argv:  # it is given few variables\n    os.environ |= {marks}\n"
    names = [f"adi-{number}" for number in range(1, size.hosts + 1)]
    return Grid(hosts, customize={name: mark + FAST_CLOCK * (name == names[0]) for name in names}, agenda=agenda)


def _settings(data: Path, foundry: Foundry) -> dict[str, object]:
    """What services and scripts have in common."""
    return {
        "base_dir": str(data),
        "settle_seconds": 0,  # the files are new
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_seconds": 1,
        "poll_seconds": 1,
        "reconcile_seconds": 10,
        "surroundings_seconds": 1,
        "sweep_seconds": SWEEP_SECONDS,
        "takeover_patience_seconds": PATIENCE_SECONDS,
        "shutdown_timeout": 20,
        "failures_allowed": 20,  # chaos is not the order's fault, and does not pass as soon as other trouble
        "reader_heap_mb": 128,
        "log_level": "DEBUG",
        **foundry.settings,
        "podman_socket": str(foundry.podman.socket),
    }


def _environment(folder: Path, temporary: Path) -> dict[str, str]:
    """Have services know the site, the importer that it has, and where what is only for a while goes."""
    stand_in = StandIn(folder / "host")
    stand_in.does(sets={"set.companion.ome": [f"z{number}.ome.tif" for number in range(3)]})
    return clean() | {
        MARK: str(folder),
        "TMPDIR": str(temporary),
        "PATH": f"{stand_in.bin}{os.pathsep}{os.environ['PATH']}",
        "OMERODIR": str(stand_in.omerodir),
        "STAND_IN": str(stand_in.control),
    }


def _kill_all(site: str) -> None:
    until = time.monotonic() + END_SECONDS
    while (left := [each for each in marked(site) if each.pid != os.getpid()]) and time.monotonic() < until:
        for process in left:
            process.signal(signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        time.sleep(0.05)
