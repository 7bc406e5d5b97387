# SPDX-License-Identifier: GPL-2.0-or-later
"""Java: the one virtual machine of this process, with Bio-Formats in it, started when the first file is read.

Bio-Formats is a jar that does not come with this package (GPL-2, 45 MB). It is looked for where the environment variable
OMERO_DEVSERVER_BIOFORMATS says, else below this Python's prefix. The machine starts in this process and cannot be stopped or
started again before the process ends.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "OMERO_DEVSERVER_BIOFORMATS"
PROBE_SECONDS = 60
OPTIONS = (
    "-Xmx512m",
    "-Xrs",  # signals stay with Python
    # Files in /tmp for tools that look into a running machine: with -Xrs nobody would remove them.
    "-XX:+DisableAttachMechanism",
    "-XX:-UsePerfData",
    # Java guards the end of what it takes for the main thread's stack, 1 MB by default: Python 3.12 and later may go deeper.
    "-Xss8m",
    "-Djava.awt.headless=true",
    # One import needs little: a small collector, and code that is compiled quickly rather than well, start in half the time.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)


#: Threads may need the machine for the first time at the same moment.
_starting = threading.Lock()


class NoJava(Exception):
    """Bio-Formats cannot be used in this process; the text says what is missing."""


def jar() -> Path:
    """Give the place of Bio-Formats' jar, whether it is there or not."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path(sys.prefix) / "share/bioformats/bioformats_package.jar"


def check() -> None:
    """See whether everything seems to be there, without starting anything.

    Raises
    ------
    NoJava
        The jar, Java or JPype is missing.
    """
    if not jar().is_file():
        raise NoJava(f"no Bio-Formats at {jar()}")
    if importlib.util.find_spec("jpype") is None:
        raise NoJava("JPype1 is not installed")
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise NoJava("no Java is installed")


def loci() -> Any:
    """Start the machine, if it does not run yet, and give Bio-Formats' package `loci`.

    Raises
    ------
    NoJava
        Something is missing, or Java cannot run here.
    """
    with _starting:
        return _started()


@functools.cache
def _started() -> Any:
    check()
    # JPype may be missing, and takes 0.1 s.
    import jpype.config  # noqa: PLC0415

    try:
        library = Path(jpype.getDefaultJVMPath())
    except jpype.JVMNotFoundException as error:
        raise NoJava("no Java is installed") from error
    _probe(library)
    try:
        if not jpype.isJVMStarted():
            # A thread of its own, see there.
            with ThreadPoolExecutor(1) as starter:
                starter.submit(_start, library).result()
        package = jpype.JPackage("loci")
        package.common.DebugTools.setRootLevel("ERROR")
    except Exception as error:  # JPype raises what it and Java think of: OSError, TypeError, exceptions of Java
        raise NoJava(f"Java does not start: {error}") from error
    return package


def _start(library: Path) -> None:
    """Start the machine, and take this thread from it again.

    When the process ends, JPype ends Java, which waits for the thread that started it; for others it does not, JPype makes
    them daemons. Without an end of Java, its own threads would meet a Python that is gone and abort the process.
    """
    import jpype  # noqa: PLC0415

    with _names_in_utf8():
        jpype.startJVM(str(library), *OPTIONS, classpath=[str(jar())], convertStrings=False)
    jpype.JPackage("java").lang.Thread.detach()


@contextmanager
def _names_in_utf8() -> Iterator[None]:
    """Let Java find files with any name: it takes the encoding of names from the locale at its start, which may be C."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def _probe(library: Path) -> None:
    """Start the same machine in a process of its own: one that cannot start would end the process that it is in."""
    program = library.parents[2] / "bin/java"
    if not program.is_file():
        return
    try:
        done = subprocess.run(
            [program, *OPTIONS, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoJava(f"Java does not start: {error}") from error
    if done.returncode:
        raise NoJava(f"Java does not start: {' '.join(done.stdout.split())}")
