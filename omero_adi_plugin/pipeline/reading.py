# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading: in which order an order's files are opened, and that whoever reads is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.importers.walking import opening_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.importers.plans import AdmittedFile, FileReader, Reading
    from omero_adi_plugin.orders import Entry


class WatchedReader:
    """A reader that is watched: a folder of 100,000 files takes minutes. Implements `importers.plans.FileReader`.

    Parameters
    ----------
    reader : FileReader
        Who reads; it stays open.
    watch : callable
        Called before each file; what it raises passes through.
    """

    def __init__(self, reader: FileReader, *, watch: Callable[[], None]) -> None:
        self._reader, self._watch = reader, watch

    @property
    def version(self) -> str | None:
        """See `FileReader`."""
        return self._reader.version

    def read(self, file: AdmittedFile) -> Reading:
        """See `FileReader`."""
        self._watch()
        return self._reader.read(file)

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        """See `FileReader`."""
        self._watch()
        self._reader.read_ahead(files)

    def close(self) -> None:
        """Leave the reader to whoever opened it."""


def in_opening_order(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries with those first that may describe others: a plate's index claims pictures that could be read alone."""
    return sorted(entries, key=lambda entry: opening_order(entry.path)[0])  # which is stable otherwise
