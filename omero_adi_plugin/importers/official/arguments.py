# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments: what OMERO's importer is started with, in a file that nobody else can read.

`omero import` puts the session key on Java's command line, where every account of the host sees it; whoever has the key has the
session. So Java is started by ourselves, with an argument file (`java @FILE`, Java 9 and later), which has no name on any disk:
see docs/decisions/0012.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.orders import MARKER_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_adi_plugin.importers.protocol import Skip
    from omero_adi_plugin.orders import Marker, Target

MAIN = "ome.formats.importer.cli.CommandLineImporter"
"""The class that `omero import` starts (omero-py, plugins/import.py)."""

LEAST_HEAP_MB = 1024
"""What `omero import` gives it."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f"})
"""How a character is written between double quotes in an argument file (manual of java, "java Command-Line Argument Files")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """OMERO's importer on this host.

    class_path: its jars, with Bio-Formats.
    logback:    where it is said how it writes its log, or None.
    """

    class_path: str
    logback: Path | None

    @classmethod
    def find(cls) -> Installation:
        """Look for it where `omero import` looks, below `$OMERODIR`.

        Raises
        ------
        ConfigurationError
            It is not there.
        """
        root = os.environ.get("OMERODIR")
        folder = Path(root or "", "lib", "client")
        jars = sorted(folder.glob("*.jar")) if root else []
        if not jars:
            where = f"there is no jar in '{folder}'" if root else "OMERODIR is not set"
            raise ConfigurationError(
                f"OMERO's own importer is not installed here: {where}. Set OMERODIR to the folder of an OMERO.server or "
                "OMERO.java, or set `importer` to `inplace`."
            )
        logback = Path(root or "", "etc", "logback-cli.xml")
        return cls(class_path=os.pathsep.join(map(str, jars)), logback=logback if logback.is_file() else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One call of the importer.

    host, port:  of OMERO.
    key:         of the session that it joins: a secret.
    target:      what it imports into.
    marker:      written on each image, to be told apart by client path.
    paths:       absolute; of each fileset the file to open.
    skip, skip_upgrade: what is not to be done, `skip_upgrade`: looking for a newer version.
    parallel_files, parallel_filesets: how many at the same time.
    heap_mb:     the largest heap, in MB.
    """

    host: str
    port: int
    key: str = field(repr=False)
    target: Target
    marker: Marker
    paths: Sequence[str]
    skip: Skip
    skip_upgrade: bool
    parallel_files: int
    parallel_filesets: int
    heap_mb: int

    def arguments(self, installation: Installation) -> list[str]:
        """Return all that follows the word `java`.

        Nothing of it may reach a disk: neither Java's file of counters below /tmp, nor the report of a crash, nor a core dump.
        The importer's options are those that `omero import` passes on (omero-py, plugins/import.py).
        """
        options = [
            "-XX:-UsePerfData",
            "-XX:ErrorFile=/dev/null",
            "-XX:-CreateCoredumpOnCrash",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={tempfile.gettempdir()}",
            f"-Xmx{max(LEAST_HEAP_MB, self.heap_mb)}M",
        ]
        if installation.logback is not None:
            options.append(f"-Dlogback.configurationFile={installation.logback}")
        login = ["-s", self.host, "-p", str(self.port), "-k", self.key]
        marker = [f"--annotation-ns={MARKER_NAMESPACE}", f"--annotation-text={self.marker}"]
        work = ["-T", str(self.target), "--transfer=ln_s", "--output=yaml", "-c", *self._skipped(), *self._parallel()]
        return [*options, "-cp", installation.class_path, MAIN, *login, *work, *marker, *self.paths]

    def _skipped(self) -> Iterator[str]:
        if self.skip.checksum:
            yield "--checksum-algorithm=File-Size-64"
        if self.skip.minmax:
            yield "--no-stats-info"
        if self.skip.thumbnails:
            yield "--no-thumbnails"
        if self.skip_upgrade:
            yield "--no-upgrade-check"

    def _parallel(self) -> Iterator[str]:
        if self.parallel_files > 1:
            yield f"--parallel-upload={self.parallel_files}"
        if self.parallel_filesets > 1:
            yield f"--parallel-fileset={self.parallel_filesets}"


def written(arguments: Sequence[str]) -> bytes:
    """Return the text of an argument file: each argument on a line of its own, in double quotes.

    In quotes nothing has a meaning but backslash and quote: neither a space nor `#`, nor `*` in a class path.
    """
    return "".join(f'"{argument.translate(_ESCAPES)}"\n' for argument in arguments).encode()


@contextlib.contextmanager
def argument_file(arguments: Sequence[str]) -> Iterator[int]:
    """Keep arguments in a file in memory meanwhile, open under the number that is given.

    It has no name in any folder, so that no other account can open it, and is gone with the last process that has it, however
    that ends (memfd_create(2)). A process that inherits it reads it as `/proc/self/fd/NUMBER`.
    """
    number = os.memfd_create("arguments")
    try:
        with open(number, "wb", closefd=False) as file:
            file.write(written(arguments))
        yield number
    finally:
        os.close(number)
