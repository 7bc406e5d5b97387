# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages: which ones this machine lacks, and getting them.

What is needed is looked for itself (a header, a module), not asked of dpkg: a Python of pyenv brings its own headers, and a
compiler may come from elsewhere. Found to be enough on a Debian 12 of `debootstrap --variant=minbase`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from provision.command import SetUpFailed, run

DEBIANS_OWN_PYTHON = Path("/usr/bin")

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
"""Where programs lie that a user's PATH does not show, and podman finds."""

PODMAN = {
    "podman": "podman",
    "runc": "runc",
    "crun": "crun",
    "busybox": "busybox-static",
    "newuidmap": "uidmap",
    "fuse-overlayfs": "fuse-overlayfs",
    "slirp4netns": "slirp4netns",
}
"""Programs, and the packages that have them. Podman only recommends most of them, and we install nothing that is recommended."""

PODMANS_OWN = ("catatonit", "netavark", "aardvark-dns", "dbus-user-session")
"""What it needs besides, and keeps where nobody else looks."""


class SystemPackagesMissing(SetUpFailed):
    """Something that only the system's package manager can bring is missing, and we may not call it."""

    def __init__(self, packages: list[str]) -> None:
        super().__init__(
            f"This machine lacks {', '.join(packages)}. Please run\n\n"
            f"    {'' if os.geteuid() == 0 else 'sudo '}apt-get install -y {' '.join(packages)}\n\n"
            "and then the same command again. (The names are those of Debian and Ubuntu.)"
        )
        self.packages = packages


class PythonWithoutHeaders(SetUpFailed):
    """The Python in use is not the system's, and came without what compiling an extension needs."""

    def __init__(self, header: Path) -> None:
        super().__init__(
            f"Ice has to be compiled, and the Python at {sys.executable} came without its headers ({header} is missing). "
            "Take another one, such as the system's: make demo PYTHON=/usr/bin/python3"
        )
        self.header = header


def missing_for_venv() -> list[str]:
    """Name what is missing to make a virtual environment: Debian splits `ensurepip` off its Python."""
    return [] if importlib.util.find_spec("ensurepip") else [f"{_python()}-venv"]


def missing_for_compiling() -> list[str]:
    """Name what is missing to compile Ice.

    Raises
    ------
    PythonWithoutHeaders
        The headers of this Python are missing, and Debian has none for it.
    """
    missing = []
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        if not Path(sys.base_prefix, "bin").samefile(DEBIANS_OWN_PYTHON):
            raise PythonWithoutHeaders(header)
        missing.append(f"{_python()}-dev")
    if shutil.which("g++") is None:
        missing.append("g++")
    wanted = {"libssl-dev": "openssl/ssl.h", "libbz2-dev": "bzlib.h"}
    return missing + [package for package, name in wanted.items() if not _compiler_finds(name)]


def missing_for_java() -> list[str]:
    """Name what is missing to run Java; only a run-time without graphics is needed."""
    return [] if os.environ.get("JAVA_HOME") or shutil.which("java") else ["default-jre-headless"]


def missing_for_containers() -> list[str]:
    """Name what is missing to run converters in containers, as root and as somebody else, and to make images for tests."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    if shutil.which("podman", path=path) is None:
        return [*PODMAN.values(), *PODMANS_OWN]
    return [package for program, package in PODMAN.items() if shutil.which(program, path=path) is None]


def provide(packages: list[str], *, log: Path) -> None:
    """Install packages if we are root on a Debian; else say what to run.

    Raises
    ------
    SystemPackagesMissing
        There are some, and we are not root or there is no apt-get.
    CommandFailed
        apt-get did not manage.
    """
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemPackagesMissing(packages)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], doing="Debian packages: reading the lists", log=log, env=env)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    run(install, doing=f"Debian packages: installing {' '.join(packages)}", log=log, env=env)


def _python() -> str:
    return "python{}.{}".format(*sys.version_info[:2])


def _compiler_finds(header: str) -> bool:
    """Ask the compiler, which knows about CPATH and the folders of its architecture; without one look where Debian puts it."""
    compiler = shutil.which("g++")
    if compiler is None:
        return Path("/usr/include", header).is_file()
    preprocess = [compiler, "-E", "-x", "c++", "-include", header, os.devnull]
    return subprocess.run(preprocess, capture_output=True, check=False).returncode == 0
