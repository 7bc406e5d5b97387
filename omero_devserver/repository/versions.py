# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions: what the server says of itself in the MetadataImportJob of an import, and which readers it knows."""

from __future__ import annotations

import functools
import locale
import platform
import zipfile
from typing import TYPE_CHECKING

import tifffile

from omero_devserver.formats import java

if TYPE_CHECKING:
    from pathlib import Path

_READERS = "loci.formats.in."
_MANIFEST = "META-INF/MANIFEST.MF"


def version_info() -> dict[str, str]:
    """Name server, system and libraries, with the keys that a real server uses (recorded: facts 1, "Rows")."""
    found = {
        "client.language.name": "Python",
        "client.language.version": platform.python_version(),
        "client.language.vendor": platform.python_implementation(),
        "os.name": platform.system(),
        "os.version": platform.release(),
        "os.architecture": {"x86_64": "amd64"}.get(platform.machine(), platform.machine()),  # as Java calls it
        "locale": (locale.getlocale()[0] or "en").partition("_")[0],
        "tifffile.version": tifffile.__version__,
    }
    jar = java.jar()
    if jar.is_file():
        manifest = _manifest(jar)
        found["bioformats.version"] = (
            f"version: {manifest.get('Implementation-Version')} revision: {manifest.get('Implementation-Build')}"
            f" date: {manifest.get('Implementation-Date')}"
        )
    return found


def knows_reader(name: str | None) -> bool:
    """Tell whether a class that a client named is one of Bio-Formats' readers.

    Without Bio-Formats whatever has the name of one counts.
    """
    if name is None or not name.startswith(_READERS) or not name.endswith("Reader"):
        return False
    jar = java.jar()
    return not jar.is_file() or name in _classes(jar)


@functools.cache
def _classes(jar: Path) -> frozenset[str]:
    with zipfile.ZipFile(jar) as archive:
        names = (name.removesuffix(".class").replace("/", ".") for name in archive.namelist() if name.endswith(".class"))
        return frozenset(name for name in names if name.startswith(_READERS))


@functools.cache
def _manifest(jar: Path) -> dict[str, str]:
    with zipfile.ZipFile(jar) as archive:
        lines = archive.read(_MANIFEST).decode("utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if ": " in line)
    return {name: value for name, _, value in pairs}
