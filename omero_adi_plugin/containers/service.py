# SPDX-License-Identifier: GPL-2.0-or-later
"""Service: a podman service of our own, which listens for us alone and ends with us, however we end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.private import Guarded, host
from omero_adi_plugin.errors import PodmanDown, quoted
from omero_adi_plugin.lifeline import tied

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 30
"""How long it may take until it listens: a first start makes its storage."""

_LOOK_SECONDS = 0.02

_PATIENCE_SECONDS = 10
"""How long it may take to end when it is asked to."""

_GIVEN = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"),
        *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
_GIVEN_PREFIXES = ("CONTAINERS_", "STORAGE_", "SSL_CERT_", "LC_")
"""What podman gets of our environment: where its settings and its storage are and how registries are reached. Not our passwords;
nor systemd's NOTIFY_SOCKET and LISTEN_FDS, which it would take to be its own."""


class Service:
    """`podman system service` as a child of this process.

    socket: where it listens.

    Raises
    ------
    PodmanDown
        It cannot be started; with its own words.
    """

    def __init__(self) -> None:
        if shutil.which("podman") is None:
            raise PodmanDown(host=host(), why="podman is not installed there, or not on the service's PATH")
        self._guarded = Guarded("podman")
        self.socket = self._guarded.folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self._begun, self._failure = threading.Event(), ""
        # the kernel ends it with the thread that has started it (`lifeline.die_with`); any other may end before us
        self._keeper = threading.Thread(target=self._keep, name="podman-service", daemon=True)
        self._keeper.start()
        self._begun.wait()
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def lives(self) -> bool:
        """Tell whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it and remove its folder."""
        if self._process is not None and self.lives():
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._keeper.join(_PATIENCE_SECONDS)
        self._guarded.close()

    def _keep(self) -> None:
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    tied(os.getpid(), "podman", "--log-level=error", "system", "service", "--time=0", f"unix://{self.socket}"),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environment(),
                    cwd=self._guarded.folder,  # conmon leaves a file `oom` where it was started when a container needed too much
                    start_new_session=True,  # a Ctrl-C is for us: what runs is brought to an end in order
                )
        except OSError as error:
            self._failure = error.strerror or str(error)
            return
        finally:
            self._begun.set()
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.socket):
            if not self.lives():
                raise PodmanDown(host=host(), why=f"podman's service cannot be started there ({self._words()})")
            if time.monotonic() > deadline:
                raise PodmanDown(host=host(), why=f"podman's service did not begin to listen within {START_SECONDS} seconds")
            time.sleep(_LOOK_SECONDS)

    @property
    def _log(self) -> Path:
        return self._guarded.folder / "log"

    def _words(self) -> str:
        said = self._log.read_text("utf-8", "backslashreplace").strip() if self._log.exists() else ""
        return quoted(self._failure or said.rpartition("\n")[2] or "it says nothing")


def listens(path: Path) -> bool:
    """Tell whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(os.fspath(path))
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _GIVEN or name.startswith(_GIVEN_PREFIXES)}
