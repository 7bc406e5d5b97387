# SPDX-License-Identifier: GPL-2.0-or-later
"""Jars: where Bio-Formats is, and the Java that runs it.

On a server it is what OMERO's own client has, so that both agree about every file.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOOK_SECONDS = 5.0
"""How long a look at the jars is good for: 150 files in OMERO's folder, 1 ms."""

_BIOFORMATS = re.compile(r"(bioformats_package|formats-bsd)\b.*\.jar")
"""One of these is there where Bio-Formats is: the jar with everything, or the part of it that has the common readers."""

_LIBRARIES = ("lib/server/libjvm.so", "jre/lib/*/server/libjvm.so")
"""Where the virtual machine is in a Java: since Java 9, and before."""

_INSTALLED = Path("/usr/lib/jvm")
"""Where distributions of Linux put each Java."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bioformats:
    """What Bio-Formats is started from.

    library:    the virtual machine of Java, `libjvm.so`.
    class_path: the jars, absolute.
    stamp:      size in bytes and time of modification in ns of the machine and of each jar: two that are not equal are not
                the same Bio-Formats.
    """

    library: str
    class_path: tuple[str, ...]
    stamp: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class NoBioformats:
    """There is none that can be used; `why` is the end of a sentence."""

    why: str


class Jars:
    """Looks for Bio-Formats, and again when the last look was some seconds ago.

    Parameters
    ----------
    bioformats_jar : Path or None
        The setting of that name: a jar, or a folder of jars.
    """

    def __init__(self, bioformats_jar: Path | None) -> None:
        self._bioformats_jar = bioformats_jar
        self._seen: Bioformats | NoBioformats | None = None
        self._looked = 0.0

    def look(self) -> Bioformats | NoBioformats:
        """Say where it is, as of at most `LOOK_SECONDS` ago."""
        now = time.monotonic()
        if self._seen is None or now - self._looked > LOOK_SECONDS:
            self._seen, self._looked = find(self._bioformats_jar), now
        return self._seen


def find(bioformats_jar: Path | None) -> Bioformats | NoBioformats:
    """Look for Bio-Formats, without starting anything.

    Jars in `$OMERODIR/lib/client` go first, then `bioformats_jar`, then what our set-up puts below this Python's prefix.

    Parameters
    ----------
    bioformats_jar : Path or None
        The setting of that name: a jar, or a folder of jars.
    """
    if importlib.util.find_spec("jpype") is None:
        return NoBioformats("JPype1 is not installed")
    library = _library()
    if library is None:
        return NoBioformats("no Java is installed")
    jars = _jars(bioformats_jar)
    if not jars:
        where = f"`bioformats_jar` names '{bioformats_jar}', which has none" if bioformats_jar else "no jar of it was found"
        return NoBioformats(f"Bio-Formats is not installed: {where}")
    try:
        stats = [each.stat() for each in (library, *jars)]
    except OSError as error:  # just being replaced
        return NoBioformats(f"'{error.filename}' of Bio-Formats cannot be read: {error.strerror}")
    return Bioformats(
        library=str(library),
        class_path=tuple(map(str, jars)),
        stamp=tuple((stat.st_size, stat.st_mtime_ns) for stat in stats),
    )


def _jars(bioformats_jar: Path | None) -> Sequence[Path]:
    for place in _places(bioformats_jar):
        if place.is_file():
            return [place]
        jars = sorted(place.glob("*.jar"))
        if any(_BIOFORMATS.fullmatch(jar.name) for jar in jars):
            return jars
    return ()


def _places(bioformats_jar: Path | None) -> Iterator[Path]:
    server = os.environ.get("OMERODIR")
    if server:
        yield Path(server).absolute() / "lib/client"
    if bioformats_jar is not None:
        yield bioformats_jar.absolute()
    else:
        yield Path(sys.prefix) / "share/bioformats/bioformats_package.jar"


def _library() -> Path | None:
    """Find the virtual machine as `java` itself is found: JAVA_HOME, then PATH; then where distributions put it."""
    home, program = os.environ.get("JAVA_HOME"), shutil.which("java")
    places = [Path(home)] if home else []
    if program:
        places.append(Path(program).resolve().parents[1])
    if _INSTALLED.is_dir():
        places += sorted(_INSTALLED.iterdir())
    return next((found for place in places for pattern in _LIBRARIES for found in sorted(place.glob(pattern))), None)
