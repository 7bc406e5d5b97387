# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers: the development OMERO server and the service that is shown, each a process of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.commands.demo.passwords import new_password
from omero_adi_plugin.commands.demo.podman import IMAGE
from omero_adi_plugin.commands.demo.processes import clean_environment

if TYPE_CHECKING:
    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.podman import Podman
    from omero_adi_plugin.commands.demo.processes import Processes

START_SECONDS = 60.0
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Omero:
    """The running development server.

    port: for SSL. root_password: of its administrator, `root`.
    repository: the managed repository, where the links are.
    """

    port: int
    root_password: str = field(repr=False)
    repository: Path
    host: str = HOST


def start_omero(folder: Folder, processes: Processes) -> Omero:
    """Start the development OMERO server on free ports.

    Raises
    ------
    DidNotStart
        With the end of its log.
    """
    password = new_password()
    command = [sys.executable, "-m", "omero_devserver", "--data", str(folder.path / "omero"), "--host", HOST]
    # by the environment: everybody can read an argument list
    environment = clean_environment() | {"OMERO_DEVSERVER_ROOT_PASSWORD": password}
    log = processes.start("omero", command, environment=environment)
    line = r"^ready: ssl=(\d+) tcp=\d+ managed_repository=(.+)$"
    ready = processes.wait_for("omero", line, log=log, limit_seconds=START_SECONDS)
    return Omero(port=int(ready[1]), root_password=password, repository=Path(ready[2]))


def write_settings(folder: Folder, *, omero: Omero, database_url: str, podman: Podman | None) -> None:
    """Write the settings file of the service."""
    settings: dict[str, object] = {
        "ingest_tracking_db": database_url,
        "omero_host": omero.host,
        "omero_port": omero.port,
        "omero_user": "root",
        "omero_password": omero.root_password,
        "base_dir": str(folder.data),
        "log_file_path": str(folder.logs / "adi.log"),
        "max_workers": 2,
        "settle_seconds": 0,  # its files are written just before they are ordered, and whole
        "shutdown_timeout": 5,
    }
    if podman is not None:
        temp = folder.path / "converter-temp"
        temp.mkdir()
        settings |= {"containers": {"allow": [IMAGE]}, "converter_temp": str(temp), "podman_socket": str(podman.socket)}
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in settings.items())  # a JSON value is a YAML value
    folder.write_private(folder.settings.name, "".join(lines))


def start_service(folder: Folder, processes: Processes) -> None:
    """Start the service, as a person would.

    Raises
    ------
    DidNotStart
        With the end of its log.
    """
    command = [sys.executable, "-m", "omero_adi_plugin", "serve", "--config", str(folder.settings)]
    processes.start("serve", command, environment=clean_environment())
    started = r"event=service\.started"
    processes.wait_for("serve", started, log=folder.logs / "adi.log", limit_seconds=START_SECONDS)


def program(name: str) -> str:
    """Return the path of a program that was installed together with us, else its name."""
    path = Path(sys.executable).parent / name
    return str(path) if os.access(path, os.X_OK) else name
