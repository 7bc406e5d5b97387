# SPDX-License-Identifier: GPL-2.0-or-later
"""The environment `.venv` of a clone: made once, brought up to date when its description changed, never trusted half made.

A stamp inside says what it was made from. It is removed before the first change and written after the last, so an environment
without the right stamp was killed half-way, is of another Python or was copied from elsewhere, and is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision import bioformats, debian, ice, podman
from provision.command import SetUpFailed, answers, run

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTRAS = "demo,dev"
# What may stand in a person's environment or pip.conf for other reasons and would lead an installation astray.
STRAY = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What an environment was made from.

    `python` is the version and home of the interpreter; `folder` is the clone, whose path stands in the scripts of the
    environment; `sources` is a digest of all that says what has to be in it.
    """

    python: str
    folder: str
    sources: str

    @classmethod
    def of(cls, root: Path) -> Stamp:
        """Give the stamp that an environment of the clone at `root`, made now, would have."""
        digest = hashlib.sha256()
        description = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        # the rest of that file is about tools and changes often
        digest.update(json.dumps(description["build-system"]).encode())
        tools = root / "tools"
        files = [
            root / "setup.cfg",
            tools / "bootstrap.py",
            *sorted(tools.glob("provision/*.py")),
            *sorted(tools.glob("ice/**/*.*")),
        ]
        for path in files:
            digest.update(path.read_bytes())
        version = ".".join(map(str, sys.version_info[:3]))
        return cls(python=f"{version} at {sys.base_prefix}", folder=str(root), sources=digest.hexdigest())

    @classmethod
    def read(cls, path: Path) -> Stamp | None:
        """Read a stamp; none if there is none that makes sense."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the stamp as a whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        part.replace(path)

    def can_become(self, other: Stamp) -> bool:
        """Tell whether installing is enough to make an environment with this stamp one with the other."""
        return (self.python, self.folder) == (other.python, other.folder)


class Environment:
    """The virtual environment of one clone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp = self.venv / "omero-adi.json"
        self.scratch = root / ".setup"

    def is_ready(self) -> bool:
        """Tell whether there is nothing to do."""
        # the interpreter is a link: an upgrade of the system may have taken its target away
        return os.access(self.python, os.X_OK) and Stamp.read(self.stamp) == Stamp.of(self.root)

    def set_up(self) -> None:
        """Make the environment what it has to be.

        Raises
        ------
        SetUpFailed
            It could not be made; the text says why and what to do.
        """
        if self.is_ready() and bioformats.is_there(self.venv) and podman.is_there():
            return
        with self._alone():
            if not self.is_ready():  # else somebody else did it while we waited
                started = time.monotonic()
                print(f"Setting up {self.venv} with Python {Stamp.of(self.root).python}", flush=True)
                self._make()
                print(f"Set-up done in {time.monotonic() - started:.0f} s", flush=True)
            if not bioformats.is_there(self.venv):  # asked for again each time: an index that was away may be back
                bioformats.provide(self.venv, pip=self._pip, pip_env=pip_environment(), scratch=self.scratch)
            podman.provide(log=self.scratch / "apt.log")

    @property
    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip"]

    def _make(self) -> None:
        wanted, present = Stamp.of(self.root), Stamp.read(self.stamp)
        env = pip_environment()
        pip = self._pip
        packages = [f"--editable=.[{EXTRAS}]"]
        log = self.scratch / "pip.log"
        log.unlink(missing_ok=True)
        self.stamp.unlink(missing_ok=True)
        if not (present and present.can_become(wanted) and answers([self.python, "-c", "import Ice"], env)):
            self._make_empty(env=env, log=log)
            packages.append(str(ice.provide(pip=pip, pip_env=env, scratch=self.scratch)))
        os.chdir(self.root)
        run([*pip, "install", *packages], doing="Python packages: downloading and installing", log=log, env=env)
        run([self.python, "-c", "import omero.cli, omero_adi_plugin"], doing="Python packages: trying them", log=log, env=env)
        wanted.write(self.stamp)

    def _make_empty(self, *, env: dict[str, str], log: Path) -> None:
        missing = debian.missing_for_venv()
        if missing and ice.in_cache(ice.cache_folder(os.environ)) is None:
            missing += debian.missing_for_compiling()  # now, so that nobody has to install twice
        debian.provide(missing, log=self.scratch / "apt.log")
        if self.venv.exists():
            shutil.rmtree(self.venv)
        run([sys.executable, "-m", "venv", self.venv], doing="Virtual environment", log=log, env=env)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.scratch.mkdir(exist_ok=True)
        with (self.scratch / "lock").open("w", encoding="ascii") as lock:
            # Programs that we start inherit it: whoever kills us with SIGKILL leaves pip running, and with it the lock.
            os.set_inheritable(lock.fileno(), True)  # noqa: FBT003  takes it by position only
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another set-up is at work in this folder; waiting for its end.", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a set-up that was killed has left."""
        for pattern in ("ice-*", "probe-*", "jar-*"):
            for folder in self.scratch.glob(pattern):
                shutil.rmtree(folder)


def pip_environment() -> dict[str, str]:
    """Give the environment variables for pip: the person's own, without those that lead astray, and quiet about itself."""
    kept = {name: value for name, value in os.environ.items() if name not in STRAY}
    return {
        **kept,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_USER": "0",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def main() -> int:
    """Set up the clone that this file is in.

    Returns
    -------
    int
        The exit status: 0, 1 for a failure that was told, 130 after Ctrl-C.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        Environment(Path(__file__).resolve().parents[2]).set_up()
    except SetUpFailed as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"The set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0
