# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel of Ice for Python: from this user's cache, from the package index, or compiled here, once.

omero-py needs Ice 3.6. PyPI has its source release only, and that compiles on Python 3.11 and later just with the headers in
`tools/ice/shim`; sites may have wheels in an index of their own or in PIP_FIND_LINKS, and those come first.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from provision import debian
from provision.command import SetUpFailed, answers, run

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASE = "3.6.5"
REQUIREMENT = f"zeroc-ice=={RELEASE}"
TOOLS = Path(__file__).resolve().parent.parent


class WheelUnusable(SetUpFailed):
    """The wheel that was just compiled cannot be imported."""

    def __init__(self, wheel: Path, log: Path) -> None:
        super().__init__(f"Ice for Python was compiled, but {wheel.name} cannot be imported. What the compiler said: {log}")
        self.wheel, self.log = wheel, log


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Give the folder where wheels are kept for all clones of this user (source: XDG Base Directory Specification 0.8).

    A relative XDG_CACHE_HOME is to be ignored, says the specification.
    """
    given = environment.get("XDG_CACHE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return base / "omero-adi" / "wheels"


def in_cache(cache: Path) -> Path | None:
    """Find a wheel for this Python and this kind of machine in the cache, by the tags in its name."""
    python = "cp{}{}".format(*sys.version_info[:2])
    found = sorted(cache.glob(f"zeroc_ice-{RELEASE}-{python}-{python}-*{platform.machine()}.whl"))
    return found[-1] if found else None


def works(wheel: Path, *, scratch: Path) -> bool:
    """Tell whether a wheel is whole and its extension can be loaded here.

    A home folder may be shared by machines with another OpenSSL or an older libc, and a disk may have been full.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="probe-") as folder:
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        except (OSError, zipfile.BadZipFile):
            return False
        # IcePy and not Ice, which needs zombie-imp on Python 3.12
        load = "import sys; sys.path.insert(0, sys.argv[1]); import IcePy"
        return answers([sys.executable, "-I", "-c", load, folder])


def keep(wheel: Path, cache: Path) -> Path:
    """Copy a wheel into the cache, so that it is there as a whole or not at all, even with another set-up at the same."""
    cache.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=cache, prefix=f".{wheel.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, wheel.open("rb") as source:
            shutil.copyfileobj(source, target)
        part.chmod(0o644)
        return part.replace(cache / wheel.name)
    except BaseException:
        part.unlink()
        raise


def provide(*, pip: list[str], pip_env: Mapping[str, str], scratch: Path) -> Path:
    """Give a wheel of Ice that works with this Python on this machine.

    Parameters
    ----------
    pip : list of str
        How pip is called.
    pip_env : mapping
        The environment in which pip, and the compiler, are to run.
    scratch : Path
        A folder of this clone for logs and for what is thrown away afterwards.

    Returns
    -------
    Path
        The wheel; in the cache, or in `scratch` if the cache cannot be written.

    Raises
    ------
    SetUpFailed
        No wheel was found and none could be made.
    """
    cache = cache_folder(os.environ)
    cached = in_cache(cache)
    if cached and works(cached, scratch=scratch):
        return cached
    with tempfile.TemporaryDirectory(dir=scratch, prefix="ice-") as name:
        work = Path(name)
        download: list[str | Path] = [
            *pip,
            "download",
            "--quiet",
            "--only-binary=:all:",
            "--no-deps",
            "--dest",
            work,
            REQUIREMENT,
        ]
        ready = next(work.glob("*.whl"), None) if answers(download, pip_env) else None
        if ready is None or not works(ready, scratch=scratch):
            ready = _compile(pip_env=pip_env, work=work, scratch=scratch)
        try:
            kept = keep(ready, cache)
        except OSError:  # a home that is missing, read-only or full
            kept = keep(ready, scratch / "wheels")
    print(f"Ice for Python: kept in {kept.parent}", flush=True)
    return kept


def _compile(*, pip_env: Mapping[str, str], work: Path, scratch: Path) -> Path:
    log = scratch / "ice.log"
    log.unlink(missing_ok=True)
    debian.provide(debian.missing_for_compiling(), log=scratch / "apt.log")
    python, source, wheels, progress = work / "venv/bin/python", work / "source", work / "wheels", work / "progress"
    run([sys.executable, "-m", "venv", work / "venv"], doing="Ice for Python: an environment to compile in", log=log, env=pip_env)
    with (TOOLS.parent / "pyproject.toml").open("rb") as file:
        build_requires = tomllib.load(file)["build-system"]["requires"]
    run([python, "-m", "pip", "install", *build_requires], doing="Ice for Python: setuptools", log=log, env=pip_env)
    fetch: list[str | Path] = [
        "download",
        "--no-binary=:all:",
        "--no-deps",
        "--no-build-isolation",
        "--dest",
        source,
        REQUIREMENT,
    ]
    run([python, "-m", "pip", *fetch], doing="Ice for Python: getting its sources", log=log, env=pip_env)
    (archive,) = source.iterdir()
    shutil.unpack_archive(archive, source)
    wheels.mkdir()
    run(
        [python, TOOLS / "ice/compile.py", source / f"zeroc-ice-{RELEASE}", wheels, progress],
        doing="Ice for Python: compiling",
        state=lambda: _state(progress),
        log=log,
        env=pip_env,
    )
    (wheel,) = wheels.glob("*.whl")
    if not works(wheel, scratch=scratch):
        raise WheelUnusable(wheel, log)
    return wheel


def _state(progress: Path) -> str:
    try:
        done = f" {progress.read_text(encoding='ascii')}"
    except FileNotFoundError:
        done = ""
    return f"{done}, once for this machine, about two minutes"
