# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose: Bio-Formats where it can be used, else what can read at least TIFF."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.importers.reading.bioformats import BioformatsReader
from omero_adi_plugin.importers.reading.jars import Jars, NoBioformats
from omero_adi_plugin.importers.reading.tiff import TiffReader
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from omero_adi_plugin.importers.plans import AdmittedFile, FileReader, Reading

_log = logging.getLogger(__name__)


def open_reader(*, bioformats_jar: Path | None, heap_mb: int, patience_seconds: float) -> ChosenReader:
    """Return a reader for as long as this process has files to open; close it, or use it in a `with` statement.

    Nothing is started before the first file. One that is not closed ends with the process.

    Parameters
    ----------
    bioformats_jar : Path or None
        Bio-Formats, as a jar or a folder of jars, if `$OMERODIR/lib/client` has none.
    heap_mb : int
        Largest heap of the process that opens files, in MB.
    patience_seconds : float
        How long one file may take, in s.
    """
    return ChosenReader(Jars(bioformats_jar), heap_mb=heap_mb, patience_seconds=patience_seconds)


class ChosenReader:
    """The best reader that there is; implements `plans.FileReader`.

    One that reads only TIFF gives way to Bio-Formats once that is installed, but not the other way: when Bio-Formats is
    taken away under a running service, its orders wait, and are not failed.
    """

    def __init__(self, jars: Jars, *, heap_mb: int, patience_seconds: float) -> None:
        self._jars, self._heap_mb, self._patience_seconds = jars, heap_mb, patience_seconds
        self._choosing = threading.Lock()
        self._why: str | None = None
        self._bioformats: BioformatsReader | None = None

    @property
    def version(self) -> str | None:
        """The version of Bio-Formats, None if it is not Bio-Formats that reads."""
        return self._best().version

    def read(self, file: AdmittedFile) -> Reading:
        """Open a file; raises as `plans.FileReader.read`, and what `BioformatsReader.read` adds."""
        return self._best().read(file)

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        """See `plans.FileReader`."""
        self._best().read_ahead(files)

    def close(self) -> None:
        """End what was started; a file that is being opened is given up."""
        with self._choosing:
            if self._bioformats is not None:
                self._bioformats.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _best(self) -> FileReader:
        with self._choosing:
            if self._bioformats is not None:
                return self._bioformats
            found = self._jars.look()
            if isinstance(found, NoBioformats):
                if found.why != self._why:
                    event(_log, logging.WARNING, "reader.without_bioformats", why=found.why)
                self._why = found.why
                return TiffReader(found.why)
            self._bioformats = BioformatsReader(self._jars, heap_mb=self._heap_mb, patience_seconds=self._patience_seconds)
            return self._bioformats
