# SPDX-License-Identifier: GPL-2.0-or-later
"""Library: what is known of Bio-Formats before a file is read: its version, and which folders its readers need."""

from __future__ import annotations

import functools
import logging
import zipfile
from typing import TYPE_CHECKING

from omero_devserver.formats import java

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_PACKAGE = "loci.formats.in."
_METHOD = "getRequiredDirectories"


def version() -> str | None:
    """Name the version as a real server does; None without Bio-Formats."""
    jar = _jar()
    if jar is None:
        return None
    found = _manifest(jar)
    names = {"version": "Implementation-Version", "revision": "Implementation-Build", "date": "Implementation-Date"}
    return " ".join(f"{name}: {found.get(key)}" for name, key in names.items())


def required_folders(reader: str | None, paths: Sequence[str]) -> int | None:
    """Tell how many of the folders that the files of a fileset have in common their reader needs.

    Parameters
    ----------
    reader : str or None
        Class that the client named.
    paths : sequence of str
        Of the files; they need not exist.

    Returns
    -------
    int or None
        None: Bio-Formats has no such reader, or it cannot tell. Without Bio-Formats whatever has the name of a reader counts as
        one that needs no folder, which is so for nearly all.
    """
    if reader is None or not reader.startswith(_PACKAGE) or not reader.endswith("Reader"):
        return None
    jar = _jar()
    if jar is None:
        return 0
    readers = _readers(jar)
    if reader not in readers:
        return None
    return _asked(reader, paths) if readers[reader] else 0


def _jar() -> Path | None:
    jar = java.jar()
    return jar if zipfile.is_zipfile(jar) else None  # a download may have been cut off


def _asked(reader: str, paths: Sequence[str]) -> int | None:
    try:
        java.loci()
        import jpype  # noqa: PLC0415  it is not there without Java

        return int(jpype.JClass(reader)().getRequiredDirectories(jpype.JArray(jpype.JString)(list(paths))))
    except java.NoJava:
        return 0
    except jpype.JException as error:
        log.info("%s does not tell which folders it needs: %s", reader, error)
        return None


@functools.cache
def _readers(jar: Path) -> dict[str, bool]:
    """List the readers; True for one that has something of its own to say about folders: its code names the method."""
    with zipfile.ZipFile(jar) as archive:
        files = [
            name for name in archive.namelist() if name.startswith(_PACKAGE.replace(".", "/")) and name.endswith("Reader.class")
        ]
        return {name.removesuffix(".class").replace("/", "."): _METHOD.encode() in archive.read(name) for name in files}


@functools.cache
def _manifest(jar: Path) -> dict[str, str]:
    with zipfile.ZipFile(jar) as archive:
        lines = archive.read("META-INF/MANIFEST.MF").decode("utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if ": " in line)
    return {name: value for name, _, value in pairs}
